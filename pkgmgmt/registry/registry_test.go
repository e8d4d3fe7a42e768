package registry_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		store registry.Store
		opts  *registry.Options
		want  string
	}{
		"nil options":       {registry.Dir("x"), nil, "Options.Private: at least one prefix is required"},
		"no store":          {nil, &registry.Options{Private: []string{"corp.example"}}, "the store is nil"},
		"no module path":    {registry.Dir("x"), &registry.Options{Private: []string{"corp.example/"}}, `Options.Private: malformed module path "corp.example/": trailing slash`},
		"a pattern":         {registry.Dir("x"), &registry.Options{Private: []string{"*.example"}}, `Options.Private: malformed module path "*.example"`},
		"a negative bound":  {registry.Dir("x"), &registry.Options{Private: []string{"corp.example"}, MaxZip: -1}, "must not be negative"},
		"all that is wrong": {nil, nil, "the store is nil\nOptions.Private: at least one prefix is required"},
	} {
		_, err := registry.New(c.store, c.opts)
		require.ErrorContains(t, err, c.want, name)
	}
}

// served returns a registry with some versions.
func served(t testing.TB, change ...func(*registry.Options)) *registry.Registry {
	t.Helper()
	reg := fresh(t, change...)
	for _, at := range []string{"corp.example/lib@v1.0.0", "corp.example/lib@v1.1.0", "corp.example/lib/v2@v2.0.0-rc.1", "corp.example/lib/deep/er@v0.1.0"} {
		put(t, reg, http.StatusCreated, at, lib(t, at, at))
	}
	return reg
}

func TestRead(t *testing.T) {
	t.Parallel()
	reg := served(t)
	for path, want := range map[string]struct{ contentType, cache, body string }{
		"/corp.example/lib/@v/list":             {"text/plain; charset=utf-8", "no-cache", "v1.0.0\nv1.1.0\n"},
		"/corp.example/lib/v2/@v/list":          {"text/plain; charset=utf-8", "no-cache", "v2.0.0-rc.1\n"},
		"/corp.example/lib/@v/v1.0.0.mod":       {"text/plain; charset=utf-8", "private, max-age=31536000, immutable", "module corp.example/lib\n\ngo 1.24\n"},
		"/corp.example/lib/@v/v1.0.0.info":      {"application/json", "private, max-age=31536000, immutable", `{"Version":"v1.0.0","Time":"`},
		"/corp.example/lib/@latest":             {"application/json", "no-cache", `{"Version":"v1.1.0","Time":"`},
		"/corp.example/lib/v2/@latest":          {"application/json", "no-cache", `{"Version":"v2.0.0-rc.1","Time":"`},
		"/corp.example/lib/deep/er/@v/list":     {"text/plain; charset=utf-8", "no-cache", "v0.1.0\n"},
		"/corp.example/lib/@v/v1.0.0.zip":       {"application/zip", "private, max-age=31536000, immutable", "PK"},
		"/corp.example/%6cib/@v/%76%31.0.0.mod": {"text/plain; charset=utf-8", "private, max-age=31536000, immutable", "module corp.example/lib\n\ngo 1.24\n"},
	} {
		w := get(reg, path)
		require.Equal(t, http.StatusOK, w.Code, path)
		require.Equal(t, want.contentType, w.Header().Get("Content-Type"), path)
		require.Equal(t, want.cache, w.Header().Get("Cache-Control"), path)
		require.True(t, strings.HasPrefix(w.Body.String(), want.body), "%s: %s", path, w.Body)
		tag := w.Header().Get("ETag")
		require.Greater(t, len(tag), 20)
		body := w.Body.String()

		w = ask(reg, http.MethodHead, path, nil)
		require.Equal(t, http.StatusOK, w.Code, path)
		require.Empty(t, w.Body.String())
		require.Equal(t, tag, w.Header().Get("ETag"))

		w = get(reg, path, "If-None-Match", tag)
		require.Equal(t, http.StatusNotModified, w.Code, path)
		require.Empty(t, w.Body.String())

		w = get(reg, path, "Range", "bytes=1-3", "If-Range", tag)
		require.Equal(t, http.StatusPartialContent, w.Code, path)
		require.Equal(t, body[1:4], w.Body.String())
		w = get(reg, path, "Range", "bytes=1-3", "If-Range", `"another"`)
		require.Equal(t, http.StatusOK, w.Code, path)
		w = get(reg, path, "Range", "bytes=10000000-")
		require.Equal(t, http.StatusRequestedRangeNotSatisfiable, w.Code, path)
	}
}

