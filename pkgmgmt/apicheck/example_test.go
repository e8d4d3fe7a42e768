package apicheck_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// write writes a module to a folder.
func write(dir, source string) apicheck.Module {
	for name, text := range map[string]string{"go.mod": "module corp.example/greet\n\ngo 1.21\n", "greet.go": source} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			panic(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			panic(err)
		}
	}
	return apicheck.Module{Dir: dir}
}

// Find the version that the working tree needs.
func Example() {
	dir, err := os.MkdirTemp("", "greet-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	released := write(filepath.Join(dir, "released"), "package greet\n\nfunc Hello() string { return \"hello\" }\n")
	working := write(filepath.Join(dir, "working"), "package greet\n\nfunc Hello(name string) string { return \"hello \" + name }\n\nfunc Bye() {}\n")

	verdict, err := apicheck.Compare(context.Background(), released, working)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(verdict)
	// Output:
	// major: 1 incompatible and 1 compatible changes
	//   - Hello: changed from func() string to func(string) string
	//   + Bye: added
}

// Exclude an experimental package, which may change in any version. Each verdict shows the
// reason.
func ExampleOptions_exclude() {
	checker, err := apicheck.New(&apicheck.Options{Exclude: []apicheck.Exclusion{{Packages: "corp.example/greet/...", Reason: "an experiment until the summer"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, err := os.MkdirTemp("", "greet-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	released := write(filepath.Join(dir, "released"), "package greet\n\nfunc Hello() {}\n")
	working := write(filepath.Join(dir, "working"), "package greet\n")
	verdict, err := checker.Compare(context.Background(), released, working)
	fmt.Println(verdict, err)
	// Output:
	// patch: 0 incompatible and 0 compatible changes
	//   excluded: corp.example/greet (an experiment until the summer) <nil>
}

// Exclude the value of one constant. The rest of its package is compared, and removing the
// constant is still incompatible.
func ExampleExclusion_constants() {
	checker, err := apicheck.New(&apicheck.Options{Exclude: []apicheck.Exclusion{
		{Packages: "corp.example/greet/...", Constants: []string{"Build"}, Reason: "it names the commit"},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, err := os.MkdirTemp("", "greet-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	released := write(filepath.Join(dir, "released"), "package greet\n\nconst (\n\tBuild = \"f00f\"\n\tVersion = \"1.0.0\"\n\tLimit = 10\n)\n")
	working := write(filepath.Join(dir, "working"), "package greet\n\nconst (\n\tBuild = \"cafe\"\n\tVersion = \"1.0.1\"\n\tLimit = 20\n)\n")
	verdict, err := checker.Compare(context.Background(), released, working)
	fmt.Println(verdict, err)
	// Output:
	// major: 1 incompatible and 0 compatible changes
	//   - Limit: value changed from 10 to 20
	//   excluded: corp.example/greet: Build (it names the commit) <nil>
}

// A program with a gate calls Main first. The gate starts the program again for each comparison,
// and there Main compares and exits.
func ExampleMain() {
	apicheck.Main()

	gate, err := apicheck.Gate(&apicheck.GateOptions{
		Upstream: "https://modules.corp.example",
		Private:  []string{"corp.example"},
	})
	if err != nil {
		fmt.Println(err) // ErrNoWorker without the call of Main
		return
	}
	fmt.Println(gate != nil)
	// Output:
	// true
}

// Check whether a version is enough for a bump.
func ExampleEnough() {
	ok, advice := apicheck.Enough("corp.example/greet", "v1.4.2", "v1.5.0", apicheck.BumpMajor)
	fmt.Println(ok, advice)
	ok, advice = apicheck.Enough("corp.example/greet", "v0.4.2", "v0.5.0", apicheck.BumpMajor)
	fmt.Println(ok, advice)
	// Output:
	// false keep the old API, or publish v2.0.0 as the new module corp.example/greet/v2
	// true
}

// A registry refuses a release that breaks its users, unless the publisher overrides the gate with
// a reason.
func ExampleGate() {
	dir, err := os.MkdirTemp("", "registry-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	gate, err := apicheck.Gate(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	reg, err := registry.New(registry.Dir(filepath.Join(dir, "modules")), &registry.Options{
		Private:   []string{"corp.example"},
		Gate:      gate,
		Authorize: func(*http.Request, registry.Action) (string, error) { return "", nil }, // everyone, in an example
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(reg)
	defer server.Close()
	client := &registry.Client{URL: server.URL}
	publish := func(version, source string, opts *registry.PublishOptions) {
		module := write(filepath.Join(dir, version), source)
		_, err := client.Publish(context.Background(), module.Dir, version, opts)
		var refusal *registry.Refusal
		if errors.As(err, &refusal) {
			fmt.Println(version, "is refused:", refusal.Verdict, refusal.Details)
			return
		}
		fmt.Println(version, "is published", err)
	}
	publish("v1.0.0", "package greet\n\nfunc Hello() {}\n", nil)
	publish("v1.1.0", "package greet\n\nfunc Hello(name string) {}\n", nil)
	publish("v1.1.0", "package greet\n\nfunc Hello(name string) {}\n", &registry.PublishOptions{Override: "v1.0.0 was a mistake, and nobody has it"})
	// Output:
	// v1.0.0 is published <nil>
	// v1.1.0 is refused: refuse [Hello: changed from func() to func(string)]
	// v1.1.0 is published <nil>
}
