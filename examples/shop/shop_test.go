package main

import (
	"bytes"
	"context"
	"errors"
	"html"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt"
)

// folder has the built shop. TestMain removes it.
var folder string

// built builds the shop once and returns its path. A test binary records no modules.
var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(folder, "shop")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "shop-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

func shopCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the shop")
	}
	path, err := built()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, path, args...)
}

func TestTour(t *testing.T) {
	t.Parallel()
	out, err := shopCommand(t, "-tour").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "All steps passed.")
	require.NotContains(t, string(out), "(devel)")
	require.NotRegexp(t, `window .* → `, string(out))
	require.Regexp(t, `1\. Which build is running\n   storefront v\d+\.\d+\.\d+`, string(out))
	require.Regexp(t, `request_id=\w+ .*stack=…`, string(out))
}

// TestShopUntilInterrupted uses the running shop as its first screen suggests, and stops it as a
// terminal does.
func TestShopUntilInterrupted(t *testing.T) {
	t.Parallel()
	cmd := shopCommand(t, "-addr", "127.0.0.1:0", "-operators", "127.0.0.1:0")
	out := &buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	var store, admin, docs, log string
	require.Eventually(t, func() bool {
		m := regexp.MustCompile(`  (\S+) +the storefront\n  (\S+) +pages for operators\n(?s:.*) (\S+)/windows.yaml\n(?s:.*)tail -f (\S+)\n(?s:.*)Ctrl-C`).FindStringSubmatch(out.String())
		if m != nil {
			store, admin, docs, log = m[1], m[2], strings.TrimSpace(m[3]), m[4]
		}
		return m != nil
	}, 30*time.Second, 5*time.Millisecond, "%s", out)
	require.DirExists(t, docs)
	defer os.Remove(log)
	screen := out.String()

	get := func(method, url string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	for _, c := range []struct {
		method, url string
		status      int
		holds       string
	}{
		{"GET", store + "/", 200, "GET /catalogue"},
		{"GET", store + "/catalogue", 200, `"coffee"`},
		{"POST", store + "/cart?user=42&item=tea", 204, ""},
		{"GET", store + "/cart?user=42", 200, `"tea"`},
		{"POST", store + "/checkout?user=42", 200, `"user":"42"`},
		{"POST", store + "/checkout?user=ada&item=tea&email=ada@shop.example", 200, `"express"`},
		{"POST", store + "/checkout?user=ada&item=gift-card&email=ada@shop.example", 500, "request_id"},
		{"POST", store + "/checkout?user=<script>", 400, "user must be"},
		{"POST", store + "/checkout?user=42&item=nothing", 422, "no such item"},
		{"GET", admin + "/version", 200, `"name": "storefront"`},
		{"GET", admin + "/sbom", 200, `"specVersion": "1.6"`},
		{"GET", store + "/sbom", 404, ""},
		{"GET", admin + "/explain?flag=banner", 200, "there is no rule"},
		{"GET", admin + "/maintenance/", 200, "till-upgrade"},
		{"GET", admin + "/stats", 200, `"requests_refused"`},
		{"GET", store + "/version", 404, ""},
	} {
		status, body := get(c.method, c.url)
		require.Equal(t, c.status, status, "%s %s: %s", c.method, c.url, body)
		require.Contains(t, body, c.holds)
	}

	_, links := get("GET", admin+"/")
	for _, m := range regexp.MustCompile(`href="([^":]+)"`).FindAllStringSubmatch(links, -1) {
		status, body := get("GET", admin+"/"+html.UnescapeString(m[1]))
		require.Equal(t, 200, status, "%s: %s", m[1], body)
		require.NotEmpty(t, body)
	}
	require.Equal(t, 7, strings.Count(links, `href="`)-1, "links: %s", links)
	require.Contains(t, links, docs+"/windows.yaml")
	require.Equal(t, screen, out.String(), "the list of what to try stays on the screen")
	telemetry, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Contains(t, string(telemetry), "request failed")
	require.Contains(t, string(telemetry), "trace ")

	checkNight(t, admin, docs, log, get)

	// A fleet reads the version endpoint.
	f, err := pkgmgmt.NewFleet([]pkgmgmt.Target{{Service: "storefront", URL: admin + "/version"}}, nil)
	require.NoError(t, err)
	report := f.Collect(t.Context())
	require.Equal(t, pkgmgmt.FleetVerdictFine, report.Worst(), "%+v", report)
	require.Greater(t, len(report.Rows), 10)

	began := time.Now()
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, cmd.Wait(), "%s", out)
	require.Less(t, time.Since(began), 5*time.Second)
	require.Contains(t, out.String(), "metric storefront")
	require.Contains(t, out.String(), "The shop is closed.")
	require.Contains(t, out.String(), log)
	require.NoDirExists(t, docs)
	require.FileExists(t, log)
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  []string
		exit  int
		holds string
	}{
		{[]string{"-h"}, 0, "-tour"},
		{[]string{"-version"}, 0, "shop v"},
		{[]string{"-frobnicate"}, 1, "frobnicate"},
		{[]string{"extra"}, 1, "takes no arguments"},
		{[]string{"-addr", "127.0.0.1:-1"}, 1, "-addr 127.0.0.1:0"},
		{[]string{"-addr", "127.0.0.1:0", "-operators", "127.0.0.1:-1"}, 1, "-operators 127.0.0.1:0"},
	} {
		cmd := shopCommand(t, c.args...)
		out, err := cmd.CombinedOutput()
		require.Equal(t, c.exit, cmd.ProcessState.ExitCode(), "%v: %s %v", c.args, out, err)
		require.Contains(t, string(out), c.holds)
	}
}

// TestTourNamesTheStepThatFails gives the tour less time than its window needs.
func TestTourNamesTheStepThatFails(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := tour(ctx, io.Discard)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Regexp(t, `^tour: step \d+, [a-z ]+: `, err.Error())
	require.Contains(t, err.Error(), "the last lines of telemetry:")
}

// A buffer has the output of a process. A test may read it meanwhile.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
