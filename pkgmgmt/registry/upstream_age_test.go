package registry_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// A shelf is a folder with the layout of a module proxy, as an upstream on loopback.
type shelf struct {
	dir    string
	url    string
	client *http.Client
}

func newShelf(t testing.TB) *shelf {
	t.Helper()
	s := &shelf{dir: t.TempDir()}
	server := httptest.NewServer(http.FileServer(http.Dir(s.dir)))
	t.Cleanup(server.Close)
	s.url, s.client = server.URL, server.Client()
	return s
}

// add adds a version with the time of its .info to public.example/lib and to its list.
func (s *shelf) add(t testing.TB, version string, released time.Time, goMod string) {
	t.Helper()
	base := filepath.Join(s.dir, "public.example", "lib", "@v")
	require.NoError(t, os.MkdirAll(base, 0o700))
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(base, name), []byte(text), 0o600))
	}
	at := "public.example/lib@" + version
	write(version+".info", fmt.Sprintf(`{"Version":%q,"Time":%q}`, version, released.UTC().Format(time.RFC3339)))
	write(version+".mod", goMod)
	write(version+".zip", string(archive(t, at, "@/go.mod", goMod, "@/lib.go", "package lib\n")))
	if !strings.Contains(version, "-0.") {
		list, _ := os.ReadFile(filepath.Join(base, "list"))
		write("list", string(list)+version+"\n")
	}
	write("../@latest", fmt.Sprintf(`{"Version":%q,"Time":%q}`, version, released.UTC().Format(time.RFC3339)))
}

const shelfMod = "module public.example/lib\n\ngo 1.24\n"

// through returns a registry with the shelf as its upstream, over a folder.
func (s *shelf) through(t testing.TB, dir string, age time.Duration, change ...func(*registry.Upstream)) *registry.Registry {
	t.Helper()
	opts := quiet()
	opts.Upstream = &registry.Upstream{URL: s.url, HTTP: s.client, SumDB: "off", Fresh: time.Nanosecond, MinAge: map[string]time.Duration{"...": age}}
	for _, c := range change {
		c(opts.Upstream)
	}
	return open(t, registry.Dir(dir), opts)
}

func TestMinAgeOptions(t *testing.T) {
	t.Parallel()
	for want, ages := range map[string]map[string]time.Duration{
		"MinAge: is not a module path or a pattern":    {"a b": 1},
		`MinAge["..."]: must not be negative, got -1s`: {"...": -time.Second},
	} {
		opts := quiet()
		opts.Upstream = &registry.Upstream{URL: "https://proxy.example", MinAge: ages}
		_, err := registry.New(registry.Dir("x"), opts)
		require.ErrorContains(t, err, want)
	}
}

// TestMinAge: a young version is absent from list and @latest, and refused by name with the time
// from which it may be used. Its go.mod is served.
func TestMinAge(t *testing.T) {
	t.Parallel()
	s, dir := newShelf(t), t.TempDir()
	now := time.Now()
	s.add(t, "v1.0.0", now.Add(-48*time.Hour), shelfMod)
	s.add(t, "v1.1.0", now.Add(-time.Hour), shelfMod)
	s.add(t, "v1.0.1", now.Add(-2*time.Hour), shelfMod) // a backport
	s.add(t, "v1.2.0-0.20260102030405-abcdefabcdef", now.Add(-time.Minute), shelfMod)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "public.example", "lib", "@v", "main.info"), []byte(`{"Version":"v1.1.0","Time":"2020-01-01T00:00:00Z"}`), 0o600))
	reg := s.through(t, dir, 24*time.Hour)

	require.Equal(t, "v1.0.0\n", get(reg, libPath+"list").Body.String())
	require.Contains(t, get(reg, "/public.example/lib/@latest").Body.String(), `"v1.0.0"`)
	from := now.Add(23 * time.Hour).UTC().Format(time.RFC3339)
	for _, file := range []string{"v1.1.0.info", "v1.1.0.zip", "main.info"} {
		w := get(reg, libPath+file)
		require.Equal(t, http.StatusForbidden, w.Code, file)
		require.Contains(t, w.Body.String(), "public.example/lib@v1.1.0 is too new: it appeared at "+now.Add(-time.Hour).UTC().Format(time.RFC3339)+" and may be used from "+from+" (MinAge of ... is 1d)")
	}
	require.Equal(t, http.StatusForbidden, get(reg, libPath+"v1.2.0-0.20260102030405-abcdefabcdef.info").Code)
	require.Equal(t, shelfMod, get(reg, libPath+"v1.1.0.mod").Body.String())
	require.Equal(t, http.StatusOK, get(reg, libPath+"v1.0.0.zip").Code)
	require.Equal(t, http.StatusNotFound, get(reg, libPath+"v9.0.0.info").Code)
	require.Equal(t, http.StatusNotFound, get(reg, "/public.example/none/@v/list").Code)

	// The longest pattern counts.
	reg = s.through(t, dir, 24*time.Hour, func(up *registry.Upstream) { up.MinAge["public.example/..."] = 0 })
	require.Equal(t, "v1.0.0\nv1.0.1\nv1.1.0\n", get(reg, libPath+"list").Body.String())
	require.Equal(t, http.StatusOK, get(reg, libPath+"v1.1.0.info").Code)
	// Later it is old enough.
	reg = s.through(t, dir, time.Hour-time.Minute)
	require.Equal(t, "v1.0.0\nv1.0.1\nv1.1.0\n", get(reg, libPath+"list").Body.String())
	require.Equal(t, http.StatusOK, get(reg, libPath+"v1.1.0.zip").Code)
	require.Contains(t, get(reg, "/public.example/lib/@latest").Body.String(), `"v1.1.0"`)
}

