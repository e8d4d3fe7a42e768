package replay_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/capture/har"
	"github.com/upkeep-go/upkeep/observe/replay"
)

// shop sells with a bug: who buys nothing heavy is divided by zero.
type shop struct {
	flags  openfeature.IClient
	client *http.Client
	fixed  bool
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /carts/{cart}/checkout", s.checkout)
	return observe.Route(mux)
}

func (s *shop) checkout(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	var cart struct {
		Mail  string
		Items []string
	}
	if err := json.NewDecoder(r.Body).Decode(&cart); err != nil || !strings.Contains(cart.Mail, "@") {
		http.Error(w, "bad cart", http.StatusBadRequest)
		return
	}
	grams := 0
	for _, item := range cart.Items {
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://prices.internal/prices/"+item, nil)
		resp, err := s.client.Do(req)
		if err != nil {
			observe.Fail(ctx, err)
			http.Error(w, "no price", http.StatusBadGateway)
			return
		}
		var price struct{ Grams int }
		err = json.NewDecoder(resp.Body).Decode(&price)
		_ = resp.Body.Close()
		if err != nil {
			observe.Fail(ctx, err)
			http.Error(w, "no price", http.StatusBadGateway)
			return
		}
		grams += price.Grams
	}
	now, err := observe.Value(ctx, "now", func(context.Context) (time.Time, error) { return time.Now(), nil })
	if err != nil {
		observe.Fail(ctx, err)
		return
	}
	cost := 5
	if s.flags.Boolean(ctx, "express", false, openfeature.NewEvaluationContext(cart.Mail, nil)) && (grams > 0 || !s.fixed) {
		cost = expressCost(grams)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"mail": cart.Mail, "cost": cost, "at": now, "cart": r.PathValue("cart")})
}

func expressCost(grams int) int { return 1000 / grams }

func prices(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/gift") {
		_, _ = io.WriteString(w, `{"grams":0}`)
		return
	}
	_, _ = io.WriteString(w, `{"grams":500}`)
}

