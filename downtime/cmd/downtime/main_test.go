package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/downtime/status"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		http.DefaultClient.CloseIdleConnections()
		os.Exit(code)
	}))
}

// call runs the program at a time. It returns the exit code and what it printed.
func call(t *testing.T, now time.Time, args ...string) (code int, out, err string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := &command{out: &stdout, now: func() time.Time { return now }, env: func(name string) string {
		return map[string]string{"DOWNTIME_TOKEN": "secret"}[name]
	}}
	code = c.exit(c.run(t.Context(), args), &stderr)
	return code, stdout.String(), stderr.String()
}

func must(t *testing.T, now time.Time, args ...string) string {
	t.Helper()
	code, out, err := call(t, now, args...)
	require.Zero(t, code, err)
	require.Empty(t, err)
	return out
}

const plan = `windows:
  - id: orders-db # see the runbook
    start: 2026-12-06T02:00:00Z
    duration: 1h
  - id: billing
    title: Billing
    start: 2026-01-01T22:00
    timezone: Europe/Madrid
    duration: 2h
    repeat: FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1
`

var during = time.Date(2026, 12, 6, 2, 30, 0, 0, time.UTC)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "windows.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

func TestLint(t *testing.T) {
	t.Parallel()
	good, bad := write(t, plan), write(t, "windows: [{id: w, start: x, duration: 1h}]")
	require.Empty(t, must(t, during, "lint", good))
	require.JSONEq(t, "[]", must(t, during, "lint", "-json", good))
	require.Contains(t, must(t, during.AddDate(1, 0, 0), "lint", good), "warning: "+good+":3:12: window \"orders-db\": start: is past")
	code, out, errText := call(t, during, "lint", good, bad)
	require.Equal(t, 1, code)
	require.Empty(t, errText)
	require.Contains(t, out, "error: "+bad+":1:26: window \"w\": start: must be a time")
	code, out, _ = call(t, during, "lint", bad, "-json")
	require.Equal(t, 1, code)
	var found []fault
	require.NoError(t, json.Unmarshal([]byte(out), &found))
	require.Equal(t, []any{"w", "start", "error", 1, 26}, []any{found[0].Window, found[0].Field, found[0].Severity, found[0].Line, found[0].Column})
	code, _, errText = call(t, during, "lint", good+"x")
	require.Equal(t, 1, code)
	require.Contains(t, errText, "no such file")
}

func TestNext(t *testing.T) {
	t.Parallel()
	file := write(t, plan)
	require.Equal(t, `ID         START                     END                       MODE    TITLE
orders-db  Sun 2026-12-06 02:00 UTC  Sun 2026-12-06 03:00 UTC  closed  
billing    Thu 2026-12-31 22:00 CET  Fri 2027-01-01 00:00 CET  closed  Billing
billing    Fri 2027-01-29 22:00 CET  Sat 2027-01-30 00:00 CET  closed  Billing
`, must(t, during, "next", "-n", "3", file))
	require.Contains(t, must(t, during, "next", "-zone", "Asia/Tokyo", "-n", "1", file), "Sun 2026-12-06 11:00 JST")
	var list []occurrence
	require.NoError(t, json.Unmarshal([]byte(must(t, during, "next", "-json", file)), &list))
	require.Len(t, list, 10)
	require.Equal(t, "orders-db", list[0].ID)
	require.True(t, list[0].Start.Equal(during.Add(-30*time.Minute)))
	for _, bad := range [][]string{{"next", "-n", "0", file}, {"next", "-zone", "Mars", file}, {"next", file, file}, {"next"}} {
		code, _, _ := call(t, during, bad...)
		require.Equal(t, 2, code, bad)
	}
}