func TestSharedCachesMayKeepWhatAllMayRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, open(t, registry.Dir(dir), quiet()), http.StatusCreated, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "x"))
	reg := open(t, registry.Dir(dir), &registry.Options{Private: []string{"corp.example"}, Logger: slog.New(slog.DiscardHandler)})
	require.Equal(t, "public, max-age=31536000, immutable", get(reg, "/corp.example/lib/@v/v1.0.0.mod").Header().Get("Cache-Control"))
}

func TestNothingThere(t *testing.T) {
	t.Parallel()
	reg := served(t)
	for _, path := range []string{
		"/", "", "/x", "/@v/list", "//@v/list", "/corp.example/@v/list", "/corp.example/@latest", "/corp.example/lib/deep/@v/list", "/corp.example/lib/deep/@latest",
		"/corp.example/lib", "/corp.example/lib/", "/corp.example/lib/@v", "/corp.example/lib/@v/", "/corp.example/lib/@v/list/", "/corp.example/lib/@v/list.info", "/corp.example/lib/@latest/x",
		"/corp.example/lib/@v/v1.0.0", "/corp.example/lib/@v/v1.0.0.record", "/corp.example/lib/@v/v1.0.0.blocked", "/corp.example/lib/@v/channels", "/corp.example/lib/@v/pseudo", "/corp.example/lib/@v/.lock",
		"/corp.example/lib/@v/v1.0.1.info", "/corp.example/lib/@v/v1.0.1.mod", "/corp.example/lib/@v/v1.0.1.zip", "/corp.example/lib/@v/v1.info", "/corp.example/lib/@v/v1.0.info", "/corp.example/lib/@v/1.0.0.info",
		"/corp.example/lib/@v/v2.0.0.info", "/corp.example/lib/@v/V1.0.0.info", "/corp.example/lib/@v/v1.0.0+meta.info", "/corp.example/lib/@v/v2.0.0+incompatible.info", "/corp.example/lib/@v/master.info", "/corp.example/lib/@v/.info",
		"/corp.example/Lib/@v/list", "/corp.example/!lib/@v/list", "/corp.example/!/@v/list", "/corp.example/../corp.example/lib/@v/list", "/corp.example/./lib/@v/list", "/corp.example/lib/@v/../@v/list",
		"/corp.example/lib/@v/%2e%2e/list", "/corp.example%2f..%2f..%2fetc/@v/list", "/corp.example/lib/@v/v1.0.0%00.info", "/corp.example\\lib/@v/list", "/.tmp/@v/list", "/corp.example/.tmp/@v/list",
		"/other.example/lib/@v/list", "/corp.example.org/lib/@v/list", "/corpxexample/@v/list", "/sumdb/sum.example/supported", "/corp.example/lib/@sumdb/x", "/corp.example/lib/@x",
		"/corp.example/" + strings.Repeat("x", 300) + "/@v/list", "/corp.example/" + strings.Repeat("x/", 600) + "x/@v/list", "/corp.example/lib/@v/v1.0.0-" + strings.Repeat("x", 300) + ".info",
		"/corp.example/con/@v/list", "/corp.example/lib~1/@v/list", "/corp.example/lib/v1/@v/list", "/corp.example/lib/v02/@v/list",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			w := askPath(reg, method, path)
			require.Equal(t, http.StatusNotFound, w.Code, "%s: %s", path, w.Body)
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"), "the go command prints nothing else")
		}
	}
	w := get(reg, "/corp.example/lib/@v/v1.9.9.info", "Accept", "application/json")
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.JSONEq(t, `{"type":"about:blank","title":"Not Found","status":404,"detail":"this path does not exist","rule":"not-found"}`, get(reg, "/x", "Accept", "application/json").Body.String())
}

