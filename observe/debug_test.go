package observe_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
)

var debugKey = ed25519.NewKeyFromSeed([]byte(strings.Repeat("d", ed25519.SeedSize)))

func debugToken() *observe.DebugToken {
	return &observe.DebugToken{
		Keys: map[string]ed25519.PublicKey{"k1": debugKey.Public().(ed25519.PublicKey)}, Audience: "shop",
	}
}

// mint signs a debug token; claims are added or, when nil, taken away.
func mint(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{
		"purpose": "upkeep-debug", "aud": []string{"shop", "prices"}, "sub": "ana",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	for name, value := range claims {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, all)
	token.Header["kid"] = "k1"
	text, err := token.SignedString(debugKey)
	require.NoError(t, err)
	return text
}

// debugService logs at debug in a middleware before Route and in its handler, for the
// user of the header User.
func debugService(k *rig) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/pay", func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Upkeep-Debug"]) > 0 {
			w.WriteHeader(555)
		}
		k.obs.Logger().WithGroup("g").DebugContext(r.Context(), "inside", "a", 1)
		_ = k.obs.Do(r.Context(), "job", func(ctx context.Context) error {
			k.obs.Logger().DebugContext(ctx, "in a job")
			return nil
		})
	})
	routed := observe.Route(mux)
	return k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.obs.Logger().DebugContext(r.Context(), "before")
		if user := r.Header.Get("User"); user != "" {
			r = r.WithContext(openfeature.WithTransactionContext(r.Context(), openfeature.NewEvaluationContext(user, nil)))
		}
		routed.ServeHTTP(w, r)
	}))
}

func messages(t *testing.T, k *rig) (all []string) {
	for _, line := range k.logs.lines(t) {
		all = append(all, line["msg"].(string))
	}
	return all
}

func TestDebugToken(t *testing.T) {
	t.Parallel()
	both := []string{"inside", "in a job", "before", "request served"}
	for name, c := range map[string]struct {
		claims  jwt.MapClaims
		header  []string // beside the token
		want    []string
		refused string
	}{
		"route":          {claims: jwt.MapClaims{"route": "/pay"}, want: both},
		"one of routes":  {claims: jwt.MapClaims{"route": "/cart /pay"}, want: both},
		"another route":  {claims: jwt.MapClaims{"route": "/cart"}},
		"subject":        {claims: jwt.MapClaims{"subject": "ann"}, header: []string{"User", "ann"}, want: both},
		"another":        {claims: jwt.MapClaims{"subject": "ann"}, header: []string{"User", "bob"}},
		"nobody":         {claims: jwt.MapClaims{"subject": "ann"}},
		"both":           {claims: jwt.MapClaims{"subject": "ann", "route": "/pay"}, header: []string{"User", "ann"}, want: both},
		"not both":       {claims: jwt.MapClaims{"subject": "ann", "route": "/cart"}, header: []string{"User", "ann"}},
		"level":          {claims: jwt.MapClaims{"route": "/pay", "level": "info"}, want: []string{"before", "inside", "in a job", "request served"}},
		"no scope":       {claims: jwt.MapClaims{}, refused: "scope"},
		"bad level":      {claims: jwt.MapClaims{"route": "/pay", "level": "loud"}, refused: "level"},
		"purpose":        {claims: jwt.MapClaims{"route": "/pay", "purpose": "upkeep-bypass"}, refused: "purpose"},
		"audience":       {claims: jwt.MapClaims{"route": "/pay", "aud": "prices"}, refused: "audience"},
		"too long":       {claims: jwt.MapClaims{"route": "/pay", "exp": time.Now().Add(2 * time.Hour).Unix()}, refused: "lifetime"},
		"expired":        {claims: jwt.MapClaims{"route": "/pay", "iat": time.Now().Add(-2 * time.Hour).Unix(), "exp": time.Now().Add(-time.Hour).Unix()}, refused: "expired"},
		"nobody's":       {claims: jwt.MapClaims{"route": "/pay", "sub": nil}, refused: "subject"},
		"two headers":    {claims: jwt.MapClaims{"route": "/pay"}, header: []string{"Upkeep-Debug", "x"}, refused: "malformed"},
		"a forged token": {claims: jwt.MapClaims{"route": "/pay", "forged": true}, refused: "signature"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newRig(t, func(o *observe.Options) { o.DebugToken = debugToken() })
			text := mint(t, c.claims)
			if c.claims["forged"] == true {
				text = text[:len(text)-8] + "AAAAAAAA"
			}
			w := k.serve(debugService(k), "GET", "/pay", append(c.header, "Upkeep-Debug", text)...)
			require.Equal(t, 200, w.Code, "the application does not see the token")
			require.Equal(t, c.want, messages(t, k))
			span := k.spans.Ended()[len(k.spans.Ended())-1]
			require.Equal(t, c.refused, attr(span, "upkeep.debug.refused"))
			stats := k.obs.Stats()
			if c.refused != "" {
				require.Equal(t, []float64{0, 1}, []float64{stats["debug"], stats["debug_refused"]})
			}
			if c.want == nil {
				require.Empty(t, attr(span, "upkeep.debug.by"))
				return
			}
			require.Equal(t, []float64{1, 0}, []float64{stats["debug"], stats["debug_refused"]})
			require.Equal(t, []string{"token", "ana"}, []string{attr(span, "upkeep.debug.by"), attr(span, "upkeep.debug.holder")})
			for _, line := range k.logs.lines(t) {
				require.Equal(t, line["tail"] == nil, line["debug"] == "token", line)
			}
			for _, part := range strings.Split(text, ".") {
				require.NotContains(t, k.logs.String()+fmt.Sprint(k.spans.Ended(), k.events.records), part, "the token is recorded nowhere")
			}
		})
	}
}

