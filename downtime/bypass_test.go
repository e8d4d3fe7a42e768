package downtime_test

import (
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

// signer is the pair of keys of who mints tokens.
var signer = ed25519.NewKeyFromSeed([]byte("of the tests, and known to everyone"[:ed25519.SeedSize]))

func signerKeys() map[string]ed25519.PublicKey {
	return map[string]ed25519.PublicKey{"ops-1": ed25519.PublicKey(signer[ed25519.SeedSize:])}
}

// mint makes a token for window w, good for an hour, with claims changed.
func mint(t testing.TB, change jwt.MapClaims) string {
	claims := jwt.MapClaims{
		"purpose": downtime.BypassPurpose, "aud": "shop", "sub": "ana", "window": "w",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, change)
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	token.Header["kid"] = "ops-1"
	text, err := token.SignedString(signer)
	require.NoError(t, err)
	return text
}

// seen is what a handler behind the guard saw of a request.
type seen struct {
	who      string
	bypassed bool
	header   http.Header
}

// bypassing opens a guard with the bypass, and a handler that notes what it sees.
func bypassing(t testing.TB, src downtime.Source, b downtime.Bypass, more downtime.Options) (*downtime.Guard, http.Handler, *seen) {
	if b.Keys == nil && b.Networks == nil {
		b.Keys = signerKeys()
	}
	if b.Keys != nil {
		b.Audience = "shop"
	}
	more.Bypass = &b
	g := open(t, src, &more)
	var s seen
	return g, g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s.who, s.bypassed = downtime.Bypassed(r.Context())
		s.header = r.Header.Clone()
	})), &s
}

func TestBypassByToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		var uses []downtime.BypassUse
		g, h, s := bypassing(t, newSource(windows(window("w", time.Minute, time.Hour, ""))),
			downtime.Bypass{Audit: func(r *http.Request, u downtime.BypassUse) {
				require.Empty(t, r.Header.Get("Upkeep-Bypass"))
				who, ok := downtime.Bypassed(r.Context())
				require.Equal(t, "ana true", fmt.Sprint(who, " ", ok))
				uses = append(uses, u)
			}},
			downtime.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		token := mint(t, jwt.MapClaims{"jti": "t-1"})
		require.Equal(t, 200, get(h, "GET", "/", "Upkeep-Bypass", token).Code)
		require.False(t, s.bypassed, "nothing to bypass yet")
		require.NotContains(t, s.header, "Upkeep-Bypass", "but the token is taken off all the same")
		require.Equal(t, 200, get(h, "GET", "/healthz", "Upkeep-Bypass", token).Code)
		require.NotContains(t, s.header, "Upkeep-Bypass")
		require.Empty(t, uses)

		later(time.Minute)
		require.Equal(t, 503, get(h, "GET", "/").Code)
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Upkeep-Bypass", token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, 200, w.Code)
		require.Equal(t, "ana true", fmt.Sprint(s.who, " ", s.bypassed))
		require.NotContains(t, s.header, "Upkeep-Bypass")
		require.Equal(t, token, r.Header.Get("Upkeep-Bypass"), "the request of those outside is not changed")
		require.Equal(t, 200, get(h, "GET", "/", "Upkeep-Bypass", token).Code)
		require.Equal(t, []downtime.BypassUse{{
			Window: "w", First: true, Client: netip.MustParseAddr("192.0.2.1"),
			Subject: "ana", KeyID: "ops-1", TokenID: "t-1", Expires: time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC),
		}}, uses)
		require.Equal(t, 1, strings.Count(log.String(), "maintenance window bypassed"))
		require.Contains(t, log.String(), `msg="maintenance window bypassed" window=w who=ana key=ops-1 token=t-1 expires=2000-01-01T01:00:00.000Z client=192.0.2.1`)
		require.InDelta(t, 2, g.Stats()["bypassed"], 0)
		require.InDelta(t, 0, g.Stats()["bypass_denied"], 0)

		later(time.Hour + 29*time.Second - time.Minute) // expired, within the leeway; the window is still on
		require.Equal(t, 200, get(h, "GET", "/", "Upkeep-Bypass", token).Code)
		later(time.Second)
		require.Equal(t, 503, get(h, "GET", "/", "Upkeep-Bypass", token).Code)
		require.Contains(t, log.String(), `msg="maintenance bypass refused" window=w reason=expired`)
		later(time.Hour)
		require.Contains(t, log.String(), "phase=completed mode=closed start=2000-01-01T00:01:00.000Z end=2000-01-01T01:01:00.000Z bypassed=3 refused=2")
		require.NotContains(t, log.String(), strings.Split(token, ".")[2])
	})
}

