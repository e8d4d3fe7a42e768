package status_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/downtime/status"
)

// A console is an operators' handler with a document in a file, and its log.
type console struct {
	t       testing.TB
	path    string
	guard   *downtime.Guard
	handler http.Handler
	log     logged
}

type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take returns what was logged since the last call.
func (l *logged) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// newConsole opens a guard of a file with one window, w, that began a minute ago. Operators have the
// header Operator.
func newConsole(t testing.TB, edits bool) *console {
	c := &console{t: t, path: filepath.Join(t.TempDir(), "windows.yaml")}
	begun := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	doc := "windows:\n- {id: w, start: " + begun + ", duration: 1h} # main\n- {id: later, start: " +
		time.Now().Add(10*time.Hour).UTC().Format(time.RFC3339) + ", duration: 1h, announce: 1d}\n"
	require.NoError(t, os.WriteFile(c.path, []byte(doc), 0o600))
	g, err := downtime.Open(t.Context(), downtime.File(c.path), &downtime.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	opts := &status.Options{
		Authorize: func(r *http.Request) (string, error) {
			if who := r.Header.Get("Operator"); who != "" {
				return who, nil
			}
			return "", errors.New("no operator")
		},
		Logger: slog.New(slog.NewTextHandler(&c.log, nil)),
	}
	if edits {
		opts.Editor = downtime.FileEditor(c.path)
	}
	c.guard = g
	c.handler, err = status.Handler(g, opts)
	require.NoError(t, err)
	return c
}

func (c *console) document() string {
	data, err := os.ReadFile(c.path)
	require.NoError(c.t, err)
	return string(data)
}

// revision returns the revision that a command for the window must carry.
func (c *console) revision(window string) string {
	r := httptest.NewRequest("GET", "/status.json", nil)
	r.Header.Set("Operator", "anna")
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	var body struct {
		Windows []struct{ ID, Revision string }
	}
	require.NoError(c.t, json.Unmarshal(w.Body.Bytes(), &body))
	for _, of := range body.Windows {
		if of.ID == window && of.Revision != "" {
			return of.Revision
		}
	}
	c.t.Fatalf("no revision of %s in %s", window, w.Body)
	return ""
}

func (c *console) post(form url.Values, header map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "http://admin.example/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Operator", "anna")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	return w
}

func form(command, window, revision, until string) url.Values {
	v := url.Values{"command": {command}, "window": {window}, "revision": {revision}}
	if until != "" {
		v.Set("until", until)
	}
	return v
}

// settle waits until the guard uses the document in the file.
func (c *console) settle() {
	c.t.Helper()
	text := c.document()
	sum := sha256.Sum256([]byte(text))
	revision := hex.EncodeToString(sum[:8])
	want, err := schedule.Parse("windows.yaml", []byte(text))
	require.NoError(c.t, err)
	require.Eventually(c.t, func() bool {
		used := c.guard.Document()
		for w := range want.Windows() {
			if used.Schedule.Window(w.ID).Actual != w.Actual {
				return false
			}
		}
		return used.Revision == revision
	}, time.Minute, 5*time.Millisecond)
}

func (c *console) phase(window string) schedule.Phase {
	rep, err := c.guard.Report(window)
	require.NoError(c.t, err)
	return rep.Phase
}

func TestCommandsEditTheDocument(t *testing.T) {
	t.Parallel()
	c := newConsole(t, true)
	until := time.Now().Add(3 * time.Hour).Truncate(time.Second)
	w := c.post(form("extend", "w", c.revision("w"), until.Format(time.RFC3339)), nil)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	c.settle()
	require.Contains(t, c.document(), `duration: 1h, actual: {until: "`+until.UTC().Format(time.RFC3339)+`"}} # main`)
	rep, err := c.guard.Report("w")
	require.NoError(t, err)
	require.True(t, rep.End.Equal(until))
	require.False(t, rep.Local)
	log := c.log.take()
	require.Contains(t, log, `msg="maintenance command" command=extend window=w who=anna`)

	w = c.post(form("drain", "w", c.revision("w"), ""), nil)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Contains(t, w.Body.String(), `"quiet": true`)
	rep, err = c.guard.Report("w")
	require.NoError(t, err)
	require.True(t, rep.Unfinished, "the guard knows that the work has begun")

	w = c.post(form("complete", "w", c.revision("w"), ""), map[string]string{"Accept": "text/html"})
	require.Equal(t, http.StatusSeeOther, w.Code)
	require.Equal(t, ".", w.Header().Get("Location"))
	c.settle()
	require.Equal(t, schedule.PhaseCompleted, c.phase("w"))

	w = c.post(form("begin", "later", c.revision("later"), ""), nil)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	c.settle()
	require.True(t, schedule.PhaseAnnounced.Before(c.phase("later")))
}

