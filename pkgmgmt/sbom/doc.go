// Package sbom lists what a program was built from, as a CycloneDX 1.6 bill of
// materials (https://cyclonedx.org/docs/1.6/json/).
//
// Most programs need one function. [Handler] serves the bill of the running program:
//
//	bi, _ := debug.ReadBuildInfo()
//	admin.Handle("GET /sbom", sbom.Handler(bi, nil))
//
// [New] returns the bill as a value of github.com/CycloneDX/cyclonedx-go, which you can
// change and encode with that package. [Write] writes the JSON. Both accept any
// [debug.BuildInfo]: of the running program, of a program on disk
// ([debug/buildinfo.ReadFile]), or one that a fleet has collected.
//
// # Content
//
// The program is the main component. Each module that was linked into it is a library. A
// replacement is listed with the replaced module as the ancestor in its pedigree. The
// standard library is a further component, "stdlib", with the version of the toolchain.
// Package URLs keep upper and lower case of module paths, because for Go and for
// vulnerability databases github.com/Azure and github.com/azure are different modules. A
// module that is replaced by a folder lacks a package URL, because the folder exists on one
// machine only. The folder's name is not shown, because it may describe the build machine.
//
// If a module's path determines its repository, as on github.com, the component has an
// external reference of the type vcs. The package uses no network to find others.
//
// The h1: sum of a module is the property "go:sum". It is a hash of a list of file hashes,
// which CycloneDX's hashes are not. Build settings are properties of the main component:
// "go:build:GOOS". Settings that can contain a secret or a path, such as linker flags, are
// left out.
//
// Build information does not say which module requires which. In the bill the program
// depends on all modules, and the dependencies are marked as incomplete.
//
// The same build gives the same bytes: components are sorted by reference, the serial number
// is a hash of the content, and only [Options.Time] adds a time.
//
// # Threat model
//
// A bill of materials shows attackers which known weaknesses to try. Serve it on a listener
// that the public cannot reach.
package sbom
