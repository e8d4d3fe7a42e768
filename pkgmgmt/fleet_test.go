package pkgmgmt_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt"
	"github.com/upkeep-go/upkeep/pkgmgmt/proxytest"
)

func fleet(t testing.TB, opts *pkgmgmt.FleetOptions, targets ...pkgmgmt.Target) *pkgmgmt.Fleet {
	t.Helper()
	f, err := pkgmgmt.NewFleet(targets, opts)
	require.NoError(t, err)
	return f
}

func table(t testing.TB, r *pkgmgmt.FleetReport) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, r.WriteTable(&b))
	return b.String()
}

func target(service, environment string, modules ...string) pkgmgmt.Target {
	return pkgmgmt.Target{Service: service, Environment: environment, BuildInfo: built(modules...)}
}

func TestFleetVerdicts(t *testing.T) {
	t.Parallel()
	reg := knows(func(path, version string) (pkgmgmt.Status, error) {
		st := pkgmgmt.Status{Latest: "v1.3.0"}
		switch {
		case path == "a.example/gone":
			st.Deprecated = "use a.example/here"
		case path == "a.example/bad" && version == "v1.1.0":
			st.Retracted = "loses data"
		}
		return st, nil
	})
	f := fleet(
		t, &pkgmgmt.FleetOptions{Registry: reg, Policy: parse(t, `rules: [{module: a.example/old, deny: archived, replacement: a.example/new}]`), Modules: []string{"a.example/..."}},
		target("shop", "production", "a.example/bad v1.1.0", "a.example/fine v1.3.0", "a.example/gone v1.3.0", "a.example/log v1.2.0", "a.example/old v1.3.0", "b.example/private v1.0.0"),
		target("cart", "production", "a.example/log v1.1.0", "a.example/fine v1.3.0"),
		target("mail", "production", "a.example/log v1.2.0 => ./log", "a.example/fine v1.3.0 => c.example/fork v1.4.0"),
		target("cart", "staging", "a.example/log v1.3.0"),
		pkgmgmt.Target{Service: "secretive", Environment: "production", BuildInfo: &debug.BuildInfo{Path: "command-line-arguments"}},
		target("plain", "production"),
	)
	report := f.Collect(t.Context())
	require.Equal(t, `MODULE          VERSION                   SERVICE      ENVIRONMENT  VERDICT
-               -                         secretive    production   unknown
a.example/bad   v1.1.0                    shop v1.0.0  production   retracted
a.example/fine  v1.3.0                    cart v1.0.0  production   fine
a.example/fine  => c.example/fork v1.4.0  mail v1.0.0  production   skewed
a.example/fine  v1.3.0                    shop v1.0.0  production   fine
a.example/gone  v1.3.0                    shop v1.0.0  production   deprecated
a.example/log   v1.1.0                    cart v1.0.0  production   skewed
a.example/log   => ./log                  mail v1.0.0  production   outside policy
a.example/log   v1.2.0                    shop v1.0.0  production   behind
a.example/log   v1.3.0                    cart v1.0.0  staging      fine
a.example/old   v1.3.0                    shop v1.0.0  production   outside policy

secretive in production: the build information names no modules, so there is nothing to check; to fix: make it answer with all of its build information
a.example/bad v1.1.0: is retracted: loses data; to fix: go get a.example/bad@v1.3.0 (shop in production)
a.example/bad v1.1.0: is behind v1.3.0; to fix: go get a.example/bad@v1.3.0 (shop in production)
a.example/fine v1.4.0: is c.example/fork, while shop has v1.3.0; to fix: remove the replace directive of a.example/fine from go.mod (mail in production)
a.example/gone v1.3.0: is deprecated: use a.example/here; to fix: replace a.example/gone as its notice says (shop in production)
a.example/log v1.1.0: is behind v1.2.0, which shop has; to fix: go get a.example/log@v1.2.0 (cart in production)
a.example/log v1.1.0: is behind v1.3.0; to fix: go get a.example/log@v1.3.0 (cart in production)
a.example/log: is replaced by the folder ./log, which no registry knows; to fix: remove the replace directive of a.example/log from go.mod (mail in production)
a.example/log: is a folder, while shop has v1.2.0; to fix: remove the replace directive of a.example/log from go.mod (mail in production)
a.example/log v1.2.0: is behind v1.3.0; to fix: go get a.example/log@v1.3.0 (shop in production)
a.example/old v1.3.0: must not be used: archived; to fix: remove the dependency on a.example/old; use a.example/new in its place (shop in production)
`, table(t, report))
	require.Equal(t, pkgmgmt.FleetVerdictUnknown, report.Worst())

	text, err := json.Marshal(report)
	require.NoError(t, err)
	var back pkgmgmt.FleetReport
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, table(t, report), table(t, &back))
	require.Contains(t, string(text), `{"module":"a.example/log","version":"v1.3.0","service":"cart","serviceVersion":"v1.0.0","environment":"staging","latest":"v1.3.0","verdict":"fine"}`)
}