func order(items string) *http.Request {
	r := httptest.NewRequest("POST", "http://shop.test/carts/4711/checkout", strings.NewReader(`{"mail":"ann@shop.test","items":[`+items+`]}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer of-ann")
	return r
}

func incident(t *testing.T) string {
	t.Helper()
	p := newProduction(t, capture.Redaction{})
	return p.capture((&shop{flags: p.flags, client: p.client(prices)}).routes(), order(`"gift"`))
}

func broken(c *replay.Case) http.Handler {
	return (&shop{flags: c.FlagClient(), client: c.HTTPClient()}).routes()
}

func repaired(c *replay.Case) http.Handler {
	return (&shop{flags: c.FlagClient(), client: c.HTTPClient(), fixed: true}).routes()
}

// A bundle is red until the bug is fixed, and green from then on.
func TestRunIsRedUntilTheBugIsFixed(t *testing.T) {
	t.Parallel()
	path := incident(t)
	obs, err := observe.New(&observe.Options{Log: slog.DiscardHandler})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, obs.Close()) })
	early := play(t, replay.Options{}, path, repaired)
	require.Len(t, early.errors, 1, "redaction hid what the request carried, and nobody has seen it fail")
	require.Contains(t, early.errors[0], "does not fail now, which proves nothing")
	require.Contains(t, early.errors[0], "of the request: header Authorization")
	require.Contains(t, early.errors[0], "verdict: inconclusive")
	require.NoFileExists(t, path+".red")
	for name, c := range map[string]struct {
		opts replay.Options
		wrap func(http.Handler) http.Handler
	}{
		"zero":     {replay.Options{}, func(h http.Handler) http.Handler { return h }},
		"key":      {replay.Options{Key: key}, func(h http.Handler) http.Handler { return h }},
		"strict":   {replay.Options{Strict: true}, func(h http.Handler) http.Handler { return h }},
		"observed": {replay.Options{}, obs.Handler},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			red := play(t, c.opts, path, func(c2 *replay.Case) http.Handler { return c.wrap(broken(c2)) })
			require.Len(t, red.errors, 1, red.said())
			require.Regexp(t, `^replay: \S+: POST /carts/\{cart\}/checkout of 20\S+, request [0-9A-Z]{26}, fails as it did then: `+
				`status 500, panic: runtime error: integer divide by zero \(runtime\.errorString\)\n`+
				`\t\tgithub\.com/upkeep-go/upkeep/observe/replay_test\.expressCost\n\t\t\t\S+/replay_test\.go:\d+\n`, red.errors[0])
			green := play(t, c.opts, path, func(c2 *replay.Case) http.Handler { return c.wrap(repaired(c2)) })
			require.Empty(t, green.errors)
			require.Contains(t, green.said(), "does not fail any more: status 500, panic: runtime error: integer divide by zero (runtime.errorString) then, status 200 now")
			require.Contains(t, green.said(), `the bundle is from build "shop v1"`)
		})
	}
	require.Len(t, play(t, replay.Options{Build: "shop v2"}, path, broken).errors, 1)
	data, err := os.ReadFile(path + ".red")
	require.NoError(t, err)
	require.Contains(t, string(data), `"build": "shop v2"`)
	require.Contains(t, string(data), `"of": "shop v1"`)
	require.Equal(t, replay.VerdictFixed, replay.Run(t, path, repaired)) // in a real test, too
}

func TestRunTellsAnotherFailure(t *testing.T) {
	t.Parallel()
	path := incident(t)
	for want, fail := range map[string]func(w http.ResponseWriter, r *http.Request){
		"now      status 502":                              func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) },
		"now      status 500, panic: other (string)":       func(http.ResponseWriter, *http.Request) { panic("other") },
		"status 500, panic: runtime error: integer divide": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, otherCost(0)) },
		"now      status 200, error: told (*errors.errorString)": func(_ http.ResponseWriter, r *http.Request) {
			observe.Fail(r.Context(), errors.New("told"))
		},
		"now      aborted (http.ErrAbortHandler)": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		d := play(t, replay.Options{}, path, func(*replay.Case) http.Handler { return http.HandlerFunc(fail) })
		require.Len(t, d.errors, 1)
		require.Contains(t, d.errors[0], "fails, but not as it did then:\n\trecorded status 500, panic: runtime error: integer divide by zero")
		require.Contains(t, d.errors[0], want)
	}
	// A refusal is no failure, and proves nothing.
	d := play(t, replay.Options{}, path, func(*replay.Case) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "9")
			w.WriteHeader(503)
		})
	})
	require.Len(t, d.errors, 1)
	require.Contains(t, d.errors[0], "verdict: inconclusive")
}

func otherCost(grams int) int { return 1000 / grams }

// What did not fail must be answered as it was.
func TestRunComparesWhatDidNotFail(t *testing.T) {
	t.Parallel()
	p := newProduction(t, capture.Redaction{JSON: []string{"$.cost", "$.grams"}, Values: []string{"now"}})
	path := p.capture((&shop{flags: p.flags, client: p.client(prices)}).routes(), order(`"tea","coffee"`))
	for _, o := range []replay.Options{{}, {Key: key}, {Key: key, AsRecorded: true, Strict: true}} {
		d := play(t, o, path, broken)
		require.Empty(t, d.errors)
		require.Contains(t, d.said(), "is answered as it was: status 200")
	}
	answer := func(change func(h http.Header, answer map[string]any) any) func(*replay.Case) http.Handler {
		return func(c *replay.Case) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				real := httptest.NewRecorder()
				broken(c).ServeHTTP(real, r)
				var body map[string]any
				if err := json.Unmarshal(real.Body.Bytes(), &body); err != nil {
					t.Error(err)
				}
				w.Header().Set("Content-Type", "application/json")
				data, _ := json.Marshal(change(w.Header(), body))
				_, _ = w.Write(data)
			})
		}
	}
	for _, c := range []struct {
		opts   replay.Options
		change func(h http.Header, body map[string]any) any
		want   []string
	}{
		{replay.Options{}, func(_ http.Header, b map[string]any) any { b["cost"] = 7; return b }, []string{"body $.cost: recorded 1, now 7"}},
		{replay.Options{}, func(_ http.Header, b map[string]any) any { delete(b, "cost"); b["extra"] = "x"; return b }, []string{"body $.cost: recorded 1, now nothing", `body $.extra: recorded nothing, now "x"`}},
		{replay.Options{}, func(h http.Header, b map[string]any) any { h.Set("X-Answer", "42"); return b }, []string{`header X-Answer: recorded [], now ["42"]`}},
		{replay.Options{}, func(h http.Header, b map[string]any) any { h.Set("Content-Type", "text/json"); return b }, []string{`header Content-Type: recorded ["application/json"], now ["text/json"]`}},
		{replay.Options{}, func(_ http.Header, b map[string]any) any { b["mail"] = []string{"x"}; return b }, []string{"body $.mail: recorded \""}},
		{replay.Options{}, func(_ http.Header, b map[string]any) any { return []any{b} }, []string{"body $: recorded {"}},
		{replay.Options{}, func(_ http.Header, b map[string]any) any { b["mail"] = "hidden, so nobody can tell"; return b }, nil},
		{replay.Options{Key: key}, func(_ http.Header, b map[string]any) any { b["mail"] = "with the key it is known"; return b }, []string{"body $.mail: recorded \""}},
		{replay.Options{Ignore: []string{"body $.c*", "header X-*"}}, func(h http.Header, b map[string]any) any { b["cost"] = 7; h.Set("X-Answer", "42"); return b }, nil},
	} {
		d := play(t, c.opts, path, answer(c.change))
		if c.want == nil {
			require.Empty(t, d.errors)
			continue
		}
		require.Len(t, d.errors, 1)
		require.Contains(t, d.errors[0], "is not answered as it was:\n\t")
		for _, want := range c.want {
			require.Contains(t, d.errors[0], want)
		}
	}
	d := play(t, replay.Options{}, path, func(*replay.Case) http.Handler { return http.NotFoundHandler() })
	require.Contains(t, d.errors[0], "status: recorded 200, now 404\n")
	require.Contains(t, d.errors[0], `now "404 page not found\n"`)
}

// A failure can be what is right.
func TestAsRecordedTakesAFailureForRight(t *testing.T) {
	t.Parallel()
	path := incident(t)
	d := play(t, replay.Options{AsRecorded: true, Key: key}, path, func(c *replay.Case) http.Handler {
		obs, err := observe.New(&observe.Options{Log: slog.DiscardHandler})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, obs.Close()) })
		return obs.Handler(broken(c))
	})
	require.Empty(t, d.errors)
	d = play(t, replay.Options{AsRecorded: true, Key: key}, path, broken)
	require.Len(t, d.errors, 1)
	require.Contains(t, d.errors[0], "\tAn observe.Observer's Handler answers a panic, and there is none around the handler.")
	d = play(t, replay.Options{AsRecorded: true}, path, repaired)
	require.Contains(t, d.errors[0], "recorded status 500, panic: runtime error: integer divide by zero (runtime.errorString)\n\tnow      status 200\n\tstatus: recorded 500, now 200\n")
}

func TestHTTPClient(t *testing.T) {
	t.Parallel()
	call := func(ctx context.Context, client *http.Client, method, url string) string {
		req, _ := http.NewRequestWithContext(ctx, method, url, strings.NewReader("body"))
		resp, err := client.Do(req)
		if err != nil {
			return "error: " + err.Error()
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		if err != nil {
			return "error: " + err.Error()
		}
		return resp.Status + " " + string(data)
	}
	others := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/broken":
			w.Header().Set("X-Test-Error", "cannot reach it")
		case "/image":
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write([]byte{0, 1})
		case "/long":
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, strings.Repeat("x ", 50_000))
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(201)
			fmt.Fprintf(w, `{"path":%q,"query":%q}`, r.URL.Path, r.URL.RawQuery)
		}
	}
	p := newProduction(t, capture.Redaction{JSON: []string{"$"}, URLs: []string{"/", "/items/{id}", "/users/{id}", "/broken", "/image", "/long"}, Fields: []string{"page"}})
	handler := func(client *http.Client, calls ...string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			for _, c := range calls {
				method, url, _ := strings.Cut(c, " ")
				fmt.Fprintln(w, call(r.Context(), client, method, url))
			}
		})
	}
	path := p.capture(handler(p.client(others), "GET http://a.test/items/17", "POST http://a.test/items/17", "GET http://a.test/items/4?page=2", "GET http://b.test/items/5",
		"GET http://a.test/users/ann@shop.test", "GET http://a.test/broken", "GET http://a.test/image", "GET http://a.test/long", "GET http://a.test/link?quuxpass"), httptest.NewRequest("GET", "/", nil))

	run := func(o replay.Options, calls ...string) (answers []string, d *desk) {
		d = play(t, o, path, func(c *replay.Case) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				rec := httptest.NewRecorder()
				handler(c.HTTPClient(), calls...).ServeHTTP(rec, r)
				answers = strings.Split(strings.TrimSuffix(rec.Body.String(), "\n"), "\n")
				w.WriteHeader(500)
				_, _ = w.Write(rec.Body.Bytes())
			})
		})
		require.Regexp(t, "fails(, but not)? as it did then", d.errors[len(d.errors)-1])
		d.errors = d.errors[:len(d.errors)-1]
		return answers, d
	}
	for _, o := range []replay.Options{{}, {Key: key}} {
		// Any order, other hosts, and the values of the desk.
		answers, d := run(o, "GET http://desk.test/items/4?page=2", "POST http://desk.test/items/17", "GET http://desk.test/items/17")
		require.Empty(t, d.errors)
		require.Equal(t, []string{`201 Created {"path":"/items/4","query":"page=2"}`, `201 Created {"path":"/items/17","query":""}`, `201 Created {"path":"/items/17","query":""}`}, answers)

		answers, d = run(o, "GET http://desk.test/link?quuxpass")
		require.Empty(t, d.errors)
		require.Regexp(t, `^201 Created \{"path":"/link","query":"quuxpass"\}$`, answers[0])

		answers, d = run(o, "GET http://desk.test/users/ann@shop.test", "GET http://desk.test/broken", "GET http://desk.test/image", "GET http://desk.test/long")
		require.Empty(t, d.errors)
		require.Contains(t, answers[0], `"path":"/users/ann@shop.test"`)
		require.Regexp(t, `^error: Get "http://desk.test/broken": \w+ \w+ \w+: context deadline exceeded$`, answers[1])
		require.Equal(t, "error: replay: the body was binary, 2 bytes, and is not in the bundle", answers[2])
		require.Equal(t, "error: replay: the bundle has only the beginning of the body, which had 100000 bytes", answers[3])
	}

	answers, d := run(replay.Options{}, "GET http://a.test/items/17", "GET http://a.test/items/17", "DELETE http://a.test/items/17", "GET http://a.test/other/17")
	require.Contains(t, answers[1], "replay: unexpected call")
	require.Len(t, d.errors, 3)
	require.Regexp(t, `(?s)^replay: unexpected call: DELETE http://a\.test/items/17: the bundle has of those not made yet\n\tPOST http://\S+/items/\d\d\n\tGET .*/long\n\tGET http://\S+\?[a-z]{8}$`, d.errors[1])

	answers, d = run(replay.Options{Strict: true}, "POST http://a.test/items/17")
	require.Contains(t, answers[0], "unexpected call")
	require.Contains(t, d.errors[0], "(the next, by Options.Strict)")
	require.Contains(t, d.errors[1], "calls that were not made, by Options.Strict:\n\tGET ")

	c, err := replay.Load(path)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Contains(t, call(ctx, c.HTTPClient(), "GET", "http://a.test/items/17"), "context canceled")
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a.test/broken", nil)
	_, err = c.HTTPClient().Do(req)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
}

func TestFlagClient(t *testing.T) {
	t.Parallel()
	p := newProduction(t, capture.Redaction{Flags: []string{"limits", "notice", "factor", "most"}})
	ask := func(client openfeature.IClient, user func(string) string) string {
		ctx := context.Background()
		as := func(name string) openfeature.EvaluationContext {
			return openfeature.NewEvaluationContext(user(name), nil)
		}
		missing, err := client.StringValueDetails(ctx, "missing", "none", as("ann"))
		d, _ := client.BooleanValueDetails(ctx, "express", false, as("ann"))
		mistyped, errType := client.StringValueDetails(ctx, "factor", "none", as("ann"))
		return fmt.Sprintln(client.Boolean(ctx, "express", false, as("ann")), client.Boolean(ctx, "express", true, as("bob")), d.Variant, d.Reason,
			client.Object(ctx, "limits", nil, as("ann")), client.String(ctx, "notice", "", as("ann")), client.Float(ctx, "factor", 0, as("ann")), client.Int(ctx, "most", 0, as("ann")),
			missing.Value, missing.ErrorCode, err != nil, mistyped.Value, mistyped.ErrorCode, errType != nil)
	}
	var then string
	path := p.capture(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		for _, name := range []string{"ann", "bob"} {
			p.flags.Boolean(ctx, "express", false, openfeature.NewEvaluationContext(name, nil))
		}
		as := openfeature.NewEvaluationContext("ann", nil)
		p.flags.Object(ctx, "limits", nil, as)
		p.flags.String(ctx, "notice", "", as)
		p.flags.Float(ctx, "factor", 0, as)
		p.flags.Int(ctx, "most", 0, as)
		p.flags.String(ctx, "missing", "none", as)
		then = ask(p.flags, func(s string) string { return s })
	}), httptest.NewRequest("GET", "/", nil))
	require.Contains(t, then, "true false on SPLIT map[items:3] snow 0.5 10 none FLAG_NOT_FOUND true none TYPE_MISMATCH true")

	redactor, err := capture.NewRedactor(&capture.Redaction{Key: key})
	require.NoError(t, err)
	for _, user := range []func(string) string{redactor.Pseudonym, func(s string) string { return s }} {
		d := play(t, replay.Options{Key: key}, path, func(c *replay.Case) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				if now := ask(c.FlagClient(), user); now != then {
					t.Errorf("now %s, then %s", now, then)
				}
				if c.FlagClient().Boolean(context.Background(), "new", true, openfeature.EvaluationContext{}) != true {
					t.Error("a flag that was not asked for has the code's default")
				}
			})
		})
		require.Empty(t, d.errors)
		require.Contains(t, d.said(), `flag "new" was not evaluated when the request was recorded`)
	}
}

