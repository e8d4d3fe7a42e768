package compat_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version/compat"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// policy makes one of rules for every peer.
func policy(t testing.TB, rules ...compat.Rule) *compat.Policy {
	t.Helper()
	p, err := compat.New(compat.Rules{Default: rules}, &compat.Options{Self: "v1.6.0", Logger: quiet})
	require.NoError(t, err)
	return p
}

// ask sends a request with these values of User-Agent through Require.
func ask(p *compat.Policy, agents ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header["User-Agent"] = agents
	w := httptest.NewRecorder()
	compat.Require(p)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("served"))
	})).ServeHTTP(w, r)
	return w
}

// judged returns the broken rule, or nil, and whether the result is unknown.
func judged(t testing.TB, rule compat.Rule, version string) (unfit *compat.UnfitError, unknown bool) {
	t.Helper()
	p := policy(t, rule)
	if err := p.CheckClient("shop/" + version); err != nil {
		require.ErrorAs(t, err, &unfit)
		return unfit, false
	}
	ask(p, "shop/"+version)
	return nil, p.Stats()["unknown"] == 1
}
