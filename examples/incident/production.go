package main

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"

	"github.com/open-feature/go-sdk/openfeature/isolated"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/version"
)

//go:embed flags.yaml
var flagDocument []byte

// redaction lists the readable fields of a bundle: the items, their weights and prices. Nothing
// identifies the customer.
func redaction(key []byte) *capture.Redaction {
	return &capture.Redaction{
		Key:    key,
		JSON:   []string{"$.items", "$.cents", "$.grams"},
		Fields: []string{"item", "cents", "grams"},
		URLs:   []string{"/prices/{item}"},
		Words:  true,
	}
}

// An account has the results of a day in production.
type account struct {
	served, failed int
	requestID      string // of the first failed request
	mail           string // of its customer
	bundle         string // the file with its bundle
	log            string // the service's log records
}

// produce runs the service with customers, and writes the bundles of failed requests to a folder.
func produce(ctx context.Context, folder string, customers int) (a account, err error) {
	var log bytes.Buffer
	key := make([]byte, 32) // a service loads it with its other secrets
	_, _ = rand.Read(key)
	store, err := capture.NewDir(folder, nil)
	if err != nil {
		return a, err
	}
	info := version.Current()
	obs, err := observe.New(&observe.Options{
		Log:      slog.NewJSONHandler(&log, nil),
		Captures: store,
		Capture:  observe.CaptureOptions{Redact: redaction(key), Build: info.Name + " " + info.Version},
	})
	if err != nil {
		return a, err
	}
	defer obs.Close()

	provider, err := flags.New(flags.Bytes("flags.yaml", flagDocument), &flags.Options{Logger: obs.Logger()})
	if err != nil {
		return a, err
	}
	api := isolated.NewAPI()
	defer api.Shutdown(context.WithoutCancel(ctx))
	if err := api.SetProviderAndWait(ctx, provider); err != nil {
		return a, err
	}
	client := api.NewClient()
	client.AddHooks(obs.FlagHook())

	prices := httptest.NewServer(http.HandlerFunc(servePrices))
	defer prices.Close()
	outbound := &http.Transport{}
	defer outbound.CloseIdleConnections()
	front := httptest.NewServer(obs.Handler(newService(client, &http.Client{Transport: obs.Transport(outbound)}, prices.URL, obs.Logger())))
	defer front.Close()

	for i := range customers {
		mail := fmt.Sprintf("ann.%d@shop.example", i)
		items := []string{"tea", "coffee"}
		if i%4 == 0 {
			items = []string{"gift-card"}
		}
		id, failed, err := send(ctx, front, fmt.Sprintf("%s/customers/customer-%d/orders", front.URL, i), order{Mail: mail, Items: items})
		switch {
		case err != nil:
			return a, err
		case !failed:
			a.served++
		default:
			if a.failed++; a.failed == 1 {
				a.requestID, a.mail = id, mail
			}
		}
	}
	front.Close()
	if err := obs.Close(); err != nil { // writes waiting bundles
		return a, err
	}
	a.log = log.String()
	bundles, err := capture.List(store)
	if err != nil {
		return a, err
	}
	for _, b := range bundles {
		if b.RequestID == a.requestID {
			a.bundle = filepath.Join(folder, b.Name)
		}
	}
	return a, nil
}

func send(ctx context.Context, front *httptest.Server, url string, o order) (id string, failed bool, err error) {
	body, err := json.Marshal(o)
	if err != nil {
		return "", false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", false, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := front.Client().Do(req)
	if err != nil {
		return "", false, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.Header.Get("X-Request-Id"), resp.StatusCode >= 500, err
}

// servePrices is the service of a different team.
func servePrices(w http.ResponseWriter, r *http.Request) {
	p := map[string]price{
		"/prices/tea": {Cents: 450, Grams: 100}, "/prices/coffee": {Cents: 790, Grams: 500}, "/prices/gift-card": {Cents: 2500},
	}[r.URL.Path]
	if p == (price{}) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p)
}