func TestDebugTokenIsRateCapped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newRig(t, func(o *observe.Options) {
			o.DebugToken = debugToken()
			o.DebugToken.PerSecond = 2
			o.DebugToken.Header = "X-Debug"
		})
		service := debugService(k)
		one, two := mint(t, jwt.MapClaims{"route": "/pay", "jti": "1"}), mint(t, jwt.MapClaims{"route": "/pay", "jti": "2"})
		debugged := func() float64 { return k.obs.Stats()["debug"] }
		for range 5 {
			k.serve(service, "GET", "/pay", "X-Debug", one)
		}
		require.Equal(t, 2.0, debugged())
		k.serve(service, "GET", "/pay", "X-Debug", two)
		require.Equal(t, 3.0, debugged())
		time.Sleep(time.Second)
		k.serve(service, "GET", "/pay", "X-Debug", one)
		require.Equal(t, 4.0, debugged())
		require.Equal(t, "rate", attr(k.spans.Ended()[5], "upkeep.debug.refused"))

		// Those that were never good do not keep the others from theirs.
		for range 300 {
			k.serve(service, "GET", "/pay", "X-Debug", "a.b.c")
		}
		time.Sleep(time.Second - time.Nanosecond)
		k.serve(service, "GET", "/pay", "X-Debug", one)
		k.serve(service, "GET", "/pay", "X-Debug", mint(t, jwt.MapClaims{"route": "/pay", "jti": "3"}))
		require.Equal(t, 5.0, debugged(), "but a new one is not looked at")
		time.Sleep(time.Nanosecond)
		k.serve(service, "GET", "/pay", "X-Debug", mint(t, jwt.MapClaims{"route": "/pay", "jti": "3"}))
		require.Equal(t, 6.0, debugged())
	})
}

// The token goes on to named hosts, in its own header, and to no others.
func TestDebugTokenIsHandedOn(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) {
		o.DebugToken = debugToken()
		o.DebugToken.Hosts = []string{".internal"}
		o.InternalHosts = []string{"third.example"}
	})
	got := map[string][]string{}
	client := &http.Client{Transport: k.obs.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		got[r.URL.Host] = r.Header["Upkeep-Debug"]
		return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
	}))}
	call := func(ctx context.Context, header string) {
		for _, host := range []string{"prices.internal", "third.example", "internal"} {
			r, err := http.NewRequestWithContext(ctx, "GET", "http://"+host, nil)
			require.NoError(t, err)
			if header != "" {
				r.Header.Set("Upkeep-Debug", header)
			}
			resp, err := client.Do(r)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		}
	}
	token := mint(t, jwt.MapClaims{"route": "/prices/{id}"}) // of the service behind
	k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = k.obs.Do(r.Context(), "job", func(ctx context.Context) error {
			call(ctx, "")
			return nil
		})
	})), "GET", "/", "Upkeep-Debug", token)
	require.Equal(t, map[string][]string{"prices.internal": {token}, "third.example": nil, "internal": nil}, got)

	call(context.Background(), "an application that copies headers")
	require.Equal(t, map[string][]string{"prices.internal": nil, "third.example": nil, "internal": nil}, got)
}

