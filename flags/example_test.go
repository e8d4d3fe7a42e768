package flags_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

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

// The document turns the new checkout on for staff and for a quarter of all other users.
func Example() {
	ctx := context.Background()
	p, err := flags.New(flags.Bytes("flags.yaml", []byte(exampleDocument)), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	api := isolated.NewAPI() // a service uses the functions of package openfeature
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

// Open and Bind are for programs without an OpenFeature client, and for hot paths. No hook runs,
// and the rule sees only the given attributes.
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

// The variants of a flag can be structs.
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

// A service that starts without its document uses the defaults in the code until the document
// appears.
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
	<-p.EventChannel() // OpenFeature reads this channel
	fmt.Println(NewCheckout.Bind(p).Value(ctx, staff))
	// Output:
	// missing: true
	// false
	// true
}

// A faulty flag is reported with its place, and affects only that flag.
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

// Why did this user get this variant?
func ExampleProvider_Explain() {
	ctx := context.Background()
	p, err := flags.Open(ctx, flags.Bytes("flags.yaml", []byte(exampleDocument)), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	fmt.Println(p.Explain(ctx, "new-checkout", flags.Attributes{"targetingKey": "user-42", "email": "bob@mail.example"}))
	// Output:
	// new-checkout: false, the rule gives "off" (TARGETING_MATCH)
	//   if → "off"
	//     ends_with → false
	//       var("email") → "bob@mail.example"
	//       "@shop.example"
	//     fractional("off") → "off"   # bucket: 55, hash: 2394511712, of: 100, weights: [25,75]
}

// Lint checks a document before it is shipped; flagtest.Lint does so in a test.
func ExampleLint() {
	limit := flags.Int("limit", 10)
	for _, problem := range flags.Lint("flags.yaml", []byte(`flags:
  new-checkout:
    description: the checkout of 2027
    state: ENABLED
    variants: {"on": true, "off": false}
    defaultVariant: "off"
    targetting: {if: [{var: staff}, "on"]}
  color:
    state: ENABLED
    variants: {red: "#f00", blue: "#00f"}
    defaultVariant: red
    targeting: {if: [{sem_ver: [{var: version}, "=>", 1.4.0]}, green]}
`), limit) {
		fmt.Println(problem.Severity, problem)
	}
	// Output:
	// error flags.yaml: flag "limit": missing, and the code declares it as int
	// error flags.yaml:7:5: flag "new-checkout": unknown field "targetting" (did you mean "targeting"?)
	// warning flags.yaml:10:29: flag "color": variants: nothing gives "blue"
	// error flags.yaml:12:49: flag "color": targeting: sem_ver has the operators != < <= = > >= ^ ~, got "=>": it gives null
	// error flags.yaml:12:64: flag "color": targeting: gives "green", which is not a variant
}

// Cleanup finds the flags that can be removed from the code.
func ExampleProvider_Cleanup() {
	ctx := context.Background()
	p, err := flags.Open(ctx, flags.Bytes("flags.yaml", []byte(`
flags:
  new-checkout: {variants: {"on": true, "off": false}, defaultVariant: "on", metadata: {owner: team-checkout, expires: 2026-06-30}}
  dark-mode:    {variants: {"on": true, "off": false}, defaultVariant: "off", targeting: {if: [{var: dark}, "on"]}}
`)), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	newCheckout, darkMode := NewCheckout.Bind(p), flags.Bool("dark-mode", false).Bind(p)
	for i := range 10 {
		newCheckout.Value(ctx, nil)
		darkMode.Value(ctx, flags.Attributes{"dark": i%2 == 0})
	}
	for _, candidate := range p.Cleanup(time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)) {
		fmt.Println(candidate.Flag, candidate.Owner, len(candidate.Reasons), candidate.Reasons[0])
	}
	// Output: new-checkout team-checkout 2 expired on 2026-06-30
}

// An override turns a dark feature on for one request.
func ExampleWithOverride() {
	ctx := context.Background()
	p, err := flags.Open(ctx, flags.Bytes("flags.yaml", []byte(exampleDocument)), &flags.Options{AllowOverrides: true}) // not in production
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	newCheckout := NewCheckout.Bind(p)
	fmt.Println(newCheckout.Value(ctx, nil))
	fmt.Println(newCheckout.Value(flags.WithOverride(ctx, "new-checkout", "on"), nil))
	// Output:
	// false
	// true
}

// Flags that the code needs are checked at every load.
func ExampleProvider_Require() {
	p, err := flags.New(flags.Bytes("flags.yaml", []byte(exampleDocument)), &flags.Options{Strict: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	if err := p.Require(NewCheckout, flags.Int("page-size", 20)); err != nil {
		fmt.Println(err)
	}
	fmt.Println(p.Init(openfeature.EvaluationContext{}))
	// Output: flags.yaml: flag "page-size": missing, and the code declares it as int
}

// A team's document overrides the company's, flag by flag.
func ExampleMerge() {
	ctx := context.Background()
	company := flags.Bytes("company.yaml", []byte(`flags: {banner: {variants: {v: Welcome}, defaultVariant: v}, footer: {variants: {v: Imprint}, defaultVariant: v}}`))
	team := flags.Bytes("team.yaml", []byte(`flags: {banner: {variants: {v: Sale}, defaultVariant: v}}`))
	p, err := flags.Open(ctx, flags.Merge(company, team), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	fmt.Println(flags.String("banner", "").Bind(p).Value(ctx, nil), flags.String("footer", "").Bind(p).Value(ctx, nil))
	// Output: Sale Imprint
}

// A flag can be limited to builds that contain its code, because every rule sees the version of
// the build that evaluates it.
func ExampleOptions_static() {
	ctx := context.Background()
	document := flags.Bytes("flags.yaml", []byte(`
flags:
  new-checkout:
    variants: {"on": true, "off": false}
    defaultVariant: "off"
    targeting: {if: [{sem_ver: [{var: version}, ">=", 1.4.0]}, "on"]}
`))
	for _, version := range []string{"v1.3.9", "v1.4.0"} { // a service uses version.Current().Version
		p, err := flags.Open(ctx, document, &flags.Options{Static: flags.Attributes{"version": version}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(version, NewCheckout.Bind(p).Value(ctx, flags.Attributes{"version": "v9.9.9"})) // a client cannot override it
		_ = p.Close()
	}
	// Output:
	// v1.3.9 false
	// v1.4.0 true
}

// A handler learns which variants a request was given, to compare them with its outcome. Only variants
// that fractional has chosen at random can be compared.
func ExampleWithExposures() {
	ctx := context.Background()
	p, err := flags.Open(ctx, flags.Bytes("flags.yaml", []byte(exampleDocument)), nil)
	if err != nil {
		panic(err)
	}
	defer p.Close()

	ctx, exposures := flags.WithExposures(ctx)
	checkout := NewCheckout.Bind(p)
	checkout.Value(ctx, flags.Attributes{"targetingKey": "ada", "email": "ada@shop.example"}) // staff
	checkout.Value(ctx, flags.Attributes{"targetingKey": "user-42", "email": "bob@mail.example"})
	for _, x := range exposures.All() {
		fmt.Println(x.Flag, x.Variant, x.Split, x.Share)
	}
	// Output:
	// new-checkout on false 0
	// new-checkout off true 0.75
}
