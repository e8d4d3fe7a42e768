// Package flagtest is for the tests of code that asks flags.
//
// [New] gives a test flags of its own, with the values that it wants, and [Each] runs a
// test once in every variant. [Lint] holds the document that is going to be shipped
// against the flags that the code declares, and [Source] is a kit for those who
// implement a flags.Source.
//
// All of it works in parallel tests and from any goroutine: each test has an OpenFeature
// API of its own, and nothing global is touched. Code under test takes its client as a
// value; what reaches for the openfeature package's own client cannot be helped.
//
// The package imports testing and is for tests only.
package flagtest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"

	"github.com/upkeep-go/upkeep/flags"
)

// New returns an OpenFeature client and the provider behind it, for this test alone, with
// flags that have the given values for everybody: bools, texts, numbers, and what
// encoding/json makes a map or a list of. A flag that is not given does not exist, so
// that the code's default counts. The test fails where a value is no flag's. Both are
// closed when it ends.
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
		t.Fatalf("flagtest: a value is no flag's: %v", err)
	}
	return Open(t, flags.Bytes(t.Name()+".json", text))
}

// Open is [New] for a document, which must be without a fault, and honours
// flags.WithOverride.
func Open(t testing.TB, src flags.Source) (*openfeature.Client, *flags.Provider) {
	t.Helper()
	p, err := flags.New(src, &flags.Options{Strict: true, AllowOverrides: true, Logger: slog.New(slog.DiscardHandler)})
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
// value, with a client that knows this flag alone. The values of a bool are both, if
// none are given; of any other type they must be.
func Each[T any](t *testing.T, flag flags.Flag[T], test func(t *testing.T, client *openfeature.Client), values ...T) {
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
			client, _ := New(t, map[string]any{flag.Key(): value})
			test(t, client)
		})
	}
}

// Lint fails the test for each error that flags.Lint finds in the file, and for each
// declared flag that the file does not have, or has with another type. Warnings are
// logged: a flag that expires must not stop a hotfix.
func Lint(t testing.TB, path string, declared ...flags.Declared) {
	t.Helper()
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("flagtest: %v", err)
		return
	}
	broken := false
	for _, problem := range flags.Lint(path, doc) {
		if problem.Severity == flags.SeverityError {
			broken = true
			t.Errorf("%v", problem)
		} else {
			t.Logf("warning: %v", problem)
		}
	}
	if broken {
		return // what is declared cannot be held against it
	}
	p, err := flags.Open(t.Context(), flags.Bytes(path, doc), &flags.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	defer p.Close()
	if err := p.Require(declared...); err != nil {
		t.Errorf("%v", err)
	}
}
