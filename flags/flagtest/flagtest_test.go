package flagtest_test

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/flags/flagtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	newCheckout = flags.Bool("new-checkout", false)
	color       = flags.String("color", "grey")
	limit       = flags.Int("limit", 10)
)

// checkout is code under test.
func checkout(ctx context.Context, client openfeature.IClient) string {
	if newCheckout.Value(ctx, client, openfeature.EvaluationContext{}) {
		return "express"
	}
	return "standard"
}

func TestNew(t *testing.T) {
	t.Parallel()
	type limits struct {
		Max int `json:"max"`
	}
	client, p := flagtest.New(t, map[string]any{"new-checkout": true, "color": "", "limit": 3, "limits": limits{7}, "list": []int{1, 2}})
	require.Equal(t, "express", checkout(t.Context(), client))
	require.Empty(t, color.Value(t.Context(), client, openfeature.EvaluationContext{}))
	require.Equal(t, int64(3), limit.Bind(p).Value(t.Context(), nil))
	require.Equal(t, limits{7}, flags.Object("limits", limits{}).Value(t.Context(), client, openfeature.EvaluationContext{}))
	require.Equal(t, []int{1, 2}, flags.Object("list", []int{}).Value(t.Context(), client, openfeature.EvaluationContext{}))

	client, _ = flagtest.New(t, nil)
	require.Equal(t, "standard", checkout(t.Context(), client), "the code's default")
}

// TestEveryTestHasItsOwn runs tests in parallel, each with goroutines. They must not see each other's
// flags.
func TestEveryTestHasItsOwn(t *testing.T) {
	t.Parallel()
	for i := range 20 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			client, _ := flagtest.New(t, map[string]any{"new-checkout": i%2 == 0})
			want := map[bool]string{true: "express", false: "standard"}[i%2 == 0]
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					for range 100 {
						if got := checkout(context.Background(), client); got != want {
							t.Errorf("got %s, want %s", got, want)
						}
					}
				})
			}
			all.Wait()
		})
	}
}

func TestEach(t *testing.T) {
	t.Parallel()
	var got []string
	flagtest.Each(t, newCheckout, func(t *testing.T, client *openfeature.Client, express bool) {
		require.Equal(t, express, checkout(t.Context(), client) == "express")
		got = append(got, t.Name()+" "+checkout(t.Context(), client))
	})
	flagtest.Each(t, color, func(t *testing.T, client *openfeature.Client, want string) {
		require.Equal(t, want, color.Value(t.Context(), client, openfeature.EvaluationContext{}))
		got = append(got, t.Name()+" "+want)
	}, "red", "blue")
	require.Equal(t, []string{
		"TestEach/new-checkout=false standard", "TestEach/new-checkout=true express", "TestEach/color=red red", "TestEach/color=blue blue",
	}, got)
}

func TestOpenHonoursOverrides(t *testing.T) {
	t.Parallel()
	client, _ := flagtest.Open(t, flags.Bytes("flags.yaml", []byte(`flags: {new-checkout: {variants: {"on": true, "off": false}, defaultVariant: "off"}}`)))
	require.Equal(t, "standard", checkout(t.Context(), client))
	require.Equal(t, "express", checkout(flags.WithOverride(t.Context(), "new-checkout", "on"), client))
}

// A witness is a test that is expected to fail.
type witness struct {
	testing.TB
	errors, logs []string
}

func (w *witness) Errorf(format string, args ...any) {
	w.errors = append(w.errors, sprintf(format, args))
}

func (w *witness) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
	panic("the test ends here")
}

func (w *witness) Logf(format string, args ...any) { w.logs = append(w.logs, sprintf(format, args)) }

func TestLint(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "flags.yaml")
	write := func(doc string) { require.NoError(t, os.WriteFile(path, []byte(doc), 0o600)) }

	write("flags: {new-checkout: {state: ENABLED, variants: {\"on\": true, \"off\": false}, defaultVariant: \"on\"}}")
	flagtest.Lint(t, path, newCheckout)
	write("flags: [{key: new-checkout, state: ENABLED, variants: {\"on\": true, \"off\": false}, defaultVariant: \"on\"}]")
	flagtest.Lint(t, path, newCheckout)

	w := &witness{TB: t}
	write("flags:\n  color: {variants: {a: 1}, defaultVariant: a, targetting: {}, state: ENABLED, colour: red}\n")
	flagtest.Lint(w, path, newCheckout, color)
	require.Equal(t, []string{
		path + `: flag "new-checkout": missing, and the code declares it as bool`,
		path + `:2:25: flag "color": variant "a" is not of type string, which the code declares`,
		path + `:2:48: flag "color": unknown field "targetting" (did you mean "targeting"?)`,
	}, w.errors)
	require.Equal(t, []string{"warning: " + path + `:2:80: flag "color": unknown field "colour"`}, w.logs)

	w = &witness{TB: t}
	write("flags: {color: 5}")
	flagtest.Lint(w, path, newCheckout)
	require.Equal(t, []string{
		path + `: flag "new-checkout": missing, and the code declares it as bool`,
		path + `:1:16: flag "color": must be a map, got a number`,
	}, w.errors)

	w = &witness{TB: t}
	flagtest.Lint(w, filepath.Join(t.TempDir(), "missing"))
	require.Len(t, w.errors, 1)
}

