//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/flags/ofrep"
)

// TestPageChangesWithTheFile covers the whole way: a file is written, and the page in a real browser shows
// the change without being reloaded.
func TestPageChangesWithTheFile(t *testing.T) {
	v := visit(t, &ofrep.Options{})
	first := v.until("Welcome.")
	write(t, v.file, strings.Replace(ownDocument(t), "defaultVariant: plain", "defaultVariant: sale", 1))
	require.Equal(t, first.Load, v.until("Everything must go!").Load, "not loaded again")
	write(t, v.file, ownDocument(t))
	require.Equal(t, first.Load, v.until("Welcome.").Load)
	require.LessOrEqual(t, v.fetches.Load(), int32(3), "one at the start and one for each change: nothing polls")
}

// TestPageStaysWithoutEventStream is the counter-check: only the event stream changes the page.
func TestPageStaysWithoutEventStream(t *testing.T) {
	v := visit(t, &ofrep.Options{MaxStreams: -1})
	v.until("Welcome.")
	changed := v.provider.Changed()
	write(t, v.file, strings.Replace(ownDocument(t), "defaultVariant: plain", "defaultVariant: sale", 1))
	select {
	case <-changed:
	case <-t.Context().Done():
		t.Fatal("the provider did not see the change")
	}
	for range 20 { // the page still reports ten times a second
		require.Equal(t, "Welcome.", v.next().Text)
	}
	require.Equal(t, int32(1), v.fetches.Load())
	v.plan.Store("pro")
	v.until("Thank you for staying with us.")
	v.plan.Store("free")
	v.until("Everything must go!")
}

// TestPageChangesWithTheContext matters because the web provider keeps its ETag when attributes change and
// the targeting key does not.
func TestPageChangesWithTheContext(t *testing.T) {
	v := visit(t, &ofrep.Options{})
	first := v.until("Welcome.")
	for range 2 {
		v.plan.Store("pro")
		require.Equal(t, first.Load, v.until("Thank you for staying with us.").Load)
		v.plan.Store("free")
		require.Equal(t, first.Load, v.until("Welcome.").Load)
	}
}

// TestPageOfAnotherOrigin uses a handler on another port, with a token in a header. A browser cannot send
// the header to an event stream, so there the token is in the address.
func TestPageOfAnotherOrigin(t *testing.T) {
	v := newVisitor(t, &ofrep.Options{})
	elsewhere := listen(t, func(done <-chan struct{}) http.Handler {
		site, err := newSite(v.provider, &ofrep.Options{
			Done:    done,
			Origins: []string{v.url},
			Authorize: func(r *http.Request) (string, error) {
				if r.Header.Get("Authorization") != "Bearer t1" && r.URL.Query().Get("ticket") != "t2" {
					return "", errors.New("neither token nor ticket")
				}
				return "page", nil
			},
			StreamURL: func(*http.Request) string { return "/ofrep/v1/events?ticket=t2" },
		})
		require.NoError(t, err)
		return site
	})
	v.edit.Store(strings.NewReplacer("baseUrl: location.origin", `headers: [["Authorization", "Bearer t1"]], baseUrl: "`+elsewhere.URL+`"`))
	v.open()
	first := v.until("Welcome.")
	write(t, v.file, strings.Replace(ownDocument(t), "defaultVariant: plain", "defaultVariant: sale", 1))
	require.Equal(t, first.Load, v.until("Everything must go!").Load)
	v.plan.Store("pro")
	v.until("Thank you for staying with us.")
	require.Zero(t, v.fetches.Load(), "nothing was asked of the page's own origin")
}

// A visitor is a browser that shows the page.
type visitor struct {
	t        *testing.T
	browser  string
	provider *flags.Provider
	file     string
	url      string
	shown    chan report
	edit     atomic.Pointer[strings.Replacer] // changes that the test makes in the page
	plan     atomic.Value                     // a string: the plan that the page selects
	fetches  atomic.Int32                     // bulk requests so far
}

