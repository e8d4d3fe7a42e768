package version_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run with -update to write it")
	require.Equal(t, string(want), got)
}

// ask sends one request; headers are name, value, name, value.
func ask(h http.Handler, method string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/version", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// at shows everybody the level.
func at(level version.Level) *version.HandlerOptions {
	return &version.HandlerOptions{Detail: func(*http.Request) version.Level { return level }}
}

func TestHandlerIsMinimalByDefault(t *testing.T) {
	t.Parallel()
	w := ask(version.Handler(shop(), nil), "GET")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))
	require.Equal(t, "Accept", w.Header().Get("Vary"))
	require.JSONEq(t, `{"name":"shop","version":"v1.4.2","revision":"`+revisionA+`","time":"2026-11-20T11:20:00Z"}`, w.Body.String())

	w = ask(version.Handler(version.Info{}, nil), "GET")
	require.JSONEq(t, `{"name":null,"version":null,"revision":null,"time":null}`, w.Body.String())

	for _, level := range []version.Level{-1, version.LevelFull + 1, 99} {
		require.NotContains(t, ask(version.Handler(shop(), at(level)), "GET").Body.String(), "go1.26.8", level)
	}
}

func TestHandlerGolden(t *testing.T) {
	t.Parallel()
	for level, name := range map[version.Level]string{
		version.LevelMinimal: "minimal", version.LevelStandard: "standard", version.LevelFull: "full",
	} {
		h := version.Handler(shop(), at(level))
		golden(t, name+".json", ask(h, "GET").Body.String())
		golden(t, name+".txt", ask(h, "GET", "Accept", "text/plain").Body.String())
	}
	w := ask(version.Handler(shop(), at(version.LevelFull)), "GET", "Accept", "text/x-go-buildinfo")
	require.Equal(t, "text/x-go-buildinfo; charset=utf-8", w.Header().Get("Content-Type"))
	golden(t, "full.buildinfo", w.Body.String())
}

// Fleet tools rely on this: debug.ParseBuildInfo reads the program's build info, without
// the settings that the allow-list leaves out.
func TestHandlerBuildInfoIsReadByTheStandardLibrary(t *testing.T) {
	t.Parallel()
	body := ask(version.Handler(shop(), at(version.LevelFull)), "GET", "Accept", "text/x-go-buildinfo").Body.String()
	got, err := debug.ParseBuildInfo(body)
	require.NoError(t, err)
	want := shopBuild()
	require.Equal(t, want.Path, got.Path)
	require.Equal(t, want.Main, got.Main)
	require.ElementsMatch(t, want.Deps, got.Deps)
	require.Equal(t, shop().BuildInfo().Settings, got.Settings)
	require.Contains(t, body, "go\tgo1.26.8\n")

	parsed, err := version.Parse("shop", []byte(body))
	require.NoError(t, err)
	require.True(t, version.Diff(shop(), parsed).Empty())
}

func TestHandlerNeverTellsSecretsOfTheBuild(t *testing.T) {
	t.Parallel()
	h := version.Handler(shop(), at(version.LevelFull))
	for _, accept := range []string{"application/json", "text/plain", "text/x-go-buildinfo"} {
		body := ask(h, "GET", "Accept", accept).Body.String()
		require.NotContains(t, body, secret)
		require.NotContains(t, body, "ldflags")
		require.NotContains(t, body, "gcflags")
		require.NotContains(t, body, "CGO_LDFLAGS")
	}
}

func TestHandlerNegotiation(t *testing.T) {
	t.Parallel()
	const (
		asJSON  = "application/json"
		asText  = "text/plain; charset=utf-8"
		asBuild = "text/x-go-buildinfo; charset=utf-8"
		none    = "application/problem+json"
	)
	for accept, want := range map[string]string{
		"":                                      asJSON,
		"*/*":                                   asJSON,
		"application/*":                         asJSON,
		"text/*":                                asText,
		"text/plain":                            asText,
		"TEXT/Plain ;q=1":                       asText,
		"application/json, text/plain":          asJSON,
		"text/plain, application/json":          asText,
		"text/plain;q=0.5, application/json":    asJSON,
		"text/plain, */*":                       asText,
		"text/plain;q=0.4, */*;q=0.5":           asJSON,
		"application/json;q=0, */*":             asText,
		"text/x-go-buildinfo":                   asBuild,
		"text/x-go-buildinfo, application/json": asBuild,
		"text/html,application/xml;q=0.9,*/*;q=.8": asJSON,
		"text/html":                   none,
		"application/json;q=0":        none,
		"application/json;q=nonsense": none,
		"application/json;q=NaN":      none,
		"\x00\xff;;;,,,q=":            none,
	} {
		w := ask(version.Handler(shop(), at(version.LevelFull)), "GET", "Accept", accept)
		require.Equal(t, want, w.Header().Get("Content-Type"), accept)
		require.Equal(t, "Accept", w.Header().Get("Vary"))
		if want == none {
			require.Equal(t, http.StatusNotAcceptable, w.Code)
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		}
	}
	h := version.Handler(shop(), nil)
	require.Equal(t, http.StatusNotAcceptable, ask(h, "GET", "Accept", "text/x-go-buildinfo").Code, "not at this level")
	require.Equal(t, asJSON, ask(h, "GET", "Accept", "text/x-go-buildinfo, application/json;q=0.1").Header().Get("Content-Type"))
	require.Equal(t, asText, ask(h, "GET", "Accept", "text/html", "Accept", "text/plain").Header().Get("Content-Type"))
}