// A flag that is evaluated as another type than that of its value fails the test. A flag that the
// code does not evaluate is logged.
func TestNewWatchesWhatIsAsked(t *testing.T) {
	t.Parallel()
	evalCtx := openfeature.EvaluationContext{}
	for name, start := range map[string]func(t testing.TB) (*openfeature.Client, *flags.Provider){
		"New": func(t testing.TB) (*openfeature.Client, *flags.Provider) {
			return flagtest.New(t, map[string]any{"new-checkout": true, "color": "red", "limit": 3, "other": 1, "unused": 2})
		},
		"With": func(t testing.TB) (*openfeature.Client, *flags.Provider) {
			return flagtest.With(t, newCheckout.Is(true), color.Is("red"), limit.Is(3), flags.Float("other", 0).Is(1), flags.Object("unused", []int{}).Is([]int{2}))
		},
	} {
		w := &witness{}
		var client *openfeature.Client
		t.Run(name, func(t *testing.T) {
			w.TB = t
			var p *flags.Provider
			client, p = start(w)
			require.Equal(t, "express", checkout(t.Context(), client))
			require.Equal(t, 3.0, flags.Float("limit", 0).Value(t.Context(), client, evalCtx), "a number is a number")
			require.Equal(t, int64(1), flags.Int("other", 0).Value(t.Context(), client, evalCtx))
			require.False(t, flags.Bool("not-given", false).Value(t.Context(), client, evalCtx))
			require.Empty(t, w.errors)
			require.False(t, flags.Bool("color", false).Value(t.Context(), client, evalCtx))
			require.Equal(t, "code", flags.String("new-checkout", "code").Bind(p).Value(t.Context(), nil))
			require.Equal(t, []int{9}, flags.Object("color", []int{9}).Value(t.Context(), client, evalCtx))
			require.Equal(t, []string{
				`flagtest: flag "color" is evaluated as bool, but its value in the test is "red"`,
				`flagtest: flag "new-checkout" is evaluated as string, but its value in the test is true`,
				`flagtest: flag "color" is evaluated as object, but its value in the test is "red"`,
			}, w.errors)
		})
		require.Equal(t, []string{`flagtest: the code did not evaluate flag "unused"`}, w.logs)
		flags.Bool("color", false).Value(t.Context(), client, evalCtx) // by code that still runs after the test
		require.Len(t, w.errors, 3)
	}
}

func TestWithOfOneFlagTwice(t *testing.T) {
	t.Parallel()
	w := &witness{TB: t}
	require.Panics(t, func() { flagtest.With(w, limit.Is(1), limit.Is(2)) })
	require.Equal(t, []string{`flagtest: flag "limit" is given twice`}, w.errors)
	require.Panics(t, func() { flagtest.With(w, flags.Float("x", 0).Is(math.NaN())) })
	require.Contains(t, w.errors[1], "flagtest: a value cannot be the value of a flag: ")
}

func TestSourceKitOnFiles(t *testing.T) {
	t.Parallel()
	flagtest.Source(t, func(t *testing.T) (flags.Source, func([]byte)) {
		path := filepath.Join(t.TempDir(), "flags.yaml")
		return flags.File(path), func(doc []byte) {
			if doc == nil {
				require.NoError(t, os.Remove(path))
				return
			}
			require.NoError(t, os.WriteFile(path, doc, 0o600))
		}
	})
}

// memory is a source outside package flags.
type memory struct {
	mu  sync.Mutex
	doc []byte
}

func (m *memory) Load(ctx context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.doc == nil {
		return nil, errors.Join(errors.New("no document"), fs.ErrNotExist)
	}
	return append([]byte{}, m.doc...), ctx.Err()
}

func (m *memory) write(doc []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doc = doc
}

func TestSourceKitOnASourceOfOnesOwn(t *testing.T) {
	t.Parallel()
	flagtest.Source(t, func(*testing.T) (flags.Source, func([]byte)) {
		m := &memory{}
		return m, m.write
	})
}