// TestMinAgeOfAllVersions: a module without an old version has an empty list, and @latest says
// why.
func TestMinAgeOfAllVersions(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.add(t, "v0.1.0", time.Now(), shelfMod)
	reg := s.through(t, t.TempDir(), time.Hour)
	w := get(reg, libPath+"list")
	require.Equal(t, http.StatusOK, w.Code)
	require.Empty(t, w.Body.String())
	w = get(reg, "/public.example/lib/@latest")
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Contains(t, w.Body.String(), "public.example/lib@v0.1.0 is too new")
}

// TestMinAgeOfBackdatedVersions: the time in the .info is the author's. A version that appears
// in the list of a known module is new, whatever its .info has.
func TestMinAgeOfBackdatedVersions(t *testing.T) {
	t.Parallel()
	s, dir := newShelf(t), t.TempDir()
	past := time.Now().Add(-1000 * time.Hour)
	s.add(t, "v1.0.0", past, shelfMod)
	reg := s.through(t, dir, time.Hour)
	require.Equal(t, "v1.0.0\n", get(reg, libPath+"list").Body.String())
	s.add(t, "v1.1.0", past, shelfMod)
	s.add(t, "v1.2.0", past, shelfMod)
	require.Equal(t, http.StatusForbidden, get(reg, libPath+"v1.2.0.zip").Code, "an exact request before the list")
	require.Equal(t, "v1.0.0\n", get(reg, libPath+"list").Body.String())
	require.Equal(t, http.StatusForbidden, get(reg, libPath+"v1.1.0.info").Code)

	// The first time stands, also in another process and if the upstream moves it.
	ages := filepath.Join(dir, ".upstream", "public.example", "lib", "@v", "ages")
	before, err := os.ReadFile(ages)
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, ".upstream", "public.example", "lib", "@v", "v1.1.0.info")))
	s.add(t, "v1.1.0", past.Add(-1000*time.Hour), shelfMod)
	reg = s.through(t, dir, time.Hour)
	require.Equal(t, http.StatusForbidden, get(reg, libPath+"v1.1.0.info").Code)
	require.Equal(t, "v1.0.0\n", get(reg, libPath+"list").Body.String())
	after, err := os.ReadFile(ages)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))

	// A version that no list has is new in a known module as well.
	s.add(t, "v1.3.0-rc.1", past, shelfMod)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "public.example", "lib", "@v", "list"), []byte("v1.0.0\n"), 0o600))
	require.Equal(t, http.StatusForbidden, get(reg, libPath+"v1.3.0-rc.1.zip").Code)
}

// TestRefresh: the registry notices a version before it is requested.
func TestRefresh(t *testing.T) {
	t.Parallel()
	s, dir := newShelf(t), t.TempDir()
	past := time.Now().Add(-1000 * time.Hour)
	s.add(t, "v1.0.0", past, shelfMod)
	reg := s.through(t, dir, time.Hour)
	require.NoError(t, reg.Refresh(t.Context()), "there is no cache yet")
	require.Equal(t, "v1.0.0\n", get(reg, libPath+"list").Body.String())
	s.add(t, "v1.1.0", past, shelfMod)
	begun := time.Now().Truncate(time.Second)
	require.NoError(t, reg.Refresh(t.Context()))
	data, err := os.ReadFile(filepath.Join(dir, ".upstream", "public.example", "lib", "@v", "ages"))
	require.NoError(t, err)
	var seen, info int64
	_, err = fmt.Sscanf(string(data[strings.Index(string(data), "v1.1.0"):]), "v1.1.0 %d %d", &seen, &info)
	require.NoError(t, err)
	require.GreaterOrEqual(t, seen, begun.Unix())
	require.NoError(t, fresh(t).Refresh(t.Context()), "without an upstream")
	require.NoError(t, s.through(t, filepath.Join(t.TempDir(), "new"), time.Hour).Refresh(t.Context()), "without a folder")

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, reg.Refresh(canceled))
}

