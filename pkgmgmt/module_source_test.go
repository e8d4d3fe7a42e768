package pkgmgmt_test

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt"
)

// knows is a ModuleSource made of a function.
type knows func(path, version string) (pkgmgmt.Status, error)

func (k knows) Status(ctx context.Context, path, version string) (pkgmgmt.Status, error) {
	if err := ctx.Err(); err != nil {
		return pkgmgmt.Status{}, err
	}
	return k(path, version)
}

func TestCheckWith(t *testing.T) {
	t.Parallel()
	// In a bubble it is midnight of January 1, 2000.
	day := func(n int) time.Time { return time.Date(2000, 1, n, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		name, policy, module string
		status               pkgmgmt.Status
		err                  error
		want                 []string
	}{
		{name: "fine", policy: `{}`, module: "a.example/x v1.0.0", status: pkgmgmt.Status{Time: day(-9), Latest: "v1.0.0"}},
		{name: "not in charge", policy: `rules: [{module: ..., minAge: 1d}]`, module: "a.example/x v1.0.0"},
		{
			name: "what build information tells is checked, too", policy: `rules: [{module: a.example/x, require: ">=2"}]`, module: "a.example/x v1.0.0",
			want: []string{"a.example/x v1.0.0: does not satisfy >=2; to fix: require a version of a.example/x that satisfies >=2"},
		},
		{
			name: "retracted", policy: `{}`, module: "a.example/x v1.0.0", status: pkgmgmt.Status{Retracted: "loses data\n\x1b[31m", Latest: "v1.0.1"},
			want: []string{"a.example/x v1.0.0: is retracted: loses data �[31m; to fix: go get a.example/x@v1.0.1"},
		},
		{
			name: "deprecated", policy: `{}`, module: "a.example/x v1.0.0", status: pkgmgmt.Status{Deprecated: "use a.example/x/v2"},
			want: []string{"a.example/x v1.0.0: is deprecated: use a.example/x/v2; to fix: replace a.example/x as its notice says"},
		},
		{
			name: "accepted", policy: `rules: [{module: a.example/..., accept: [deprecated, retracted], reason: until May}]`, module: "a.example/x v1.0.0",
			status: pkgmgmt.Status{Deprecated: "old", Retracted: "bad"},
		},
		{
			name: "too new", policy: `rules: [{module: a.example/x, minAge: 7d, reason: others find the bad ones}]`, module: "a.example/x v1.0.0", status: pkgmgmt.Status{Time: day(-2)},
			want: []string{"a.example/x v1.0.0: is 3 days old, and must be at least 7d old (others find the bad ones); to fix: wait until 2000-01-05 00:00:00 UTC"},
		},
		{
			name: "from the future", policy: `rules: [{module: a.example/x, minAge: 36h}]`, module: "a.example/x v1.0.0", status: pkgmgmt.Status{Time: day(2)},
			want: []string{"a.example/x v1.0.0: has a date in the future, and must be at least 36h old; to fix: wait until 2000-01-03 12:00:00 UTC"},
		},
		{
			name: "old enough", policy: `rules: [{module: a.example/x, minAge: 36h}]`, module: "a.example/x v1.0.0", status: pkgmgmt.Status{Time: day(-1)},
		},
		{
			name: "too old", policy: `rules: [{module: a.example/x, maxBehind: 30d}]`, module: "a.example/x v1.0.0", status: pkgmgmt.Status{Time: day(-100), Latest: "v1.2.0", LatestTime: day(-60)},
			want: []string{"a.example/x v1.0.0: is 40 days older than v1.2.0, and may be 30d; to fix: go get a.example/x@v1.2.0"},
		},
		{
			name: "as old as it may be", policy: `rules: [{module: a.example/x, maxBehind: 40d}]`, module: "a.example/x v1.0.0", status: pkgmgmt.Status{Time: day(-100), Latest: "v1.2.0", LatestTime: day(-60)},
		},
		{
			name: "of an unknown age", policy: `rules: [{module: a.example/x, maxBehind: 40d}]`, module: "a.example/x v1.0.0", status: pkgmgmt.Status{Latest: "v1.2.0"},
			want: []string{"a.example/x v1.0.0: is of an age that the registry does not tell; to fix: ask a registry that tells times"},
		},
		{
			name: "another content", policy: `{}`, module: "a.example/x v1.0.0", status: pkgmgmt.Status{Sum: "h1:other"},
			want: []string{"a.example/x v1.0.0: is built from h1:own, and the registry has h1:other; to fix: find out which one is true before anything else; then build again with an empty module cache"},
		},
		{name: "the same content", policy: `{}`, module: "a.example/x v1.0.0", status: pkgmgmt.Status{Sum: "h1:own"}},
		{
			name: "missing", policy: `{}`, module: "a.example/x v1.0.0", err: fs.ErrNotExist,
			want: []string{"a.example/x v1.0.0: is not in the registry; to fix: publish this version, or build with one that is published"},
		},
		{
			name: "no answer", policy: `{}`, module: "a.example/x v1.0.0", err: errors.New("it is\nbroken"),
			want: []string{"a.example/x v1.0.0: cannot be checked: it is broken; to fix: check again when the registry answers"},
		},
		{
			name: "no version", policy: `{}`, module: "a.example/x (devel)",
			want: []string{"a.example/x (devel): is not built from a version that a registry could know; to fix: build with a published version of a.example/x"},
		},
		{
			name: "the replacement is what runs", policy: `rules: [{module: a.example/x, maxBehind: 1d}]`, module: "a.example/x v1.0.0 => b.example/y v2.0.0",
			status: pkgmgmt.Status{Time: day(-100), Latest: "v2.1.0", LatestTime: day(-60)},
			want:   []string{"b.example/y v2.0.0: is 40 days older than v2.1.0, and may be 1d; to fix: let the replace directive of a.example/x in go.mod name b.example/y v2.1.0"},
		},
		{
			name: "a folder", policy: `{}`, module: "a.example/x v1.0.0 => ./x",
			want: []string{"a.example/x: is replaced by the folder ./x, which no registry knows; to fix: remove the replace directive of a.example/x from go.mod"},
		},
		{
			name: "a folder is told once", policy: `forbidReplace: true`, module: "a.example/x v1.0.0 => ./x",
			want: []string{"a.example/x: is replaced by the folder ./x; to fix: remove the replace directive of a.example/x from go.mod"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bi := built(c.module)
				bi.Deps[0].Sum = "h1:own"
				require.Equal(t, c.want, texts(parse(t, c.policy).CheckWith(t.Context(), bi, knows(func(string, string) (pkgmgmt.Status, error) { return c.status, c.err }))))
			})
		})
	}
}

func TestCheckWithBoundsWhatItAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var modules []string
		for i := range 100 {
			modules = append(modules, "a.example/x"+string(rune('a'+i%26))+string(rune('a'+i/26))+" v1.0.0", "a.example/same v1.0.0")
		}
		began := time.Now()
		slow := knows(func(string, string) (pkgmgmt.Status, error) {
			time.Sleep(time.Second)
			return pkgmgmt.Status{}, nil
		})
		require.Empty(t, parse(t, `{}`).CheckWith(t.Context(), built(modules...), slow))
		require.Equal(t, 13*time.Second, time.Since(began), "101 modules, eight at a time, each once")

		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		violations := parse(t, `{}`).CheckWith(ctx, built(modules...), slow)
		require.NotEmpty(t, violations)
		require.Equal(t, pkgmgmt.RuleUnverifiable, violations[len(violations)-1].Rule)
		require.Less(t, time.Since(began), 16*time.Second)
	})
}

func TestAgesNeedARegistry(t *testing.T) {
	t.Parallel()
	pol := parse(t, `rules: [{module: a.example/x, minAge: 7d}]`)
	want := []string{"the policy has rules about ages, which build information does not tell; to fix: check with a registry"}
	require.Equal(t, want, texts(pol.Check(built("a.example/x v1.0.0"))))
	require.Equal(t, want, texts(pol.CheckWith(t.Context(), built("a.example/x v1.0.0"), nil)))
	require.Equal(t, pkgmgmt.RuleUnverifiable, pol.CheckWith(t.Context(), nil, knows(nil))[0].Rule)
}

// TestRegistries has a private registry before a public one.
func TestRegistries(t *testing.T) {
	t.Parallel()
	var asked []string
	private := knows(func(path, _ string) (pkgmgmt.Status, error) {
		switch path {
		case "corp.example/known":
			return pkgmgmt.Status{Latest: "v1.0.0"}, nil
		case "corp.example/unknown":
			return pkgmgmt.Status{}, fs.ErrNotExist
		}
		return pkgmgmt.Status{}, nil
	})
	public := knows(func(path, _ string) (pkgmgmt.Status, error) {
		asked = append(asked, path)
		return pkgmgmt.Status{Latest: "v9.0.0"}, nil
	})
	both := pkgmgmt.ModuleSources{private, public}
	for path, want := range map[string]string{"corp.example/known": "v1.0.0", "open.example/x": "v9.0.0"} {
		st, err := both.Status(t.Context(), path, "v1.0.0")
		require.NoError(t, err)
		require.Equal(t, want, st.Latest)
	}
	_, err := both.Status(t.Context(), "corp.example/unknown", "v1.0.0")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Equal(t, []string{"open.example/x"}, asked, "a private name was told")
	st, err := pkgmgmt.ModuleSources(nil).Status(t.Context(), "x", "y")
	require.NoError(t, err)
	require.Zero(t, st)
}
