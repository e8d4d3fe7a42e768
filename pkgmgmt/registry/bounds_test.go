package registry_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

func TestTheFolderIsNotBegunAnew(t *testing.T) {
	root := filepath.Join(t.TempDir(), "mnt")
	reg := open(t, registry.Dir(root), quiet())
	put(t, reg, 201, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "a"))
	require.NoError(t, os.Rename(root, root+".gone"))
	require.Equal(t, 500, get(reg, "/corp.example/lib/@v/v1.0.0.zip").Code)
	w := ask(reg, http.MethodPut, "/corp.example/lib/@yank/v1.0.0?reason=x", nil)
	require.Equal(t, 500, w.Code)
	w = get(reg, "/corp.example/lib/@v/v1.0.0.zip")
	require.Equal(t, 500, w.Code)
	w = ask(reg, http.MethodPut, "/corp.example/lib/@v/v1.0.0.zip", bytes.NewReader(lib(t, "corp.example/lib@v1.0.0", "OTHER")))
	require.Equal(t, 500, w.Code)
}

func TestManyGrounds(t *testing.T) {
	reg := fresh(t, func(o *registry.Options) {
		o.Gate = func(context.Context, *registry.Release) (registry.Judgement, error) {
			d := make([]string, 300_000)
			for i := range d {
				d[i] = fmt.Sprintf("./v%d/some/pkg.SomeExportedIdentifier%d.Method: removed", i, i)
			}
			return registry.Judgement{Verdict: registry.VerdictRefuse, Reason: "r", Details: d}, nil
		}
	})
	s := httptest.NewServer(reg)
	t.Cleanup(s.Close)
	c := &registry.Client{URL: s.URL, HTTP: s.Client()}
	dir := t.TempDir()
	os.WriteFile(dir+"/go.mod", []byte("module corp.example/lib\n"), 0o600)
	_, err := c.Publish(t.Context(), dir, "v1.0.0", nil)
	var r *registry.Refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, "gate", r.Rule)
	_, err = c.Publish(t.Context(), dir, "v1.0.0", &registry.PublishOptions{Override: "we know"})
	require.NoError(t, err)
	require.NoError(t, err)
	_, err = c.Publish(t.Context(), dir, "v1.0.0", &registry.PublishOptions{Override: "we know"})
	require.NoError(t, err)
	require.Equal(t, 200, get(reg, "/corp.example/lib/@v/v1.0.0.zip").Code)
}

// A channel that is set automatically can get a history that is too large to read. Then the
// oldest moves are dropped, so that a rollback still works.
func TestAFullHistoryCanStillBeMoved(t *testing.T) {
	root := t.TempDir()
	reg := open(t, registry.Dir(root), quiet())
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "a"))
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.1", lib(t, "corp.example/lib@v1.0.1", "a"))
	moves := make([]registry.Movement, 29483)
	for i := range moves {
		moves[i] = registry.Movement{Version: []string{"v1.0.0", "v1.0.1"}[i%2], Reason: strings.Repeat("x", 480)}
	}
	data, err := json.MarshalIndent(map[string]registry.Channel{"stable": {Version: "v1.0.1", Moves: moves}}, "", "\t")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "corp.example/lib/@v/channels"), data, 0o600))
	for i := range 20 {
		w := ask(reg, http.MethodPut, "/corp.example/lib/@channel/stable?reason="+strings.Repeat("x", 480)+"&version="+[]string{"v1.0.0", "v1.0.1"}[i%2], nil)
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, http.StatusOK, get(reg, "/corp.example/lib/@v/stable.info").Code)
		var now registry.Channel
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &now))
		require.Equal(t, now.Version, now.Moves[len(now.Moves)-1].Version)
		if len(now.Moves) < len(moves) {
			require.Greater(t, len(now.Moves), len(moves)/3)
			return
		}
	}
	require.Fail(t, "the history was never shortened")
}

