package registry_test

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

func TestGate(t *testing.T) {
	t.Parallel()
	answers := map[string]registry.Judgement{
		"v1.0.0": {Verdict: registry.VerdictPass, Reason: "the first version"},
		"v1.1.0": {Verdict: registry.VerdictRefuse, Reason: "an incompatible change needs v2.0.0", Details: []string{"Open: removed", "Close: removed"}},
		"v1.2.0": {Reason: "package lib does not compile"},
		"v1.3.0": {Verdict: "maybe"},
	}
	asked := map[string]int{}
	reg := fresh(t, func(o *registry.Options) {
		o.Authorize = registry.Basic(
			registry.User{Name: "boss", Secret: "b", May: registry.Everything},
			registry.User{Name: "ada", Secret: "a", May: func(a registry.Action) error {
				if a.Op == registry.OpOverride {
					return registry.ErrForbidden
				}
				return nil
			}},
		)
		o.Gate = func(_ context.Context, r *registry.Release) (registry.Judgement, error) {
			asked[r.Version]++
			if r.Version == "v1.4.0" {
				return registry.Judgement{Verdict: registry.VerdictPass}, errors.New("the compiler\nis missing")
			}
			return answers[r.Version], nil
		}
	})
	as := func(user, secret, version, query, content string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPut, "/corp.example/lib/@v/"+version+".zip?"+query, strings.NewReader(string(lib(t, "corp.example/lib@"+version, content))))
		r.SetBasicAuth(user, secret)
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, r)
		return w
	}
	record := func(version string) (rec registry.Record) {
		r := httptest.NewRequest(http.MethodGet, "/corp.example/lib/@record/"+version, nil)
		r.SetBasicAuth("boss", "b")
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &rec))
		return rec
	}

	w := as("ada", "a", "v1.0.0", "", "x")
	require.Equal(t, http.StatusCreated, w.Code)
	require.Contains(t, w.Body.String(), `"Judgement":{"verdict":"pass","reason":"the first version"}`)
	require.Equal(t, registry.VerdictPass, record("v1.0.0").Events[0].Judgement.Verdict)

	for version, want := range map[string]struct {
		verdict registry.Verdict
		detail  string
		details int
	}{
		"v1.1.0": {registry.VerdictRefuse, "the gate refuses v1.1.0: an incompatible change needs v2.0.0", 2},
		"v1.2.0": {registry.VerdictUnknown, "the gate cannot judge v1.2.0: package lib does not compile", 0},
		"v1.3.0": {registry.VerdictUnknown, "the gate cannot judge v1.3.0", 0},
		"v1.4.0": {registry.VerdictUnknown, "the gate cannot judge v1.4.0: the compiler is missing", 0},
	} {
		p := problemOf(t, as("ada", "a", version, "", "x"))
		require.Equal(t, http.StatusUnprocessableEntity, p.Status)
		require.Equal(t, "gate", p.Rule)
		require.Equal(t, want.verdict, *p.Verdict)
		require.Contains(t, p.Detail, want.detail)
		require.Len(t, p.Details, want.details)
		for _, path := range []string{"list", version + ".info", version + ".mod", version + ".zip"} {
			r := httptest.NewRequest(http.MethodGet, "/corp.example/lib/@v/"+path, nil)
			r.SetBasicAuth("ada", "a")
			w := httptest.NewRecorder()
			reg.ServeHTTP(w, r)
			require.NotContains(t, w.Body.String(), version+"\n")
			require.Equal(t, path == "list", w.Code == http.StatusOK)
		}
	}

	// An override needs permission and a reason, and is recorded.
	require.Equal(t, http.StatusForbidden, as("ada", "a", "v1.1.0", "override=please", "x").Code)
	require.Equal(t, "reason", problemOf(t, as("boss", "b", "v1.1.0", "override=", "x")).Rule)
	require.Equal(t, "reason", problemOf(t, as("boss", "b", "v1.1.0", "override=%0a", "x")).Rule)
	require.Equal(t, http.StatusCreated, as("boss", "b", "v1.1.0", "override="+url.QueryEscape("nobody uses Open"), "x").Code)
	require.Equal(t, http.StatusCreated, as("boss", "b", "v1.4.0", "override=checked+by+hand", "x").Code)
	e := record("v1.1.0").Events[0]
	require.Equal(t, registry.Event{
		Time: e.Time, What: "published", By: "boss", Reason: "nobody uses Open",
		Judgement: &registry.Judgement{Verdict: registry.VerdictRefuse, Reason: "an incompatible change needs v2.0.0", Details: []string{"Open: removed", "Close: removed"}},
	}, e)
	require.Equal(t, registry.VerdictUnknown, record("v1.4.0").Events[0].Judgement.Verdict)

	// An unneeded override is not recorded, and a published version is not judged again.
	before := asked["v1.0.0"]
	require.Equal(t, http.StatusOK, as("boss", "b", "v1.0.0", "override=why+not", "x").Code)
	require.Equal(t, http.StatusConflict, as("boss", "b", "v1.0.0", "override=why+not", "y").Code)
	require.Equal(t, before, asked["v1.0.0"])
	require.Empty(t, record("v1.0.0").Events[0].Reason)
	stats := reg.Stats()
	require.Equal(t, 2.0, stats["gate_refused"])
	require.Equal(t, 4.0, stats["gate_unknown"])
	require.Equal(t, 2.0, stats["overridden"])
}

