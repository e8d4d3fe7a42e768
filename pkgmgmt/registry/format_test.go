package registry_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// stored returns a copy of the folder testdata/store, which the first release of this package
// wrote. Every later release must read it, so it is never regenerated.
//
// It holds: releases, a prerelease, pseudo-versions, a yanked version, a blocked one, one
// that was unyanked and one that was unblocked, an override of the gate, channels, and a
// module with upper-case letters. In corp.example/half four publishers died: v1.1.0 and
// v1.3.0 lack .info, v1.2.0 lacks the zip, and the record of v1.4.0 only has the intention.
func stored(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "store"))))
	return dir
}

// TestStoreFormat serves a folder of the first release and compares the answers with those
// of that release.
func TestStoreFormat(t *testing.T) {
	t.Parallel()
	reg := open(t, registry.Dir(stored(t)), quiet())
	var got strings.Builder
	ends := []string{"@latest", "@channels", "@v/list", "@v/stable.info", "@v/lts.info", "@v/edge.info", "@v/none-such.info"}
	for _, version := range []string{
		"v0.0.0-20250102030405-abcdefabcdef", "v1.0.0", "v1.0.1-rc.1", "v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0", "v1.5.0",
		"v1.5.1-0.20260102030405-abcdefabcdef", "v1.10.0", "v1.11.0",
	} {
		ends = append(ends, "@v/"+version+".info", "@v/"+version+".mod", "@v/"+version+".zip", "@record/"+version)
	}
	var paths []string
	for _, end := range ends {
		paths = append(paths, "/corp.example/lib/"+end)
	}
	const upper = "/corp.example/!upper/v2/"
	paths = append(paths,
		upper+"@latest", upper+"@v/list", upper+"@v/v2.0.0-!r!c.1.info", upper+"@v/v2.0.0-!r!c.1.mod", upper+"@v/v2.0.0-!r!c.1.zip", upper+"@record/v2.0.0-!r!c.1",
		"/corp.example/pseudo/@latest", "/corp.example/pseudo/@v/list",
		"/corp.example/half/@latest", "/corp.example/half/@v/list", "/corp.example/half/@v/v1.1.0.info", "/corp.example/half/@v/v1.2.0.zip",
		"/corp.example/half/@v/v1.4.0.zip", "/corp.example/half/@record/v1.4.0", "/corp.example/none/@v/list",
	)
	for _, path := range paths {
		w := get(reg, path, "Accept", "application/json")
		body := strings.TrimSpace(w.Body.String())
		if strings.HasSuffix(path, ".zip") && w.Code == http.StatusOK {
			body = fmt.Sprintf("%d bytes, SHA-256 %x", w.Body.Len(), sha256.Sum256(w.Body.Bytes()))
		}
		if w.Code >= 400 {
			var problem struct{ Rule, Detail string }
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &problem), path)
			body = problem.Rule + ": " + problem.Detail
		}
		h := w.Header()
		fmt.Fprintf(&got, "GET %s\n%d %s %s %s\n%s\n\n", path, w.Code, h.Get("Content-Type"), h.Get("Cache-Control"), h.Get("Etag"), body)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "store.txt"))
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
}

// TestStoreFormatIsWrittenOn changes a folder of the first release: published versions stay,
// unfinished ones can be completed, and yanks, blocks and channels can be changed.
func TestStoreFormatIsWrittenOn(t *testing.T) {
	t.Parallel()
	dir := stored(t)
	reg := open(t, registry.Dir(dir), quiet())
	body := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join("testdata", "store", "corp.example", name))
		require.NoError(t, err)
		return data
	}
	put(t, reg, http.StatusOK, "corp.example/lib@v1.0.0", body("lib/@v/v1.0.0.zip"))
	put(t, reg, http.StatusConflict, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "other"))
	put(t, reg, http.StatusForbidden, "corp.example/lib@v1.2.0", body("lib/@v/v1.2.0.zip"))
	for _, version := range []string{"v1.1.0", "v1.3.0", "v1.4.0"} {
		put(t, reg, http.StatusOK, "corp.example/half@"+version, body("half/@v/"+version+".zip"))
		require.Contains(t, get(reg, "/corp.example/half/@v/"+version+".info").Body.String(), `{"Version":"`+version+`","Time":"2026-11-28T19:28:27Z"}`)
	}
	put(t, reg, http.StatusCreated, "corp.example/half@v1.2.0", lib(t, "corp.example/half@v1.2.0", "other"))
	require.Equal(t, "v1.0.0\nv1.1.0\nv1.2.0\nv1.3.0\nv1.4.0\n", get(reg, "/corp.example/half/@v/list").Body.String())

	const at = "/corp.example/lib/"
	for _, change := range []string{"DELETE @yank/v1.1.0", "DELETE @block/v1.2.0", "PUT @block/v1.5.0", "PUT @channel/edge?version=v1.10.0&", "DELETE @channel/lts"} {
		method, path, _ := strings.Cut(change, " ")
		if !strings.HasSuffix(path, "&") {
			path += "?"
		}
		require.Equal(t, http.StatusOK, ask(reg, method, at+path+"reason=later", nil).Code, change)
	}
	require.Equal(t, "v1.0.0\nv1.0.1-rc.1\nv1.1.0\nv1.2.0\nv1.3.0\nv1.4.0\nv1.10.0\n", get(reg, at+"@v/list").Body.String())
	require.Equal(t, http.StatusOK, get(reg, at+"@v/v1.2.0.zip").Code)
	require.Contains(t, get(reg, at+"@v/stable.info").Body.String(), "v1.5.0 is blocked: later")
	require.Contains(t, get(reg, at+"@v/edge.info").Body.String(), `"Version":"v1.10.0"`)
	require.Equal(t, http.StatusNotFound, get(reg, at+"@v/lts.info").Code)
	channels := get(reg, at+"@channels").Body.String()
	require.Contains(t, channels, "nobody tried it", "the history is continued")
	require.Contains(t, channels, "until 2028")
	record := get(reg, at+"@record/v1.3.0").Body.String()
	require.Contains(t, record, `"reason":"agreed with all users"`)
	require.Contains(t, record, "Other: changed")
}