func TestRemovedChannelsMakeRoom(t *testing.T) {
	reg := open(t, registry.Dir(t.TempDir()), quiet())
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "a"))
	move := func(method, channel string) int {
		return ask(reg, method, "/corp.example/lib/@channel/"+channel+"?reason=x&version=v1.0.0", nil).Code
	}
	for i := range 110 {
		name := fmt.Sprintf("try-%d", i)
		require.Equal(t, http.StatusOK, move(http.MethodPut, name))
		require.Equal(t, http.StatusOK, move(http.MethodDelete, name))
	}
	for i := range 100 {
		require.Equal(t, http.StatusOK, move(http.MethodPut, fmt.Sprintf("live-%d", i)))
	}
	require.Equal(t, http.StatusUnprocessableEntity, move(http.MethodPut, "one-more"), "no channel is removed")
	require.Equal(t, http.StatusOK, move(http.MethodDelete, "live-7"))
	require.Equal(t, http.StatusOK, move(http.MethodPut, "one-more"))
}

func TestHalfBlocked(t *testing.T) {
	store := &faulty{Store: registry.Dir(t.TempDir()), err: errors.New("x")}
	reg := open(t, store, quiet())
	store.left.Store(1000)
	put(t, reg, 201, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "first"))
	store.left.Store(1)
	require.Equal(t, 500, ask(reg, http.MethodPut, "/corp.example/lib/@block/v1.0.0?reason=x", nil).Code)
	rec := get(reg, "/corp.example/lib/@record/v1.0.0").Body.String()
	require.Contains(t, rec, `"blocked":true`)
	require.Equal(t, 403, get(reg, "/corp.example/lib/@v/v1.0.0.zip").Code, "the record has blocked")
}

func TestUnyankOfWhatWasCutOff(t *testing.T) {
	store := &faulty{Store: registry.Dir(t.TempDir()), err: errors.New("x")}
	reg := open(t, store, quiet())
	store.left.Store(1000)
	put(t, reg, 201, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "first"))
	store.left.Store(3) // intent, zip, record
	put(t, reg, 500, "corp.example/lib@v1.1.0", lib(t, "corp.example/lib@v1.1.0", "first"))
	store.left.Store(1000)
	ask(reg, http.MethodDelete, "/corp.example/lib/@yank/v1.1.0?reason=x", nil)
	require.Equal(t, 200, get(reg, "/corp.example/lib/@latest").Code)
}

func TestZIP64FarFromTheEnd(t *testing.T) {
	at := "corp.example/lib@v1.0.0"
	plain := lib(t, at, "x")
	i := bytes.LastIndex(plain, []byte("PK\x05\x06"))
	end := plain[i:]
	size, off := binary.LittleEndian.Uint32(end[12:]), binary.LittleEndian.Uint32(end[16:])
	var b bytes.Buffer
	b.Write(plain[:i])
	e64 := b.Len()
	le := func(v any) { binary.Write(&b, binary.LittleEndian, v) }
	le(uint32(0x06064b50))
	le(uint64(44))
	le(uint16(45))
	le(uint16(45))
	le(uint32(0))
	le(uint32(0))
	le(uint64(2))
	le(uint64(2))
	le(uint64(size))
	le(uint64(off))
	le(uint32(0x07064b50))
	le(uint32(0))
	le(uint64(e64))
	le(uint32(1))
	mark := b.Len()
	le(uint32(0x06054b50))
	le(uint16(0))
	le(uint16(0))
	le(uint16(0xffff))
	le(uint16(0xffff))
	le(uint32(0xffffffff))
	le(uint32(0xffffffff))
	le(uint16(65535))
	for b.Len()-mark < 65577 {
		b.WriteByte('.')
	}
	reg := fresh(t)
	w := ask(reg, http.MethodPut, "/corp.example/lib/@v/v1.0.0.zip", bytes.NewReader(b.Bytes()))
	require.Equal(t, 422, w.Code, w.Body)
}

