package registry_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

func parsePolicy(t testing.TB, text string) func(*registry.Upstream) {
	t.Helper()
	policy, err := pkgmgmt.ParsePolicy("packages.yaml", []byte(text))
	require.NoError(t, err)
	return func(up *registry.Upstream) { up.Policy = policy }
}

// TestUpstreamPolicy: the rules allow, deny and require hold for list, @latest and exact
// requests. go.mod is served.
func TestUpstreamPolicy(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	past := time.Now().Add(-1000 * time.Hour)
	for _, v := range []string{"v1.0.0", "v1.1.0", "v1.2.0"} {
		s.add(t, v, past, shelfMod)
	}
	for name, c := range map[string]struct {
		policy, list, latest, refused, reason string
	}{
		"require":          {`{rules: [{module: public.example/..., require: "!=1.1.0, <1.2", reason: CVE-2026-1}]}`, "v1.0.0\n", "v1.0.0", "v1.1.0", "does not satisfy !=1.1.0, <1.2 (CVE-2026-1)"},
		"deny":             {`{rules: [{module: public.example/lib, deny: archived, replacement: corp.example/kit}]}`, "", "", "v1.0.0", "must not be used: archived; to fix: remove the dependency on public.example/lib; use corp.example/kit in its place"},
		"allow":            {`{allow: ["golang.org/x/..."]}`, "", "", "v1.2.0", "is not on the list of allowed modules"},
		"about others":     {`{rules: [{module: go, require: ">=99"}, {module: other.example/x, deny: x}, {module: "...", minAge: 3000d}], forbidReplace: true}`, "v1.0.0\nv1.1.0\nv1.2.0\n", "v1.2.0", "", ""},
		"with an old base": {`{rules: [{module: "...", require: "^1.2"}]}`, "v1.2.0\n", "v1.2.0", "v1.0.0", "does not satisfy ^1.2"},
	} {
		for _, age := range []time.Duration{0, time.Hour} {
			reg := s.through(t, t.TempDir(), age, parsePolicy(t, c.policy))
			require.Equal(t, c.list, get(reg, libPath+"list").Body.String(), name)
			w := get(reg, "/public.example/lib/@latest")
			if c.latest == "" {
				require.Equal(t, http.StatusForbidden, w.Code, name)
				require.Contains(t, w.Body.String(), c.reason)
			} else {
				require.Contains(t, w.Body.String(), `"`+c.latest+`"`, name)
			}
			if c.refused == "" {
				require.Equal(t, http.StatusOK, get(reg, libPath+"v1.0.0.zip").Code, name)
				continue
			}
			for _, end := range []string{".info", ".zip"} {
				w := get(reg, libPath+c.refused+end)
				require.Equal(t, http.StatusForbidden, w.Code, name)
				require.Contains(t, w.Body.String(), "public.example/lib@"+c.refused+" is refused by the policy: "+c.reason)
			}
			require.Equal(t, shelfMod, get(reg, libPath+c.refused+".mod").Body.String())
		}
	}

	// A cached version is refused as soon as the policy refuses it, and an allowance does not
	// change that.
	dir := t.TempDir()
	reg := s.through(t, dir, 0)
	require.Equal(t, http.StatusOK, get(reg, libPath+"v1.0.0.zip").Code)
	reg = s.through(t, dir, time.Hour, parsePolicy(t, `{rules: [{module: "...", deny: x}]}`))
	_, client := over(t, reg)
	require.NoError(t, client.Allow(t.Context(), at("public.example/lib", "v1.0.0"), "x"))
	require.Equal(t, http.StatusForbidden, get(reg, libPath+"v1.0.0.zip").Code)
}

// TestGoCommandWithPolicy: the go command selects an allowed version and prints why a refused
// version is refused.
func TestGoCommandWithPolicy(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	past := time.Now().Add(-1000 * time.Hour)
	for _, v := range []string{"v1.0.0", "v1.1.0"} {
		s.add(t, v, past, shelfMod)
	}
	proxy, _ := over(t, s.through(t, t.TempDir(), time.Hour, parsePolicy(t, `{rules: [{module: public.example/..., require: "!=1.1.0", reason: loses writes}]}`)))
	w := newWorkshop(t, proxy)
	w.ok("get", "public.example/lib@latest")
	require.Equal(t, "v1.0.0", w.selected("public.example/lib"))
	require.Contains(t, w.fails("get", "public.example/lib@v1.1.0"), "public.example/lib@v1.1.0 is refused by the policy: does not satisfy !=1.1.0 (loses writes)")
}

// A registry applies the company's policy to public modules, so that a refused version never
// reaches a build.
func ExampleUpstream_policy() {
	dir, err := os.MkdirTemp("", "upkeep-example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	public := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // in a program: the URL of a public module proxy
		fmt.Fprintln(w, "v1.0.0\nv1.1.0")
	}))
	defer public.Close()
	policy, err := pkgmgmt.ParsePolicy("packages.yaml", []byte(`
rules:
  - module: public.example/lib
    require: "!=1.1.0"
    reason: loses writes
`)) // or pkgmgmt.OpenPolicy, which follows the document
	if err != nil {
		fmt.Println(err)
		return
	}
	reg, err := registry.New(registry.Dir(dir), &registry.Options{
		Private:  []string{"corp.example"},
		Upstream: &registry.Upstream{URL: public.URL, HTTP: public.Client(), Policy: policy},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, file := range []string{"list", "v1.1.0.zip"} {
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/public.example/lib/@v/"+file, nil))
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// 200 v1.0.0
	// 403 public.example/lib@v1.1.0 is refused by the policy: does not satisfy !=1.1.0 (loses writes); to fix: require a version of public.example/lib that satisfies !=1.1.0
}