// A report is the text on the page, and the time when the page was loaded.
type report struct {
	Load float64
	Text string
}

// reporter is added to the page. It reports the text, and selects the plan that the test wants.
const reporter = `
<script>
  setInterval(async () => {
    const text = document.getElementById("banner").textContent;
    const answer = await fetch("/report", { method: "POST", body: JSON.stringify({ load: performance.timeOrigin, text }) });
    const plan = document.getElementById("plan"), wanted = await answer.text();
    if (plan.value !== wanted) {
      plan.value = wanted;
      plan.dispatchEvent(new Event("change"));
    }
  }, 100);
</script>
`

// visit opens the site in a browser.
func visit(t *testing.T, opts *ofrep.Options) *visitor {
	t.Helper()
	v := newVisitor(t, opts)
	v.open()
	return v
}

// newVisitor has a site but does not start a browser.
func newVisitor(t *testing.T, opts *ofrep.Options) *visitor {
	t.Helper()
	v := &visitor{t: t, browser: findBrowser(t), shown: make(chan report)}
	v.edit.Store(strings.NewReplacer())
	v.plan.Store("free")
	v.provider, v.file = open(t, ownDocument(t))
	v.url = listen(t, func(done <-chan struct{}) http.Handler {
		opts.Done = done
		site, err := newSite(v.provider, opts)
		require.NoError(t, err)
		return v.around(site, done)
	}).URL
	return v
}

// open starts the browser, which ends with the test.
func (v *visitor) open() {
	v.t.Helper()
	// For root, Chromium must run without a sandbox; the pages are ours. The other flags prevent requests for
	// updates and accounts.
	args := []string{
		"--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad", "--disable-dev-shm-usage",
		"--enable-logging=stderr", // the page's console
		"--user-data-dir=" + v.t.TempDir(), v.url,
	}
	if os.Geteuid() == 0 {
		args = append([]string{"--no-sandbox"}, args...)
	}
	var said bytes.Buffer
	cmd := exec.Command(v.browser, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that its helpers can be ended with it
	require.NoError(v.t, cmd.Start())
	v.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if v.t.Failed() {
			v.t.Logf("the browser said:\n%s", &said)
		}
	})
}

// around adds the reporter to the page, receives its reports, and counts requests.
func (v *visitor) around(site http.Handler, done <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", site)
	mux.HandleFunc("POST /ofrep/v1/evaluate/flags", func(w http.ResponseWriter, r *http.Request) {
		v.fetches.Add(1)
		site.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		page := httptest.NewRecorder()
		site.ServeHTTP(page, r)
		w.Header().Set("Content-Type", page.Header().Get("Content-Type"))
		_, _ = io.WriteString(w, v.edit.Load().Replace(page.Body.String())+reporter)
	})
	mux.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		var shown report
		if err := json.NewDecoder(r.Body).Decode(&shown); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case v.shown <- shown:
			_, _ = io.WriteString(w, v.plan.Load().(string))
		case <-r.Context().Done():
		case <-done:
		}
	})
	return mux
}

// next returns the page's next report.
func (v *visitor) next() report {
	v.t.Helper()
	select {
	case shown := <-v.shown:
		return shown
	case <-time.After(time.Minute):
		v.t.Fatal("no page reports")
		panic("unreachable")
	}
}

// until waits until the page shows a text.
func (v *visitor) until(text string) report {
	v.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		shown := v.next()
		if shown.Text == text {
			return shown
		}
		if time.Now().After(end) {
			require.Equal(v.t, text, shown.Text, "after half a minute")
		}
	}
}

func write(t *testing.T, file, document string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, []byte(document), 0o600))
}

// findBrowser skips the test if something is missing, but fails it in CI.
func findBrowser(t *testing.T) string {
	t.Helper()
	missing := func(what string) {
		t.Helper()
		message := what + ": run ./setup in examples/ofrep, which gets what is needed on Debian"
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	if _, err := os.Stat(modules); err != nil {
		missing("the page's npm packages are not installed")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing("there is no Chromium")
	return ""
}