// TestQueries: an invalid query is an error and never ignored.
func TestQueries(t *testing.T) {
	reg := fresh(t)
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "a"))
	body := lib(t, "corp.example/lib@v1.1.0", "a")
	for _, request := range []string{
		"PUT @yank/v1.0.0?reason=loses;writes", "DELETE @yank/v1.0.0?reason=a;b", "PUT @block/v1.0.0?reason=x&a=%zz", "DELETE @block/v1.0.0?reason=;",
		"PUT @channel/stable?version=v1.0.0;reason=x", "PUT @channel/stable?version=v1.0.0&reason=a;b", "DELETE @channel/stable?reason=a;b",
		"PUT @v/v1.1.0.zip?override=a;b", "PUT @v/v1.1.0.zip?x=%",
	} {
		method, path, _ := strings.Cut(request, " ")
		r := httptest.NewRequest(method, "/", bytes.NewReader(body))
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut("/corp.example/lib/"+path, "?")
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, r)
		require.Equal(t, http.StatusBadRequest, w.Code, "%s: %s", request, w.Body)
		require.Contains(t, w.Body.String(), "the query cannot be read: invalid ", request)
	}
	require.Equal(t, "v1.0.0\n", get(reg, libAt+"list").Body.String())
	require.Equal(t, http.StatusOK, ask(reg, http.MethodPut, "/corp.example/lib/@yank/v1.0.0?reason=loses%3Bwrites", nil).Code)
	require.Contains(t, get(reg, "/corp.example/lib/@record/v1.0.0").Body.String(), "loses;writes")
}

// TestEscapedNames: the error for a name that is not escaped has the escaped name.
func TestEscapedNames(t *testing.T) {
	reg := fresh(t)
	for path, want := range map[string]string{
		"/corp.example/lib/@v/v1.0.0-SNAPSHOT.zip": "write v1.0.0-SNAPSHOT as v1.0.0-!s!n!a!p!s!h!o!t",
		"/corp.example/lib/@yank/v1.0.0-RC1":       "write v1.0.0-RC1 as v1.0.0-!r!c1",
		"/corp.example/Lib/@v/v1.0.0.zip":          "write corp.example/Lib as corp.example/!lib",
		"/corp.example/lib/@v/v1.0.0-!x!.zip":      "invalid",
	} {
		w := askPath(reg, http.MethodPut, path)
		require.Equal(t, http.StatusUnprocessableEntity, w.Code)
		require.Contains(t, w.Body.String(), want)
		if strings.HasSuffix(path, ".zip") {
			require.Contains(t, askPath(reg, http.MethodGet, path).Body.String(), want)
		}
	}
	// The client escapes names.
	client := serveR(t, reg)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module corp.example/Lib\n"), 0o600))
	_, err := client.Publish(t.Context(), dir, "v1.0.0-SNAPSHOT", nil)
	require.NoError(t, err)
}

// TestNamesThatCannotBeUnpacked: file names are refused if, and only if, the go command cannot
// create the files.
func TestNamesThatCannotBeUnpacked(t *testing.T) {
	reg := fresh(t)
	long := func(n int) string { return strings.Repeat("x", n) }
	for i, c := range []struct {
		name string
		code int
	}{
		{long(255), http.StatusCreated},
		{long(256), http.StatusUnprocessableEntity},
		{"d/" + long(256) + "/f", http.StatusUnprocessableEntity},
		{strings.Repeat("ä", 128), http.StatusUnprocessableEntity},
		{strings.Repeat(long(100)+"/", 25) + "f", http.StatusCreated},
		{strings.Repeat(long(100)+"/", 40) + "f", http.StatusUnprocessableEntity},
	} {
		at := fmt.Sprintf("corp.example/lib@v1.0.%d", i)
		w := put(t, reg, c.code, at, archive(t, at, "@/go.mod", "module corp.example/lib\n", "@/"+c.name, "x"))
		if c.code != http.StatusCreated {
			require.Regexp(t, "cannot unpack|invalid char|malformed", w.Body.String())
		}
	}
	// A module is unpacked to a folder that is named by the last element of its path and its
	// version.
	element, version := long(150), "v1.0.0-"+long(110)
	at := "corp.example/" + element + "@" + version
	w := put(t, reg, http.StatusUnprocessableEntity, at, archive(t, at, "@/go.mod", "module corp.example/"+element+"\n"))
	require.Contains(t, w.Body.String(), "the go command cannot unpack them")
}