func TestCancelledWindowDoesNotTakePlace(t *testing.T) {
	t.Parallel()
	c := newConsole(t, true)
	w := c.post(form("cancel", "later", c.revision("later"), ""), nil)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	s, err := schedule.Parse("windows.yaml", []byte(c.document()))
	require.NoError(t, err)
	require.False(t, s.Window("later").Actual.End.IsZero())
	require.True(t, s.Window("later").Actual.End.Equal(s.Window("later").Start))

	c.settle()
	public, err := status.PublicHandler(c.guard, nil)
	require.NoError(t, err)
	for h, shows := range map[http.Handler]bool{c.handler: true, public: false} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Operator", "anna")
		r.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, shows, strings.Contains(w.Body.String(), "Cancelled"))
		require.Equal(t, shows, strings.Contains(w.Body.String(), "later"))
		require.NotContains(t, w.Body.String(), "Begin now")
	}
}

// Without an editor, commands act on this process.
func TestCommandsOfOneProcess(t *testing.T) {
	t.Parallel()
	c := newConsole(t, false)
	before := c.document()
	until := time.Now().Add(3 * time.Hour).Truncate(time.Second)
	first := form("extend", "w", c.revision("w"), until.Format(time.RFC3339))
	require.Equal(t, http.StatusOK, c.post(first, nil).Code)
	rep, err := c.guard.Report("w")
	require.NoError(t, err)
	require.True(t, rep.Local)
	require.True(t, rep.End.Equal(until))
	second := form("extend", "w", c.revision("w"), until.Add(time.Hour).Format(time.RFC3339))
	require.Equal(t, http.StatusOK, c.post(second, nil).Code)
	require.Equal(t, http.StatusPreconditionFailed, c.post(first, nil).Code, "a replay")
	require.Equal(t, http.StatusNotImplemented, c.post(form("cancel", "later", c.revision("later"), ""), nil).Code)
	require.Equal(t, http.StatusOK, c.post(form("complete", "w", c.revision("w"), ""), nil).Code)
	require.Equal(t, schedule.PhaseCompleted, c.phase("w"))
	require.Equal(t, before, c.document())
}

// Commands that are forged, replayed, stale, or come from a different origin change nothing, and are
// logged.
func TestCommandsRefused(t *testing.T) {
	t.Parallel()
	c := newConsole(t, true)
	fresh := c.revision("w")
	good := form("complete", "w", fresh, "")
	for _, bad := range []struct {
		name   string
		form   url.Values
		header map[string]string
		status int
		logged string
	}{
		{"no operator", good, map[string]string{"Operator": ""}, http.StatusForbidden, `who=""`},
		{"another site", good, map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden, "who=anna"},
		{"another origin", good, map[string]string{"Origin": "https://evil.example"}, http.StatusForbidden, "who=anna"},
		{"another document", form("complete", "w", "0123456789abcdef"+fresh[16:], ""), nil, http.StatusPreconditionFailed, "command=complete"},
		{"other times", form("complete", "w", fresh[:16]+".00000000", ""), nil, http.StatusPreconditionFailed, "window=w"},
		{"another window's revision", form("complete", "w", c.revision("later"), ""), nil, http.StatusPreconditionFailed, "window=w"},
		{"no revision", form("complete", "w", "", ""), nil, http.StatusPreconditionRequired, "revision: is required"},
		{"no window", form("complete", "unknown", fresh, ""), nil, http.StatusNotFound, "window=unknown"},
		{"no command", form("drop", "w", fresh, ""), nil, http.StatusBadRequest, "must be begin, complete, extend, cancel or drain"},
		{"no time", form("extend", "w", fresh, "tomorrow"), nil, http.StatusBadRequest, "until: must be a time"},
		{"a time in the past", form("extend", "w", fresh, "2000-01-01T00:00:00Z"), nil, http.StatusConflict, "which is past"},
		{"begun already", form("begin", "w", fresh, ""), nil, http.StatusConflict, "began at"},
		{"in progress", form("cancel", "w", fresh, ""), nil, http.StatusConflict, "complete it"},
		{"too large", url.Values{"command": {strings.Repeat("x", 20<<10)}}, nil, http.StatusBadRequest, "the form cannot be read"},
		{"a log line of its own", form("complete", "w\nmsg=forged who=root", fresh, ""), nil, http.StatusNotFound, `"w`},
	} {
		before := c.document()
		c.log.take()
		w := c.post(bad.form, bad.header)
		require.Equal(t, bad.status, w.Code, "%s: %s", bad.name, w.Body)
		log := c.log.take()
		require.Contains(t, log, `msg="maintenance command refused"`, bad.name)
		require.Contains(t, log, bad.logged, bad.name)
		require.Equal(t, 1, strings.Count(log, "\n"), bad.name)
		require.Equal(t, before, c.document(), bad.name)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"), bad.name)
	}
	require.Equal(t, http.StatusOK, c.post(good, map[string]string{"Sec-Fetch-Site": "same-origin"}).Code)
	after := c.document()
	require.Equal(t, http.StatusPreconditionFailed, c.post(good, nil).Code, "a replay")
	require.Equal(t, after, c.document())
	c.settle()

	// The file has changed, and the guard has not read it yet.
	stale := form("begin", "later", c.revision("later"), "")
	require.NoError(t, os.WriteFile(c.path, []byte(after+"# edited by hand\n"), 0o600))
	require.Equal(t, http.StatusPreconditionFailed, c.post(stale, nil).Code)
	require.Equal(t, after+"# edited by hand\n", c.document())
}

