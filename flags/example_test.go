package flags_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"

	"github.com/upkeep-go/upkeep/flags"
)

// NewCheckout is declared once, where the code that it switches lives.
var NewCheckout = flags.Bool("new-checkout", false)

const exampleDocument = `
flags:
  new-checkout:
    state: ENABLED
    variants: {"on": true, "off": false}
    defaultVariant: "off"
    targeting:
      if: [{$ref: staff}, "on", {fractional: [["on", 25], ["off", 75]]}]
$evaluators:
  staff: {ends_with: [{var: email}, "@shop.example"]}
`

// A document decides who sees the new checkout: staff, and a quarter of all others.
func Example() {
	ctx := context.Background()
	p, err := flags.New(flags.Bytes("flags.yaml", []byte(exampleDocument)), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	api := isolated.NewAPI() // a service uses the openfeature package itself
	if err := api.SetProviderAndWait(ctx, p); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = api.Shutdown(ctx) }()
	client := api.NewClient()

	staff := openfeature.NewEvaluationContext("ada", map[string]any{"email": "ada@shop.example"})
	fmt.Println("ada:", NewCheckout.Value(ctx, client, staff))

	on := 0
	for i := range 1000 {
		user := openfeature.NewEvaluationContext(fmt.Sprint("user-", i), nil)
		if NewCheckout.Value(ctx, client, user) {
			on++
		}
	}
	fmt.Println("about a quarter:", on > 200 && on < 300)

	d, _ := client.BooleanValueDetails(ctx, "new-checkout", false, staff)
	fmt.Println(d.Variant, d.Reason)
	// Output:
	// ada: true
	// about a quarter: true
	// on TARGETING_MATCH
}

// Open and Bind are for programs without an OpenFeature client, and for hot paths: no
// hook runs, and there is no context but the attributes.
func ExampleFlag_Bind() {
	ctx := context.Background()
	p, err := flags.Open(ctx, flags.Bytes("flags.yaml", []byte(exampleDocument)), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	newCheckout := NewCheckout.Bind(p)
	fmt.Println(newCheckout.Value(ctx, flags.Attributes{"targetingKey": "ada", "email": "ada@shop.example"}))
	// Output: true
}

// A flag may be a whole setting.
func ExampleObject() {
	type limits struct {
		PerMinute int `json:"perMinute"`
		Burst     int `json:"burst"`
	}
	rate := flags.Object("rate-limits", limits{PerMinute: 60, Burst: 10})

	ctx := context.Background()
	p, err := flags.Open(ctx, flags.Bytes("flags.yaml", []byte(`
flags:
  rate-limits:
    variants: {normal: {perMinute: 60, burst: 10}, launch: {perMinute: 600, burst: 50}}
    defaultVariant: normal
    targeting: {if: [{==: [{var: plan}, enterprise]}, launch]}
`)), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	fmt.Println(rate.Bind(p).Value(ctx, flags.Attributes{"plan": "enterprise"}))
	fmt.Println(rate.Bind(p).Value(ctx, nil))
	// Output:
	// {600 50}
	// {60 10}
}

// A service that starts without its document answers the defaults of the code, and the
// document when it comes.
func ExampleProvider_InitWithContext() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "flags")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "flags.yaml")

	p, err := flags.New(flags.File(path), &flags.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	err = p.InitWithContext(ctx, openfeature.EvaluationContext{})
	fmt.Println("missing:", errors.Is(err, os.ErrNotExist))
	staff := flags.Attributes{"email": "ada@shop.example"}
	fmt.Println(NewCheckout.Bind(p).Value(ctx, staff))

	if err := os.WriteFile(path, []byte(exampleDocument), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	<-p.EventChannel() // what OpenFeature reads
	fmt.Println(NewCheckout.Bind(p).Value(ctx, staff))
	// Output:
	// missing: true
	// false
	// true
}

// What is wrong with one flag is told with its place, and spoils that flag only.
func ExampleProvider_Problems() {
	ctx := context.Background()
	p, err := flags.Open(ctx, flags.Bytes("flags.yaml", []byte(`flags:
  dark-mode: {variants: {"on": true, "off": false}, defaultVariant: "on"}
  new-checkout:
    variants: {"on": true, "off": false}
    defaultVariant: "of"
`)), &flags.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	for _, problem := range p.Problems() {
		fmt.Println(problem)
	}
	fmt.Println(flags.Bool("dark-mode", false).Bind(p).Value(ctx, nil))
	// Output:
	// flags.yaml:5:21: flag "new-checkout": defaultVariant: "of" is not a variant
	// true
}