var errOutOfStock = errors.New("out of stock")

func TestValue(t *testing.T) {
	t.Parallel()
	type row struct {
		Name  string
		Count int
	}
	var then string
	serve := func(replaying bool) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			w := &strings.Builder{}
			ctx := r.Context()
			calls := 0
			for i := range 2 {
				got, err := observe.Value(ctx, "row", func(context.Context) (*row, error) { calls++; return &row{"tea", 10 + i}, nil })
				fmt.Fprintln(w, got.Name, got.Count, err)
			}
			_, err := observe.Value(ctx, "none", func(context.Context) (int, error) { calls++; return 0, sql.ErrNoRows })
			fmt.Fprintln(w, err == sql.ErrNoRows)
			_, err = observe.Value(ctx, "stock", func(context.Context) (int, error) {
				calls++
				return 0, fmt.Errorf("reading stock: %w", errOutOfStock)
			})
			fmt.Fprintln(w, errors.Is(err, errOutOfStock), errors.Is(err, io.EOF), err)
			_, err = observe.Value(ctx, "chan", func(context.Context) (chan int, error) { calls++; return make(chan int), nil })
			fmt.Fprintln(w, err)
			if !replaying {
				then = w.String()
			} else {
				if w.String() != then {
					t.Errorf("now %s, then %s", w, then)
				}
				if calls != 1 {
					t.Errorf("%d functions were called", calls)
				}
				_, _ = observe.Value(ctx, "row", func(context.Context) (int, error) { calls++; return 1, nil })
				_, _ = observe.Value(ctx, "new", func(context.Context) (int, error) { calls++; return 1, nil })
				if calls != 3 {
					t.Errorf("%d functions were called", calls)
				}
			}
		})
	}
	p := newProduction(t, capture.Redaction{JSON: []string{"$"}, Words: true})
	path := p.capture(serve(false), httptest.NewRequest("GET", "/", nil))
	d := play(t, replay.Options{Key: key}, path, func(*replay.Case) http.Handler { return serve(true) })
	require.Empty(t, d.errors)
	require.Contains(t, d.said(), `observe.Value("row") is called for the third time, and was not then: it calls its function`)
	require.Contains(t, d.said(), `observe.Value("chan"), the first, could not be recorded (json: unsupported type: chan int): it calls its function`)
	d = play(t, replay.Options{Strict: true}, path, func(*replay.Case) http.Handler { return serve(true) })
	require.Len(t, d.errors, 3)

	d = play(t, replay.Options{}, path, func(*replay.Case) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := observe.Value(r.Context(), "row", func(context.Context) (int, error) { return 0, nil })
			if err == nil || !strings.Contains(err.Error(), `value "row" of the replayed bundle`) {
				t.Errorf("a struct is no int: %v", err)
			}
		})
	})
	require.Len(t, d.errors, 1)
	require.Contains(t, d.errors[0], `could not be replayed:`+"\n\t\t"+`the result of observe.Value("row"): json: cannot unmarshal object into Go value of type int`)
	require.Contains(t, d.errors[0], "verdict: inconclusive")
}

