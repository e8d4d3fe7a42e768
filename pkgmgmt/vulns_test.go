package pkgmgmt_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/pkgmgmt"
)

func osv(id, module, events string) string {
	return fmt.Sprintf(`{"id":%q,"aliases":["CVE-2026-1"],"summary":"it breaks","affected":[{"package":{"ecosystem":"Go","name":%q},"ranges":[{"type":"SEMVER","events":[%s]}]}]}`, id, module, events)
}

func vulnsOf(t testing.TB, records ...string) *pkgmgmt.Vulns {
	t.Helper()
	fsys := fstest.MapFS{}
	for i, r := range records {
		fsys[fmt.Sprintf("osv/%d.json", i)] = &fstest.MapFile{Data: []byte(r)}
	}
	v, err := pkgmgmt.ReadVulns(fsys)
	require.NoError(t, err)
	return v
}

// TestFind has the cases of OSV's evaluation algorithm.
func TestFind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		events string
		hit    string // versions that are affected, with the fix
		miss   string
	}{
		{`{"introduced":"0"},{"fixed":"1.2.0"}`, "v0.0.0-20200101000000-abcdefabcdef=v1.2.0 v1.1.9=v1.2.0 v1.2.0-rc.1=v1.2.0", "v1.2.0 v1.2.1 v2.0.0+incompatible"},
		{`{"introduced":"1.0.0"}`, "v1.0.0= v9.0.0=", "v0.9.0 v1.0.0-rc.1"},
		{`{"introduced":"0"}`, "v0.0.1= v9.9.9=", "(devel)"},
		{`{"introduced":"0"},{"fixed":"1.21.9"},{"introduced":"1.22.0-0"},{"fixed":"1.22.2"}`, "v1.21.8=v1.21.9 v1.22.0-rc.1=v1.22.2 v1.22.1=v1.22.2", "v1.21.9 v1.21.10 v1.22.2"},
		{`{"introduced":"1.0.0"},{"last_affected":"1.3.0"}`, "v1.0.0= v1.3.0=", "v1.3.1 v1.3.1-0.20200101000000-abcdefabcdef"},
		{`{"fixed":"1.2.0"},{"introduced":"1.1.0"}`, "v1.1.0=v1.2.0", "v1.0.0 v1.2.0"}, // events may have any order
		{`{"introduced":"1.1.0","fixed":"1.2.0"}`, "v1.1.0=v1.2.0", "v1.2.0"},
		{`{"introduced":"1.1.0"},{"fixed":"1.1.0"}`, "", "v1.1.0"},
		{`{"fixed":"1.1.0"}`, "", "v1.0.0"},
		{`{"limit":"1.1.0"}`, "", "v1.0.0"},
		{``, "", "v1.0.0"},
		{`{"introduced":"2.0.0+incompatible"},{"fixed":"2.1.0+incompatible"}`, "v2.0.5+incompatible=v2.1.0+incompatible", "v2.1.0+incompatible"},
	} {
		v := vulnsOf(t, osv("GO-2026-1", "a.example/x", c.events), osv("GO-2026-2", "b.example/x", `{"introduced":"0"}`))
		for _, pair := range strings.Fields(c.hit) {
			version, fixed, _ := strings.Cut(pair, "=")
			require.Equal(t, []pkgmgmt.Vuln{{ID: "GO-2026-1", Aliases: []string{"CVE-2026-1"}, Summary: "it breaks", Fixed: fixed}}, v.Find("a.example/x", version), "%s %s", c.events, version)
		}
		for _, version := range strings.Fields(c.miss) {
			require.Empty(t, v.Find("a.example/x", version), "%s %s", c.events, version)
		}
		require.Empty(t, v.Find("a.example/x/v2", "v2.0.0"))
		require.Equal(t, 2, v.Len())
	}

	v := vulnsOf(t,
		`{"id":"GO-2026-9","affected":[{"package":{"ecosystem":"Go","name":"a.example/x"},"versions":["1.0.0","v1.1.0"]}]}`,
		osv("GO-2026-3", "a.example/x", `{"introduced":"0"},{"fixed":"1.0.1"}`),
		`{"id":"GO-2026-4","withdrawn":"2026-01-02T03:04:05Z","affected":[{"package":{"ecosystem":"Go","name":"a.example/x"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}]}]}`,
		`{"id":"PYSEC-1","affected":[{"package":{"ecosystem":"PyPI","name":"a.example/x"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}]}`,
		`{"id":"GO-2026-5","affected":[{"package":{"ecosystem":"Go","name":"a.example/x"},"ranges":[{"type":"GIT","events":[{"introduced":"0"}]}]}]}`,
	)
	require.Len(t, v.Find("a.example/x", "v1.0.0"), 2)
	require.Equal(t, "GO-2026-3", v.Find("a.example/x", "v1.0.0")[0].ID)
	require.Equal(t, "GO-2026-3 (CVE-2026-1): it breaks; fixed in v1.0.1", v.Find("a.example/x", "v1.0.0")[0].String())
	require.Equal(t, "GO-2026-9", v.Find("a.example/x", "v1.1.0")[0].String())
	var none *pkgmgmt.Vulns
	require.Empty(t, none.Find("a.example/x", "v1.0.0"))
	require.Zero(t, none.Len())
}

