package downtime_test

import (
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

// An operator's browser turns a token into a cookie that it keeps and sends, sees what others do
// not, and forgets it again.
func TestABrowserBypasses(t *testing.T) {
	t.Parallel()
	b := browse(t)
	g := shut(t, "", &downtime.Options{Bypass: &downtime.Bypass{Keys: signerKeys(), Audience: "shop"}})
	root := http.NewServeMux()
	root.Handle("/-/bypass", g.BypassHandler())
	root.Handle("/", g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<title>shop</title><h1>the shop</h1><pre>"+r.Header.Get("Cookie")+"</pre>")
	})))
	url, _ := site(t, root)
	for _, r := range []reader{{}, {dark: true, width: 320}} {
		p := b.tab(r)
		p.open(url + "/")
		require.Equal(t, "Down for maintenance", p.text("h1"))

		form := b.tab(r)
		form.open(url + "/-/bypass")
		require.Empty(t, eval[[]string](form, outline))
		require.Empty(t, eval[[]string](form, contrasts))
		require.LessOrEqual(t, eval[int](form, "document.documentElement.scrollWidth"), eval[int](form, "innerWidth"))
		use := func(token string) {
			eval[int](form, "document.querySelector('textarea').value = "+strconv.Quote(token)+", document.querySelector('button').click(), 1")
			form.loaded()
		}
		use(mint(t, jwt.MapClaims{"exp": time.Now().Add(24 * time.Hour).Unix()}))
		require.Equal(t, "The token is refused: lifetime.", form.text("[role=status]"))
		use(mint(t, nil))
		require.Contains(t, form.text("[role=status]"), "As ana you bypass window w until ")
		require.Equal(t, url+"/-/bypass?", eval[string](form, "location.href"))
		require.Empty(t, eval[string](form, "document.cookie"), "scripts do not see it")
		form.picture("bypass" + strconv.Itoa(r.width))

		p.open(url + "/")
		require.Equal(t, "the shop", p.text("h1"))
		require.Empty(t, p.text("pre"), "nor do handlers")

		eval[int](form, "document.querySelector('[name=leave]').click(), 1")
		form.loaded()
		require.False(t, eval[bool](form, "!!document.querySelector('[role=status]')"))
		p.open(url + "/")
		require.Equal(t, "Down for maintenance", p.text("h1"))
	}
}

// A browser's EventSource survives a window: it gets the maintenance event, and reconnects afterwards.
func TestABrowsersEventSourceComesBack(t *testing.T) {
	t.Parallel()
	b := browse(t)
	src := newSource(windows(window("w", -time.Minute, time.Hour, `, scope: {paths: [/feed]}, message: Soon.`)))
	g := open(t, src, &downtime.Options{RetryMax: time.Second, RetryJitter: -1})
	url, _ := site(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/feed" {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<title>page</title>")
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: open again\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})))
	p := b.tab(reader{})
	p.open(url + "/page")
	detail := eval[string](p, `new Promise((done) => {
		window.feed = new EventSource("/feed");
		window.again = new Promise((back) => feed.addEventListener("message", (e) => back(e.data)));
		feed.addEventListener("maintenance", (e) => done(JSON.parse(e.data).detail));
	})`)
	require.Equal(t, "Soon.", detail)
	src.mu.Lock()
	src.text = windows() + "allowShrink: true\n"
	src.mu.Unlock()
	src.bell <- struct{}{}
	require.Equal(t, "open again", eval[string](p, "again"))
	require.Equal(t, 1, eval[int](p, "feed.readyState"), "open")
	eval[int](p, "feed.close(), 1")
}