// A failure that only Fail tells is one.
func TestFail(t *testing.T) {
	t.Parallel()
	fails := func(err error) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { observe.Fail(r.Context(), err) })
	}
	p := newProduction(t, capture.Redaction{})
	path := p.capture(fails(fmt.Errorf("x: %w", &fs.PathError{Op: "a", Path: "b", Err: io.EOF})), httptest.NewRequest("GET", "/", nil))
	with := func(err error) *desk {
		return play(t, replay.Options{}, path, func(*replay.Case) http.Handler { return fails(err) })
	}
	require.Contains(t, with(&fs.PathError{Err: io.EOF}).said(), "fails as it did then: status 200, error: ")
	require.Contains(t, with(io.EOF).said(), "fails, but not as it did then")
	require.Empty(t, with(nil).errors)
}

func TestRequestIsAsItWas(t *testing.T) {
	t.Parallel()
	p := newProduction(t, capture.Redaction{Headers: []string{"X-Tenant"}, Fields: []string{"page", "id"}})
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /items/{id}", func(_ http.ResponseWriter, r *http.Request) { _ = r.ParseForm() })
	r := httptest.NewRequest("PUT", "https://shop.test/items/a%2Fb?page=2&q=ann", strings.NewReader("name=ann"))
	for name, value := range map[string]string{"Content-Type": "application/x-www-form-urlencoded", "X-Tenant": "acme", "Cookie": "session=abc", "X-Request-Id": "ticket-4711-0815", "Content-Length": "8"} {
		r.Header.Set(name, value)
	}
	path := p.capture(observe.Route(mux), r)

	var got *http.Request
	var form string
	d := play(t, replay.Options{Prepare: func(r *http.Request) { r.Header.Set("Authorization", "Bearer of-the-test") }}, path, func(c *replay.Case) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, form = r, r.FormValue("name") })
	})
	require.Empty(t, d.errors)
	require.Equal(t, []string{"PUT", "/items/a/b", "/items/a%2Fb", "2", "acme", "ticket-4711-0815", "Bearer of-the-test"},
		[]string{got.Method, got.URL.Path, got.URL.EscapedPath(), got.URL.Query().Get("page"), got.Header.Get("X-Tenant"), got.Header.Get("X-Request-Id"), got.Header.Get("Authorization")})
	require.Equal(t, form, got.URL.Query().Get("q"), "the same thing is still the same")
	require.Regexp(t, `^[a-z]{3}$`, form)
	require.NotEqual(t, "ann", form)
	require.NotNil(t, got.TLS)
	require.Empty(t, got.Header.Get("Content-Length"))
	cookie, err := got.Cookie("session")
	require.NoError(t, err)
	require.Len(t, cookie.Value, 3)
}

func TestRunSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct{ typ, body string }{
		"the request's body was binary and is not in the bundle":                          {"image/png", "\x00"},
		"the request's body was multipart and is not in the bundle":                       {"multipart/form-data; boundary=b", "--b--"},
		"the bundle has only the beginning of the request's body, which had 100000 bytes": {"text/plain", strings.Repeat("x ", 50_000)},
		"the bundle is from go1.0, this is " + runtime.Version():                          {"go", ""},
		`the bundle is from build "shop v1", this is "shop v2"`:                           {"", ""},
	} {
		p := newProduction(t, capture.Redaction{})
		r := httptest.NewRequest("POST", "/", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.typ)
		path := p.capture(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(500)
		}), r)
		if c.typ == "go" {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, bytes.Replace(data, []byte(`"go": "`+runtime.Version()), []byte(`"go": "go1.0`), 1), 0o600))
		}
		d := play(t, replay.Options{Build: "shop v2"}, path, func(*replay.Case) http.Handler { return http.NotFoundHandler() })
		require.Len(t, d.errors, 1)
		require.Contains(t, d.said(), want)
	}
}

func TestRunNeedsABundle(t *testing.T) {
	t.Parallel()
	path := incident(t)
	none := func(*replay.Case) http.Handler { return nil }
	require.Contains(t, play(t, replay.Options{}, filepath.Join(t.TempDir(), "x.har"), none).fatal, "no such file")
	require.Contains(t, play(t, replay.Options{}, "replay_test.go", none).fatal, "replay_test.go:1:1: ")
	require.Contains(t, play(t, replay.Options{}, path, none).fatal, "there is no handler")
	require.Contains(t, play(t, replay.Options{Key: []byte("another key than that")}, path, broken).fatal, "Options.Key is not the key that the bundle was redacted with")
	require.Contains(t, play(t, replay.Options{Key: []byte("short")}, path, broken).fatal, "too few")
}