// TestReadVulns: a database with a fault is refused with all faults, and other JSON is ignored.
func TestReadVulns(t *testing.T) {
	t.Parallel()
	good := osv("GO-2026-1", "a.example/x", `{"introduced":"0"}`)
	for want, data := range map[string]string{
		"osv/0.json: is not JSON":                                              `{"id":`,
		"osv/0.json: is not an OSV record":                                     `{"id":"x","affected":"y"}`,
		"osv/0.json: id: must not be empty":                                    `{"id":"","affected":[]}`,
		`osv/0.json: affected[0].ranges[0]: events[1]: invalid version "one"`:  osv("GO-2026-2", "a.example/x", `{"introduced":"0"},{"fixed":"one"}`),
		"osv/0.json: is larger than 4194304 bytes":                             `{"id":"` + strings.Repeat("x", 4<<20) + `","affected":[]}`,
		`osv/0.json: affected[0].ranges[0]: events[0]: invalid version "1.0.0`: osv("GO-2026-2", "a.example/x", `{"introduced":"1.0.0\u0007"}`),
	} {
		_, err := pkgmgmt.ReadVulns(fstest.MapFS{"osv/0.json": {Data: []byte(data)}, "osv/1.json": {Data: []byte(good)}})
		require.ErrorContains(t, err, want)
	}
	many := fstest.MapFS{}
	for i := range 30 {
		many[fmt.Sprintf("%d.json", i)] = &fstest.MapFile{Data: []byte("{")}
	}
	_, err := pkgmgmt.ReadVulns(many)
	require.Equal(t, 19, strings.Count(err.Error(), "\n"))
	_, err = pkgmgmt.ReadVulns(fstest.MapFS{"index/db.json": {Data: []byte(`{"modified":"x"}`)}, "index/modules.json": {Data: []byte(`[{"path":"x"}]`)}, "README": {Data: []byte("{")}})
	require.EqualError(t, err, "pkgmgmt: there are no OSV records")
	_, err = pkgmgmt.ReadVulns(os.DirFS(filepath.Join(t.TempDir(), "none")))
	require.ErrorIs(t, err, fs.ErrNotExist)

	// A zip is a database as well.
	var data bytes.Buffer
	w := zip.NewWriter(&data)
	f, err := w.Create("ID/GO-2026-1.json")
	require.NoError(t, err)
	_, err = f.Write([]byte(good))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	r, err := zip.NewReader(bytes.NewReader(data.Bytes()), int64(data.Len()))
	require.NoError(t, err)
	v, err := pkgmgmt.ReadVulns(r)
	require.NoError(t, err)
	require.Len(t, v.Find("a.example/x", "v1.0.0"), 1)
}

// TestRealVulns reads the Go vulnerability database. It is a long test, because the module is
// large.
func TestRealVulns(t *testing.T) {
	t.Parallel()
	if testsize.Pick(0, 0, 1) == 0 {
		t.Skip("a long test")
	}
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "golang.org/x/vulndb@latest")
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("the database is not available: %v", err)
	}
	var module struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &module))
	v, err := pkgmgmt.ReadVulns(os.DirFS(filepath.Join(module.Dir, "data", "osv")))
	require.NoError(t, err)
	require.Greater(t, v.Len(), 4000)
	find := func(path, version string) string {
		for _, vuln := range v.Find(path, version) {
			if vuln.ID == "GO-2024-2687" {
				return vuln.Fixed
			}
		}
		return ""
	}
	require.Equal(t, "v0.23.0", find("golang.org/x/net", "v0.22.0"))
	require.Empty(t, find("golang.org/x/net", "v0.23.0"))
	require.Equal(t, "v1.22.2", find("stdlib", "v1.22.1"))
	require.Empty(t, find("stdlib", "v1.21.9"))
}

// FuzzVulns reads any record. An affected version with a fix is affected, and the fix is higher.
func FuzzVulns(f *testing.F) {
	f.Add([]byte(osv("GO-2026-1", "a.example/x", `{"introduced":"0"},{"fixed":"1.2.0"}`)), "v1.0.0")
	f.Add([]byte(osv("GO-2026-1", "a.example/x", `{"introduced":"1.0.0"},{"last_affected":"1.2.0"},{"introduced":"1.3.0"}`)), "v1.2.0")
	f.Add([]byte(`{"id":"x","affected":[{"package":{"ecosystem":"Go","name":"a.example/x"},"versions":["1.0.0"]}]}`), "v1.0.0")
	f.Add([]byte(`[1]`), "")
	f.Fuzz(func(t *testing.T, data []byte, version string) {
		v, err := pkgmgmt.ReadVulns(fstest.MapFS{"x.json": {Data: data}})
		if err != nil {
			require.Nil(t, v)
			return
		}
		for _, vuln := range v.Find("a.example/x", version) {
			require.NotEmpty(t, vuln.ID)
			require.NotContains(t, vuln.String(), "\n")
			if vuln.Fixed != "" {
				for _, again := range v.Find("a.example/x", vuln.Fixed) {
					require.NotEqual(t, vuln.Fixed, again.Fixed, "a fix cannot fix itself")
				}
			}
		}
	})
}
