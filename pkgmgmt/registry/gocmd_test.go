package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// A workshop runs the unmodified go command with its own main module, GOPATH and module cache.
// The go command only gets the registry's address.
type workshop struct {
	t   *testing.T
	dir string
	env []string
}

func newWorkshop(t *testing.T, proxy string, env ...string) *workshop {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the go command")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command")
	}
	w := &workshop{t: t, dir: t.TempDir()}
	cache := strings.TrimSpace(mustOutput(t, "go", "env", "GOCACHE"))
	w.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "GOCACHE=" + cache,
		"GOPATH=" + filepath.Join(w.dir, "gopath"), "GOMODCACHE=" + filepath.Join(w.dir, "modcache"),
		"GOPROXY=" + proxy, "GOSUMDB=off", "GOFLAGS=-mod=mod", "GOTOOLCHAIN=local", "GOWORK=off", "GOVCS=*:off", "GOENV=off", "NETRC=" + os.DevNull,
	}, env...)
	w.write("main/go.mod", "module main.example/main\n\ngo 1.24\n")
	t.Cleanup(func() { w.run("clean", "-modcache") })
	return w
}

func mustOutput(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).Output()
	require.NoError(t, err)
	return string(out)
}

func (w *workshop) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, filepath.FromSlash(name))
	require.NoError(w.t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(w.t, os.WriteFile(path, []byte(text), 0o600))
}

func (w *workshop) run(args ...string) (string, error) {
	cmd := exec.CommandContext(context.WithoutCancel(w.t.Context()), "go", args...)
	cmd.Dir, cmd.Env = filepath.Join(w.dir, "main"), w.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// ok runs a go command that must succeed.
func (w *workshop) ok(args ...string) string {
	w.t.Helper()
	out, err := w.run(args...)
	require.NoError(w.t, err, "go %v: %s", args, out)
	return out
}

// fails runs a go command that must fail.
func (w *workshop) fails(args ...string) string {
	w.t.Helper()
	out, err := w.run(args...)
	require.Error(w.t, err, "go %v: %s", args, out)
	return out
}

// selected returns the version in the main module's build list.
func (w *workshop) selected(path string) string {
	w.t.Helper()
	return strings.TrimSpace(w.ok("list", "-m", "-f", "{{.Version}}", path))
}

// over serves a registry on loopback.
func over(t *testing.T, h http.Handler) (string, *registry.Client) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL, &registry.Client{URL: server.URL, HTTP: server.Client()}
}

// A download is the output of go mod download -json.
type download struct{ Path, Version, Info, GoMod, Zip, Sum, GoModSum, Error string }

// public gets modules from the module cache or the public proxy. It skips the test if neither
// has them.
func public(t *testing.T, modules ...string) []download {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the module proxy")
	}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"mod", "download", "-json"}, modules...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOTOOLCHAIN=local", "GOFLAGS=")
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("the modules are not available: %v", err)
	}
	return decodeDownloads(t, string(out))
}

func decodeDownloads(t *testing.T, out string) (all []download) {
	t.Helper()
	for dec := json.NewDecoder(strings.NewReader(out)); dec.More(); {
		var d download
		require.NoError(t, dec.Decode(&d))
		all = append(all, d)
	}
	return all
}

