package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call runs the program. It returns the exit code and what it printed.
func call(t *testing.T, in string, args ...string) (code int, out, err string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := &command{in: strings.NewReader(in), out: &stdout, env: func(name string) string { return map[string]string{"VERSION_TOKEN": "secret"}[name] }}
	code = c.exit(c.run(t.Context(), args), &stderr)
	return code, stdout.String(), stderr.String()
}

// must requires success.
func must(t *testing.T, args ...string) string {
	t.Helper()
	code, out, err := call(t, "", args...)
	require.Zero(t, code, err)
	require.Empty(t, err)
	return out
}

func snapshot(t *testing.T, release string) string {
	t.Helper()
	info := version.Info{Name: "shop", Version: release, Module: "example.com/shop", Deps: []version.Module{{Path: "example.com/lib", Version: release}}}
	data, err := json.Marshal(info)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), release+".json")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func TestShow(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	require.NoError(t, err)
	require.Contains(t, must(t, "show", program), "path\tgithub.com/upkeep-go/upkeep/version/cmd/version")
	file := snapshot(t, "v1.4.2")
	require.True(t, strings.HasPrefix(must(t, "show", file), "shop v1.4.2\n"))
	var info version.Info
	require.NoError(t, json.Unmarshal([]byte(must(t, "show", file, "-json")), &info))
	require.Equal(t, "v1.4.2", info.Version)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	code, out, _ := call(t, string(data), "show", "-")
	require.Zero(t, code)
	require.Contains(t, out, "shop v1.4.2")

	server := httptest.NewServer(version.Handler(info, nil))
	defer server.Close()
	require.Contains(t, must(t, "show", server.URL), "shop v1.4.2")
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	large := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte(" "), version.MaxSnapshot+1))
	}))
	defer large.Close()
	for source, want := range map[string]string{
		missing.URL:                        `answers "404 Not Found"`,
		large.URL:                          "is longer than",
		"http://":                          "is not an address",
		"main.go":                          "not a Go program",
		"missing":                          "no such file",
		t.TempDir():                        "not a regular file",
		"http://127.0.0.1:1/?token=secret": "connection refused",
	} {
		code, _, err := call(t, "", "show", source)
		require.NotZero(t, code, source)
		require.Contains(t, err, want, source)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestDiff(t *testing.T) {
	t.Parallel()
	a, b := snapshot(t, "v1.4.1"), snapshot(t, "v1.4.2")
	require.Equal(t, "v1.4.1 → v1.4.2\nlib v1.4.1 → v1.4.2\n", must(t, "diff", a, b))
	require.Equal(t, "no change\n", must(t, "diff", "-exit-code", a, a))
	code, out, err := call(t, "", "diff", a, b, "-exit-code", "-json")
	require.Equal(t, 1, code)
	require.Empty(t, err)
	var changes version.Changes
	require.NoError(t, json.Unmarshal([]byte(out), &changes))
	require.Equal(t, version.ChangeKindUpgraded, changes.Version.Kind)
}

func TestHistoryAndSuspects(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "history.jsonl")
	must(t, "note", "deploy", "-file", file, "-build", snapshot(t, "v1.4.1"), "-environment", "production", "-instance", "a")
	must(t, "note", "deploy", "--rollback", "-file", file, "-build", snapshot(t, "v1.4.0"), "-environment", "production", "-instance", "a")
	must(t, "note", "flag", "-file", file, "-service", "shop", "-from", "off", "-to", "on", "-share", "5%", "-actor", "ada", "-url", "https://flags.example/x", "express")
	must(t, "note", "deploy", "--rollback", "-file", file, "-service", "till", "-to", "v1.0.0", "-id", "once")
	must(t, "note", "deploy", "--rollback", "-file", file, "-service", "till", "-to", "v1.0.0", "-id", "once")

	out := must(t, "history", file)
	require.Contains(t, out, "shop (production): rollback v1.4.1 → v1.4.0")
	require.Contains(t, out, "flag express (shop): off → on for 5 % of the users, by ada")
	require.Equal(t, 1, strings.Count(out, "rollback (till): v1.0.0"))
	require.Contains(t, must(t, "history", "-markdown", file), "| [flag express (shop)](https://flags.example/x) |")
	require.NotContains(t, must(t, "history", "-service", "till", file), "shop")
	require.Equal(t, "nothing has changed\n", must(t, "history", file, "-to", "1d"))
	var list history.List
	require.NoError(t, json.Unmarshal([]byte(must(t, "history", "-json", "-from", "1h", file)), &list))
	require.Len(t, list.Items, 4)

	failure := filepath.Join(dir, "failure.json")
	require.NoError(t, os.WriteFile(failure, []byte(`{"service":"shop","variants":{"express=on":{"failed":38,"good":10},"express=off":{"failed":2,"good":900}}}`), 0o600))
	callers := filepath.Join(dir, "callers.json")
	require.NoError(t, os.WriteFile(callers, []byte(`{"till":["shop"]}`), 0o600))
	stack := filepath.Join(dir, "stack.txt")
	require.NoError(t, os.WriteFile(stack, []byte("example.com/lib.X()"), 0o600))
	out = must(t, "suspects", "-failure", failure, "-callers", callers, "-stack", stack, "-route", "POST /orders", "-build", "v1.4.0", "-time", "now", file)
	require.Contains(t, out, "POST /orders of shop v1.4.0 failed at")
	require.Contains(t, out, "95 % of 40 failed requests had express on, the change reached 5 %")
	require.Contains(t, out, "shop calls till")
	require.Contains(t, out, "timeline:\n")
	require.Contains(t, must(t, "suspects", "-markdown", "-time", "now", file), "## Suspects")
	var i history.Incident
	require.NoError(t, json.Unmarshal([]byte(must(t, "suspects", "-json", "-time", "now", "-service", "shop", file)), &i))
	require.Len(t, i.Suspects, 4)

	for want, args := range map[string][]string{
		"needs the time of the failure": {"suspects", file},
		"unknown field":                 {"suspects", "-time", "now", "-callers", callers, "-failure", callers, file},
		"no such file":                  {"history", filepath.Join(dir, "missing")},
		"is after to":                   {"history", file, "-from", "1h", "-to", "2h"},
	} {
		code, _, err := call(t, "", args...)
		require.NotZero(t, code, want)
		require.Contains(t, err, want)
	}
}