func TestTokensThatAreNoBypass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, h, _ := bypassing(t, newSource(windows(
			window("w", 0, 10*time.Hour, `, scope: {paths: ["/w/**", "/both/**"]}`),
			window("other", 0, 10*time.Hour, `, scope: {paths: ["/other/**", "/both/**"]}`))), downtime.Bypass{}, downtime.Options{})
		good := mint(t, nil)
		hs := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"purpose": downtime.BypassPurpose, "aud": "shop", "sub": "eve", "window": "w", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
		hs.Header["kid"] = "ops-1"
		confused, err := hs.SignedString([]byte(signer[ed25519.SeedSize:]))
		require.NoError(t, err)
		parts := strings.Split(good, ".")
		denied := 0
		for name, token := range map[string]string{
			"foreign window": mint(t, jwt.MapClaims{"window": "other"}),
			"no window":      mint(t, jwt.MapClaims{"window": ""}),
			"all windows":    mint(t, jwt.MapClaims{"window": "*"}),
			"list of them":   mint(t, jwt.MapClaims{"window": []string{"w"}}),
			"debug token":    mint(t, jwt.MapClaims{"purpose": "upkeep-debug"}),
			"other service":  mint(t, jwt.MapClaims{"aud": "billing"}),
			"expired":        mint(t, jwt.MapClaims{"iat": time.Now().Add(-2 * time.Hour).Unix(), "exp": time.Now().Add(-time.Hour).Unix()}),
			"too long":       mint(t, jwt.MapClaims{"exp": time.Now().Add(13 * time.Hour).Unix()}),
			"not yet":        mint(t, jwt.MapClaims{"nbf": time.Now().Add(time.Minute).Unix()}),
			"nobody's":       mint(t, jwt.MapClaims{"sub": ""}),
			"forged":         parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86),
			"alg none":       "eyJhbGciOiJub25lIiwia2lkIjoib3BzLTEifQ." + parts[1] + ".",
			"HS256":          confused,
			"garbage":        "\x00\xff..",
			"a word":         "true",
		} {
			w := get(h, "GET", "/w/1", "Upkeep-Bypass", token)
			require.Equal(t, 503, w.Code, name)
			require.Contains(t, w.Body.String(), `"window":"w"`, "a plain refusal")
			denied++
		}
		require.Equal(t, 503, get(h, "GET", "/w/1", "Upkeep-Bypass", "").Code)
		require.InDelta(t, denied, g.Stats()["bypass_denied"], 0)
		require.InDelta(t, denied+1, g.Stats()["refused"], 0)
		require.InDelta(t, 0, g.Stats()["bypassed"], 0)

		require.Equal(t, 200, get(h, "GET", "/w/1", "Upkeep-Bypass", good).Code)
		require.Equal(t, 503, get(h, "GET", "/other/1", "Upkeep-Bypass", good).Code)
		w := get(h, "GET", "/both/1", "Upkeep-Bypass", good)
		require.Equal(t, 503, w.Code)
		require.Contains(t, w.Body.String(), `"window":"other"`, "what still refuses")
		for _, place := range []string{"/w/1?Upkeep-Bypass=" + good, "/w/1?token=" + good, "/w/" + good} {
			require.Equal(t, 503, get(h, "GET", place).Code, "never in an address")
		}
		require.Equal(t, 503, get(h, "GET", "/w/1", "Authorization", "Bearer "+good).Code)
	})
}