// TestMinAgeIsClosed: if the age of a version cannot be known, the version is refused.
func TestMinAgeIsClosed(t *testing.T) {
	t.Parallel()
	s, dir := newShelf(t), t.TempDir()
	past := time.Now().Add(-1000 * time.Hour)
	s.add(t, "v1.0.0", past, shelfMod)
	s.add(t, "v1.1.0", past, shelfMod)
	info := filepath.Join(s.dir, "public.example", "lib", "@v", "v1.1.0.info")
	data, err := os.ReadFile(info)
	require.NoError(t, err)
	for _, bad := range []string{"", `{"Version":"v1.1.0"}`, "<html>"} {
		require.NoError(t, os.WriteFile(info, []byte(bad), 0o600))
		reg := s.through(t, dir, time.Hour)
		require.Equal(t, "v1.0.0\n", get(reg, libPath+"list").Body.String())
		require.Equal(t, http.StatusBadGateway, get(reg, libPath+"v1.1.0.zip").Code)
	}
	require.NoError(t, os.WriteFile(info, data, 0o600))
	reg := s.through(t, dir, time.Hour)
	require.Equal(t, "v1.0.0\nv1.1.0\n", get(reg, libPath+"list").Body.String())

	require.NoError(t, os.WriteFile(filepath.Join(dir, ".upstream", "public.example", "lib", "@v", "ages"), []byte("v1.0.0 x\n"), 0o600))
	reg = s.through(t, dir, time.Hour)
	for _, file := range []string{"list", "v1.0.0.zip"} {
		require.Equal(t, http.StatusInternalServerError, get(reg, libPath+file).Code)
	}
}

// TestRetractedVersions: list omits versions that the newest go.mod retracts, even if that
// version is too young itself.
func TestRetractedVersions(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	past := time.Now().Add(-1000 * time.Hour)
	for _, v := range []string{"v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0"} {
		s.add(t, v, past, shelfMod)
	}
	s.add(t, "v1.4.0", time.Now(), shelfMod+"\nretract [v1.1.0, v1.2.0] // loses writes\n")
	reg := s.through(t, t.TempDir(), time.Hour)
	require.Equal(t, "v1.0.0\nv1.3.0\n", get(reg, libPath+"list").Body.String())
	require.Equal(t, http.StatusOK, get(reg, libPath+"v1.1.0.zip").Code, "exact requests still work")

	require.NoError(t, os.Remove(filepath.Join(s.dir, "public.example", "lib", "@v", "v1.4.0.mod")))
	reg = s.through(t, t.TempDir(), time.Hour)
	require.Equal(t, "v1.0.0\nv1.1.0\nv1.2.0\nv1.3.0\n", get(reg, libPath+"list").Body.String(), "the newest version has no go.mod")
}