// TestCommits has a repository with a hostile commit between two deployments.
func TestCommits(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), err)
		t.Skip(err)
	}
	dir := t.TempDir()
	git := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=ada", "GIT_COMMITTER_EMAIL=ada@example.com")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	var revisions []string
	for _, subject := range []string{"first", "raise <b>prices</b> \x1b[31m", "fix rounding"} {
		git("commit", "-q", "--allow-empty", "-m", subject)
		revisions = append(revisions, git("rev-parse", "HEAD"))
	}
	file := filepath.Join(t.TempDir(), "history.jsonl")
	for n, revision := range []string{revisions[0], revisions[2], strings.Repeat("0", 40), "--output=x"} {
		data, err := json.Marshal(version.Info{Name: "shop", Version: fmt.Sprintf("v1.%d.0", n), Revision: revision})
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "build.json")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		must(t, "note", "deploy", "-file", file, "-build", path, "-instance", "a")
	}
	out := must(t, "suspects", "-time", "now", "-service", "shop", "-git", dir, file)
	require.Contains(t, out, "\ncommits of shop v1.0.0 → v1.1.0:\n"+revisions[2][:7])
	require.Contains(t, out, "fix rounding (ada)\n")
	require.Equal(t, 1, strings.Count(out, "commits of"))
	require.NotContains(t, out, "\x1b")
	require.Contains(t, must(t, "suspects", "-time", "now", "-markdown", "-git", dir, file), "\n## Commits\n\n    commits of shop")
	require.Contains(t, must(t, "suspects", "-time", "now", "-json", "-git", dir, file), `"subject": "fix rounding"`)
	code, _, text := call(t, "", "suspects", "-time", "now", "-git", filepath.Join(dir, "missing"), file)
	require.Equal(t, 1, code)
	require.Contains(t, text, "is not a git repository")
}

