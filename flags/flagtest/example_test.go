package flagtest_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/flags/flagtest"
)

// A test with its own flag values:
//
//	func TestExpress(t *testing.T) {
//		t.Parallel()
//		client, _ := flagtest.With(t, NewCheckout.Is(true), Color.Is("red"))
//		…
//	}
func ExampleWith() {
	example(func(t *testing.T) {
		client, _ := flagtest.With(t, newCheckout.Is(true), color.Is("red"))
		fmt.Println(checkout(t.Context(), client), color.Value(t.Context(), client, openfeature.EvaluationContext{}))
	})
	// Output: express red
}

// The same without the declarations of the flags:
//
//	func TestExpress(t *testing.T) {
//		t.Parallel()
//		client, _ := flagtest.New(t, map[string]any{"new-checkout": true})
//		…
//	}
func ExampleNew() {
	example(func(t *testing.T) {
		client, _ := flagtest.New(t, map[string]any{"new-checkout": true, "color": "red"})
		fmt.Println(checkout(t.Context(), client), color.Value(t.Context(), client, openfeature.EvaluationContext{}))
	})
	// Output: express red
}

// A test in every variant:
//
//	func TestCheckout(t *testing.T) {
//		flagtest.Each(t, NewCheckout, func(t *testing.T, client *openfeature.Client, express bool) {
//			…
//		})
//	}
func ExampleEach() {
	example(func(t *testing.T) {
		flagtest.Each(t, newCheckout, func(t *testing.T, client *openfeature.Client, express bool) {
			fmt.Println(express, checkout(t.Context(), client))
		})
	})
	// Output:
	// false standard
	// true express
}

// example runs a test inside an Example, as the go command does outside. It turns -v off meanwhile,
// because the names of tests would become output of the Example.
func example(test func(t *testing.T)) {
	verbose := flag.Lookup("test.v").Value
	before := verbose.String()
	if err := verbose.Set("false"); err != nil {
		panic(err)
	}
	defer func() { _ = verbose.Set(before) }()
	testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "example", F: test}})
}

func sprintf(format string, args []any) string { return fmt.Sprintf(format, args...) }