func TestCommandsOnlyForOperators(t *testing.T) {
	t.Parallel()
	c := newConsole(t, true)
	public, err := status.PublicHandler(c.guard, &status.Options{Editor: downtime.FileEditor(c.path)})
	require.NoError(t, err)
	denies, err := status.Handler(c.guard, &status.Options{Editor: downtime.FileEditor(c.path), Logger: slog.New(slog.NewTextHandler(&c.log, nil))})
	require.NoError(t, err)
	before := c.document()
	for h, want := range map[http.Handler]int{public: http.StatusMethodNotAllowed, denies: http.StatusForbidden} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(form("complete", "w", c.revision("w"), "").Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, want, w.Code)
	}
	require.Equal(t, before, c.document())
	require.Contains(t, c.log.take(), "maintenance command refused")
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "text/html")
	public.ServeHTTP(w, r)
	require.NotContains(t, w.Body.String(), "<form")

	// A path without its slash keeps the POST.
	w = httptest.NewRecorder()
	r = httptest.NewRequest("POST", "/maintenance", nil)
	r.Header.Set("Operator", "anna")
	c.handler.ServeHTTP(w, r)
	require.Equal(t, http.StatusPermanentRedirect, w.Code)
	for _, path := range []string{"/status.json", "/calendar.ics"} {
		w = httptest.NewRecorder()
		r = httptest.NewRequest("POST", path, nil)
		r.Header.Set("Operator", "anna")
		c.handler.ServeHTTP(w, r)
		require.Equal(t, http.StatusMethodNotAllowed, w.Code)
		require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
	}
}

// FuzzCommand posts any form: without the right revision the document stays.
func FuzzCommand(f *testing.F) {
	f.Add("command=complete&window=w&revision=0123456789abcdef.00000000", "")
	f.Add("command=extend&window=w&revision=&until=2026-12-06T02:00:00Z", "same-origin")
	f.Add("command=%zz;&window=%00", "cross-site")
	f.Add("command=drain&window=later&revision=x.y.z", "none")
	c := newConsole(f, true)
	before := c.document()
	f.Fuzz(func(t *testing.T, body, site string) {
		if strings.ContainsAny(site, "\r\n\x00") {
			return
		}
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Operator", "anna")
		r.Header.Set("Sec-Fetch-Site", site)
		w := httptest.NewRecorder()
		c.handler.ServeHTTP(w, r)
		if w.Code < 400 || w.Code >= 500 {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		if log := c.log.take(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "maintenance command refused") {
			t.Fatalf("logged %q", log)
		}
		if data, err := os.ReadFile(c.path); err != nil || string(data) != before {
			t.Fatalf("the document has changed: %s, %v", data, err)
		}
	})
}

// An operator ends a window by a form or a program. The command edits the document, so it reaches all
// replicas.
func ExampleOptions_editor() {
	dir, err := os.MkdirTemp("", "windows")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "windows.yaml")
	begun := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	_ = os.WriteFile(path, []byte("windows: [{id: orders-db, start: "+begun+", duration: 2h}]\n"), 0o600)

	g, err := downtime.Open(context.Background(), downtime.File(path), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	h, err := status.Handler(g, &status.Options{
		Authorize: func(*http.Request) (string, error) { return "anna", nil }, // usually a check of a session
		Editor:    downtime.FileEditor(path),
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ask := func(method, path string, form url.Values) []byte {
		r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Body.Bytes()
	}
	var state struct {
		Windows []struct{ ID, Phase, Revision string }
	}
	_ = json.Unmarshal(ask("GET", "/status.json", nil), &state)
	w := state.Windows[0]
	fmt.Println(w.ID, w.Phase)
	var result struct{ Command string }
	_ = json.Unmarshal(ask("POST", "/", url.Values{"command": {"complete"}, "window": {w.ID}, "revision": {w.Revision}}), &result)
	data, _ := os.ReadFile(path)
	fmt.Println(result.Command, strings.Contains(string(data), "actual: {end: "))
	// Output:
	// orders-db in progress
	// complete true
}

// BenchmarkPage1000 renders the operators' page, with forms, for a document of 1,000 windows.
func BenchmarkPage1000(b *testing.B) {
	var doc strings.Builder
	doc.WriteString("windows:\n")
	for i := range 1000 {
		fmt.Fprintf(&doc, "- {id: w%d, start: %s, duration: 1h, announce: 30d}\n", i, time.Now().Add(time.Duration(i-50)*time.Minute).UTC().Format(time.RFC3339))
	}
	g, err := downtime.Open(b.Context(), downtime.Bytes("windows.yaml", []byte(doc.String())), &downtime.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, g.Close()) })
	h, err := status.Handler(g, &status.Options{Authorize: func(*http.Request) (string, error) { return "anna", nil }})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 || !strings.Contains(w.Body.String(), "<form") {
			b.Fatal(w.Code)
		}
	}
}
