// Package flagtest is for the tests of code that asks flags.
//
// [With] and [New] give a test flags of its own, with the values that it wants, and [Each] runs a
// test once in every variant. [Lint] checks the document that is going to be shipped, also
// against the flags that the code declares, and [Source] is a kit for those who implement a
// flags.Source.
//
// All of it works in parallel tests and from any goroutine: each test has an OpenFeature
// API of its own, and nothing global is touched. Code under test takes its client as a
// value. Code that uses the openfeature package's own client does not see the test's flags.
//
// The package imports testing and is for tests only.
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

// With returns an OpenFeature client and the provider behind it, for this test alone, with
// flags that have the given values for everybody:
//
//	client, _ := flagtest.With(t, NewCheckout.Is(true), Limit.Is(3))
//
// It is [New] with values whose types the compiler checks. A flag that is given twice is an error
// of the test.
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

// New returns an OpenFeature client and the provider behind it, for this test alone, with
// flags that have the given values for everybody: bools, texts, numbers, and whatever
// encoding/json makes a map or a list of. A flag that is not given does not exist, so
// that the code's default counts. Client and provider are closed when the test ends.
//
// The test fails when a value cannot be a flag's, and when code asks a flag with another type
// than the given value has. The values that no code has asked for are logged when the test ends.
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
		t.Fatalf("flagtest: a value cannot be a flag's: %v", err)
	}
	w := &watch{t: t, values: values}
	client, p := open(t, flags.Bytes(t.Name()+".json", text), w.evaluated)
	client.AddHooks(&hook{watch: w})
	t.Cleanup(func() { w.end(p.Usage()) })
	return client, p
}

// A watch fails the test when a flag is asked with another type than given.
type watch struct {
	t      testing.TB
	values map[string]any

	mu    sync.Mutex
	ended bool // code that still runs may no longer use t
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
		w.t.Errorf("flagtest: flag %q is asked as %v, and the test gives it the value %#v", key, asked, w.values[key])
	}
}

func (w *watch) end(usage flags.Usage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for _, key := range slices.Sorted(maps.Keys(w.values)) {
		if usage.Flags[key].Total() == 0 {
			w.t.Logf("flagtest: no code has asked for flag %q", key)
		}
	}
}

// A hook sees the evaluations of a client.
type hook struct {
	openfeature.UnimplementedHook
	watch *watch
}

func (h *hook) Finally(ctx context.Context, in openfeature.HookContext, details openfeature.InterfaceEvaluationDetails, _ openfeature.HookHints) {
	details.FlagType = in.FlagType()
	h.watch.evaluated(ctx, "", details)
}

// Open is [New] for a document, which must be without a fault, and honours
// flags.WithOverride.
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

// Each runs a test once with each value of a flag, as a subtest that is named for the
// value, with a client that has this flag alone, and passes the value to it. Without values a
// bool is both false and true; a flag of any other type needs values.
func Each[T any](t *testing.T, flag flags.Flag[T], test func(t *testing.T, client *openfeature.Client, value T), values ...T) {
	t.Helper()
	if len(values) == 0 {
		both, ok := any([]bool{false, true}).([]T)
		if !ok {
			t.Fatalf("flagtest: Each of flag %q needs values: a %v has too many", flag.Key(), reflect.TypeFor[T]())
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

// Lint fails the test for each error that flags.Lint finds in the file, also with regard to the
// flags that the code declares. Warnings are logged, so that a flag that expires does not stop a
// hotfix.
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
