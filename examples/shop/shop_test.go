package main

import (
	"bytes"
	"context"
	"errors"
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

// folder holds what TestMain removes.
var folder string

// built is the shop as a user runs it: a test binary would not be what is deployed. It
// is built when a test first asks.
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
	require.Contains(t, string(out), "All steps did what they say.")
}

// TestShopUntilInterrupted pokes at the running shop, as the text that it prints
// says, and ends it as a terminal would.
func TestShopUntilInterrupted(t *testing.T) {
	t.Parallel()
	cmd := shopCommand(t, "-addr", "127.0.0.1:0")
	out := &buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	var store, admin, docs string
	require.Eventually(t, func() bool {
		m := regexp.MustCompile(`is open: (\S+), for its operators: (\S+)\n(?s:.*) (\S+)/windows.yaml\n`).FindStringSubmatch(out.String())
		if m != nil {
			store, admin, docs = m[1], m[2], strings.TrimSpace(m[3])
		}
		return m != nil
	}, 30*time.Second, 5*time.Millisecond, "%s", out)
	require.DirExists(t, docs)

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

	// What a fleet would read of it.
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
	require.Contains(t, out.String(), "stopped")
	require.NoDirExists(t, docs)
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  []string
		exit  int
		holds string
	}{
		{[]string{"-h"}, 0, "-tour"},
		{[]string{"-version"}, 0, "shop"},
		{[]string{"-frobnicate"}, 1, "frobnicate"},
		{[]string{"extra"}, 1, "takes no arguments"},
		{[]string{"-addr", "127.0.0.1:-1"}, 1, "another address"},
	} {
		cmd := shopCommand(t, c.args...)
		out, err := cmd.CombinedOutput()
		require.Equal(t, c.exit, cmd.ProcessState.ExitCode(), "%v: %s %v", c.args, out, err)
		require.Contains(t, string(out), c.holds)
	}
}

// TestTourNamesTheStepThatFails gives the tour less time than its window takes.
func TestTourNamesTheStepThatFails(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := tour(ctx, io.Discard)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Regexp(t, `^tour: step \d+, [a-z ]+: `, err.Error())
	require.Contains(t, err.Error(), "the last that the shop printed:")
}

// A buffer takes what a process prints while a test reads it.
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