func TestDebugTokenOptions(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*observe.DebugToken){
		"keys":          func(d *observe.DebugToken) { d.Keys = nil },
		"audience":      func(d *observe.DebugToken) { d.Audience = "" },
		"Header":        func(d *observe.DebugToken) { d.Header = "a b" },
		"PerSecond":     func(d *observe.DebugToken) { d.PerSecond = -1 },
		"1000":          func(d *observe.DebugToken) { d.PerSecond = 1001 },
		"DebugToken.Ho": func(d *observe.DebugToken) { d.Hosts = []string{"http://x"} },
	} {
		d := debugToken()
		change(d)
		_, err := observe.New(&observe.Options{DebugToken: d})
		require.ErrorContains(t, err, want)
	}
}

// FuzzDebugToken sends any header: the request is served, and only a token of ours debugs it.
func FuzzDebugToken(f *testing.F) {
	opts := noopOptions()
	opts.DebugToken = debugToken()
	opts.DebugToken.PerSecond = 1000
	obs, err := observe.New(opts)
	require.NoError(f, err)
	good := mint(f, jwt.MapClaims{"route": "/pay"})
	for _, text := range []string{"", good, good + "=", "a.b.c", strings.Repeat("A", 5000), "\x00", good[:len(good)-1], mint(f, nil)} {
		f.Add(text)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/pay", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := r.Header["Upkeep-Debug"]; ok {
			w.WriteHeader(555)
		}
	})
	h := obs.Handler(observe.Route(mux))
	f.Fuzz(func(t *testing.T, text string) {
		before := obs.Stats()
		r := httptest.NewRequest("GET", "/pay", nil)
		r.Header["Upkeep-Debug"] = []string{text}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, 200, w.Code)
		require.Equal(t, []string{text}, r.Header["Upkeep-Debug"], "the caller's request is not changed")
		after := obs.Stats()
		require.Equal(t, 1.0, after["debug"]-before["debug"]+after["debug_refused"]-before["debug_refused"])
		if text != good {
			require.Equal(t, before["debug"], after["debug"])
		}
	})
}

// levelProvider answers level flags.
type levelProvider struct {
	openfeature.NoopProvider
	calls  int
	answer func(ctx context.Context, user string) openfeature.StringResolutionDetail
}

func (p *levelProvider) Metadata() openfeature.Metadata { return openfeature.Metadata{Name: "levels"} }

func (p *levelProvider) StringEvaluation(ctx context.Context, _, _ string, flat openfeature.FlattenedContext) openfeature.StringResolutionDetail {
	p.calls++
	user, _ := flat[openfeature.TargetingKey].(string)
	return p.answer(ctx, user)
}

func levelFor(users map[string]string) func(context.Context, string) openfeature.StringResolutionDetail {
	return func(_ context.Context, user string) openfeature.StringResolutionDetail {
		return openfeature.StringResolutionDetail{Value: users[user], ProviderResolutionDetail: openfeature.ProviderResolutionDetail{Variant: "v"}}
	}
}

func levelRig(t *testing.T, p *levelProvider, change func(*observe.Options)) *rig {
	api := isolated.NewAPI()
	require.NoError(t, api.SetProviderAndWait(context.Background(), p))
	t.Cleanup(func() { require.NoError(t, api.Shutdown(context.Background())) })
	k := newRig(t, func(o *observe.Options) {
		o.LevelFlag, o.FlagClient = "log-level", api.NewClient()
		if change != nil {
			change(o)
		}
	})
	api.AddHooks(k.obs.FlagHook())
	return k
}

func TestLevelFlag(t *testing.T) {
	t.Parallel()
	both := []string{"inside", "in a job", "before", "request served"}
	for name, c := range map[string]struct {
		users map[string]string
		user  string
		want  []string
	}{
		"for one":         {map[string]string{"ann": "debug"}, "ann", both},
		"for another":     {map[string]string{"ann": "debug"}, "bob", nil},
		"for all":         {map[string]string{"": "DEBUG", "ann": "DEBUG"}, "ann", []string{"before", "inside", "in a job", "request served"}},
		"without a user":  {map[string]string{"": "debug"}, "", []string{"before", "inside", "in a job", "request served"}},
		"a level between": {map[string]string{"ann": "INFO-1"}, "ann", []string{"before", "inside", "in a job", "request served"}},
		"no level":        {map[string]string{"ann": "loud"}, "ann", nil},
		"a higher level":  {map[string]string{"ann": "error"}, "ann", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &levelProvider{answer: levelFor(c.users)}
			k := levelRig(t, p, nil)
			header := []string{}
			if c.user != "" {
				header = []string{"User", c.user}
			}
			k.serve(debugService(k), "GET", "/pay", header...)
			require.Equal(t, c.want, messages(t, k))
			require.LessOrEqual(t, p.calls, 2)
			span := k.spans.Ended()[len(k.spans.Ended())-1]
			if c.want == nil {
				return
			}
			require.Equal(t, "flag", attr(span, "upkeep.debug.by"))
			require.Equal(t, "flag", k.logs.lines(t)[len(c.want)-1]["debug"])
			require.Equal(t, 1.0, k.obs.Stats()["debug"])
		})
	}
}