func TestBypassWithoutADocument(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, h, _ := bypassing(t, newSource(""), downtime.Bypass{
			Keys: signerKeys(), Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		}, downtime.Options{Boot: downtime.BootClosed})
		require.Equal(t, 503, get(h, "GET", "/").Code)
		require.Equal(t, 503, get(h, "GET", "/", "Upkeep-Bypass", mint(t, jwt.MapClaims{"window": ""})).Code)
	})
}

func TestBypassByCookie(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, h, s := bypassing(t, newSource(windows(window("w", 0, time.Hour, ""))), downtime.Bypass{}, downtime.Options{})
		token := mint(t, nil)
		for cookies, want := range map[string]string{
			"__Host-Upkeep-Bypass=" + token:                                        "",
			"a=1; __Host-Upkeep-Bypass=" + token + "; b=2":                         "a=1; b=2",
			"a=1;__Host-Upkeep-Bypass=\"" + token + "\";b=2":                       "a=1; b=2",
			"__Host-Upkeep-Bypass=" + token + "; a; __Host-Upkeep-Bypass=x":        "a",
			"x__Host-Upkeep-Bypass=y; __Host-Upkeep-Bypass=" + token + "; c=d=e==": "x__Host-Upkeep-Bypass=y; c=d=e==",
		} {
			require.Equal(t, 200, get(h, "GET", "/", "Cookie", cookies).Code, cookies)
			require.Equal(t, "ana true", fmt.Sprint(s.who, " ", s.bypassed))
			require.Equal(t, want, s.header.Get("Cookie"))
			require.Equal(t, want != "", len(s.header["Cookie"]) == 1)
		}
		require.Equal(t, 200, get(h, "GET", "/", "Cookie", "a=1", "Cookie", "__Host-Upkeep-Bypass="+token, "Cookie", "b=2").Code)
		require.Equal(t, []string{"a=1", "b=2"}, s.header["Cookie"])
		require.Equal(t, 503, get(h, "GET", "/", "Cookie", "Upkeep-Bypass="+token).Code)
		require.Equal(t, 503, get(h, "GET", "/", "Cookie", "x__Host-Upkeep-Bypass="+token).Code)
		require.Equal(t, 200, get(h, "GET", "/", "Cookie", "__Host-Upkeep-Bypass=stale", "Upkeep-Bypass", token).Code, "the header comes first")
	})
}

func TestBypassedWorkIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource(windows(
			window("w", 0, time.Hour, ", cutoff: 1m, scope: {paths: [/w], work: [job]}"),
			window("next", 2*time.Minute, time.Hour, ", cutoff: 1m, scope: {paths: [/w], work: [job]}"),
			window("other", 0, time.Hour, ", scope: {work: [elsewhere]}")))
		opts := downtime.Options{Logger: quiet, Bypass: &downtime.Bypass{Keys: signerKeys(), Audience: "shop"}}
		g := open(t, src, &opts)
		step := make(chan struct{})
		var job, elsewhere, long error
		h := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-step
			enter := func(w downtime.Work) error {
				leave, err := g.Enter(r.Context(), w)
				leave()
				return err
			}
			job, elsewhere = enter(downtime.Work{Name: "job"}), enter(downtime.Work{Name: "elsewhere"})
			<-step
			long = enter(downtime.Work{Name: "job", Long: true})
			<-step
		}))
		served := make(chan int)
		go func() { served <- get(h, "GET", "/w", "Upkeep-Bypass", mint(t, nil)).Code }()
		later(0)
		rep, err := g.Report("w")
		require.NoError(t, err)
		require.False(t, rep.Quiet)
		require.Equal(t, []int{1, 1}, []int{rep.Busy, rep.Bypassed})
		_, err = g.Enter(t.Context(), downtime.Work{Name: "job"})
		require.ErrorIs(t, err, downtime.ErrWindow)

		step <- struct{}{}
		later(0)
		require.NoError(t, job, "what a bypassed request asks for may bypass the same")
		require.ErrorIs(t, elsewhere, downtime.ErrWindow, "and nothing else")
		later(90 * time.Second)
		step <- struct{}{}
		later(0)
		var refused *downtime.UnavailableError
		require.ErrorAs(t, long, &refused)
		require.Equal(t, "next", refused.Window, "not the cutoff of another window either")
		step <- struct{}{}
		require.Equal(t, 200, <-served)
		rep, err = g.Drain(t.Context(), "w")
		require.NoError(t, err)
		require.True(t, rep.Quiet)
	})
}