func TestFleetSumsThatDiffer(t *testing.T) {
	t.Parallel()
	one, two := target("one", "", "a.example/x v1.0.0"), target("two", "", "a.example/x v1.0.0")
	one.BuildInfo.Deps[0].Sum, two.BuildInfo.Deps[0].Sum = "h1:a", "h1:b"
	report := fleet(t, nil, one, two).Collect(t.Context())
	require.Equal(t, pkgmgmt.FleetVerdictSkewed, report.Rows[0].Verdict)
	require.Equal(t, "has another content than the same version in one", report.Rows[1].Findings[0].Reason)
	require.Equal(t, pkgmgmt.FleetVerdictFine, (&pkgmgmt.FleetReport{}).Worst())
	empty, err := json.Marshal(fleet(t, nil).Collect(t.Context()))
	require.NoError(t, err)
	require.Contains(t, string(empty), `"rows":[]`)
}

func TestNewFleetFaults(t *testing.T) {
	t.Parallel()
	_, err := pkgmgmt.NewFleet([]pkgmgmt.Target{
		{URL: "https://shop.example/version"},
		{Service: "none"},
		{Service: "both", File: "shop", BuildInfo: built()},
		{Service: "ftp", URL: "ftp://user:secret@shop.example"},
	}, &pkgmgmt.FleetOptions{Timeout: -1, Modules: []string{"a b"}})
	require.EqualError(t, err, `pkgmgmt: target 0, "": must have a service
target 1, "none": must have one of URL, File and BuildInfo
target 2, "both": must have one of URL, File and BuildInfo
target 3, "ftp": must be a URL with http or https and a host
Modules[0]: is not a module path or a pattern: "a b"
Timeout and Concurrency must not be negative`)
}

const goVersionText = "bin/shop: go1.26.0\n\tpath\tcorp.example/shop\n\tmod\tcorp.example/shop\tv1.4.2\th1:x=\n\tdep\ta.example/x\tv1.0.0\th1:y=\n\tbuild\tCGO_ENABLED=0\n"

func TestFleetFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		return name
	}
	self, err := os.Executable()
	require.NoError(t, err)
	bi, err := debug.ParseBuildInfo(built("a.example/x v1.0.0 => a.example/x v1.0.1").String())
	require.NoError(t, err)
	for name, want := range map[string]string{
		write("m", goVersionText):                           "a.example/x v1.0.0 fine",
		write("two", goVersionText+goVersionText):           "neither a program of Go nor its build information: it has more than one program",
		write("string", "go\tgo1.26.0\n"+bi.String()):       "a.example/x v1.0.1 fine",
		write("empty", ""):                                  "it does not name a program",
		write("noise", "\x7fELF\x00\xff"):                   "neither a program",
		write("large", strings.Repeat("dep\ta\n", 700_000)): "is larger than 4194304 bytes",
		filepath.Join(dir, "missing"):                       "no such file",
		dir:                                                 "is not a regular file",
		self:                                                "this test binary records no modules",
	} {
		report := fleet(t, nil, pkgmgmt.Target{Service: "shop", File: name}).Collect(t.Context())
		require.Len(t, report.Rows, 1, name)
		row := report.Rows[0]
		if row.Verdict == pkgmgmt.FleetVerdictUnknown {
			require.Contains(t, row.Findings[0].Reason, want, name)
		} else {
			require.Equal(t, want, row.Module+" "+row.Version+" "+string(row.Verdict), name)
		}
	}
}