func TestLevelFlagIsEvaluatedOnce(t *testing.T) {
	t.Parallel()
	p := &levelProvider{answer: levelFor(nil)}
	k := levelRig(t, p, nil)
	tc := openfeature.WithTransactionContext(context.Background(), openfeature.NewEvaluationContext("", map[string]any{"tenant": "x"}))
	_ = k.obs.Do(tc, "job", func(ctx context.Context) error {
		for range 10 {
			k.obs.Logger().DebugContext(ctx, "kept")
		}
		return nil
	})
	require.Equal(t, 1, p.calls)
	require.Zero(t, k.obs.Stats()["level_flag_errors"])
	k.serve(k.obs.Handler(handler(200)), "GET", "/")
	require.Equal(t, 1, p.calls, "nobody needs to know")
}

// A flag that fails, panics, logs, or takes its time harms no request.
func TestLevelFlagThatIsBroken(t *testing.T) {
	t.Parallel()
	var k *rig
	for name, answer := range map[string]func(context.Context, string) openfeature.StringResolutionDetail{
		"fails": func(context.Context, string) openfeature.StringResolutionDetail {
			return openfeature.StringResolutionDetail{ProviderResolutionDetail: openfeature.ProviderResolutionDetail{
				ResolutionError: openfeature.NewGeneralResolutionError("broke"), Reason: openfeature.ErrorReason,
			}}
		},
		"panics": func(context.Context, string) openfeature.StringResolutionDetail { panic("boom") },
		"logs": func(ctx context.Context, _ string) openfeature.StringResolutionDetail {
			k.obs.Logger().DebugContext(ctx, "from the provider")
			return openfeature.StringResolutionDetail{Value: "nonsense"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			k = levelRig(t, &levelProvider{answer: answer}, nil)
			require.Equal(t, 200, k.serve(debugService(k), "GET", "/pay").Code)
			require.Empty(t, k.logs.String())
			require.NotZero(t, k.obs.Stats()["level_flag_errors"])
		})
	}
	t.Run("hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &levelProvider{answer: func(ctx context.Context, _ string) openfeature.StringResolutionDetail {
				<-ctx.Done()
				return openfeature.StringResolutionDetail{Value: "debug"}
			}}
			k := newRig(t, func(o *observe.Options) { o.LevelFlag, o.FlagClient = "log-level", slowClient{p: p} })
			serve := func() time.Duration {
				start := time.Now()
				inJob(t, k.obs, false, func(ctx context.Context) { k.obs.Logger().DebugContext(ctx, "x") })
				return time.Since(start)
			}
			require.Equal(t, 51*time.Millisecond, serve())
			for range 100 {
				require.Zero(t, serve(), "nobody else waits")
			}
			time.Sleep(10 * time.Second)
			require.Equal(t, 51*time.Millisecond, serve())
			require.Equal(t, 2, p.calls)
		})
	})
}

// slowClient asks p without the SDK, whose goroutines are not of the bubble.
type slowClient struct {
	openfeature.IClient
	p *levelProvider
}

func (c slowClient) StringValue(ctx context.Context, key, value string, _ openfeature.EvaluationContext, _ ...openfeature.Option) (string, error) {
	c.p.StringEvaluation(ctx, key, value, nil)
	time.Sleep(time.Millisecond)
	return "", errors.New("too late")
}

func TestRaisedLevelIsCheapElsewhere(t *testing.T) {
	t.Parallel()
	k := newRig(t, func(o *observe.Options) { o.DebugToken = debugToken() })
	require.False(t, k.obs.LogHandler().Enabled(context.Background(), slog.LevelDebug))
	inJob(t, k.obs, false, func(ctx context.Context) {
		require.False(t, k.obs.LogHandler().Enabled(ctx, slog.LevelDebug-1))
	})
}