// TestAllow: an allowance lets one young version through. It needs permission and a reason, and
// is recorded.
func TestAllow(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.add(t, "v1.0.0", time.Now().Add(-1000*time.Hour), shelfMod)
	s.add(t, "v1.1.0", time.Now(), shelfMod)
	s.add(t, "v1.2.0", time.Now(), shelfMod)
	dir := t.TempDir()
	reg := s.through(t, dir, time.Hour)
	_, client := over(t, reg)
	ctx := t.Context()
	require.Equal(t, "v1.0.0\n", get(reg, libPath+"list").Body.String())
	require.Equal(t, "reason", refusal(t, client.Allow(ctx, at("public.example/lib", "v1.1.0"), " ")).Rule)
	require.Equal(t, http.StatusNotFound, refusal(t, client.Disallow(ctx, at("public.example/lib", "v1.1.0"), "x")).Status)
	require.NoError(t, client.Allow(ctx, at("public.example/lib", "v1.1.0"), "fixes CVE-2026-1"))
	require.NoError(t, client.Allow(ctx, at("public.example/lib", "v1.1.0"), "again"))
	require.Equal(t, "v1.0.0\nv1.1.0\n", get(reg, libPath+"list").Body.String())
	require.Contains(t, get(reg, "/public.example/lib/@latest").Body.String(), `"v1.1.0"`)
	require.Equal(t, http.StatusOK, get(reg, libPath+"v1.1.0.zip").Code)
	require.Equal(t, http.StatusForbidden, get(reg, libPath+"v1.2.0.zip").Code)
	require.NoError(t, client.Disallow(ctx, at("public.example/lib", "v1.1.0"), "a mistake"))
	require.Equal(t, http.StatusForbidden, get(reg, libPath+"v1.1.0.zip").Code)
	all, err := client.Allowances(ctx, "public.example/lib")
	require.NoError(t, err)
	a := all["v1.1.0"]
	require.False(t, a.Allowed)
	require.Equal(t, []string{"allowed fixes CVE-2026-1", "disallowed a mistake"}, []string{a.Events[0].What + " " + a.Events[0].Reason, a.Events[1].What + " " + a.Events[1].Reason})
	require.Len(t, a.Events, 2)
	require.Empty(t, findings(t, reg, true), "Verify ignores allowances and the cache")

	require.NoError(t, client.Allow(ctx, at("public.example/old", "v2.0.0+incompatible"), "x"))
	require.Equal(t, http.StatusUnprocessableEntity, ask(reg, http.MethodPut, "/public.example/lib/@allow/main?reason=x", nil).Code)
	require.Equal(t, http.StatusNotFound, ask(reg, http.MethodPut, "/corp.example/lib/@allow/v1.0.0?reason=x", nil).Code)
	require.Equal(t, http.StatusMethodNotAllowed, get(reg, "/public.example/lib/@allow/v1.0.0").Code)
	require.Equal(t, http.StatusNotFound, ask(fresh(t), http.MethodPut, "/public.example/lib/@allow/v1.0.0?reason=x", nil).Code)

	opts := quiet()
	opts.Upstream = &registry.Upstream{URL: s.url, HTTP: s.client}
	opts.Authorize = nil
	require.Equal(t, http.StatusForbidden, ask(open(t, registry.Dir(dir), opts), http.MethodPut, "/public.example/lib/@allow/v1.0.0?reason=x", nil).Code)
	opts.Authorize = func(_ *http.Request, a registry.Action) (string, error) {
		require.Equal(t, registry.Action{Op: registry.OpAllow, Module: "public.example/lib", Version: "v1.0.0"}, a)
		return "", registry.ErrForbidden
	}
	require.Equal(t, http.StatusForbidden, ask(open(t, registry.Dir(dir), opts), http.MethodPut, "/public.example/lib/@allow/v1.0.0?reason=x", nil).Code)
}

// TestGoCommandWithMinAge: the go command does not select a young version, and prints from when
// it may be used.
func TestGoCommandWithMinAge(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	now := time.Now()
	s.add(t, "v1.0.0", now.Add(-1000*time.Hour), shelfMod)
	s.add(t, "v1.1.0", now.Add(-time.Hour), shelfMod)
	reg := s.through(t, t.TempDir(), 24*time.Hour)
	proxy, client := over(t, reg)
	w := newWorkshop(t, proxy)
	w.ok("get", "public.example/lib@latest")
	require.Equal(t, "v1.0.0", w.selected("public.example/lib"))
	require.Equal(t, "public.example/lib v1.0.0\n", w.ok("list", "-m", "-versions", "public.example/lib"))
	require.Contains(t, w.fails("get", "public.example/lib@v1.1.0"), "public.example/lib@v1.1.0 is too new: it appeared at "+now.Add(-time.Hour).UTC().Format(time.RFC3339)+" and may be used from "+now.Add(23*time.Hour).UTC().Format(time.RFC3339))
	require.NoError(t, client.Allow(t.Context(), at("public.example/lib", "v1.1.0"), "fixes CVE-2026-1"))
	w.ok("get", "public.example/lib@latest")
	require.Equal(t, "v1.1.0", w.selected("public.example/lib"))
}

