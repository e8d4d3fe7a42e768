package pkgmgmt_test

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/upkeep-go/upkeep/pkgmgmt"
)

// exampleProxy returns a module proxy with one module of two versions. The first is retracted, and
// half a year older than the second.
func exampleProxy() *httptest.Server {
	files := map[string]string{
		"/corp.example/money/@v/list":        "v1.0.0\nv1.1.0\n",
		"/corp.example/money/@v/v1.0.0.info": `{"Version":"v1.0.0","Time":"2026-01-10T00:00:00Z"}`,
		"/corp.example/money/@v/v1.1.0.info": `{"Version":"v1.1.0","Time":"2026-07-10T00:00:00Z"}`,
		"/corp.example/money/@v/v1.1.0.mod":  "module corp.example/money\n\nretract v1.0.0 // rounds the wrong way\n",
	}
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, text)
	}))
}

// With a registry a policy can check facts that build information lacks.
func ExamplePolicy_CheckWith() {
	proxy := exampleProxy()
	defer proxy.Close()
	registry, err := pkgmgmt.NewProxy(proxy.URL, &pkgmgmt.ProxyOptions{Modules: []string{"corp.example/..."}})
	if err != nil {
		fmt.Println(err)
		return
	}
	pol, err := pkgmgmt.ParsePolicy("packages.yaml", []byte(`rules: [{module: corp.example/..., maxBehind: 90d}]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range pol.CheckWith(context.Background(), built("corp.example/money v1.0.0", "golang.org/x/mod v0.42.0"), registry) {
		fmt.Println(v.Module, v.Version, v.Rule)
		fmt.Println("   ", v.Reason)
		fmt.Println("    to fix:", v.Fix)
	}
	// Output:
	// corp.example/money v1.0.0 retracted
	//     is retracted: rounds the wrong way
	//     to fix: go get corp.example/money@v1.1.0
	// corp.example/money v1.0.0 age
	//     is 181 days older than v1.1.0, and may be 90d
	//     to fix: go get corp.example/money@v1.1.0
}

// A pipeline checks a program before it deploys it. The program in this Example is the test
// binary, which records no modules.
func ExamplePolicy_Check_binary() {
	path, err := os.Executable() // in a pipeline: bin/shop
	if err != nil {
		fmt.Println(err)
		return
	}
	bi, err := buildinfo.ReadFile(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	pol, err := pkgmgmt.ParsePolicy("packages.yaml", []byte(`forbidReplace: true`))
	if err != nil {
		fmt.Println(err)
		return
	}
	violations := pol.Check(bi)
	for _, v := range violations {
		fmt.Println(v.Reason)
	}
	fmt.Println("deploy:", len(violations) == 0)
	// Output:
	// this test binary records no modules, so there is nothing to check
	// deploy: false
}

// A private registry comes before a public one, which never gets private names.
func ExampleModuleSources() {
	proxy := exampleProxy()
	defer proxy.Close()
	private, err := pkgmgmt.NewProxy(proxy.URL, &pkgmgmt.ProxyOptions{Modules: []string{"corp.example/..."}})
	if err != nil {
		fmt.Println(err)
		return
	}
	public := knows(func(path, version string) (pkgmgmt.Status, error) {
		fmt.Println("the public one is asked for", path)
		return pkgmgmt.Status{Latest: version}, nil
	})
	registries := pkgmgmt.ModuleSources{private, public}
	for _, path := range []string{"corp.example/money", "corp.example/secret", "golang.org/x/mod"} {
		st, err := registries.Status(context.Background(), path, "v1.0.0")
		fmt.Println(path, st.Latest, err)
	}
	// Output:
	// corp.example/money v1.1.0 <nil>
	// corp.example/secret  pkgmgmt: corp.example/secret@v1.0.0: file does not exist
	// the public one is asked for golang.org/x/mod
	// golang.org/x/mod v1.0.0 <nil>
}

// A fleet shows the modules of all services, and the differences between services.
func ExampleFleet() {
	proxy := exampleProxy()
	defer proxy.Close()
	registry, err := pkgmgmt.NewProxy(proxy.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	// A service shows its build information to requests with a token, for example by
	// version.Handler of the package version.
	endpoint := func(modules ...string) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer token" || !strings.Contains(r.Header.Get("Accept"), "text/x-go-buildinfo") {
				fmt.Fprintln(w, "v1.0.0")
				return
			}
			w.Header().Set("Content-Type", "text/x-go-buildinfo")
			fmt.Fprint(w, built(modules...))
		}))
	}
	shop, cart := endpoint("corp.example/money v1.0.0"), endpoint("corp.example/money v1.1.0")
	defer shop.Close()
	defer cart.Close()
	fleet, err := pkgmgmt.NewFleet([]pkgmgmt.Target{
		{Service: "shop", Environment: "production", URL: shop.URL},
		{Service: "cart", Environment: "production", URL: cart.URL},
	}, &pkgmgmt.FleetOptions{
		Registry:    registry,
		Credentials: func(r *http.Request) error { r.Header.Set("Authorization", "Bearer token"); return nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	report := fleet.Collect(context.Background())
	if err := report.WriteTable(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// MODULE              VERSION  SERVICE      ENVIRONMENT  VERDICT
	// corp.example/money  v1.1.0   cart v1.0.0  production   fine
	// corp.example/money  v1.0.0   shop v1.0.0  production   retracted
	//
	// corp.example/money v1.0.0: is retracted: rounds the wrong way; to fix: go get corp.example/money@v1.1.0 (shop in production)
	// corp.example/money v1.0.0: is behind v1.1.0, which cart has; to fix: go get corp.example/money@v1.1.0 (shop in production)
	// corp.example/money v1.0.0: is behind v1.1.0; to fix: go get corp.example/money@v1.1.0 (shop in production)
}
