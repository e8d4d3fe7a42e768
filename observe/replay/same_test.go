package replay_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/replay"
)

// wire is a response writer that leaves the handler's header alone, as those of package
// http do.
type wire struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *wire) Header() http.Header         { return w.header }
func (w *wire) WriteHeader(status int)      { w.status = status }
func (w *wire) Write(p []byte) (int, error) { return w.body.Write(p) }

// overTheWire serves a request as package http does, and returns the file of its bundle.
func overTheWire(t *testing.T, rules capture.Redaction, serve func(*production, http.ResponseWriter, *http.Request), r *http.Request) string {
	t.Helper()
	p := newProduction(t, rules)
	p.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(p, w, r) })).ServeHTTP(&wire{header: http.Header{}}, r)
	require.NoError(t, p.obs.Close())
	files, err := filepath.Glob(filepath.Join(p.dir, "*.har"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	return files[0]
}

// What package http finds out about an answer is not in a bundle.
func TestATypeThatNobodySetIsNotCompared(t *testing.T) {
	t.Parallel()
	write := func(typ, text string) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			if typ != "" {
				w.Header().Set("Content-Type", typ)
			}
			_, _ = io.WriteString(w, text)
		}
	}
	for _, c := range []struct {
		then, now func(http.ResponseWriter)
		want      string
	}{
		{write("", "hello"), write("", "hello"), ""},
		{write("", ""), write("", ""), ""},
		{write("", "hello"), func(w http.ResponseWriter) { w.WriteHeader(200); _, _ = w.Write([]byte("hello")) }, ""},
		{write("text/plain; charset=utf-8", "hello"), write("", "hello"), ""},
		{write("", "hello"), write("text/html", "hello"), `header Content-Type: recorded [], now ["text/html"]`},
		{write("application/json", "1"), write("", "1"), `header Content-Type: recorded ["application/json"], now ["text/plain; charset=utf-8"]`},
	} {
		path := overTheWire(t, capture.Redaction{}, func(_ *production, w http.ResponseWriter, _ *http.Request) { c.then(w) }, httptest.NewRequest("GET", "/", nil))
		d := play(t, replay.Options{Key: key}, path, func(*replay.Case) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { c.now(w) })
		})
		if c.want == "" {
			require.Empty(t, d.errors)
			continue
		}
		require.Len(t, d.errors, 1)
		require.Contains(t, d.errors[0], c.want)
	}
}

// The words that a bundle keeps are hidden in an answer all the same, then and now.
func TestTheSameHandlerAnswersTheSame(t *testing.T) {
	t.Parallel()
	post := func(path, typ, body string) *http.Request {
		r := httptest.NewRequest("POST", path, bytes.NewReader([]byte(body)))
		r.Header.Set("Content-Type", typ)
		r.Header.Set("Authorization", "Bearer of-ann")
		r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		return r
	}
	for name, c := range map[string]struct {
		rules capture.Redaction
		r     *http.Request
		serve func(p *production, w http.ResponseWriter, r *http.Request)
	}{
		"a sentinel": {serve: func(_ *production, w http.ResponseWriter, r *http.Request) {
			_, err := observe.Value(r.Context(), "row", func(context.Context) (int, error) { return 0, fmt.Errorf("find ann: %w", sql.ErrNoRows) })
			w.WriteHeader(500)
			fmt.Fprint(w, "no rows; ", err)
		}},
		"words": {rules: capture.Redaction{Words: true}, serve: func(_ *production, w http.ResponseWriter, r *http.Request) {
			_, err := observe.Value(r.Context(), "row", func(context.Context) (int, error) {
				return 0, fmt.Errorf("no price for %q, as %s has 17", r.FormValue("q"), r.FormValue("q"))
			})
			w.WriteHeader(500)
			fmt.Fprint(w, "no price for 17; ", err)
		}, r: httptest.NewRequest("GET", "/?q=Tea", nil)},
		"names": {r: post("/?page=7&q=ann", "application/json", `{"mail":"ann@shop.test","name":"ann"}`), serve: func(_ *production, w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, "the page has no name, nor mail; Bearer 01, example")
		}},
		"a form": {r: post("/", "application/x-www-form-urlencoded", "name=ann&mail=x"), serve: func(_ *production, w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "name "+r.FormValue("name")+" and mail "+r.FormValue("mail"))
		}},
		"a time": {serve: func(_ *production, w http.ResponseWriter, r *http.Request) {
			at, _ := observe.Value(r.Context(), "at", func(context.Context) (string, error) { return "2026-03-14T15:09:26.5Z", nil })
			id, _ := observe.Value(r.Context(), "ip", func(context.Context) (string, error) { return "192.0.2.7", nil })
			fmt.Fprintln(w, at, id)
			for i := range 60 {
				fmt.Fprintln(w, i+10, i+1970)
			}
		}},
		"calls": {rules: capture.Redaction{URLs: []string{"127.0.0.1/prices/{item}"}}, serve: func(p *production, w http.ResponseWriter, r *http.Request) {
			client := p.client(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "https://shop.example/prices?name=ann")
				_, _ = io.WriteString(w, `{"name":"ann"}`)
			})
			req, _ := http.NewRequestWithContext(r.Context(), "GET", "http://127.0.0.1:4711/prices/tea", nil)
			if resp, err := client.Do(req); err == nil {
				_ = resp.Body.Close()
			}
			fmt.Fprint(w, "127 0 1 4711 http https prices name")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := c.r
			if r == nil {
				r = httptest.NewRequest("GET", "/", nil)
			}
			path := overTheWire(t, c.rules, c.serve, r)
			d := play(t, replay.Options{Key: key, AsRecorded: true}, path, func(rc *replay.Case) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(&production{replayed: rc}, w, r) })
			})
			require.Empty(t, d.errors)
		})
	}
}