// TestHostileEndpoints: each hostile endpoint gets one row with the verdict unknown, within bounds.
func TestHostileEndpoints(t *testing.T) {
	t.Parallel()
	kind := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/x-go-buildinfo; charset=utf-8")
			h(w, r)
		}
	}
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	var leaked atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { leaked.Store(true) }))
	t.Cleanup(elsewhere.Close)
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"too little": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotAcceptable) }, "shows too little"},
		"another type": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			say(`{"name":"shop"}`)(w, r)
		}, "shows too little"},
		"no access": {kind(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }), "answers 403 Forbidden"},
		"huge": {kind(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("dep\ta.example/x\tv1.0.0\n", 4096)); err != nil {
					return
				}
			}
		}), "larger than 4194304 bytes"},
		"slow":     {kind(func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush(); <-r.Context().Done() }), "context deadline exceeded"},
		"garbage":  {kind(say("\x00\xff\n\tpath")), "it does not name a program"},
		"faults":   {kind(say("go\tgo1.26\ndep\tx\n")), "expected 2 or 3 columns"},
		"nothing":  {kind(say("")), "it does not name a program"},
		"no deps":  {kind(say("go\tgo1.26\npath\tshop.test\n")), "this test binary records no modules"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "answers 302 Found"},
		"a cut":    {kind(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(c.h)
			t.Cleanup(s.Close)
			timeout := time.Minute
			if name == "slow" {
				timeout = 100 * time.Millisecond
			}
			report := fleet(
				t, &pkgmgmt.FleetOptions{HTTP: client(t), Timeout: timeout, Credentials: func(r *http.Request) error { r.Header.Set("Authorization", "Bearer secret"); return nil }},
				pkgmgmt.Target{Service: "shop", URL: s.URL},
			).Collect(t.Context())
			require.Len(t, report.Rows, 1)
			require.Equal(t, pkgmgmt.FleetVerdictUnknown, report.Rows[0].Verdict)
			require.Contains(t, report.Rows[0].Findings[0].Reason, c.want)
			require.NotContains(t, table(t, report), "secret")
		})
	}
	t.Cleanup(func() { require.False(t, leaked.Load(), "the token went elsewhere") })

	t.Run("what it says is cleaned", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(kind(say("go\tgo1.26\npath\tshop\nmod\tshop\tv1\x1b[31m\ndep\ta\x1b[2J/x\tv1.0.0\u202e\n")))
		t.Cleanup(s.Close)
		report := fleet(t, &pkgmgmt.FleetOptions{HTTP: client(t)}, pkgmgmt.Target{Service: "shop", URL: s.URL}).Collect(t.Context())
		require.Equal(t, "a\uFFFD[2J/x", report.Rows[0].Module)
		require.NotContains(t, table(t, report), "\x1b")
		require.NotContains(t, table(t, report), "\u202e")
	})
	t.Run("no token", func(t *testing.T) {
		t.Parallel()
		report := fleet(t, &pkgmgmt.FleetOptions{Credentials: func(*http.Request) error { return errors.New("the vault is closed") }}, pkgmgmt.Target{Service: "shop", URL: elsewhere.URL}).Collect(t.Context())
		require.Equal(t, "no token: the vault is closed", report.Rows[0].Findings[0].Reason)
	})
}

func TestFleetIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(time.Second):
				return nil, errors.New("no")
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		var targets []pkgmgmt.Target
		for range 20 {
			targets = append(targets, pkgmgmt.Target{Service: "shop", URL: "https://shop.example/version"})
		}
		began := time.Now()
		f := fleet(t, &pkgmgmt.FleetOptions{HTTP: &http.Client{Transport: transport}, Concurrency: 5}, targets...)
		require.Len(t, f.Collect(t.Context()).Rows, 20)
		require.Equal(t, 4*time.Second, time.Since(began))

		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		require.Len(t, f.Collect(ctx).Rows, 20)
		require.Equal(t, 5500*time.Millisecond, time.Since(began))
	})
}

// service is a program with a version endpoint that shows its build information to requests with a
// token.
const service = `package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"

	"corp.example/greet"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("http://" + l.Addr().String())
	go func() { // it ends with the test
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	bi, _ := debug.ReadBuildInfo()
	panic(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token" || r.Header.Get("Accept") != "text/x-go-buildinfo" {
			fmt.Fprintln(w, greet.Version)
			return
		}
		w.Header().Set("Content-Type", "text/x-go-buildinfo; charset=utf-8")
		fmt.Fprint(w, bi)
	})))
}
`

