package har

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// serve lets a request of each kind fail, and returns the files of their bundles.
func serve(t *testing.T, requests ...*http.Request) []string {
	t.Helper()
	folder := t.TempDir()
	store, err := capture.NewDir(folder, nil)
	require.NoError(t, err)
	obs, err := observe.New(&observe.Options{
		Log: slog.DiscardHandler, Captures: store,
		Capture: observe.CaptureOptions{Redact: &capture.Redaction{Key: []byte("a key that only this test has")}},
	})
	require.NoError(t, err)
	defer obs.Close()
	others := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "seen=yes; Path=/")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"price": 499}`)
	}))
	defer others.Close()
	client := &http.Client{Transport: obs.Transport(&http.Transport{DisableKeepAlives: true})}
	mux := http.NewServeMux()
	mux.HandleFunc("/carts/{cart}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for _, url := range []string{others.URL + "/prices/tea", "http://127.0.0.1:1/"} {
			req, _ := http.NewRequestWithContext(r.Context(), http.MethodPost, url, strings.NewReader("name=ann"))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if resp, err := client.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<h1>no price for ann</h1>")
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("for ann") })
	mux.HandleFunc("/image", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte{0x89, 'P', 'N', 'G'})
	})
	for _, r := range requests {
		obs.Handler(observe.Route(mux)).ServeHTTP(httptest.NewRecorder(), r)
	}
	require.NoError(t, obs.Close())
	files, err := filepath.Glob(filepath.Join(folder, "*.har"))
	require.NoError(t, err)
	require.Len(t, files, len(requests))
	return files
}

func requests() []*http.Request {
	post := httptest.NewRequest("POST", "https://shop.example/carts/7?for=ann&for=bob", strings.NewReader(`{"mail":"ann@shop.example"}`))
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("Cookie", "session=abc; theme=dark")
	upload := httptest.NewRequest("POST", "http://shop.example/carts/8", strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"ann.png\"\r\n\r\nann\r\n--b--\r\n"))
	upload.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	return []*http.Request{
		httptest.NewRequest("GET", "http://shop.example/carts/7?for=ann", nil), post, upload,
		httptest.NewRequest("GET", "/panic", nil), httptest.NewRequest("GET", "/image", nil),
	}
}

func TestBundlesAreValidBySchema(t *testing.T) {
	t.Parallel()
	node := needs(t, "node")
	files := serve(t, requests()...)
	for _, file := range files {
		out, err := exec.CommandContext(t.Context(), node, "web/validate.mjs", file).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	// The counter-check: another JSON file is not valid.
	data, err := os.ReadFile(files[0])
	require.NoError(t, err)
	broken := filepath.Join(t.TempDir(), "broken.har")
	require.NoError(t, os.WriteFile(broken, []byte(strings.ReplaceAll(string(data), `"headers": [`, `"header": [`)), 0o600))
	out, err := exec.CommandContext(t.Context(), node, "web/validate.mjs", broken).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "should have required property 'headers'")
}

// TestABrowserOpensBundles lets Chromium answer from a bundle. Recorded requests get the recorded
// responses, and all others fail.
func TestABrowserOpensBundles(t *testing.T) {
	t.Parallel()
	node, browser := needs(t, "node"), needs(t, "chromium", "chromium-browser", "google-chrome")
	for _, file := range serve(t, requests()[:2]...) {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		b, err := capture.Parse(file, data)
		require.NoError(t, err)
		type request struct {
			Method  string            `json:"method"`
			URL     string            `json:"url"`
			Headers map[string]string `json:"headers,omitempty"`
			Body    string            `json:"body,omitempty"`
		}
		in, out := b.Log.Entries[0], b.Log.Entries[1]
		var asked []request
		for _, q := range []har.Request{in.Request, out.Request} {
			r := request{Method: q.Method, URL: q.URL}
			if q.PostData != nil {
				r.Headers, r.Body = map[string]string{"Content-Type": q.PostData.MimeType}, q.PostData.Text
			}
			asked = append(asked, r)
		}
		asked = append(asked, request{Method: "GET", URL: "http://nowhere.example/"})
		list, err := json.Marshal(asked)
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), node, "web/open.mjs", browser, file, string(list))
		var said strings.Builder
		cmd.Stderr = &said
		result, err := cmd.Output()
		require.NoError(t, err, "%s", &said)
		var answers []struct {
			Status int
			Type   string
			Body   string
		}
		require.NoError(t, json.Unmarshal(result, &answers), "%s", result)
		require.Len(t, answers, 3)
		for i, e := range []capture.Entry{in, out} {
			require.Equal(t, fmt.Sprint(e.Response.Status, e.Response.Content.Text), fmt.Sprint(answers[i].Status, answers[i].Body))
			require.Equal(t, e.Response.Content.MimeType, answers[i].Type)
		}
		require.Contains(t, answers[0].Body, "<", "its shape is that of HTML")
		require.NotContains(t, answers[0].Body, "ann")
		require.Zero(t, answers[2].Status)
	}
}

// needs finds a program. It skips the test if the program is missing, except in CI.
func needs(t *testing.T, names ...string) string {
	t.Helper()
	missing := func(what string) {
		t.Helper()
		message := what + ": run ./setup in internal/interop/har, which gets what is needed on Debian"
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	if _, err := os.Stat(filepath.Join("web", "node_modules", ".package-lock.json")); err != nil {
		missing("the npm packages are not installed")
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing("there is no " + names[0])
	return ""
}
