package registry_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

func refusal(t testing.TB, err error) *registry.Refusal {
	t.Helper()
	var r *registry.Refusal
	require.ErrorAs(t, err, &r)
	return r
}

func TestChannels(t *testing.T) {
	t.Parallel()
	reg := served(t, func(o *registry.Options) {
		o.Authorize = func(*http.Request, registry.Action) (who string, err error) {
			return "ada", nil
		}
	})
	_, client := over(t, reg)
	ctx := t.Context()
	at := func(version string) module.Version { return module.Version{Path: "corp.example/lib", Version: version} }

	channels, err := client.Channels(ctx, "corp.example/lib")
	require.NoError(t, err)
	require.Empty(t, channels)
	require.NoError(t, client.SetChannel(ctx, at("v1.0.0"), "stable", "tested by hand"))
	require.NoError(t, client.SetChannel(ctx, at("v1.0.0"), "stable", "the same version again"))
	require.NoError(t, client.SetChannel(ctx, at("v1.1.0"), "stable", "a week without trouble"))
	require.NoError(t, client.SetChannel(ctx, at("v1.0.0"), "2026-lts.x_1", "for those who wait"))
	w := get(reg, "/corp.example/lib/@v/stable.info")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))
	require.Equal(t, get(reg, "/corp.example/lib/@v/v1.1.0.info").Body.String(), w.Body.String())
	require.Contains(t, get(reg, "/corp.example/lib/@v/2026-lts.x_1.info").Body.String(), "v1.0.0")
	require.Equal(t, http.StatusNotFound, get(reg, "/corp.example/lib/@v/stable.mod").Code)
	require.Equal(t, http.StatusNotFound, get(reg, "/corp.example/lib/v2/@v/stable.info").Code, "a channel is of one module")
	require.NoError(t, client.RemoveChannel(ctx, "corp.example/lib", "stable", "the year is over"))
	require.Equal(t, http.StatusNotFound, get(reg, "/corp.example/lib/@v/stable.info").Code)

	channels, err = client.Channels(ctx, "corp.example/lib")
	require.NoError(t, err)
	require.Len(t, channels, 2)
	require.Equal(t, "v1.0.0", channels["2026-lts.x_1"].Version)
	require.Empty(t, channels["stable"].Version)
	var history []string
	for _, m := range channels["stable"].Moves {
		require.False(t, m.Time.IsZero())
		history = append(history, fmt.Sprintf("%s by %s: %s", m.Version, m.By, m.Reason))
	}
	require.Equal(t, []string{"v1.0.0 by ada: tested by hand", "v1.1.0 by ada: a week without trouble", " by ada: the year is over"}, history)

	for _, c := range []struct {
		err    error
		status int
		rule   string
	}{
		{client.SetChannel(ctx, at("v1.9.0"), "stable", "x"), 404, "not-found"},
		{client.SetChannel(ctx, at("v2.0.0"), "stable", "x"), 422, "major-version"},
		{client.SetChannel(ctx, at("v1"), "stable", "x"), 422, "version"},
		{client.SetChannel(ctx, at("../x"), "stable", "x"), 422, "version"},
		{client.SetChannel(ctx, at("v1.0.0"), "stable", " "), 422, "reason"},
		{client.SetChannel(ctx, at("v1.0.0"), "stable", "\x00"), 422, "reason"},
		{client.RemoveChannel(ctx, "corp.example/lib", "beta", "x"), 404, "not-found"},
		{client.RemoveChannel(ctx, "corp.example/none", "beta", "x"), 404, "not-found"},
	} {
		require.Equal(t, c.status, refusal(t, c.err).Status, c.err)
		require.Equal(t, c.rule, refusal(t, c.err).Rule, c.err)
	}
	for _, name := range []string{"", "latest", "upgrade", "patch", "none", "list", "v1", "v1.2", "v1.2.3", "Stable", "a/b", "-a", "a-", ".", "ä", strings.Repeat("x", 65)} {
		w := ask(reg, http.MethodPut, "/corp.example/lib/@channel/"+strings.ReplaceAll(name, "/", "%2F")+"?version=v1.0.0&reason=x", nil)
		require.Equal(t, "channel", problemOf(t, w).Rule, name)
	}
	_, err = client.Channels(ctx, "corp.example/none")
	require.Equal(t, http.StatusNotFound, refusal(t, err).Status)
	for i := range 99 { // a removed channel is replaced
		require.NoError(t, client.SetChannel(ctx, at("v1.0.0"), fmt.Sprintf("c%d", i), "x"))
	}
	require.Equal(t, "a module has at most 100 channels", refusal(t, client.SetChannel(ctx, at("v1.0.0"), "onemore", "x")).Detail)
}

// TestMovesAreNotLost: after many concurrent moves the history has each of them.
func TestMovesAreNotLost(t *testing.T) {
	t.Parallel()
	reg := served(t)
	_, client := over(t, reg)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			err := client.SetChannel(t.Context(), module.Version{Path: "corp.example/lib", Version: "v1.0.0"}, fmt.Sprintf("c%d", i), "x")
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	channels, err := client.Channels(t.Context(), "corp.example/lib")
	require.NoError(t, err)
	require.Len(t, channels, 10)
}

