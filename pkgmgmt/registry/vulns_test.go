package registry_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// vulnsOf returns a database with one record about a module.
func vulnsOf(t testing.TB, path, events string) *pkgmgmt.Vulns {
	t.Helper()
	v, err := pkgmgmt.ReadVulns(fstest.MapFS{"x.json": {Data: fmt.Appendf(nil,
		`{"id":"GO-2026-1","aliases":["CVE-2026-1"],"summary":"it loses writes","affected":[{"package":{"ecosystem":"Go","name":%q},"ranges":[{"type":"SEMVER","events":[%s]}]}]}`, path, events)}})
	require.NoError(t, err)
	return v
}

// TestVulns: a version with known vulnerabilities is absent from list and @latest, and refused by
// name with the ids, for private and public modules. Its go.mod is served. An allowance lets it
// through.
func TestVulns(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	past := time.Now().Add(-1000 * time.Hour)
	for _, v := range []string{"v1.0.0", "v1.1.0", "v1.2.0"} {
		s.add(t, v, past, shelfMod)
	}
	for _, path := range []string{"public.example/lib", "corp.example/lib"} {
		for _, age := range []time.Duration{0, time.Hour} {
			db := vulnsOf(t, path, `{"introduced":"1.1.0"},{"fixed":"1.2.1"}`)
			opts := quiet()
			opts.Upstream = &registry.Upstream{URL: s.url, HTTP: s.client, SumDB: "off", Fresh: time.Nanosecond, MinAge: map[string]time.Duration{"...": age}}
			opts.Vulns = func(path, version string) []pkgmgmt.Vuln { return db.Find(path, version) }
			reg := open(t, registry.Dir(t.TempDir()), opts)
			for _, v := range []string{"v1.0.0", "v1.1.0", "v1.2.0"} {
				put(t, reg, http.StatusCreated, "corp.example/lib@"+v, lib(t, "corp.example/lib@"+v, v))
			}
			_, client := over(t, reg)
			base := "/" + path + "/@v/"
			require.Equal(t, "v1.0.0\n", get(reg, base+"list").Body.String(), path)
			require.Contains(t, get(reg, "/"+path+"/@latest").Body.String(), `"v1.0.0"`)
			if path == "corp.example/lib" {
				require.NoError(t, client.SetChannel(t.Context(), at(path, "v1.1.0"), "stable", "x"))
				require.Equal(t, http.StatusForbidden, get(reg, base+"stable.info").Code)
			}
			for _, end := range []string{".info", ".zip"} {
				w := get(reg, base+"v1.1.0"+end)
				require.Equal(t, http.StatusForbidden, w.Code)
				require.Equal(t, path+"@v1.1.0 has known vulnerabilities: GO-2026-1 (CVE-2026-1): it loses writes; fixed in v1.2.1\n", w.Body.String())
				require.Equal(t, http.StatusOK, get(reg, base+"v1.0.0"+end).Code)
			}
			require.Equal(t, http.StatusOK, get(reg, base+"v1.1.0.mod").Code)

			require.NoError(t, client.Allow(t.Context(), at(path, "v1.2.0"), "no fix yet, and we do not write"))
			require.Equal(t, "v1.0.0\nv1.2.0\n", get(reg, base+"list").Body.String())
			require.Contains(t, get(reg, "/"+path+"/@latest").Body.String(), `"v1.2.0"`)
			require.Equal(t, http.StatusOK, get(reg, base+"v1.2.0.zip").Code)
			require.Equal(t, 1.0, reg.Stats()["vulnerable"])

			// A later database holds at once. Without any version left, @latest says why.
			db = vulnsOf(t, path, `{"introduced":"0"}`)
			require.NoError(t, client.Disallow(t.Context(), at(path, "v1.2.0"), "x"))
			require.Empty(t, get(reg, base+"list").Body.String())
			w := get(reg, "/"+path+"/@latest")
			require.Equal(t, http.StatusForbidden, w.Code)
			require.Contains(t, w.Body.String(), path+"@v1.2.0 has known vulnerabilities: GO-2026-1")
		}
	}
}

// TestFlagVulns: flagged versions are served, and each download is logged.
func TestFlagVulns(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	opts := quiet()
	opts.Vulns, opts.FlagVulns = vulnsOf(t, "corp.example/lib", `{"introduced":"0"}`).Find, true
	opts.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	reg := open(t, registry.Dir(t.TempDir()), opts)
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "x"))
	require.Equal(t, "v1.0.0\n", get(reg, "/corp.example/lib/@v/list").Body.String())
	for _, path := range []string{"/corp.example/lib/@latest", "/corp.example/lib/@v/v1.0.0.info", "/corp.example/lib/@v/v1.0.0.zip"} {
		require.Equal(t, http.StatusOK, get(reg, path).Code, path)
	}
	require.Equal(t, 1, strings.Count(log.String(), "a module with known vulnerabilities is served"))
	require.Contains(t, log.String(), "GO-2026-1")
	require.Equal(t, 1.0, reg.Stats()["vulnerable"])
}

