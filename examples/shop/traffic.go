package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// traffic sends a request or runs a job every few seconds, until ctx ends.
func traffic(ctx context.Context, s *shop) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch i % 4 {
		case 0:
			visit(ctx, client, http.MethodGet, s.storeURL+"/catalogue")
		case 1, 2:
			item := []string{"coffee", "tea", "cup"}[rand.IntN(3)]
			visit(ctx, client, http.MethodPost, fmt.Sprintf("%s/checkout?user=%d&item=%s", s.storeURL, rand.IntN(1000), item))
		default:
			_ = s.settle(ctx)
		}
	}
}

func visit(ctx context.Context, client *http.Client, method, url string) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return
	}
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}