// TestGoWithPublicModules publishes public modules to a registry. The go command must get the
// same files and sums as from the public proxy.
func TestGoWithPublicModules(t *testing.T) {
	t.Parallel()
	modules := public(t, "github.com/Masterminds/semver/v3@v3.4.0", "github.com/Masterminds/semver/v3@v3.5.0", "golang.org/x/mod@v0.42.0", "github.com/open-feature/go-sdk@v1.17.2", "github.com/open-feature/go-sdk@v1.20.0")
	reg := fresh(t, func(o *registry.Options) {
		o.Private = []string{"github.com/Masterminds", "golang.org/x/mod", "github.com/open-feature/go-sdk"}
	})
	proxy, client := over(t, reg)
	var names []string
	for _, m := range modules {
		published, err := client.PublishZip(t.Context(), module.Version{Path: m.Path, Version: m.Version}, m.Zip, nil)
		require.NoError(t, err)
		require.True(t, published.New)
		require.Equal(t, m.Sum, published.Sum)
		require.Equal(t, m.GoModSum, published.GoModSum)
		names = append(names, m.Path+"@"+m.Version)
	}

	w := newWorkshop(t, proxy)
	for i, d := range decodeDownloads(t, w.ok(append([]string{"mod", "download", "-json"}, names...)...)) {
		require.Equal(t, modules[i].Sum, d.Sum, names[i])
		require.Equal(t, modules[i].GoModSum, d.GoModSum, names[i])
		want, err := os.ReadFile(modules[i].Zip)
		require.NoError(t, err)
		got, err := os.ReadFile(d.Zip)
		require.NoError(t, err)
		require.Equal(t, len(want), len(got))
		require.Equal(t, want, got)
	}
	w.ok("get", "github.com/Masterminds/semver/v3@v3.4.0")
	require.Equal(t, "github.com/Masterminds/semver/v3 v3.4.0 [v3.5.0]\n", w.ok("list", "-m", "-u", "github.com/Masterminds/semver/v3"))
	require.Equal(t, "github.com/Masterminds/semver/v3 v3.4.0 v3.5.0\n", w.ok("list", "-m", "-versions", "github.com/Masterminds/semver/v3"))
	w.write("main/main.go", "package main\n\nimport \"github.com/Masterminds/semver/v3\"\n\nfunc main() { println(semver.MustParse(\"1.2\").String()) }\n")
	w.ok("get", "github.com/Masterminds/semver/v3/...@latest")
	require.Equal(t, "v3.5.0", w.selected("github.com/Masterminds/semver/v3"))
	require.Equal(t, "1.2.0\n", w.ok("run", "."))
	sums, err := os.ReadFile(filepath.Join(w.dir, "main", "go.sum"))
	require.NoError(t, err)
	require.Contains(t, string(sums), "github.com/Masterminds/semver/v3 v3.5.0 "+modules[1].Sum)
	require.Contains(t, string(sums), "github.com/Masterminds/semver/v3 v3.5.0/go.mod "+modules[1].GoModSum)
}

// TestGoCommand checks the versions that the go command selects.
func TestGoCommand(t *testing.T) {
	t.Parallel()
	reg := fresh(t)
	proxy, client := over(t, reg)
	w := newWorkshop(t, proxy)
	const pseudo = "v0.0.0-20260102030405-abcdefabcdef"
	for _, at := range []string{
		"corp.example/lib@v1.0.0", "corp.example/lib@v1.1.0", "corp.example/lib@v1.2.0-rc.1", "corp.example/lib@v1.1.1-0.20260102030405-abcdefabcdef",
		"corp.example/lib/v2@v2.0.0", "corp.example/Upper/CamelCase@v1.0.0-RC1", "corp.example/young@" + pseudo, "corp.example/lib/sub@v0.1.0",
	} {
		path, version, _ := strings.Cut(at, "@")
		escaped, err := module.EscapePath(path)
		require.NoError(t, err)
		version, err = module.EscapeVersion(version)
		require.NoError(t, err)
		answer := ask(reg, http.MethodPut, "/"+escaped+"/@v/"+version+".zip", bytes.NewReader(lib(t, at, at)))
		require.Equal(t, http.StatusCreated, answer.Code, answer.Body)
	}
	lib := func(version string) module.Version { return module.Version{Path: "corp.example/lib", Version: version} }

	// The newest release is selected, before prereleases.
	require.Equal(t, "corp.example/lib v1.0.0 v1.1.0 v1.2.0-rc.1\n", w.ok("list", "-m", "-versions", "corp.example/lib"))
	for query, want := range map[string]string{
		"latest": "v1.1.0", "v1": "v1.1.0", "v1.0": "v1.0.0", "<v1.1.0": "v1.0.0", ">v1.1.0": "v1.2.0-rc.1",
		"v1.2.0-rc.1": "v1.2.0-rc.1", "v1.1.1-0.20260102030405-abcdefabcdef": "v1.1.1-0.20260102030405-abcdefabcdef",
	} {
		w.ok("get", "corp.example/lib@"+query)
		require.Equal(t, want, w.selected("corp.example/lib"), query)
	}
	for path, want := range map[string]string{
		"corp.example/lib/v2": "v2.0.0", "corp.example/Upper/CamelCase": "v1.0.0-RC1", "corp.example/young": pseudo, "corp.example/lib/sub": "v0.1.0",
	} {
		w.ok("get", path+"@latest")
		require.Equal(t, want, w.selected(path), path)
	}
	require.Contains(t, w.fails("get", "corp.example/lib/v3@latest"), "corp.example/lib/v3")
	require.Contains(t, w.fails("get", "corp.example@latest"), "not in this registry")

	// A channel is a name for a version, and can be set to an older one.
	require.Contains(t, w.fails("get", "corp.example/lib@stable"), "corp.example/lib@stable is not in this registry")
	for _, version := range []string{"v1.1.0", "v1.0.0", "v1.2.0-rc.1"} {
		require.NoError(t, client.SetChannel(t.Context(), lib(version), "stable", "tested"))
		w.ok("get", "corp.example/lib@stable")
		require.Equal(t, version, w.selected("corp.example/lib"))
	}

	// A yanked version is not selected, but an exact request gets it.
	require.NoError(t, client.Yank(t.Context(), lib("v1.1.0"), "loses writes"))
	w.ok("get", "corp.example/lib@latest")
	require.Equal(t, "v1.0.0", w.selected("corp.example/lib"))
	w.ok("clean", "-modcache")
	w.ok("get", "corp.example/lib@v1.1.0")
	require.NoError(t, client.Unyank(t.Context(), lib("v1.1.0"), "it was the disk"))
	require.Equal(t, "corp.example/lib v1.0.0 v1.1.0 v1.2.0-rc.1\n", w.ok("list", "-m", "-versions", "corp.example/lib"))

	// A blocked version is refused with the reason, and the next proxy is not asked.
	require.NoError(t, client.Block(t.Context(), lib("v1.1.0"), "CVE-2026-1: sends keys to strangers"))
	w.ok("clean", "-modcache")
	w.write("main/main.go", "package main\n\nimport _ \"corp.example/lib\"\n\nfunc main() {}\n")
	w.env = append(w.env, "GOPROXY="+proxy+",off")
	const blocked = "server response: corp.example/lib@v1.1.0 is blocked: CVE-2026-1: sends keys to strangers"
	require.Contains(t, w.fails("get", "corp.example/lib@v1.1.0"), blocked)
	require.Contains(t, w.fails("build", "-o", os.DevNull, "."), blocked)
	require.Contains(t, w.fails("mod", "download", "corp.example/lib@v1.1.0"), blocked)
	// A module that requires it can move to another version.
	w.ok("clean", "-modcache")
	w.ok("get", "corp.example/lib@v1.2.0-rc.1")
	require.Equal(t, "v1.2.0-rc.1", w.selected("corp.example/lib"))
	require.NoError(t, client.Unblock(t.Context(), lib("v1.1.0"), "a false alarm"))
	w.ok("mod", "download", "corp.example/lib@v1.1.0")
}

