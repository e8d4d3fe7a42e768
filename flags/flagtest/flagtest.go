// Package flagtest helps to test code that uses flags.
//
// [With] and [New] give a test its own flags with the values that it needs. [Each] runs a test once
// for each variant. [Lint] checks the document that will be shipped, also against the flags that the
// code declares. [Source] tests an implementation of flags.Source.
//
// Everything works in parallel tests and from any goroutine: each test has its own OpenFeature API,
// and nothing global changes. The code under test must take its client as a value. Code that uses the
// default client of the openfeature package does not see the test's flags.
//
// The package imports testing, so import it only in tests.
package flagtest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"

	"github.com/upkeep-go/upkeep/flags"
)

// With returns an OpenFeature client and its provider for this test alone. The flags have the given
// values for everybody:
//
//	client, _ := flagtest.With(t, NewCheckout.Is(true), Limit.Is(3))
//
// With is [New] with values whose types the compiler checks. The test fails if a flag is given twice.
func With(t testing.TB, settings ...flags.Setting) (*openfeature.Client, *flags.Provider) {
	t.Helper()
	values := map[string]any{}
	for _, setting := range settings {
		key := setting.Flag.Key()
		if _, twice := values[key]; twice {
			t.Fatalf("flagtest: flag %q is given twice", key)
		}
		values[key] = setting.Value
	}
	return New(t, values)
}

// New returns an OpenFeature client and its provider for this test alone. The flags have the given
// values for everybody: booleans, strings, numbers, and anything that encoding/json encodes as a map
// or a list. Other flags do not exist, so the code's defaults apply to them. The client and the
// provider are closed when the test ends.
//
// The test fails if a value cannot be the value of a flag, and if the code evaluates a flag as another
// type than that of its value. Flags that the code has not evaluated are logged when the test ends.
func New(t testing.TB, values map[string]any) (*openfeature.Client, *flags.Provider) {
	t.Helper()
	type definition struct {
		Variants map[string]any `json:"variants"`
		Default  string         `json:"defaultVariant"`
	}
	doc := struct {
		Flags map[string]definition `json:"flags"`
	}{map[string]definition{}}
	for key, value := range values {
		doc.Flags[key] = definition{map[string]any{"given": value}, "given"}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatalf("flagtest: a value cannot be the value of a flag: %v", err)
	}
	w := &watch{t: t, values: values}
	client, p := open(t, flags.Bytes(t.Name()+".json", text), w.evaluated)
	client.AddHooks(&hook{watch: w})
	t.Cleanup(func() { w.end(p.Usage()) })
	return client, p
}

// A watch fails the test when a flag is evaluated as another type than that of its value.
type watch struct {
	t      testing.TB
	values map[string]any

	mu    sync.Mutex
	ended bool // if true, t must not be used any more
}

func (w *watch) evaluated(_ context.Context, _ string, details openfeature.InterfaceEvaluationDetails) {
	if details.ErrorCode == openfeature.TypeMismatchCode {
		w.mismatch(details.FlagKey, details.FlagType)
	}
}

func (w *watch) mismatch(key string, asked openfeature.Type) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.t.Errorf("flagtest: flag %q is evaluated as %v, but its value in the test is %#v", key, asked, w.values[key])
	}
}

func (w *watch) end(usage flags.Usage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for _, key := range slices.Sorted(maps.Keys(w.values)) {
		if usage.Flags[key].Total() == 0 {
			w.t.Logf("flagtest: the code did not evaluate flag %q", key)
		}
	}
}

type hook struct {
	openfeature.UnimplementedHook
	watch *watch
}

func (h *hook) Finally(ctx context.Context, in openfeature.HookContext, details openfeature.InterfaceEvaluationDetails, _ openfeature.HookHints) {
	details.FlagType = in.FlagType()
	h.watch.evaluated(ctx, "", details)
}

// Open is [New] for a document. The test fails if the document has a fault. flags.WithOverride works.
func Open(t testing.TB, src flags.Source) (*openfeature.Client, *flags.Provider) {
	t.Helper()
	return open(t, src, nil)
}

func open(t testing.TB, src flags.Source, evaluated func(context.Context, string, openfeature.InterfaceEvaluationDetails)) (*openfeature.Client, *flags.Provider) {
	t.Helper()
	p, err := flags.New(src, &flags.Options{Strict: true, AllowOverrides: true, OnEvaluation: evaluated, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("flagtest: %v", err)
	}
	api := isolated.NewAPI()
	ctx := context.WithoutCancel(t.Context())
	if err := api.SetProviderAndWait(ctx, p); err != nil {
		t.Fatalf("flagtest: %v", err)
	}
	t.Cleanup(func() {
		if err := api.Shutdown(ctx); err != nil {
			t.Errorf("flagtest: %v", err)
		}
	})
	return api.NewClient(), p
}

// Each runs a test once with each value of a flag, as a subtest that is named after the value. The
// test gets a client with only this flag, and the value. Without values, a boolean flag runs as false
// and as true; a flag of any other type needs values.
func Each[T any](t *testing.T, flag flags.Flag[T], test func(t *testing.T, client *openfeature.Client, value T), values ...T) {
	t.Helper()
	if len(values) == 0 {
		both, ok := any([]bool{false, true}).([]T)
		if !ok {
			t.Fatalf("flagtest: Each of flag %q needs values, because its type is %v", flag.Key(), reflect.TypeFor[T]())
		}
		values = both
	}
	for _, value := range values {
		t.Run(fmt.Sprintf("%s=%v", flag.Key(), value), func(t *testing.T) {
			client, _ := With(t, flag.Is(value))
			test(t, client, value)
		})
	}
}

// Lint fails the test for each error that flags.Lint finds in the file, also against the declared
// flags. Warnings are logged only, so that an expired flag does not block a hotfix.
func Lint(t testing.TB, path string, declared ...flags.Declared) {
	t.Helper()
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("flagtest: %v", err)
		return
	}
	for _, problem := range flags.Lint(path, doc, declared...) {
		if problem.Severity == flags.SeverityError {
			t.Errorf("%v", problem)
		} else {
			t.Logf("warning: %v", problem)
		}
	}
}