// TestFleetOfProcesses publishes a shared module, builds services with different versions of it,
// runs them, and collects their build information.
func TestFleetOfProcesses(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds and runs programs")
	}
	p := proxytest.New(t)
	for _, version := range []string{"v1.0.0", "v1.1.0", "v1.2.0"} {
		mod := "module corp.example/greet\n\ngo 1.26\n"
		if version == "v1.2.0" {
			mod += "\nretract v1.0.0 // greets nobody\n"
		}
		require.NoError(t, p.Publish(t.Context(), proxytest.Module{Path: "corp.example/greet", Version: version, Files: proxytest.Files{
			"go.mod": mod, "greet.go": "package greet\n\nconst Version = \"" + version + "\"\n",
		}}))
	}
	start := func(name, version string) (endpoint, binary string) {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"go.mod":  "module corp.example/" + name + "\n\ngo 1.26\n\nrequire corp.example/greet " + version + "\n",
			"main.go": service,
		} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
		binary = filepath.Join(dir, name)
		build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, ".")
		build.Dir = dir
		build.Env = p.Env()
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s", out)
		run := exec.Command(binary)
		stdin, err := run.StdinPipe()
		require.NoError(t, err)
		stdout, err := run.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, run.Start())
		t.Cleanup(func() {
			_ = stdin.Close()
			_ = run.Wait()
		})
		line, err := bufio.NewReader(stdout).ReadString('\n')
		require.NoError(t, err)
		return strings.TrimSpace(line), binary
	}
	shop, shopBinary := start("shop", "v1.0.0")
	cart, _ := start("cart", "v1.1.0")

	reg, err := pkgmgmt.NewProxy(p.URL, &pkgmgmt.ProxyOptions{HTTP: client(t), Modules: []string{"corp.example/..."}, Sums: true})
	require.NoError(t, err)
	pol := parse(t, `rules: [{module: corp.example/..., require: ">=1.1"}, {module: corp.example/..., maxBehind: 1d}]`)
	authorize := func(r *http.Request) error {
		if r.URL.String() != cart+"/blind" {
			r.Header.Set("Authorization", "Bearer token")
		}
		return nil
	}
	f := fleet(
		t, &pkgmgmt.FleetOptions{HTTP: client(t), Credentials: authorize, Policy: pol, Registry: reg},
		pkgmgmt.Target{Service: "shop", Environment: "production", URL: shop},
		pkgmgmt.Target{Service: "cart", Environment: "production", URL: cart},
		pkgmgmt.Target{Service: "blind", Environment: "production", URL: cart + "/blind"},
		pkgmgmt.Target{Service: "shop", Environment: "disk", File: shopBinary},
	)
	report := f.Collect(t.Context())
	lines := strings.Split(table(t, report), "\n")
	require.Equal(t, []string{
		"MODULE              VERSION  SERVICE       ENVIRONMENT  VERDICT",
		"-                   -        blind         production   unknown",
		"corp.example/greet  v1.0.0   shop (devel)  disk         outside policy",
		"corp.example/greet  v1.1.0   cart (devel)  production   behind",
		"corp.example/greet  v1.0.0   shop (devel)  production   outside policy",
		"",
		"blind in production: shows too little; to fix: make it answer with all of its build information",
		"corp.example/greet v1.0.0: does not satisfy >=1.1; to fix: go get corp.example/greet@v1.2.0 (shop in disk, shop in production)",
		"corp.example/greet v1.0.0: is retracted: greets nobody; to fix: go get corp.example/greet@v1.2.0 (shop in disk, shop in production)",
		"corp.example/greet v1.0.0: is behind v1.2.0; to fix: go get corp.example/greet@v1.2.0 (shop in disk, shop in production)",
		"corp.example/greet v1.1.0: is behind v1.2.0; to fix: go get corp.example/greet@v1.2.0 (cart in production)",
		"corp.example/greet v1.0.0: is behind v1.1.0, which cart has; to fix: go get corp.example/greet@v1.1.0 (shop in production)",
		"",
	}, lines)
}

func FuzzBuildInfo(f *testing.F) {
	f.Add(goVersionText)
	f.Add("go\tgo1.26\n" + built("a.example/x v1.0.0 => ./x").String())
	f.Add("x: go1.26\n\tdep\ta\n\t=>\tb\tv1\n")
	f.Add("x: go1.26\n\tbuild\t\"-ldflags=x y\"\n\tpath\tp\n")
	f.Fuzz(func(t *testing.T, text string) {
		bi, err := pkgmgmt.ParseBuildInfo(text)
		if err != nil {
			return
		}
		report := fleet(t, nil, pkgmgmt.Target{Service: "shop", BuildInfo: bi}, pkgmgmt.Target{Service: "shop", BuildInfo: bi}).Collect(t.Context())
		for line := range strings.Lines(table(t, report)) {
			for _, r := range strings.TrimSuffix(line, "\n") {
				require.True(t, r >= ' ' && r != 0x7f, "%q", line)
			}
		}
	})
}