func TestYankAndBlock(t *testing.T) {
	t.Parallel()
	reg := served(t, func(o *registry.Options) {
		o.Authorize = func(*http.Request, registry.Action) (who string, err error) {
			return "ada", nil
		}
	})
	_, client := over(t, reg)
	ctx := t.Context()
	v := module.Version{Path: "corp.example/lib", Version: "v1.1.0"}
	list := func() string { return get(reg, "/corp.example/lib/@v/list").Body.String() }
	info := "/corp.example/lib/@v/v1.1.0.info"
	require.NoError(t, client.SetChannel(ctx, v, "stable", "x"))

	require.NoError(t, client.Yank(ctx, v, "loses writes"))
	require.NoError(t, client.Yank(ctx, v, "again, which is nothing new"))
	require.Equal(t, "v1.0.0\n", list())
	require.Contains(t, get(reg, "/corp.example/lib/@latest").Body.String(), "v1.0.0")
	require.Equal(t, http.StatusOK, get(reg, info).Code)
	require.Equal(t, http.StatusOK, get(reg, "/corp.example/lib/@v/stable.info").Code, "the channel still works")
	put(t, reg, http.StatusOK, "corp.example/lib@v1.1.0", lib(t, "corp.example/lib@v1.1.0", "corp.example/lib@v1.1.0"))
	require.Equal(t, "v1.0.0\n", list(), "publishing it again must not undo the yank")
	require.Equal(t, "channel", refusal(t, client.SetChannel(ctx, v, "lts", "x")).Rule)

	require.NoError(t, client.Block(ctx, v, "CVE-2026-1"))
	require.Equal(t, http.StatusOK, get(reg, "/corp.example/lib/@v/v1.1.0.mod").Code, "users must be able to move to another version")
	for _, path := range []string{info, "/corp.example/lib/@v/v1.1.0.zip", "/corp.example/lib/@v/stable.info"} {
		w := get(reg, path)
		require.Equal(t, http.StatusForbidden, w.Code, path)
		require.Equal(t, "corp.example/lib@v1.1.0 is blocked: CVE-2026-1\n", w.Body.String())
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	}
	require.Equal(t, "blocked", problemOf(t, put(t, reg, http.StatusForbidden, "corp.example/lib@v1.1.0", lib(t, "corp.example/lib@v1.1.0", "corp.example/lib@v1.1.0"))).Rule)
	put(t, reg, http.StatusConflict, "corp.example/lib@v1.1.0", lib(t, "corp.example/lib@v1.1.0", "other"))

	require.NoError(t, client.Unyank(ctx, v, "it was the disk"))
	require.Equal(t, "v1.0.0\n", list(), "it is still blocked")
	require.NoError(t, client.Unblock(ctx, v, "a false alarm"))
	require.Equal(t, "v1.0.0\nv1.1.0\n", list())
	require.Equal(t, http.StatusOK, get(reg, info).Code)

	rec, err := client.Record(ctx, v)
	require.NoError(t, err)
	require.False(t, rec.Yanked)
	require.False(t, rec.Blocked)
	var history []string
	for _, e := range rec.Events {
		history = append(history, strings.TrimSpace(e.What+" by "+e.By+" "+e.Reason))
	}
	require.Equal(t, []string{"published by ada", "yanked by ada loses writes", "blocked by ada CVE-2026-1", "unyanked by ada it was the disk", "unblocked by ada a false alarm"}, history)

	// After all versions are yanked, the list is empty and the module still exists.
	require.NoError(t, client.Yank(ctx, v, "x"))
	require.NoError(t, client.Yank(ctx, module.Version{Path: "corp.example/lib", Version: "v1.0.0"}, "x"))
	require.Empty(t, list())
	require.Equal(t, http.StatusOK, get(reg, "/corp.example/lib/@v/list").Code)
	require.Equal(t, http.StatusNotFound, get(reg, "/corp.example/lib/@latest").Code)

	missing := module.Version{Path: "corp.example/lib", Version: "v1.9.0"}
	require.Equal(t, http.StatusNotFound, refusal(t, client.Block(ctx, missing, "x")).Status)
	require.Equal(t, http.StatusNotFound, refusal(t, client.Unyank(ctx, missing, "x")).Status)
	require.Equal(t, "reason", refusal(t, client.Block(ctx, v, "")).Rule)
	_, err = client.Record(ctx, missing)
	require.Equal(t, http.StatusNotFound, refusal(t, err).Status)
	require.Equal(t, http.StatusNotFound, get(reg, "/corp.example/lib/@v/v1.9.0.info").Code, "a refused version must leave nothing")

	// The go command prints only one line, so a reason is one line.
	require.NoError(t, client.Block(ctx, v, "first line\nsecond\x1b[31m"))
	require.Equal(t, "corp.example/lib@v1.1.0 is blocked: first line\n", get(reg, info).Body.String())
}