func TestEditFile(t *testing.T) {
	t.Parallel()
	file := write(t, plan)
	require.Equal(t, file+": orders-db has actual until 2026-12-06T03:30:00Z\n", must(t, during, "extend", file, "orders-db", "+30m"))
	must(t, during, "extend", file, "orders-db", "2026-12-06T05:00:00+01:00")
	require.Contains(t, read(t, file), "duration: 1h\n    actual: {until: \"2026-12-06T04:00:00Z\"}\n")
	require.Contains(t, must(t, during, "complete", "-json", file, "orders-db"), `"end": "2026-12-06T02:30:00Z"`)
	require.Contains(t, read(t, file), "- id: orders-db # see the runbook\n")
	require.Contains(t, must(t, during, "cancel", file, "billing"), "billing has actual end 2026-12-31T21:00:00Z")
	require.NotContains(t, must(t, during, "next", file), "2026-12-31", "a cancelled occurrence does not take place")
	before := read(t, file)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"complete", file, "orders-db"}, 1, "was ended with actual.end"},
		{[]string{"begin", file, "order-db"}, 1, `unknown window "order-db" (did you mean "orders-db"?)`},
		{[]string{"begin", file + "x", "orders-db"}, 1, "no such file"},
		{[]string{"extend", file, "orders-db", "soon"}, 2, "UNTIL must be a time"},
		{[]string{"extend", file, "orders-db", "+-1h"}, 2, "UNTIL must be a time"},
		{[]string{"extend", file, "orders-db"}, 2, "extend needs 1 more"},
		{[]string{"end", file, "orders-db"}, 2, `unknown command "end"`},
		{nil, 2, "a command is missing"},
		{[]string{"begin", "-x"}, 2, "flag provided but not defined"},
	} {
		code, _, text := call(t, during, c.args...)
		require.Equal(t, c.code, code, c.args)
		require.Contains(t, text, c.want, c.args)
	}
	require.Equal(t, before, read(t, file))
	code, out, _ := call(t, during, "help")
	require.Zero(t, code)
	require.Contains(t, out, "downtime drain")
}

// replicas serves the operators' pages of three guards with one document in a file.
func replicas(t *testing.T, doc string) (file string, guards []*downtime.Guard, pages []string) {
	t.Helper()
	file = write(t, doc)
	for range 3 {
		g, err := downtime.Open(t.Context(), downtime.File(file), &downtime.Options{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, g.Close()) })
		h, err := status.Handler(g, &status.Options{
			Authorize: func(r *http.Request) (string, error) {
				if r.Header.Get("Authorization") != "Bearer secret" {
					return "", errors.New("no token")
				}
				return "anna", nil
			},
			Editor: downtime.FileEditor(file), Logger: slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		server := httptest.NewServer(http.StripPrefix("/maintenance", h))
		t.Cleanup(server.Close)
		guards, pages = append(guards, g), append(pages, server.URL+"/maintenance")
	}
	return file, guards, pages
}

// settle waits until all guards agree with a condition.
func settle(t *testing.T, guards []*downtime.Guard, id string, holds func(downtime.Report) bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, g := range guards {
			if rep, err := g.Report(id); err != nil || !holds(rep) {
				return false
			}
		}
		return true
	}, time.Minute, 5*time.Millisecond)
}

// The command, with a file or with the page of one replica, extends, completes and cancels a window in
// three replicas.
func TestCommandsReachAllReplicas(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(time.Second)
	at := func(in time.Duration) string { return now.Add(in).Format(time.RFC3339) }
	doc := "windows:\n- {id: w, start: " + at(-time.Minute) + ", duration: 1h} # main\n- {id: later, start: " + at(5*time.Hour) + ", duration: 1h}\n"
	for _, by := range []string{"file", "URL"} {
		file, guards, pages := replicas(t, doc)
		target := file
		if by == "URL" {
			target = pages[1]
		}
		end := now.Add(59 * time.Minute)
		must(t, time.Now(), "extend", target, "w", "+30m")
		settle(t, guards, "w", func(rep downtime.Report) bool { return rep.End.Equal(end.Add(30 * time.Minute)) })
		out := must(t, time.Now(), append([]string{"drain", "w"}, pages...)...)
		require.Equal(t, 3, strings.Count(out, ": quiet\n"))
		settle(t, guards, "w", func(rep downtime.Report) bool { return rep.Unfinished })
		must(t, time.Now(), "complete", target, "w")
		settle(t, guards, "w", func(rep downtime.Report) bool { return rep.Phase == schedule.PhaseCompleted })
		must(t, time.Now(), "cancel", target, "later")
		settle(t, guards, "later", func(rep downtime.Report) bool { return rep.End.Equal(rep.Start) })
		require.Contains(t, read(t, file), "} # main\n")
		code, _, text := call(t, time.Now(), "begin", pages[0], "unknown")
		require.Equal(t, 1, code)
		require.Contains(t, text, "does not show a window \"unknown\"")
	}
}

func TestDrainSaysWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	begun := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	_, guards, pages := replicas(t, "windows: [{id: w, start: "+begun+", duration: 1h, mode: rehearse}, {id: v, start: "+begun+", duration: 1h, scope: {work: [other]}}]")
	leave, err := guards[0].Enter(t.Context(), downtime.Work{Name: "import"})
	require.NoError(t, err)
	defer leave()
	code, out, text := call(t, time.Now(), append([]string{"drain", "-json", "w"}, pages...)...)
	require.Equal(t, 1, code, "a rehearsal is never quiet")
	require.Contains(t, out, `"quiet": false`)
	require.Contains(t, text, "w is not quiet in all processes")
	require.Contains(t, must(t, time.Now(), append([]string{"drain", "-json", "v"}, pages...)...), `"quiet": true`)
	code, out, _ = call(t, time.Now(), "drain", "unknown", pages[0])
	require.Equal(t, 1, code)
	require.Contains(t, out, "does not show a window")
	code, _, text = call(t, time.Now(), "drain", "w", "windows.yaml")
	require.Equal(t, 2, code)
	require.Contains(t, text, "drain needs http or https URLs")
}

// A reader of the output while the command runs.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func TestDrainWaits(t *testing.T) {
	t.Parallel()
	_, guards, pages := replicas(t, "windows: [{id: w, start: "+time.Now().Add(5*time.Hour).UTC().Format(time.RFC3339)+", duration: 1h}]")
	leave, err := guards[0].Enter(t.Context(), downtime.Work{Name: "import"})
	require.NoError(t, err)
	for _, g := range guards {
		_, err := g.Begin("w")
		require.NoError(t, err)
	}
	out, done := make(lines, 100), make(chan error, 1)
	c := &command{out: out, now: time.Now, env: func(string) string { return "secret" }}
	go func() { done <- c.run(t.Context(), append([]string{"drain", "w"}, pages...)) }()
	quiet := 0
	for quiet < 3 {
		switch line := <-out; {
		case strings.Contains(line, `1 busy ("import" 1)`):
			leave()
		case strings.Contains(line, ": quiet"):
			quiet++
		}
	}
	require.NoError(t, <-done)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, c.run(ended, append([]string{"drain", "w"}, pages...)), "w is not quiet")
}

func TestEndpointsThatFail(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/html"):
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>"))
		default:
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"detail": "no \u001b[31m"}`))
		}
	}))
	t.Cleanup(server.Close)
	code, _, text := call(t, time.Now(), "begin", server.URL+"/html", "w")
	require.Equal(t, 1, code)
	require.Contains(t, text, "not the JSON of an operators' page")
	code, _, text = call(t, time.Now(), "begin", server.URL+"/x", "w")
	require.Equal(t, 1, code)
	require.Contains(t, text, `403 Forbidden: "no \x1b[31m"`)
}

func TestToken(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key.pem")
	var made struct {
		Kid    string
		Public string `json:"public_key"`
	}
	require.NoError(t, json.Unmarshal([]byte(must(t, time.Now(), "token", "-json", "-key", key, "-new")), &made))
	info, err := os.Stat(key)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	public, err := base64.StdEncoding.DecodeString(made.Public)
	require.NoError(t, err)
	token := strings.TrimSpace(must(t, time.Now(), "token", "-key", key, "-audience", "shop", "-window", "w", "-subject", "anna", "-for", "30m"))

	begun := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	var who string
	g, err := downtime.Open(t.Context(), downtime.Bytes("windows.yaml", []byte("windows: [{id: w, start: "+begun+", duration: 1h}]")), &downtime.Options{
		Bypass: &downtime.Bypass{Keys: map[string]ed25519.PublicKey{made.Kid: public}, Audience: "shop"},
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	h := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { who, _ = downtime.Bypassed(r.Context()) }))
	r := httptest.NewRequestWithContext(context.Background(), "GET", "/", nil)
	r.Header.Set("Upkeep-Bypass", token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 200, w.Code)
	require.Equal(t, "anna", who)

	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-key", key, "-new"}, 1, "file exists"},
		{[]string{"-new"}, 2, "token needs -key FILE"},
		{[]string{"-key", key, "-new", "-subject", "x"}, 2, "-new makes a key"},
		{[]string{"-key", key, "-audience", "shop", "-subject", "x"}, 2, "-window must be the id of a window"},
		{[]string{"-key", key, "-audience", "shop", "-window", "w"}, 2, "token needs -audience, -window and -subject"},
		{[]string{"-key", key, "-audience", "shop", "-window", "w", "-subject", "x", "-for", "-1h"}, 2, "-for must not be negative"},
		{[]string{"-key", write(t, "x"), "-audience", "shop", "-window", "w", "-subject", "x"}, 1, "must be a PEM file"},
		{[]string{"-key", key + "x", "-audience", "shop", "-window", "w", "-subject", "x"}, 1, "no such file"},
	} {
		code, _, text := call(t, time.Now(), append([]string{"token"}, c.args...)...)
		require.Equal(t, c.code, code, "%v: %s", c.args, text)
		require.Contains(t, text, c.want)
	}
}