// A bundle tells the time, and a bubble has it.
func TestTime(t *testing.T) {
	t.Parallel()
	path := incident(t)
	require.Len(t, play(t, replay.Options{}, path, broken).errors, 1)
	synctest.Test(t, func(t *testing.T) {
		var at time.Time
		replay.Run(t, path, func(c *replay.Case) http.Handler {
			time.Sleep(time.Until(c.Time()))
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				at = time.Now()
				if !at.Equal(c.Time()) {
					t.Errorf("it is %v, and not %v", at, c.Time())
				}
			})
		})
		require.NotZero(t, at)
	})
}

// Tests at the same time have their own flags and answers each.
func TestRunIsParallel(t *testing.T) {
	t.Parallel()
	path := incident(t)
	for range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			require.Len(t, play(t, replay.Options{Strict: true}, path, broken).errors, 1)
			require.Empty(t, play(t, replay.Options{Strict: true}, path, repaired).errors)
		})
	}
}

// A file of a browser can be replayed, as far as it goes.
func TestRunTakesOtherPrograms(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "browser.har")
	require.NoError(t, os.WriteFile(path, []byte(`{"log":{"version":"1.2","creator":{"name":"WebInspector","version":"1"},"entries":[{
		"startedDateTime":"2026-03-14T15:09:26.535+01:00","time":1,"request":{"method":"GET","url":"https://shop.test/x?y=z","httpVersion":"h2","headers":[{"name":":authority","value":"shop.test"}]},
		"response":{"status":200,"headers":[{"name":"content-type","value":"text/plain"}],"content":{"size":2,"mimeType":"text/plain","text":"aGk=","encoding":"base64"}}}]}}`), 0o600))
	answers := func(text string) func(*replay.Case) http.Handler {
		return func(*replay.Case) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				_, _ = io.WriteString(w, text+r.FormValue("none"))
			})
		}
	}
	require.Empty(t, play(t, replay.Options{}, path, answers("hi")).errors)
	require.Contains(t, play(t, replay.Options{}, path, answers("ho")).errors[0], `body: recorded "hi", now "ho"`)
}

