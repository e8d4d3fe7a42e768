package pkgmgmt_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/upkeep-go/upkeep/pkgmgmt"
)

// A service is checked against a policy: one module is too old, one is denied, and one is fine.
func Example() {
	pol, err := pkgmgmt.ParsePolicy("packages.yaml", []byte(`
rules:
  - module: golang.org/x/crypto
    require: ">=0.31"
    reason: CVE-2024-45337
  - module: github.com/pkg/errors
    deny: archived
    replacement: the standard library's errors
allow: [golang.org/x/..., github.com/pkg/errors]
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	// A running program calls debug.ReadBuildInfo, a pipeline buildinfo.ReadFile.
	bi := &debug.BuildInfo{
		Main: debug.Module{Path: "corp.example/shop", Version: "v1.4.2"},
		Deps: []*debug.Module{
			{Path: "github.com/pkg/errors", Version: "v0.9.1"},
			{Path: "golang.org/x/crypto", Version: "v0.30.0"},
			{Path: "golang.org/x/mod", Version: "v0.42.0"},
		},
	}
	for _, v := range pol.Check(bi) {
		fmt.Println(v.Module, v.Version)
		fmt.Println("   ", v.Reason)
		fmt.Println("    to fix:", v.Fix)
	}
	// Output:
	// github.com/pkg/errors v0.9.1
	//     must not be used: archived
	//     to fix: remove the dependency on github.com/pkg/errors; use the standard library's errors in its place
	// golang.org/x/crypto v0.30.0
	//     does not satisfy >=0.31 (CVE-2024-45337)
	//     to fix: require a version of golang.org/x/crypto that satisfies >=0.31
}

// All faults of a policy are returned together, with their places.
func ExampleParsePolicy() {
	_, err := pkgmgmt.ParsePolicy("packages.yaml", []byte(`rules:
  - module: golang.org/x/crypto
    require: "at least 0.31"
  - modul: github.com/pkg/errors
    deny: archived
`))
	fmt.Println(err)
	// Output:
	// packages.yaml:3:14: rule "golang.org/x/crypto": require: improper constraint: "at least 0.31"
	// packages.yaml:4:5: rules[1].module: is required
	// packages.yaml:4:5: rules[1]: unknown field "modul" (did you mean "module"?)
}

// The test binary of a library records no modules. A check inside a test would always pass, so it
// is a violation.
func ExamplePolicy_Check_testBinary() {
	pol, err := pkgmgmt.ParsePolicy("packages.yaml", []byte(`allow: []`))
	if err != nil {
		fmt.Println(err)
		return
	}
	bi, _ := debug.ReadBuildInfo() // of this Example, which is a test
	for _, v := range pol.Check(bi) {
		fmt.Println(v)
	}
	// Output:
	// this test binary records no modules, so there is nothing to check; to fix: check the program as it is deployed: a binary built by the go command from a module
}

// A running service follows changes of its policy.
func ExampleOpenPolicy() {
	packages := pkgmgmt.Bytes("packages.yaml", []byte(`rules: [{module: golang.org/x/crypto, require: ">=0.31", reason: CVE-2024-45337}]`)) // or File, FS, HTTP, Koanf
	pol, err := pkgmgmt.OpenPolicy(context.Background(), packages, &pkgmgmt.PolicyOptions{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pol.Close()
	bi := &debug.BuildInfo{Main: debug.Module{Path: "corp.example/shop"}, Deps: []*debug.Module{{Path: "golang.org/x/crypto", Version: "v0.30.0"}}}
	for _, v := range pol.Check(bi) {
		fmt.Println(v)
	}
	// Output:
	// golang.org/x/crypto v0.30.0: does not satisfy >=0.31 (CVE-2024-45337); to fix: require a version of golang.org/x/crypto that satisfies >=0.31
}
