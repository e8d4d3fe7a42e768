package sbom_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime/debug"

	"github.com/CycloneDX/cyclonedx-go"

	"github.com/upkeep-go/upkeep/pkgmgmt/sbom"
)

// Serve the bill of materials of a service on the operators' listener.
func Example() {
	bi := &debug.BuildInfo{ // a running program calls debug.ReadBuildInfo
		GoVersion: "go1.26.1",
		Path:      "corp.example/shop",
		Main:      debug.Module{Path: "corp.example/shop", Version: "v1.4.2"},
		Deps:      []*debug.Module{{Path: "golang.org/x/mod", Version: "v0.42.0", Sum: "h1:ICeL3t2L30ljSPHHxDnR4fqVcBt/zR2zJAb9juavmQg="}},
	}
	admin := http.NewServeMux()
	admin.Handle("GET /sbom", sbom.Handler(bi, nil))

	w := httptest.NewRecorder()
	admin.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/sbom", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output:
	// 200 application/vnd.cyclonedx+json; version=1.6
}

// Read the bill as a value, which you can also change.
func ExampleNew() {
	bom, err := sbom.New(&debug.BuildInfo{
		GoVersion: "go1.26.1",
		Path:      "corp.example/shop",
		Main:      debug.Module{Path: "corp.example/shop", Version: "v1.4.2"},
		Deps: []*debug.Module{
			{Path: "corp.example/money", Version: "v1.0.0", Replace: &debug.Module{Path: "corp.example/fork", Version: "v1.0.1"}},
			{Path: "golang.org/x/mod", Version: "v0.42.0", Sum: "h1:ICeL3t2L30ljSPHHxDnR4fqVcBt/zR2zJAb9juavmQg="},
		},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	bom.Metadata.Supplier = &cyclonedx.OrganizationalEntity{Name: "Corp"}
	fmt.Println(bom.Metadata.Component.PackageURL)
	for _, c := range *bom.Components {
		fmt.Println(" ", c.PackageURL)
		if c.Pedigree != nil {
			fmt.Println("    replaces", (*c.Pedigree.Ancestors)[0].PackageURL)
		}
	}
	// Output:
	// pkg:golang/corp.example/shop@v1.4.2
	//   pkg:golang/corp.example/fork@v1.0.1
	//     replaces pkg:golang/corp.example/money@v1.0.0
	//   pkg:golang/golang.org/x/mod@v0.42.0
	//   pkg:golang/stdlib@1.26.1
}