// TestMinAgeOfManyVersions: a list of 2,000 known versions takes at most five milliseconds.
func TestMinAgeOfManyVersions(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("measures")
	}
	s, dir := newShelf(t), t.TempDir()
	base := filepath.Join(s.dir, "public.example", "lib", "@v")
	require.NoError(t, os.MkdirAll(base, 0o700))
	cached := filepath.Join(dir, ".upstream", "public.example", "lib", "@v")
	require.NoError(t, os.MkdirAll(cached, 0o755))
	var list, ages strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&list, "v1.%d.0\n", i)
		fmt.Fprintf(&ages, "v1.%d.0 0 %d\n", i, time.Now().Add(-time.Duration(2000-i)*time.Hour).Unix())
	}
	require.NoError(t, os.WriteFile(filepath.Join(base, "list"), []byte(list.String()), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(base, "v1.1999.0.mod"), []byte(shelfMod), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(cached, "ages"), []byte(ages.String()), 0o600))
	reg := s.through(t, dir, 24*time.Hour, func(up *registry.Upstream) { up.Fresh = time.Hour })
	best := time.Hour
	for range 50 {
		start := time.Now()
		w := get(reg, libPath+"list")
		best = min(best, time.Since(start))
		require.Equal(t, 1977, strings.Count(w.Body.String(), "\n"))
		if best < 5*time.Millisecond {
			break
		}
	}
	t.Logf("a list of 2,000 versions with MinAge: %v", best)
	require.Less(t, best, 5*time.Millisecond)
}

// FuzzAges has a file of ages with any content. A version is only served if its age is known.
func FuzzAges(f *testing.F) {
	for _, text := range []string{"", "v1.0.0 0 1\n", "v1.0.0 0 9999999999\n", "v1.0.0 9999999999 1\n", "v1.0.0 x 1\n", "v1.0.0 -1 -1", "v1.0.0 9223372036854775807 1\n", "\n"} {
		f.Add([]byte(text))
	}
	s := newShelf(f)
	s.add(f, "v1.0.0", time.Now(), shelfMod)
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		cached := filepath.Join(dir, ".upstream", "public.example", "lib", "@v")
		require.NoError(t, os.MkdirAll(cached, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(cached, "ages"), data, 0o600))
		reg := s.through(t, dir, time.Hour)
		for _, file := range []string{"list", "v1.0.0.info"} {
			w := get(reg, libPath+file)
			require.Contains(t, []int{200, 403, 500}, w.Code, "%s", w.Body)
			if w.Code == http.StatusOK && w.Body.Len() > 0 {
				require.Regexp(t, `(?m)^v1\.0\.0 [+-]?\d+ [+-]?\d+$`, string(data))
			}
		}
	})
}

// A public release of today is held back for a week, and let through by an operator because it
// fixes a vulnerability.
func ExampleUpstream_minAge() {
	dir, err := os.MkdirTemp("", "upkeep-example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	today := time.Now().UTC().Format(time.RFC3339)
	public := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // in a program: the URL of a public module proxy
		switch strings.TrimPrefix(r.URL.Path, "/public.example/lib/@v/") {
		case "list":
			fmt.Fprintln(w, "v1.0.0\nv1.1.0")
		case "v1.0.0.info":
			fmt.Fprintln(w, `{"Version":"v1.0.0","Time":"2025-01-02T03:04:05Z"}`)
		case "v1.1.0.info":
			fmt.Fprintf(w, `{"Version":"v1.1.0","Time":%q}`, today)
		case "v1.1.0.mod":
			fmt.Fprintln(w, "module public.example/lib")
		default:
			http.NotFound(w, r)
		}
	}))
	defer public.Close()
	reg, err := registry.New(registry.Dir(dir), &registry.Options{
		Private:   []string{"corp.example"},
		Authorize: func(*http.Request, registry.Action) (string, error) { return "ada", nil }, // see Basic and Bearer
		Upstream: &registry.Upstream{
			URL: public.URL, HTTP: public.Client(),
			MinAge: map[string]time.Duration{"...": 7 * 24 * time.Hour, "golang.org/x/...": 0},
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(reg)
	defer server.Close()
	client := &registry.Client{URL: server.URL, HTTP: server.Client()}

	list := func() {
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/public.example/lib/@v/list", nil))
		fmt.Println(strings.Fields(w.Body.String()))
	}
	list()
	w := httptest.NewRecorder()
	reg.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/public.example/lib/@v/v1.1.0.info", nil))
	text, _, _ := strings.Cut(w.Body.String(), ":")
	fmt.Println(w.Code, text)
	fmt.Println(client.Allow(context.Background(), module.Version{Path: "public.example/lib", Version: "v1.1.0"}, "fixes CVE-2026-1"))
	list()
	// Output:
	// [v1.0.0]
	// 403 public.example/lib@v1.1.0 is too new
	// <nil>
	// [v1.0.0 v1.1.0]
}