// TestRelease checks the Release that a gate gets.
func TestRelease(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, open(t, registry.Dir(dir), quiet()), http.StatusCreated, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "old"))
	body := lib(t, "corp.example/lib@v1.1.0", "new")
	called := 0
	opts := quiet()
	opts.Authorize = func(_ *http.Request, a registry.Action) (string, error) {
		if a.Op == registry.OpPublish {
			return "", nil
		}
		return "", registry.ErrForbidden
	}
	opts.Upstream = &registry.Upstream{URL: "http://127.0.0.1:1"}
	opts.Gate = func(_ context.Context, r *registry.Release) (registry.Judgement, error) {
		called++
		require.Equal(t, "corp.example/lib", r.Path)
		require.Equal(t, "v1.1.0", r.Version)
		require.Equal(t, []string{"v1.0.0"}, r.Versions)
		require.Equal(t, "module corp.example/lib\n\ngo 1.24\n", string(r.GoMod))
		onDisk, err := os.ReadFile(r.Zip)
		require.NoError(t, err)
		require.Equal(t, body, onDisk)
		_, err = zip.OpenReader(r.Zip)
		require.NoError(t, err)

		// The proxy has the new version and the published ones.
		require.Equal(t, "v1.0.0\nv1.1.0\n", get(r.Proxy, "/corp.example/lib/@v/list").Body.String())
		require.Contains(t, get(r.Proxy, "/corp.example/lib/@latest").Body.String(), `"v1.1.0"`)
		require.Equal(t, body, get(r.Proxy, "/corp.example/lib/@v/v1.1.0.zip").Body.Bytes())
		require.Equal(t, `"`+r.Sum+`"`, get(r.Proxy, "/corp.example/lib/@v/v1.1.0.zip").Header().Get("ETag"))
		require.Equal(t, string(r.GoMod), get(r.Proxy, "/corp.example/lib/@v/v1.1.0.mod").Body.String())
		require.Contains(t, get(r.Proxy, "/corp.example/lib/@v/v1.1.0.info").Body.String(), `"v1.1.0"`)
		require.Equal(t, http.StatusOK, get(r.Proxy, "/corp.example/lib/@v/v1.0.0.zip").Code)
		require.Equal(t, http.StatusNotFound, get(r.Proxy, "/corp.example/other/@v/list").Code)
		require.Equal(t, http.StatusNotFound, get(r.Proxy, "/public.example/lib/@v/list").Code)

		// The proxy is read-only, and the registry does not show the new version.
		require.Equal(t, http.StatusForbidden, ask(r.Proxy, http.MethodPut, "/corp.example/lib/@v/v1.2.0.zip", strings.NewReader("x")).Code)
		require.Equal(t, http.StatusForbidden, ask(r.Proxy, http.MethodPut, "/corp.example/lib/@block/v1.0.0?reason=x", nil).Code)
		require.Equal(t, "v1.0.0\n", get(open(t, registry.Dir(dir), quiet()), "/corp.example/lib/@v/list").Body.String())
		require.Equal(t, http.StatusNotFound, get(open(t, registry.Dir(dir), quiet()), "/corp.example/lib/@v/v1.1.0.info").Code)
		return registry.Judgement{Verdict: registry.VerdictPass}, nil
	}
	reg := open(t, registry.Dir(dir), opts)
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.1.0", body)
	require.Equal(t, 1, called)
}

// TestVersionsOfARelease: Release.Versions has yanked versions, because users have them.
func TestVersionsOfARelease(t *testing.T) {
	t.Parallel()
	var versions []string
	opts := quiet()
	opts.Gate = func(_ context.Context, r *registry.Release) (registry.Judgement, error) {
		versions = r.Versions
		return registry.Judgement{Verdict: registry.VerdictPass}, nil
	}
	reg := open(t, registry.Dir(t.TempDir()), opts)
	for _, v := range []string{"v1.2.0", "v1.0.0", "v1.1.0-rc.1", "v1.3.0", "v1.4.0", "v0.0.0-20260102030405-abcdefabcdef"} {
		put(t, reg, http.StatusCreated, "corp.example/lib@"+v, lib(t, "corp.example/lib@"+v, "x"))
	}
	for _, path := range []string{"/corp.example/lib/@yank/v1.2.0", "/corp.example/lib/@block/v1.3.0", "/corp.example/lib/@yank/v1.4.0", "/corp.example/lib/@block/v1.4.0"} {
		require.Equal(t, http.StatusOK, ask(reg, http.MethodPut, path+"?reason=x", nil).Code)
	}
	require.Equal(t, "v1.0.0\nv1.1.0-rc.1\n", get(reg, "/corp.example/lib/@v/list").Body.String())
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.2.1", lib(t, "corp.example/lib@v1.2.1", "x"))
	require.Equal(t, []string{"v1.0.0", "v1.1.0-rc.1", "v1.2.0"}, versions)
}

// TestVerdictText: the JSON of verdicts is fixed, because records and answers have it.
func TestVerdictText(t *testing.T) {
	t.Parallel()
	for verdict, text := range map[registry.Verdict]string{registry.VerdictUnknown: "unknown", registry.VerdictPass: "pass", registry.VerdictRefuse: "refuse"} {
		data, err := json.Marshal(registry.Judgement{Verdict: verdict})
		require.NoError(t, err)
		require.JSONEq(t, `{"verdict":"`+text+`"}`, string(data))
		var back registry.Judgement
		require.NoError(t, json.Unmarshal(data, &back))
		require.Equal(t, verdict, back.Verdict)
	}
}
