// Package sbom lists what a program was built from, as a CycloneDX 1.6 bill of
// materials (https://cyclonedx.org/docs/1.6/json/).
//
// Most programs need one name. [Handler] answers with the bill of the running program:
//
//	bi, _ := debug.ReadBuildInfo()
//	admin.Handle("GET /sbom", sbom.Handler(bi, nil))
//
// [New] makes the bill itself, of any [debug.BuildInfo]: the running program's, that of
// a program on disk ([debug/buildinfo.ReadFile]), or one that a fleet has collected. It
// is a value of github.com/CycloneDX/cyclonedx-go, to be added to and written by that
// package's encoder; [Write] writes the JSON.
//
// # What is in it
//
// The program is the main component. Each module that the linker put into it is a
// library, the one that was compiled: a replaced module is the ancestor in the pedigree
// of its replacement. The standard library is one more, "stdlib", with the version of
// the toolchain. Package URLs keep the letters of module paths as they are: Go tells
// github.com/Azure from github.com/azure, and so do the databases of vulnerabilities.
// A module that is replaced by a folder has no package URL, because nobody else can
// have it; the folder's name, which may tell of a machine, is not shown.
//
// Where a module's path tells where its source is kept, as on github.com, the component has
// an external reference of the type vcs. Nobody is asked for others.
//
// The h1: sum of a module is the property "go:sum". It is a hash of the names and hashes of the
// files in it and not of a file, so it is no hash in the sense of CycloneDX. Settings of the
// build are properties of the main component, "go:build:GOOS"; those that may hold a
// secret or a path, linker flags for instance, are left out.
//
// Build information does not tell which module needs which. The bill says that the
// program depends on all of them, and that the relations are incomplete.
//
// The same build gives the same bytes: components are in the order of their references, the serial
// number is derived from the content, and there is no time but [Options.Time].
//
// # Threat model
//
// A bill of materials tells an attacker which known holes to try. Serve it on a
// listener that the public does not reach.
package sbom