func TestNoteToCollector(t *testing.T) {
	t.Parallel()
	store, err := history.NewFile(filepath.Join(t.TempDir(), "history.jsonl"), nil)
	require.NoError(t, err)
	defer store.Close()
	collector, err := history.NewCollector(store, &history.CollectorOptions{Authorize: func(r *http.Request) (string, error) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			return "", errors.New("unknown token")
		}
		return "ci", nil
	}})
	require.NoError(t, err)
	server := httptest.NewServer(collector)
	defer server.Close()
	must(t, "note", "migration", "orders", "-collector", server.URL, "-to", "version 42")
	list, err := history.Timeline(t.Context(), store, time.Time{}, time.Time{})
	require.NoError(t, err)
	require.Contains(t, list.String(), "migration orders: version 42")
	require.Equal(t, "ci", list.Items[0].Client)

	// A malformed entry is not sent.
	code, _, text := call(t, "", "note", "flag", "-collector", server.URL, "-url", "javascript:x")
	require.Equal(t, 1, code)
	require.Contains(t, text, "url must be an http or https address")
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"a command is missing":         {},
		`unknown command "shwo"`:       {"shwo"},
		"show needs 1 more":            {"show"},
		`show does not take "b"`:       {"show", "a", "b"},
		"-nope":                        {"show", "-nope", "a"},
		"note needs a kind":            {"note", "-file", "x"},
		"either -file or -collector":   {"note", "flag"},
		"-rollback is for note deploy": {"note", "flag", "-rollback", "-file", "x"},
		"must be between 0 and 1":      {"note", "flag", "-share", "101%", "-file", "x"},
		"must be a time":               {"history", "-from", "yesterday", "x"},
	} {
		code, out, err := call(t, "", args...)
		require.Equal(t, 2, code, want)
		require.Empty(t, out)
		require.Contains(t, err, want)
		require.Contains(t, err, "usage:")
	}
	for _, args := range [][]string{{"help"}, {"-h"}, {"show", "-h"}} {
		require.Contains(t, must(t, args...), "usage:")
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"now": now, "90m": now.Add(-90 * time.Minute), "7d": now.AddDate(0, 0, -7), "1.5d": now.Add(-36 * time.Hour),
		"2026-11-19": time.Date(2026, 11, 19, 0, 0, 0, 0, time.UTC), "2026-11-19T10:00:00+02:00": time.Date(2026, 11, 19, 8, 0, 0, 0, time.UTC),
	} {
		got, err := parseTime(text, now)
		require.NoError(t, err, text)
		require.True(t, want.Equal(got), text)
	}
	for _, text := range []string{"", "-1h", "d", "-1d", "1e300d", "NaNd", "infd", "2026-13-01", "11:20"} {
		_, err := parseTime(text, now)
		require.Error(t, err, text)
	}
}

// FuzzParseTime reads any text as a time.
func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"now", "7d", "90m", "2026-11-20", "2026-11-20T11:20:00Z", "1e9d", "-1d"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseTime(text, now)
		if err == nil && !strings.Contains(text, "-") {
			require.False(t, got.After(now), text)
		}
	})
}

// FuzzNote runs note with any texts and reads the history back.
func FuzzNote(f *testing.F) {
	f.Add("flag", "express", "5%", "https://flags.example/x", "2h", "shop")
	f.Add("deploy", "--", "NaN", "javascript:x", "-1d", "\x1b[31m")
	f.Fuzz(func(t *testing.T, kind, subject, share, address, at, service string) {
		file := filepath.Join(t.TempDir(), "history.jsonl")
		c := &command{in: strings.NewReader(""), out: new(bytes.Buffer), env: func(string) string { return "" }}
		err := c.run(context.Background(), []string{"note", kind, "-file", file, "-share=" + share, "-url=" + address, "-time=" + at, "-service=" + service, "--", subject})
		var out bytes.Buffer
		c = &command{in: strings.NewReader(""), out: &out, env: c.env}
		if err == nil {
			require.NoError(t, c.run(context.Background(), []string{"history", file}))
			require.NotContains(t, out.String(), "\x1b")
		}
	})
}