// A long request with the token of the window that has begun is still long for the one
// that is about to begin.
func TestBypassAtTheCutoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, h, s := bypassing(t, newSource(windows(
			window("w", time.Minute, time.Hour, ", cutoff: 5m, scope: {paths: [/w]}"),
			window("other", time.Hour, time.Hour, ", cutoff: 59m, scope: {paths: [/w]}"))), downtime.Bypass{},
			downtime.Options{Long: func(r *http.Request) bool { return r.Method == "POST" }})
		token := mint(t, nil)
		require.Equal(t, 503, get(h, "POST", "/w").Code)
		require.Equal(t, 200, get(h, "POST", "/w", "Upkeep-Bypass", token).Code)
		require.True(t, s.bypassed)
		later(time.Minute)
		require.Equal(t, 200, get(h, "GET", "/w", "Upkeep-Bypass", token).Code)
		w := get(h, "POST", "/w", "Upkeep-Bypass", token)
		require.Equal(t, 503, w.Code)
		require.Contains(t, w.Body.String(), `"window":"other"`)
	})
}

// A bypassed stream is not ended by the window that it bypasses.
func TestBypassedStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := open(t, newSource(windows(window("w", 0, time.Hour, ""), window("next", time.Minute, time.Hour, ""))),
			&downtime.Options{StreamJitter: -1, Bypass: &downtime.Bypass{Keys: signerKeys(), Audience: "shop"}})
		s := streamer{make(chan error, 1)}
		go get(g.Handler(s), "GET", "/", append([]string{"Upkeep-Bypass", mint(t, nil)}, asEvents...)...)
		later(59 * time.Second)
		require.Empty(t, s.ended)
		later(time.Second)
		require.ErrorIs(t, <-s.ended, downtime.ErrWindow)
	})
	synctest.Test(t, func(t *testing.T) { // and does not keep the window closed beyond its end
		g := open(t, newSource(windows(window("w", 0, time.Minute, ""))),
			&downtime.Options{StreamJitter: -1, Bypass: &downtime.Bypass{Keys: signerKeys(), Audience: "shop"}})
		s := streamer{make(chan error, 1)}
		go get(g.Handler(s), "GET", "/", append([]string{"Upkeep-Bypass", mint(t, nil)}, asEvents...)...)
		later(time.Minute - time.Millisecond)
		require.Empty(t, s.ended)
		later(time.Second)
		require.ErrorIs(t, <-s.ended, downtime.ErrWindow)
		later(time.Second)
		require.Equal(t, 200, get(g.Handler(ok), "GET", "/").Code)
	})
	synctest.Test(t, func(t *testing.T) { // a stream that did not bypass the window is ended; it reconnects, and is audited
		g := open(t, newSource(windows(window("w", time.Minute, time.Hour, ""))),
			&downtime.Options{StreamJitter: -1, Bypass: &downtime.Bypass{Keys: signerKeys(), Audience: "shop"}})
		s := streamer{make(chan error, 1)}
		go get(g.Handler(s), "GET", "/", append([]string{"Upkeep-Bypass", mint(t, nil)}, asEvents...)...)
		later(time.Minute)
		require.ErrorIs(t, <-s.ended, downtime.ErrWindow)
		require.InDelta(t, 0, g.Stats()["bypassed"], 0)
	})
}