func TestHandlerETag(t *testing.T) {
	t.Parallel()
	h := version.Handler(shop(), at(version.LevelFull))
	first := ask(h, "GET")
	etag := first.Header().Get("ETag")
	require.Regexp(t, `^"[0-9a-f]{32}"$`, etag)
	require.NotEqual(t, etag, ask(h, "GET", "Accept", "text/plain").Header().Get("ETag"), "another body")

	for _, match := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
		w := ask(h, "GET", "If-None-Match", match)
		require.Equal(t, http.StatusNotModified, w.Code, match)
		require.Empty(t, w.Body.String())
		require.Empty(t, w.Header().Get("Content-Length"))
		require.Equal(t, etag, w.Header().Get("ETag"))
		require.Equal(t, "private, no-cache", w.Header().Get("Cache-Control"))
		require.Equal(t, "Accept", w.Header().Get("Vary"))
	}
	for _, other := range []string{`"x"`, "", strings.Trim(etag, `"`), "W/"} {
		require.Equal(t, http.StatusOK, ask(h, "GET", "If-None-Match", other).Code, other)
	}
	require.Equal(t, http.StatusNotModified, ask(h, "HEAD", "If-None-Match", etag).Code)
}

func TestHandlerMethods(t *testing.T) {
	t.Parallel()
	h := version.Handler(shop(), nil)
	get, head := ask(h, "GET"), ask(h, "HEAD")
	require.Empty(t, head.Body.String())
	require.Equal(t, get.Header(), head.Header())
	require.NotEmpty(t, head.Header().Get("Content-Length"))
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"} {
		w := ask(h, method)
		require.Equal(t, http.StatusMethodNotAllowed, w.Code)
		require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.JSONEq(t, `{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"version answers GET and HEAD"}`, w.Body.String())
	}
}

func TestHandlerOverARealConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(version.Handler(shop(), at(version.LevelFull)))
	defer server.Close()
	client := server.Client()
	defer client.CloseIdleConnections()
	for _, method := range []string{"GET", "HEAD"} {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL, nil)
		require.NoError(t, err)
		response, err := client.Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Positive(t, response.ContentLength)
	}
}

func TestHandlerSections(t *testing.T) {
	t.Parallel()
	var flags atomic.Value
	flags.Store("r1")
	h := version.Handler(shop(), &version.HandlerOptions{Sections: map[string]func() string{
		"windows": func() string { return "w1" },
		"flags":   func() string { return flags.Load().(string) },
		"none":    nil,
		"broken":  func() string { panic("no document yet") },
		"hostile": func() string { return "a\r\n\x1b[31m<b>" + strings.Repeat("x", 5000) },
	}})
	read := func() (map[string]*string, *httptest.ResponseRecorder) {
		w := ask(h, "GET")
		var body struct{ Sections map[string]*string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
		return body.Sections, w
	}
	sections, first := read()
	require.Equal(t, "r1", *sections["flags"])
	require.Equal(t, "w1", *sections["windows"])
	require.Contains(t, sections, "broken")
	require.Nil(t, sections["broken"], "unknown, and the rest is told all the same")
	require.NotContains(t, sections, "none")
	require.True(t, strings.HasPrefix(*sections["hostile"], "a\uFFFD\uFFFD\uFFFD[31m<b>xxx"))
	require.LessOrEqual(t, len(*sections["hostile"]), 4096)

	_, second := read()
	require.Equal(t, first.Body.String(), second.Body.String())
	text := ask(h, "GET", "Accept", "text/plain")
	require.Contains(t, text.Body.String(), "\nsection broken: unknown\nsection flags: r1\n")

	flags.Store("r2")
	sections, third := read()
	require.Equal(t, "r2", *sections["flags"])
	require.Equal(t, "w1", *sections["windows"])
	require.NotEqual(t, first.Header().Get("ETag"), third.Header().Get("ETag"))
	require.Equal(t, http.StatusOK, ask(h, "GET", "If-None-Match", first.Header().Get("ETag")).Code)
	require.NotEqual(t, text.Header().Get("ETag"), ask(h, "GET", "Accept", "text/plain").Header().Get("ETag"))
}

func TestHandlerConcurrently(t *testing.T) {
	t.Parallel()
	var count atomic.Int64
	h := version.Handler(shop(), &version.HandlerOptions{Sections: map[string]func() string{
		"odd": func() string { return []string{"a", "b"}[count.Add(1)%2] },
	}})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				w := ask(h, "GET")
				w.Header()["Vary"][0] = "spoilt" // middleware may change the headers of its own response
				if !strings.Contains(w.Body.String(), `"odd": "`) {
					t.Errorf("an answer without its section: %s", w.Body)
				}
			}
		})
	}
	group.Wait()
	require.Equal(t, "Accept", ask(h, "GET").Header().Get("Vary"))
}

func TestHandlerKeepsVaryOfOthers(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	w.Header().Set("Vary", "Origin")
	version.Handler(shop(), nil).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	require.Equal(t, []string{"Origin", "Accept"}, w.Header().Values("Vary"))
}

func TestHandlerKeepsNothingOfItsArgument(t *testing.T) {
	t.Parallel()
	info := shop()
	h := version.Handler(info, at(version.LevelFull))
	info.Deps[0].Path, info.Settings["-tags"] = "spoilt", "spoilt"
	require.NotContains(t, ask(h, "GET").Body.String(), "spoilt")
}