// TestManyVulns: a text has a bounded number of vulnerabilities.
func TestManyVulns(t *testing.T) {
	t.Parallel()
	opts := quiet()
	opts.Vulns = func(string, string) (all []pkgmgmt.Vuln) {
		for i := range 100 {
			all = append(all, pkgmgmt.Vuln{ID: fmt.Sprintf("GO-2026-%d", i), Summary: strings.Repeat("x", 10_000)})
		}
		return all
	}
	reg := open(t, registry.Dir(t.TempDir()), opts)
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "x"))
	w := get(reg, "/corp.example/lib/@v/v1.0.0.zip")
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Contains(t, w.Body.String(), "; and 95 more")
	require.Less(t, w.Body.Len(), 4000)
}

// TestUnreadableAllowances: if the allowances cannot be read, a vulnerable version is refused.
func TestUnreadableAllowances(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opts := quiet()
	opts.Vulns = vulnsOf(t, "corp.example/lib", `{"introduced":"1.1.0"}`).Find
	reg := open(t, registry.Dir(dir), opts)
	for _, v := range []string{"v1.0.0", "v1.1.0"} {
		put(t, reg, http.StatusCreated, "corp.example/lib@"+v, lib(t, "corp.example/lib@"+v, v))
	}
	require.NoError(t, os.WriteFile(dir+"/corp.example/lib/@allowed", []byte("{"), 0o600))
	require.Equal(t, "v1.0.0\n", get(reg, "/corp.example/lib/@v/list").Body.String())
	require.Equal(t, http.StatusInternalServerError, get(reg, "/corp.example/lib/@v/v1.1.0.zip").Code)
	require.Equal(t, http.StatusOK, get(reg, "/corp.example/lib/@v/v1.0.0.zip").Code)
}

// TestGoCommandWithVulns: the go command selects a version without known vulnerabilities, and
// prints the id of a refused one.
func TestGoCommandWithVulns(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	past := time.Now().Add(-1000 * time.Hour)
	for _, v := range []string{"v1.0.0", "v1.1.0"} {
		s.add(t, v, past, shelfMod)
	}
	opts := quiet()
	opts.Upstream = &registry.Upstream{URL: s.url, HTTP: s.client, SumDB: "off"}
	opts.Vulns = vulnsOf(t, "public.example/lib", `{"introduced":"1.1.0"}`).Find
	proxy, _ := over(t, open(t, registry.Dir(t.TempDir()), opts))
	w := newWorkshop(t, proxy)
	w.ok("get", "public.example/lib@latest")
	require.Equal(t, "v1.0.0", w.selected("public.example/lib"))
	require.Contains(t, w.fails("get", "public.example/lib@v1.1.0"), "public.example/lib@v1.1.0 has known vulnerabilities: GO-2026-1 (CVE-2026-1): it loses writes")
}

// A registry refuses versions with known vulnerabilities by a database of OSV records.
func ExampleOptions_vulns() {
	vulns, err := pkgmgmt.ReadVulns(fstest.MapFS{"GO-2026-1.json": {Data: []byte(`{
		"id": "GO-2026-1", "aliases": ["CVE-2026-1"], "summary": "lib loses writes",
		"affected": [{"package": {"ecosystem": "Go", "name": "corp.example/lib"},
			"ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.0.1"}]}]}]
	}`)}}) // in a program: os.DirFS of a folder, or a zip.Reader
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, err := os.MkdirTemp("", "upkeep-example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	reg, err := registry.New(registry.Dir(dir), &registry.Options{
		Private:   []string{"corp.example"},
		Authorize: func(*http.Request, registry.Action) (string, error) { return "ada", nil }, // see Basic and Bearer
		Vulns:     vulns.Find,
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(reg)
	defer server.Close()
	client := &registry.Client{URL: server.URL, HTTP: server.Client()}
	source := folder("go.mod", "module corp.example/lib\n\ngo 1.26\n", "lib.go", "package lib\n")
	defer os.RemoveAll(source)
	for _, version := range []string{"v1.0.0", "v1.0.1"} {
		if _, err := client.Publish(context.Background(), source, version, nil); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(read(client, "/corp.example/lib/@v/list"))
	fmt.Println(read(client, "/corp.example/lib/@v/v1.0.0.zip"))
	// Output:
	// 200 OK: v1.0.1
	// 403 Forbidden: corp.example/lib@v1.0.0 has known vulnerabilities: GO-2026-1 (CVE-2026-1): lib loses writes; fixed in v1.0.1
}