func TestSave(t *testing.T) {
	t.Parallel()
	path := incident(t)
	folder := t.TempDir()
	to := filepath.Join(folder, "testdata", "march-14 check.out.har")
	source, err := replay.Save(path, to)
	require.NoError(t, err)
	require.Regexp(t, `^// TestMarch14CheckOut replays POST /carts/\{cart\}/checkout of 20\S+, request \w+, status 500, panic: runtime error: integer divide by zero \(runtime\.errorString\)\.
func TestMarch14CheckOut\(t \*testing\.T\) \{
	// Run this before the bug is fixed: it must say "reproduced", and notes that beside the bundle\.
	// What redaction took, such as credentials, is put back by Options\.Prepare, and with
	// Options\.Key pseudonyms are compared: replay\.Options\{Key: …, Prepare: …\}\.Run\(t, …
	replay\.Run\(t, "testdata/march-14 check\.out\.har", func\(c \*replay\.Case\) http\.Handler \{
		return newHandler\(c\.FlagClient\(\), c\.HTTPClient\(\)\)
	\}\)
\}
$`, source)
	require.Len(t, play(t, replay.Options{}, to, broken).errors, 1)
	replay.Run(t, to, repaired)
	again, err := replay.Save(path, to)
	require.NoError(t, err, "it is there already")
	require.Equal(t, source, again)

	_, err = replay.Save(incident(t), to)
	require.ErrorIs(t, err, fs.ErrExist)
	_, err = replay.Save(filepath.Join(folder, "none"), to)
	require.ErrorIs(t, err, fs.ErrNotExist)
	var fault *har.Fault
	_, err = replay.Save("replay_test.go", filepath.Join(folder, "new.har"))
	require.ErrorAs(t, err, &fault)
	require.NoFileExists(t, filepath.Join(folder, "new.har"))
	for to, want := range map[string]string{
		"testdata/a.har": "testdata/a.har", "./testdata/b/a.har": "testdata/b/a.har", "shop/testdata/a.har": "testdata/a.har",
		"/src/testdata/shop/testdata/a.har": "testdata/a.har", "shop/a.har": "shop/a.har", "mytestdata/a.har": "mytestdata/a.har",
	} {
		require.Equal(t, want, replay.FromTest(to))
	}
	for name, want := range map[string]string{"日本.har": "Test_日本(", "-.har": "TestReplay(", "7up.har": "Test_7up("} {
		source, err := replay.Save(path, filepath.Join(folder, name))
		require.NoError(t, err)
		require.Contains(t, source, "func "+want)
	}
}