// TestTextsAreNotCutToNothing: an unprintable name is shown escaped.
func TestTextsAreNotCutToNothing(t *testing.T) {
	reg := fresh(t)
	for i, name := range []string{"docs/Icon\r", "\r", "a\x00b", "\x1b[31m", "\u202e"} {
		at := fmt.Sprintf("corp.example/lib@v1.0.%d", i)
		w := put(t, reg, http.StatusUnprocessableEntity, at, archive(t, at, "@/go.mod", "module corp.example/lib\n", "@/"+name, "x"))
		p := problemOf(t, w)
		require.NotEmpty(t, p.Detail)
		require.NotContains(t, p.Detail, "cannot be shown")
		for _, d := range p.Details {
			require.Contains(t, d, "lib@v1.0")
			require.NotContains(t, d, "\r")
		}
	}
}

// TestUnknownDirectives: go.mod may be written for a later Go.
func TestUnknownDirectives(t *testing.T) {
	reg := fresh(t)
	for i, c := range []struct {
		mod  string
		code int
	}{
		{"future thing v1\n", http.StatusCreated},
		{"future (\n\tthing v1\n)\n", http.StatusCreated},
		{"godebug (\n\tdefault=go1.99\n)\n", http.StatusCreated},
		{"ignore ./x\n", http.StatusCreated},
		{"replace a.example/x => ../x\n", http.StatusUnprocessableEntity},
		{"replace (\n\ta.example/x => ../x\n)\n", http.StatusUnprocessableEntity},
		{"future x\nreplace a.example/x v1.0.0 => a.example/y v1.0.0\n", http.StatusUnprocessableEntity},
		{"require a.example/x\n", http.StatusUnprocessableEntity},
		{"future (\n", http.StatusUnprocessableEntity},
	} {
		at := fmt.Sprintf("corp.example/lib@v1.0.%d", i)
		w := put(t, reg, c.code, at, archive(t, at, "@/go.mod", "module corp.example/lib\n"+c.mod))
		if strings.Contains(c.mod, "replace") {
			require.Contains(t, w.Body.String(), "replaces a.example/x: replace directives apply to the main module only")
		}
	}
}

// TestANewFolder: a folder that never existed is an empty registry.
func TestANewFolder(t *testing.T) {
	root := filepath.Join(t.TempDir(), "modules")
	reg := open(t, registry.Dir(root), quiet())
	for _, path := range []string{"/corp.example/lib/@v/list", "/corp.example/lib/@latest", "/corp.example/lib/@v/v1.0.0.info", "/corp.example/lib/@v/v1.0.0.zip", "/corp.example/lib/@channels"} {
		require.Equal(t, http.StatusNotFound, get(reg, path).Code, path)
	}
	require.NoDirExists(t, root, "a read must not create the folder")
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", numbered("v1.0.0"))
	require.NoError(t, os.Rename(root, root+".gone"))
	for _, path := range []string{"/corp.example/lib/@v/list", "/corp.example/other/@v/list", "/corp.example/lib/@v/v1.0.0.zip"} {
		require.Equal(t, http.StatusInternalServerError, get(reg, path).Code, path)
	}
	other := open(t, registry.Dir(filepath.Join(root, "below")), quiet())
	require.Equal(t, http.StatusInternalServerError, get(other, "/corp.example/lib/@v/list").Code, "its parent is missing")
}
