package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/observe"
)

// The flags of the storefront. Each is declared once.
var (
	expressCheckout = flags.Bool("express-checkout", false)
	banner          = flags.String("banner", "")
)

const (
	maxCarts = 1000
	maxItems = 20
	maxSlow  = 10 * time.Second
)

// A storefront serves customers. Maintenance is not its concern: the guard in front of it
// refuses requests.
type storefront struct {
	flags  openfeature.IClient
	prices string
	client *http.Client
	log    *slog.Logger

	mu    sync.Mutex
	carts map[string][]string
}

func (s *storefront) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /catalogue", s.catalogue)
	mux.HandleFunc("GET /cart", s.cart)
	mux.HandleFunc("POST /cart", s.addToCart)
	mux.HandleFunc("POST /checkout", s.checkout)
	return mux
}

func (s *storefront) home(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "GET /catalogue, GET /cart?user=42, POST /cart?user=42&item=tea, POST /checkout?user=42&item=tea")
	if text := banner.Value(r.Context(), s.flags, openfeature.EvaluationContext{}); text != "" {
		fmt.Fprintln(w, text)
	}
}

func (s *storefront) catalogue(w http.ResponseWriter, r *http.Request) {
	prices, err := fetchPrices(r, s.client, s.prices)
	if err != nil {
		s.refuse(w, r, http.StatusBadGateway, err)
		return
	}
	writeJSON(w, http.StatusOK, prices)
}

func (s *storefront) cart(w http.ResponseWriter, r *http.Request) {
	user, ok := s.user(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	items := s.carts[user]
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"user": user, "items": items})
}

func (s *storefront) addToCart(w http.ResponseWriter, r *http.Request) {
	user, ok := s.user(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	items := s.carts[user]
	full := len(items) == maxItems || items == nil && len(s.carts) == maxCarts
	if !full {
		s.carts[user] = append(items, r.FormValue("item"))
	}
	s.mu.Unlock()
	if full {
		s.refuse(w, r, http.StatusInsufficientStorage, fmt.Errorf("the cart is full"))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// checkout sells the items in the cart, or the item of the query. With slow=4s the payment takes
// four seconds.
func (s *storefront) checkout(w http.ResponseWriter, r *http.Request) {
	user, ok := s.user(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	items := s.carts[user]
	delete(s.carts, user)
	s.mu.Unlock()
	if item := r.FormValue("item"); item != "" {
		items = []string{item}
	}
	prices, err := fetchPrices(r, s.client, s.prices)
	if err != nil {
		s.refuse(w, r, http.StatusBadGateway, err)
		return
	}
	if slow, err := time.ParseDuration(r.FormValue("slow")); err == nil {
		payment := time.NewTimer(min(slow, maxSlow))
		defer payment.Stop()
		select {
		case <-payment.C:
		case <-r.Context().Done():
			return
		}
	}
	var total, grams int
	for _, item := range items {
		p, ok := prices[item]
		if !ok {
			s.refuse(w, r, http.StatusUnprocessableEntity, fmt.Errorf("there is no such item"))
			return
		}
		total, grams = total+p.Cents, grams+p.Grams
	}
	path, shipping := "standard", standardShipping(grams)
	subject := openfeature.NewEvaluationContext(user, map[string]any{"email": r.FormValue("email")})
	if expressCheckout.Value(r.Context(), s.flags, subject) {
		path, shipping = "express", expressShipping(total, grams)
	}
	writeJSON(w, http.StatusOK, receipt{User: user, Path: path, Cents: total + shipping, Request: observe.RequestID(r.Context())})
}

type receipt struct {
	User    string `json:"user"`
	Path    string `json:"path"`
	Cents   int    `json:"cents"`
	Request string `json:"request"`
}

func standardShipping(grams int) int { return 490 + grams/100*10 }

// expressShipping is free for orders worth more than 20 a kilogram. It has a bug: an order of a
// gift card weighs zero grams.
func expressShipping(cents, grams int) int {
	if cents*1000/grams > 2000 {
		return 0
	}
	return 990
}

var wellFormedUser = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// user returns the customer. A real shop takes it from the session.
func (s *storefront) user(w http.ResponseWriter, r *http.Request) (user string, ok bool) {
	user = r.FormValue("user")
	if !wellFormedUser.MatchString(user) {
		s.refuse(w, r, http.StatusBadRequest, fmt.Errorf("user must be 1 to 32 of a-z, 0-9 and -"))
		return "", false
	}
	return user, true
}

func (s *storefront) refuse(w http.ResponseWriter, r *http.Request, status int, err error) {
	if status >= http.StatusInternalServerError {
		observe.Fail(r.Context(), err)
	}
	writeJSON(w, status, map[string]string{"error": err.Error(), "request": observe.RequestID(r.Context())})
}