func TestMethods(t *testing.T) {
	t.Parallel()
	reg := served(t)
	for path, allow := range map[string]string{
		"/corp.example/lib/@v/list":         "GET, HEAD",
		"/corp.example/lib/@latest":         "GET, HEAD",
		"/corp.example/lib/@v/v1.0.0.info":  "GET, HEAD",
		"/corp.example/lib/@v/stable.info":  "GET, HEAD",
		"/corp.example/lib/@v/v1.0.0.zip":   "GET, HEAD, PUT",
		"/corp.example/lib/@channels":       "GET, HEAD",
		"/corp.example/lib/@record/v1.0.0":  "GET, HEAD",
		"/corp.example/lib/@channel/stable": "PUT, DELETE",
		"/corp.example/lib/@yank/v1.0.0":    "PUT, DELETE",
		"/corp.example/lib/@block/v1.0.0":   "PUT, DELETE",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete, "PROPFIND"} {
			w := ask(reg, method, path+"?reason=x&version=v1.0.0", strings.NewReader("x"))
			if strings.Contains(allow, method) {
				require.NotEqual(t, http.StatusMethodNotAllowed, w.Code, "%s %s", method, path)
				continue
			}
			require.Equal(t, http.StatusMethodNotAllowed, w.Code, "%s %s: %s", method, path, w.Body)
			require.Equal(t, allow, w.Header().Get("Allow"))
		}
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	reg := served(t)
	get(reg, "/corp.example/lib/@v/list")
	get(reg, "/corp.example/nothing/@v/list")
	put(t, reg, http.StatusOK, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "corp.example/lib@v1.0.0"))
	put(t, reg, http.StatusConflict, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "other"))
	put(t, reg, http.StatusUnprocessableEntity, "corp.example/lib@v1.0.0", []byte("no zip"))
	stats := reg.Stats()
	for name, want := range map[string]float64{
		"requests": 9, "missing": 1, "published": 4, "identical": 1, "conflicts": 1, "refused": 1, "failed": 0, "denied": 0, "uploads": 0,
		"gate_refused": 0, "gate_unknown": 0, "overridden": 0,
	} {
		require.Equal(t, want, stats[name], name)
	}
	require.Positive(t, stats["bytes_sent"])
	require.Positive(t, stats["bytes_received"])
	require.Len(t, stats, 15)
}

// TestAccessLog: one record for each request, which only has valid names of the request.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	reg := served(t, func(o *registry.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "took" {
				return slog.Attr{}
			}
			return a
		}}))
		o.Authorize = func(*http.Request, registry.Action) (who string, err error) {
			return "ada\nlevel=ERROR", nil
		}
	})
	log.Reset()
	get(reg, "/corp.example/lib/@v/v1.0.0.mod")
	askPath(reg, "EVIL", "/corp.example/lib/@v/v1.0.0.mod")
	askPath(reg, http.MethodGet, "/corp.example/\nlib/@v/secret.mod")
	ask(reg, http.MethodPut, "/corp.example/lib/@yank/v1.9.0?reason=x", nil)
	require.Equal(t, `level=INFO msg=registry method=GET status=200 bytes=33 op=read module=corp.example/lib version=v1.0.0 user=ada
level=INFO msg=registry method=_OTHER status=405 bytes=129 module=corp.example/lib version=v1.0.0 rule=not-found
level=INFO msg=registry method=GET status=404 bytes=112 rule=not-found
level=INFO msg=registry method=PUT status=404 bytes=134 op=yank module=corp.example/lib version=v1.9.0 user=ada rule=not-found
`, log.String())
}