func TestBypassByNetwork(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var uses []downtime.BypassUse
	g, h, s := bypassing(t, downtime.Bytes("w", []byte(windows(window("w", -time.Minute, time.Hour, "")))), downtime.Bypass{
		Networks:       []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8:1::/48")},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		Audit: func(_ *http.Request, u downtime.BypassUse) {
			mu.Lock()
			defer mu.Unlock()
			uses = append(uses, u)
		},
		EachRequest: true,
	}, downtime.Options{})
	serve := func(peer string, forwarded ...string) int {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		r.Header["X-Forwarded-For"] = forwarded
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for _, c := range []struct {
		want      int
		peer      string
		forwarded []string
	}{
		{200, "203.0.113.7:1234", nil},
		{200, "203.0.113.7:1234", []string{"8.8.8.8"}},
		{200, "10.1.1.1:80", []string{"203.0.113.7"}},
		{200, "10.1.1.1:80", []string{"8.8.8.8, 203.0.113.7"}},
		{200, "10.1.1.1:80", []string{"203.0.113.7, 10.2.2.2 , 10.3.3.3"}},
		{200, "10.1.1.1:80", []string{"garbage, 203.0.113.7", "10.2.2.2"}},
		{200, "10.1.1.1:80", []string{"203.0.113.7:5555"}},
		{200, "[fd00::1]:80", []string{"2001:db8:1::7"}},
		{200, "[fd00::1%eth0]:80", []string{"[2001:db8:1::7]:443"}},
		{200, "[::ffff:10.1.1.1]:80", []string{"[2001:db8:1::7]"}},
		{200, "[::ffff:203.0.113.7]:80", nil},
		{503, "192.0.2.1:80", nil},
		{503, "192.0.2.1:80", []string{"203.0.113.7"}},                                   // no proxy of ours
		{503, "10.1.1.1:80", nil},                                                        // the client is unknown
		{503, "10.1.1.1:80", []string{""}},                                               //
		{503, "10.1.1.1:80", []string{"203.0.113.7, 8.8.8.8"}},                           // the client says so itself
		{503, "10.1.1.1:80", []string{"203.0.113.7", "8.8.8.8"}},                         //
		{503, "10.1.1.1:80", []string{"203.0.113.7, unknown"}},                           // hidden
		{503, "10.1.1.1:80", []string{"203.0.113.7,, 10.1.1.1"}},                         //
		{503, "10.1.1.1:80", []string{"203.0.113.7" + strings.Repeat(", 10.1.1.1", 60)}}, // too far
		{503, "10.1.1.1:80", []string{"203.0.113.777"}},
		{503, "@", []string{"203.0.113.7"}},
		{503, "", nil},
	} {
		require.Equal(t, c.want, serve(c.peer, c.forwarded...), "%v", c)
	}
	require.Equal(t, "203.0.113.7", s.who)
	require.Len(t, uses, 11)
	require.Equal(t, downtime.BypassUse{
		Window: "w", First: true, Client: netip.MustParseAddr("203.0.113.7"), Network: netip.MustParsePrefix("203.0.113.0/24"),
	}, uses[0])
	firsts := 0
	for _, u := range uses {
		if u.First {
			firsts++
		}
	}
	require.Equal(t, 2, firsts, "two clients")
	require.InDelta(t, 0, g.Stats()["bypass_denied"], 0)
	require.Equal(t, 404, get(g.BypassHandler(), "GET", "/").Code, "no keys, no tokens")
}

func TestOpenRefusesABypassThatMakesNoSense(t *testing.T) {
	t.Parallel()
	net, proxy := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for want, b := range map[string]downtime.Bypass{
		"Options.Bypass.Keys: there are neither":       {},
		"Options.Bypass.Networks: need TrustedProxies": {Networks: net},
		"Options.Bypass.Networks[0]":                   {Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, TrustedProxies: proxy},
		"Options.Bypass.TrustedProxies[1]":             {Networks: net, TrustedProxies: append(proxy, netip.MustParsePrefix("::/0"))},
		"Options.Bypass.TrustedProxies[0]":             {Networks: net, TrustedProxies: []netip.Prefix{{}}},
		"audience":                                     {Keys: signerKeys()},
		"MaxAge":                                       {Keys: signerKeys(), Audience: "shop", MaxAge: -1},
		"key \"x\" must have 32 bytes":                 {Keys: map[string]ed25519.PublicKey{"x": {}}, Audience: "shop"},
		"Header":                                       {Keys: signerKeys(), Audience: "shop", Header: "authorization"},
		"Header: must":                                 {Keys: signerKeys(), Audience: "shop", Header: "a b"},
		"Cookie":                                       {Keys: signerKeys(), Audience: "shop", Cookie: "a=b"},
	} {
		_, err := downtime.Open(t.Context(), downtime.Bytes("w", []byte("windows: []")), &downtime.Options{Bypass: &b, Logger: quiet})
		require.ErrorContains(t, err, want)
	}
}

func TestBypassHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, guarded, _ := bypassing(t, newSource(windows(window("w", 0, 10*time.Hour, ""))), downtime.Bypass{}, downtime.Options{})
		h := g.BypassHandler()
		post := func(form url.Values, headers ...string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("POST", "/-/bypass?token=x", strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			for i := 0; i < len(headers); i += 2 {
				r.Header.Set(headers[i], headers[i+1])
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		form := get(h, "GET", "/-/bypass")
		require.Equal(t, 200, form.Code)
		csp := form.Header().Get("Content-Security-Policy")
		require.Contains(t, csp, "; form-action 'self'")
		require.Contains(t, csp, "; frame-ancestors 'none'")
		require.Contains(t, form.Body.String(), `<label for="token">`)
		require.Zero(t, get(h, "HEAD", "/").Body.Len())
		require.Equal(t, 405, get(h, "PUT", "/").Code)

		token := mint(t, jwt.MapClaims{"sub": "<ana>"})
		w := post(url.Values{"token": {" " + token + "\n"}})
		require.Equal(t, 303, w.Code)
		require.Equal(t, "?", w.Header().Get("Location"))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Equal(t, []string{"__Host-Upkeep-Bypass=" + token + "; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Strict"}, w.Header()["Set-Cookie"])
		cookie, err := http.ParseSetCookie(w.Header().Get("Set-Cookie"))
		require.NoError(t, err)
		sent := cookie.Name + "=" + cookie.Value
		require.Equal(t, 200, get(guarded, "GET", "/", "Cookie", sent).Code)
		require.Contains(t, get(h, "GET", "/", "Cookie", sent).Body.String(), "As &lt;ana&gt; you bypass window w until 1 January 2000, 01:00 UTC.")
		require.Contains(t, get(h, "GET", "/", "Cookie", "__Host-Upkeep-Bypass=x").Body.String(), "not good any more")

		const gone = "__Host-Upkeep-Bypass=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict"
		require.Equal(t, gone, post(url.Values{"leave": {"1"}}).Header().Get("Set-Cookie"))
		w = get(h, "DELETE", "/")
		require.Equal(t, 204, w.Code)
		require.Equal(t, gone, w.Header().Get("Set-Cookie"))

		refuses := func(w *httptest.ResponseRecorder, code int, text string) {
			t.Helper()
			require.Equal(t, code, w.Code)
			require.Empty(t, w.Header()["Set-Cookie"])
			require.Contains(t, w.Body.String(), text)
		}
		refuses(post(url.Values{"token": {"x.y.z"}}), 403, "The token is refused.<")
		refuses(post(nil), 403, "The token is refused.<")
		refuses(post(url.Values{"token": {mint(t, jwt.MapClaims{"purpose": "upkeep-debug"})}}), 403, "The token is refused: purpose.")
		refuses(post(url.Values{"token": {mint(t, jwt.MapClaims{"window": "unheard-of"})}}), 403, "there is no such window")
		refuses(post(url.Values{"token": {mint(t, jwt.MapClaims{"more": strings.Repeat("x", 2800)})}}), 400, "too long for a cookie. It is good in the header Upkeep-Bypass")
		refuses(post(url.Values{"token": {token}, "more": {strings.Repeat("x", 17<<10)}}), 400, "cannot be read")
		refuses(post(url.Values{"token": {token}}, "Content-Type", "text/plain"), 400, "cannot be read")
		refuses(post(url.Values{"token": {token}}, "Sec-Fetch-Site", "cross-site"), 403, "a page of this origin")
		refuses(post(url.Values{"token": {token}}, "Origin", "https://evil.example"), 403, "a page of this origin")
		require.Equal(t, 303, post(url.Values{"token": {token}}, "Sec-Fetch-Site", "same-origin").Code)
		require.InDelta(t, 4, g.Stats()["bypass_denied"], 0)
	})
	require.Equal(t, 404, get(shut(t, "", nil).BypassHandler(), "GET", "/").Code)
}

