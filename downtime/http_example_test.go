package downtime_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/upkeep-go/upkeep/downtime"
)

var silent = slog.New(slog.DiscardHandler)

// A page of another origin can read a refusal, and when to come back, when the
// application's own CORS middleware is put around refusals too.
func ExampleGuard_Handler_cors() {
	const page = "https://shop.example"
	cors := func(next http.Handler) http.Handler { // github.com/rs/cors, or what the application has
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Origin") != page {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Access-Control-Allow-Origin", page)
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
				w.WriteHeader(http.StatusNoContent)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	g, err := downtime.Open(context.Background(), soon(0), &downtime.Options{CORS: cors, Logger: silent})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	service := g.Handler(cors(http.NotFoundHandler()))

	for _, method := range []string{http.MethodOptions, http.MethodPost} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, "/orders/1", nil)
		r.Header.Set("Origin", page)
		if method == http.MethodOptions {
			r.Header.Set("Access-Control-Request-Method", http.MethodPost)
		}
		service.ServeHTTP(w, r)
		fmt.Printf("%s %d %s %q\n", method, w.Code, w.Header().Get("Access-Control-Allow-Origin"), w.Header().Get("Access-Control-Expose-Headers"))
	}
	// Output:
	// OPTIONS 204 https://shop.example ""
	// POST 503 https://shop.example "Retry-After"
}

// A stream of events is ended when its window begins, and a browser's EventSource that
// comes back meanwhile gets the time to come again.
func ExampleGuard_Handler_eventStream() {
	windows := soon(time.Hour)
	g, err := downtime.Open(context.Background(), windows, &downtime.Options{
		StreamJitter: -1, RetryJitter: -1, RetryMax: time.Minute, Logger: silent,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	open := make(chan struct{})
	service := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush() // from here on the guard knows that it is a stream
		close(open)
		<-r.Context().Done()
		fmt.Println("ended by a window:", errors.Is(context.Cause(r.Context()), downtime.ErrWindow))
	}))
	stream := func() string {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/orders/feed", nil)
		r.Header.Set("Accept", "text/event-stream")
		service.ServeHTTP(w, r)
		return w.Body.String()
	}
	ended := make(chan string)
	go func() { ended <- stream() }()
	<-open
	windows.begin()
	<-ended

	for line := range strings.Lines(stream()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch name {
		case "retry", "event":
			fmt.Println(name, value)
		}
	}
	// Output:
	// ended by a window: true
	// retry 60000
	// event maintenance
}

// Operators mint a token for one window, and with it try what they have changed before
// everybody else does.
func ExampleBypass() {
	// Where the private key is: a tool of the operators, or any that mints JWTs.
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	mint := func(window string) string {
		now := time.Now()
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
			"purpose": downtime.BypassPurpose,
			"aud":     "orders",
			"sub":     "ana@shop.example",
			"window":  window,
			"iat":     now.Unix(),
			"exp":     now.Add(time.Hour).Unix(),
		})
		token.Header["kid"] = "ops-2026"
		text, err := token.SignedString(private)
		if err != nil {
			return err.Error()
		}
		return text
	}

	// In the service, which has the public key.
	g, err := downtime.Open(context.Background(), soon(0), &downtime.Options{
		Bypass: &downtime.Bypass{
			Keys:     map[string]ed25519.PublicKey{"ops-2026": public},
			Audience: "orders",
			Audit: func(_ *http.Request, use downtime.BypassUse) {
				fmt.Println("audit:", use.Subject, "bypasses", use.Window)
			},
		},
		Logger: silent,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	service := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, ok := downtime.Bypassed(r.Context())
		fmt.Fprintf(w, "%s %t, and the token is gone: %t", who, ok, r.Header.Get("Upkeep-Bypass") == "")
	}))
	for _, token := range []string{"", mint("orders-db-upgrade"), mint("another"), mint("orders-db-upgrade") + "x"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/orders/1", nil)
		if token != "" {
			r.Header.Set("Upkeep-Bypass", token)
		}
		service.ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			fmt.Println(w.Code, w.Body)
		} else {
			fmt.Println(w.Code)
		}
	}
	fmt.Println("bypassed", g.Stats()["bypassed"], "denied", g.Stats()["bypass_denied"])
	// Output:
	// 503
	// audit: ana@shop.example bypasses orders-db-upgrade
	// 200 ana@shop.example true, and the token is gone: true
	// 503
	// 503
	// bypassed 1 denied 2
}

// A browser gets its cookie by POST, from a form that is mounted beside the guard.
func ExampleGuard_BypassHandler() {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"purpose": downtime.BypassPurpose, "aud": "orders", "sub": "ana", "window": "orders-db-upgrade",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	token.Header["kid"] = "ops-2026"
	text, err := token.SignedString(private)
	if err != nil {
		fmt.Println(err)
		return
	}

	g, err := downtime.Open(context.Background(), soon(0), &downtime.Options{
		Bypass: &downtime.Bypass{Keys: map[string]ed25519.PublicKey{"ops-2026": public}, Audience: "orders"},
		Logger: silent,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	root := http.NewServeMux()
	root.Handle("/-/bypass", g.BypassHandler())
	root.Handle("/", g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the order") })))

	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/-/bypass", strings.NewReader(url.Values{"token": {text}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	root.ServeHTTP(w, r)
	cookie := w.Result().Cookies()[0]
	fmt.Println(w.Code, cookie.Name, cookie.Secure, cookie.HttpOnly)

	fmt.Println("without the cookie", statusCode(root, "/orders/1"))
	w = httptest.NewRecorder()
	r = httptest.NewRequest(http.MethodGet, "/orders/1", nil)
	r.AddCookie(cookie)
	root.ServeHTTP(w, r)
	fmt.Println("with it", w.Code, w.Body)
	// Output:
	// 303 __Host-Upkeep-Bypass true true
	// without the cookie 503
	// with it 200 the order
}

// A client gets a typed error, and does not have to check responses.
func ExampleTransport() {
	g, err := downtime.Open(context.Background(), soon(0), &downtime.Options{Logger: silent})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	orders := httptest.NewServer(g.Handler(http.NotFoundHandler()))
	defer orders.Close()

	client := &http.Client{Transport: downtime.Transport(nil)}
	defer client.CloseIdleConnections()
	_, err = client.Get(orders.URL + "/orders/1")
	var down *downtime.UnavailableError
	if errors.As(err, &down) {
		fmt.Println(down.Window, down.Reason)
		fmt.Println("host", "http://"+down.Host == orders.URL, "and for more than an hour", time.Until(down.Until) > time.Hour)
	}
	resp, err := client.Get(orders.URL + "/catalogue")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output:
	// orders-db-upgrade Orders are back in two hours.
	// host true and for more than an hour true
	// 404 Not Found
}

// A batch waits within its time, but not for a longer refusal.
func ExampleWithWait() {
	refusals, after := 1, "3600"
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if refusals > 0 {
			refusals--
			w.Header().Set("Retry-After", after)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "here you are")
	}))
	defer shop.Close()
	client := &http.Client{Transport: downtime.Transport(nil)}
	defer client.CloseIdleConnections()
	get := func(ctx context.Context) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, shop.URL, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp, err := client.Do(r)
		if err != nil {
			fmt.Println("refused:", errors.Is(err, downtime.ErrWindow))
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		fmt.Println(string(body), err)
	}
	ctx := downtime.WithWait(context.Background(), 10*time.Minute)
	hurry, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	get(hurry) // at once

	refusals, after = 1, "1"
	get(ctx)
	// Output:
	// refused: true
	// here you are <nil>
}