// TestGoWarns: the go command prints deprecations and retractions after Edit has published
// them.
func TestGoWarns(t *testing.T) {
	t.Parallel()
	reg := fresh(t)
	proxy, client := over(t, reg)
	w := newWorkshop(t, proxy)
	for _, version := range []string{"v1.0.0", "v1.1.0", "v1.2.0"} {
		put(t, reg, http.StatusCreated, "corp.example/lib@"+version, lib(t, "corp.example/lib@"+version, version))
	}
	w.ok("get", "corp.example/lib@v1.1.0")

	published, err := client.Edit(t.Context(), "corp.example/lib", registry.Retract("v1.1.0", "v1.1.0", "loses writes"), nil)
	require.NoError(t, err)
	require.Equal(t, "v1.2.1", published.Version)
	published, err = client.Edit(t.Context(), "corp.example/lib", registry.Deprecate("use corp.example/kit"), nil)
	require.NoError(t, err)
	require.Equal(t, "v1.2.2", published.Version)

	w.ok("clean", "-modcache")
	require.Equal(t, "corp.example/lib v1.1.0 (retracted) [v1.2.2] (deprecated)\n", w.ok("list", "-m", "-u", "corp.example/lib"))
	require.Equal(t, "corp.example/lib v1.0.0 v1.2.0 v1.2.1 v1.2.2\n", w.ok("list", "-m", "-versions", "corp.example/lib"))
	out := w.ok("get", "corp.example/lib@v1.1.0")
	require.Contains(t, out, "go: warning: corp.example/lib@v1.1.0: retracted by module author: loses writes")
	require.Contains(t, out, "go: module corp.example/lib is deprecated: use corp.example/kit")

	published, err = client.Edit(t.Context(), "corp.example/lib", registry.Deprecate(""), nil)
	require.NoError(t, err)
	require.Equal(t, "v1.2.3", published.Version)
	w.ok("clean", "-modcache")
	require.Equal(t, "corp.example/lib v1.1.0 (retracted) [v1.2.3]\n", w.ok("list", "-m", "-u", "corp.example/lib"))
	w.write("main/main.go", "package main\n\nimport \"corp.example/lib\"\n\nfunc main() { println(lib.Content) }\n")
	w.ok("get", "corp.example/lib@v1.2.3")
	require.Equal(t, "v1.2.0\n", w.ok("run", "."), "Edit must not change code")
}