// With and without Options.Bypass, requests that do not bypass do not allocate.
func TestOpenGuardWithABypassDoesNotAllocate(t *testing.T) {
	h := shut(t, ", scope: {paths: [/w]}", &downtime.Options{Bypass: &downtime.Bypass{Keys: signerKeys(), Audience: "shop"}}).Handler(nothing)
	r := httptest.NewRequest("GET", "/orders/1", nil)
	r.Header.Set("Cookie", "session=1234")
	r.Header.Set("Accept", browser)
	require.Zero(t, testing.AllocsPerRun(1000, func() { h.ServeHTTP(nil, r) }))
}

func FuzzForwardedFor(f *testing.F) {
	_, h, _ := bypassing(f, downtime.Bytes("w", []byte(windows(window("w", -time.Minute, 300*time.Hour, "")))), downtime.Bypass{
		Networks:       []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}, downtime.Options{})
	for _, s := range []string{"", ",", "203.0.113.7", "10.1.1.1, 203.0.113.7:80", "[::ffff:203.0.113.1]:1", "[", "203.0.113.1,[10.1.1.1", "10.0.0.1%x"} {
		f.Add(s, "__Host-Upkeep-Bypass=a.b.c; x", "..")
	}
	f.Fuzz(func(t *testing.T, forwarded, cookie, token string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.0.0.1:1"
		r.Header = http.Header{"X-Forwarded-For": {forwarded}, "Cookie": {cookie}, "Upkeep-Bypass": {token}}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == 200 {
			require.Regexp(t, "(?i)203.0.113.|cb00:71", forwarded)
		} else {
			require.Equal(t, 503, w.Code)
		}
	})
}

// An Audit that panics leaves nothing counted behind.
func TestAuditThatPanics(t *testing.T) {
	t.Parallel()
	g := shut(t, "", &downtime.Options{Bypass: &downtime.Bypass{
		Keys: signerKeys(), Audience: "shop", Audit: func(*http.Request, downtime.BypassUse) { panic("audit") }, EachRequest: true,
	}})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Upkeep-Bypass", mint(t, nil))
	require.PanicsWithValue(t, "audit", func() { g.Handler(ok).ServeHTTP(httptest.NewRecorder(), r) })
	require.PanicsWithValue(t, "audit", func() { _, _, _ = g.EnterContext(t.Context(), downtime.Work{Name: "x", Request: r}) })
	require.InDelta(t, 0, g.Stats()["in_flight"], 0)
}

func TestTokenOfAnotherWindowLeavesTheNetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var uses []downtime.BypassUse
		_, h, s := bypassing(t, newSource(windows(window("w", time.Minute, time.Hour, ""))), downtime.Bypass{
			Keys:           signerKeys(),
			Networks:       []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, // httptest's client
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
			Audit:          func(_ *http.Request, u downtime.BypassUse) { uses = append(uses, u) },
		}, downtime.Options{})
		later(2 * time.Minute)
		require.Equal(t, 200, get(h, "GET", "/", "Upkeep-Bypass", mint(t, jwt.MapClaims{"window": "other"})).Code)
		require.Equal(t, "192.0.2.1", s.who)
		require.Equal(t, 200, get(h, "GET", "/", "Upkeep-Bypass", mint(t, nil)).Code)
		require.Equal(t, "ana", s.who, "who has a token for the window is known by it")
		require.Len(t, uses, 2)
		require.True(t, uses[0].Network.IsValid())
		require.Empty(t, uses[0].Subject)
		require.False(t, uses[1].Network.IsValid())
	})
}
