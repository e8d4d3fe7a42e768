package apicheck_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

func TestGate(t *testing.T) {
	t.Parallel()
	needGo(t)
	root := folders(t, `
-- base/go.mod --
module corp.example/lib
-- base/lib.go --
package lib
func F() {}
-- broken/go.mod --
module corp.example/lib
-- broken/lib.go --
package lib
func G() {}
-- more/go.mod --
module corp.example/lib
require corp.example/secret v1.0.0
require open.example/dep v1.0.0
-- more/lib.go --
package lib
import "open.example/dep"
func F() {}
var V dep.T
-- lost/go.mod --
module corp.example/lib
require corp.example/secret v1.0.0
-- lost/lib.go --
package lib
import _ "corp.example/secret"
func F() {}
-- dep/go.mod --
module open.example/dep
-- dep/dep.go --
package dep
type T int
`)
	private, public := t.TempDir(), t.TempDir()
	for version, folder := range map[string]string{"v1.2.0": "base", "v1.3.0": "base", "v1.3.1": "broken", "v1.3.2": "more", "v1.3.3": "lost", "v1.4.0": "more"} {
		require.NoError(t, apicheck.Publish(apicheck.Module{Version: version, Dir: filepath.Join(root, folder)}, private))
	}
	// The go command reads go.mod of every required module, also without an import.
	secret := filepath.Join(private, "corp.example", "secret", "@v", "v1.0.0.mod")
	require.NoError(t, os.MkdirAll(filepath.Dir(secret), 0o700))
	require.NoError(t, os.WriteFile(secret, []byte("module corp.example/secret\n"), 0o600))
	require.NoError(t, apicheck.Publish(apicheck.Module{Version: "v1.0.0", Dir: filepath.Join(root, "dep")}, public))
	var mu sync.Mutex
	var asked []string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path)
		mu.Unlock()
		http.FileServer(http.Dir(public)).ServeHTTP(w, r)
	}))
	t.Cleanup(upstream.Close)

	gate, err := apicheck.Gate(&apicheck.GateOptions{Upstream: upstream.URL, Private: []string{"corp.example"}})
	require.NoError(t, err)
	versions := []string{"v1.2.0", "v1.3.0", "v1.4.0-rc.1", "v1.5.0"}
	for _, c := range []struct {
		version string
		want    registry.Judgement
	}{
		{"v1.0.0", registry.Judgement{Verdict: registry.VerdictPass, Reason: "there is no earlier release to compare with"}},
		{"v1.3.1-0.20260102030405-abcdefabcdef", registry.Judgement{Verdict: registry.VerdictPass, Reason: "a pseudo-version promises nothing"}},
		{"v1.3.1", registry.Judgement{
			Verdict: registry.VerdictRefuse,
			Reason:  "v1.3.1 is not enough for 1 incompatible changes since v1.3.0; keep the old API, or publish v2.0.0 as the new module corp.example/lib/v2",
			Details: []string{"F: removed"},
		}},
		{"v1.3.2", registry.Judgement{
			Verdict: registry.VerdictRefuse,
			Reason:  "v1.3.2 is not enough for what has been added since v1.3.0; publish it as v1.4.0",
			Details: []string{"V: added"},
		}},
		{"v1.4.0", registry.Judgement{Verdict: registry.VerdictPass, Reason: "since v1.3.0 there are 0 incompatible and 1 compatible changes"}},
	} {
		j, err := gate(t.Context(), &registry.Release{Path: "corp.example/lib", Version: c.version, Versions: versions, Proxy: http.FileServer(http.Dir(private))})
		require.NoError(t, err)
		require.Equal(t, c.want, j)
	}
	j, err := gate(t.Context(), &registry.Release{Path: "corp.example/lib", Version: "v1.3.3", Versions: versions, Proxy: http.FileServer(http.Dir(private))})
	require.NoError(t, err)
	require.Equal(t, registry.VerdictUnknown, j.Verdict)
	require.Contains(t, j.Reason, "cannot judge")
	require.NotEmpty(t, j.Details)

	mu.Lock()
	defer mu.Unlock()
	require.NotEmpty(t, asked)
	for _, path := range asked {
		require.NotContains(t, path, "corp.example", "a private name was told")
	}
}

func TestGateFaults(t *testing.T) {
	t.Parallel()
	for _, opts := range []apicheck.GateOptions{
		{Upstream: "https://proxy.example"},
		{Upstream: "direct", Private: []string{"corp.example"}},
		{Options: apicheck.Options{Timeout: -1}},
	} {
		_, err := apicheck.Gate(&opts)
		require.Error(t, err)
	}
	gate, err := apicheck.Gate(nil)
	require.NoError(t, err)
	require.NotNil(t, gate)
}

func TestBefore(t *testing.T) {
	t.Parallel()
	versions := []string{"v0.9.0", "v1.2.0", "v1.9.0", "v1.10.0", "v1.11.0-rc.1", "v2.0.0+incompatible"}
	for version, want := range map[string]string{
		"v0.1.0": "", "v0.9.1": "v0.9.0", "v1.0.0": "v0.9.0", "v1.2.1": "v1.2.0", "v1.10.1": "v1.10.0", "v1.11.0": "v1.10.0", "v1.10.0-rc.1": "v1.9.0", "v3.0.0+incompatible": "v2.0.0+incompatible",
	} {
		require.Equal(t, want, apicheck.Before(versions, version), version)
	}
}

// TestJudgements has verdicts that a comparison of two real modules does not give.
func TestJudgements(t *testing.T) {
	t.Parallel()
	require.Equal(t, registry.Judgement{
		Verdict: registry.VerdictPass, Reason: "since v0.1.0 there are 1 incompatible and 1 compatible changes", Details: []string{"F: removed"},
	}, apicheck.Judgements("a.example/x", "v0.1.0", "v0.2.0", apicheck.Verdict{Bump: apicheck.BumpMajor, Changes: []apicheck.Change{{Message: "F: removed"}, {Message: "G: added", Compatible: true}}}))
	require.Equal(t, registry.Judgement{
		Verdict: registry.VerdictUnknown, Reason: "cannot judge whether the API has changed since v0.1.0; make the module load as its users load it, or override with a reason", Details: []string{"it is large"},
	}, apicheck.Judgements("a.example/x", "v0.1.0", "v0.2.0", apicheck.Verdict{Problems: []string{"it is large"}}))
}
