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

// A channel that is moved by a machine outgrows what can be read: the oldest moves go, for
// a rollback must not fail on them.
func TestAFullHistoryCanStillBeMoved(t *testing.T) {
	root := t.TempDir()
	reg := open(t, registry.Dir(root), quiet())
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "a"))
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.1", lib(t, "corp.example/lib@v1.0.1", "a"))
	moves := make([]registry.Movement, 29480)
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
	require.Fail(t, "it was never too long")
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
	require.Equal(t, http.StatusUnprocessableEntity, move(http.MethodPut, "one-more"), "all of them live")
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
	require.Equal(t, 403, get(reg, "/corp.example/lib/@v/v1.0.0.zip").Code, "the record says blocked")
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