// TestGoAuthenticates: the go command sends credentials by netrc and by a GOAUTH command, over
// TLS only.
func TestGoAuthenticates(t *testing.T) {
	t.Parallel()
	reg := fresh(t, func(o *registry.Options) {
		o.Authorize = registry.AnyOf(
			registry.Basic(registry.User{Name: "ada", Secret: "correct horse", May: registry.ReadOnly}),
			registry.Bearer(registry.User{Name: "ci", Secret: "t0ken", May: registry.Everything}),
		)
	})
	server := httptest.NewTLSServer(reg)
	t.Cleanup(server.Close)
	ci := &registry.Client{URL: server.URL, HTTP: &http.Client{Transport: bearer{"t0ken", server.Client().Transport}}}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module corp.example/lib\n\ngo 1.24\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "lib.go"), []byte("package lib\n"), 0o600))
	_, err := ci.Publish(t.Context(), dir, "v1.0.0", nil)
	require.NoError(t, err)
	rec, err := ci.Record(t.Context(), module.Version{Path: "corp.example/lib", Version: "v1.0.0"})
	require.NoError(t, err)
	require.Equal(t, "ci", rec.Events[0].By)

	w := newWorkshop(t, server.URL)
	w.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	w.env = append(w.env, "SSL_CERT_FILE="+filepath.Join(w.dir, "cert.pem"), "SSL_CERT_DIR="+w.dir)
	out := w.fails("get", "corp.example/lib@latest")
	require.Contains(t, out, "401 Unauthorized")
	require.Contains(t, out, "server response: credentials are needed")

	host, err := url.Parse(server.URL) // netrc must have the port as well
	require.NoError(t, err)
	w.write("netrc", fmt.Sprintf("machine %s login ada password wrong\n", host.Host))
	netrc := slices.Concat(w.env, []string{"NETRC=" + filepath.Join(w.dir, "netrc")})
	plain := w.env
	w.env = netrc
	require.Contains(t, w.fails("get", "corp.example/lib@latest"), "credentials are needed: the name, password or token is wrong")
	w.write("netrc", fmt.Sprintf("machine %s login ci password t0ken\n", host.Host))
	require.Contains(t, w.fails("get", "corp.example/lib@latest"), "401", "a token must not work as a password")

	w.env = slices.Concat(plain, []string{"GOAUTH=" + filepath.Join(w.dir, "goauth")})
	w.write("goauth", "#!/bin/sh\nprintf '"+server.URL+"\\n\\nAuthorization: Bearer t0ken\\n\\n'\n")
	require.NoError(t, os.Chmod(filepath.Join(w.dir, "goauth"), 0o700))
	w.ok("get", "corp.example/lib@latest")
	require.Equal(t, "v1.0.0", w.selected("corp.example/lib"))
}

// TestGoWithNetrc has a password that can be written in netrc.
func TestGoWithNetrc(t *testing.T) {
	t.Parallel()
	reg := fresh(t, func(o *registry.Options) {
		o.Authorize = registry.Basic(registry.User{Name: "ada", Secret: "horse", May: registry.ReadOnly}, registry.User{Name: "ci", Secret: "staple", May: registry.Everything})
	})
	server := httptest.NewTLSServer(reg)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	u.User = url.UserPassword("ci", "staple")
	client := &registry.Client{URL: u.String(), HTTP: server.Client()}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module corp.example/lib\n\ngo 1.24\n"), 0o600))
	_, err = client.Publish(t.Context(), dir, "v1.0.0", nil)
	require.NoError(t, err)

	w := newWorkshop(t, server.URL)
	w.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	w.write("netrc", fmt.Sprintf("machine %s login ada password horse\n", u.Host))
	w.env = append(w.env, "SSL_CERT_FILE="+filepath.Join(w.dir, "cert.pem"), "SSL_CERT_DIR="+w.dir, "NETRC="+filepath.Join(w.dir, "netrc"))
	w.ok("get", "corp.example/lib@latest")
	require.Equal(t, "v1.0.0", w.selected("corp.example/lib"))

	u.User = url.UserPassword("ada", "horse")
	_, err = (&registry.Client{URL: u.String(), HTTP: server.Client()}).Publish(t.Context(), dir, "v1.0.1", nil)
	var refusal *registry.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, http.StatusForbidden, refusal.Status)
	require.Equal(t, "forbidden: no permission to publish", refusal.Detail)
}

// bearer adds a token to requests.
type bearer struct {
	token string
	base  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.base.RoundTrip(r)
}
