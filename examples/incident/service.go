package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/observe"
)

var express = flags.Bool("express-shipping", false)

// newService returns the service's handler with its dependencies as arguments, so that production
// and a replay use the same code.
func newService(flags openfeature.IClient, client *http.Client, prices string, log *slog.Logger) http.Handler {
	s := &service{flags: flags, client: client, prices: prices, log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /customers/{customer}/orders", s.order)
	return observe.Route(mux)
}

type service struct {
	flags  openfeature.IClient
	client *http.Client
	prices string // the address of the price service
	log    *slog.Logger
}

type order struct {
	Mail  string   `json:"mail"`
	Items []string `json:"items"`
}

type price struct {
	Cents int `json:"cents"`
	Grams int `json:"grams"`
}

var wellFormedMail = regexp.MustCompile(`^[a-z0-9.-]+@[a-z0-9.-]+$`)

func (s *service) order(w http.ResponseWriter, r *http.Request) {
	ctx, customer := r.Context(), r.PathValue("customer")
	var o order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o); err != nil || !wellFormedMail.MatchString(o.Mail) {
		http.Error(w, "that is no order", http.StatusBadRequest)
		return
	}
	// A row of a database. observe.Value records values that do not come over HTTP.
	since, err := observe.Value(ctx, "customer since", func(context.Context) (time.Time, error) {
		return time.Date(2024, time.May, 17, 0, 0, 0, 0, time.UTC), nil
	})
	if err != nil {
		observe.Fail(ctx, err)
		http.Error(w, "we cannot say who you are", http.StatusInternalServerError)
		return
	}
	s.log.DebugContext(ctx, "pricing an order", "mail", o.Mail, "items", len(o.Items), "since", since)
	var sum price
	for _, item := range o.Items {
		p, err := s.price(ctx, item)
		if err != nil {
			observe.Fail(ctx, err)
			http.Error(w, "we cannot say what it costs", http.StatusBadGateway)
			return
		}
		sum.Cents, sum.Grams = sum.Cents+p.Cents, sum.Grams+p.Grams
	}
	s.log.DebugContext(ctx, "priced the order", "cents", sum.Cents, "grams", sum.Grams)
	shipping := 490
	if express.Value(ctx, s.flags, openfeature.NewEvaluationContext(customer, nil)) {
		shipping = expressShipping(sum.Cents, sum.Grams)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]int{"cents": sum.Cents + shipping})
}

func (s *service) price(ctx context.Context, item string) (price, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.prices+"/prices/"+item, nil)
	if err != nil {
		return price{}, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return price{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return price{}, fmt.Errorf("the price of an item: status %d", resp.StatusCode)
	}
	var p price
	return p, json.NewDecoder(resp.Body).Decode(&p)
}
