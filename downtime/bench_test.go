package downtime_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// BenchmarkHandler compares the guarded handler to the bare one. In "open" no window is
// near; in "open, n scopes" windows are announced, and the request is in the first scope, in
// none, or in two. They are served without a ResponseWriter, except where it is said.
func BenchmarkHandler(b *testing.B) {
	announced := func(n int) string {
		var lines []string
		for i := range n {
			lines = append(lines, window(fmt.Sprintf("w%d", i), time.Hour, time.Hour, fmt.Sprintf(`, announce: 72h, scope: {paths: ["/orders%s/**"]}`, strings.TrimLeft(fmt.Sprint(i), "0"))))
		}
		return windows(lines...)
	}
	hosts := func(n int) string {
		var lines []string
		for i := range n {
			lines = append(lines, window(fmt.Sprintf("w%d", i), time.Hour, time.Hour, fmt.Sprintf(`, announce: 72h, scope: {hosts: [shop%d.example], paths: ["/**"]}`, i)))
		}
		return windows(lines...)
	}
	r := httptest.NewRequest("GET", "/orders/1/items", nil)
	shop := httptest.NewRequest("GET", "http://shop7.example/orders/1/items", nil)
	bare := http.Handler(nothing)
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			bare.ServeHTTP(nil, r)
		}
	})
	for _, c := range []struct {
		name, doc string
		request   *http.Request
	}{
		{"open", windows(), r},
		{"open, 1 scope, in it", announced(1), r},
		{"open, 1 scope, outside", announced(1), httptest.NewRequest("GET", "/catalogue/1/items", nil)},
		{"open, 100 scopes, in one", announced(100), r},
		{"open, 100 scopes, outside", announced(100), httptest.NewRequest("GET", "/catalogue/1/items", nil)},
		{"open, 100 scopes, in two", announced(100) + window("all", time.Hour, time.Hour, `, announce: 72h, scope: {paths: ["/orders/{id}/items"]}`), r},
		{"open, 100 scopes, by host", hosts(100), shop},
	} {
		h := open(b, downtime.Bytes("w", []byte(c.doc)), nil).Handler(nothing)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(nil, c.request)
			}
		})
	}
	// With a response, which may turn out to be a stream: a request of its own for the handler.
	written := open(b, downtime.Bytes("w", []byte(announced(1))), nil).Handler(nothing)
	b.Run("open, 1 scope, with a response", func(b *testing.B) {
		b.ReportAllocs()
		w := &header{http.Header{}}
		for b.Loop() {
			written.ServeHTTP(w, r)
		}
	})
	// A browser's request: more headers to look through.
	fromBrowser := r.Clone(b.Context())
	for _, name := range []string{"Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Cookie", "Referer", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "User-Agent"} {
		fromBrowser.Header.Set(name, "x")
	}
	fromBrowser.Header.Set("Accept", browser)
	for name, opts := range map[string]*downtime.Options{
		"a browser's":                nil,
		"a browser's, with a bypass": {Bypass: &downtime.Bypass{Keys: signerKeys(), Audience: "shop"}},
	} {
		h := open(b, downtime.Bytes("w", []byte(announced(1))), opts).Handler(nothing)
		b.Run("open, 1 scope, "+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(nil, fromBrowser)
			}
		})
	}
	bypassed := r.Clone(b.Context())
	bypassed.Header.Set("Upkeep-Bypass", mint(b, nil))
	past := shut(b, "", &downtime.Options{Bypass: &downtime.Bypass{Keys: signerKeys(), Audience: "shop"}}).Handler(nothing)
	b.Run("bypassed", func(b *testing.B) {
		b.ReportAllocs()
		w := &header{http.Header{}}
		for b.Loop() {
			past.ServeHTTP(w, bypassed)
		}
	})
	h := open(b, downtime.Bytes("w", []byte(announced(1))), nil).Handler(nothing)
	for _, n := range []int{1, 2} {
		b.Run(fmt.Sprintf("open, 1 scope, %d goroutines", n), func(b *testing.B) {
			b.ReportAllocs()
			done := make(chan struct{})
			for range n {
				go func() {
					for range b.N {
						h.ServeHTTP(nil, r)
					}
					done <- struct{}{}
				}()
			}
			for range n {
				<-done
			}
		})
	}
	shut := open(b, downtime.Bytes("w", []byte(windows(window("w", -time.Minute, time.Hour, `, message: Back soon.`)))), nil).Handler(nothing)
	for _, accept := range []string{"*/*", "text/html,application/xhtml+xml,*/*;q=0.8"} {
		r := httptest.NewRequest("GET", "/orders/1/items", nil)
		r.Header.Set("Accept", accept)
		b.Run("refused "+accept[:3], func(b *testing.B) {
			b.ReportAllocs()
			w := &header{http.Header{}}
			for b.Loop() {
				clear(w.h)
				shut.ServeHTTP(w, r)
			}
		})
	}
}

// header is a ResponseWriter with a header that is there already, as a server's.
type header struct{ h http.Header }

func (w *header) Header() http.Header         { return w.h }
func (w *header) Write(b []byte) (int, error) { return len(b), nil }
func (w *header) WriteHeader(int)             {}

func BenchmarkEnter(b *testing.B) {
	g := open(b, downtime.Bytes("w", []byte(windows(window("w", time.Hour, time.Hour, ", scope: {work: [import]}")))), nil)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		leave, err := g.Enter(ctx, downtime.Work{Name: "import"})
		if err != nil {
			b.Fatal(err)
		}
		leave()
	}
}

func BenchmarkHold(b *testing.B) {
	g := open(b, downtime.Bytes("w", []byte(windows(window("w", time.Hour, time.Hour, ", scope: {work: [import]}")))), nil)
	b.ReportAllocs()
	for b.Loop() {
		release, err := g.Hold(downtime.Work{Name: "import"})
		if err != nil {
			b.Fatal(err)
		}
		release()
	}
}

func BenchmarkReport(b *testing.B) {
	g := open(b, downtime.Bytes("w", []byte(windows(window("w", -time.Minute, time.Hour, "")))), nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Report("w"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestOpenGuardDoesNotAllocate(t *testing.T) {
	many := ""
	for i := range 100 {
		many += window(fmt.Sprintf("w%d", i), time.Hour, time.Hour, fmt.Sprintf(`, scope: {paths: ["/orders/%d", "/{x}/%d"], hosts: [h%d.example, example.com]}`, i, i, i))
	}
	for _, doc := range []string{windows(), windows(window("w", time.Hour, time.Hour, `, scope: {paths: ["/orders/**"]}`)), windows(many)} {
		h := open(t, downtime.Bytes("w", []byte(doc)), nil).Handler(nothing)
		for _, target := range []string{"/orders/1", "/catalogue/item/7", "/"} {
			r := httptest.NewRequest("GET", target, nil)
			h.ServeHTTP(nil, r) // makes the class of it
			require.Zero(t, testing.AllocsPerRun(1000, func() { h.ServeHTTP(nil, r) }), target)
		}
	}
}

// A handler with a response gets a request and a writer of its own, in one piece of memory.
func TestAResponseCostsOneAllocation(t *testing.T) {
	h := open(t, downtime.Bytes("w", []byte(windows(window("w", time.Hour, time.Hour, "")))), nil).Handler(nothing)
	r, w := httptest.NewRequest("GET", "/orders/1", nil), &header{http.Header{}}
	serve := func() { h.ServeHTTP(w, r) }
	require.Equal(t, 1.0, testing.AllocsPerRun(1000, serve))
	const rounds = 1000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		serve()
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/rounds, uint64(512))
}
