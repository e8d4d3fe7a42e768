// Package apicheck finds out which version bump a change of a module's API needs.
//
// Most programs need two functions. Call [Main] first in main. [Compare] loads two versions of
// a module and returns a [Verdict]: [BumpPatch], [BumpMinor], [BumpMajor] or [BumpUnknown], and
// each change:
//
//	apicheck.Main() // first in main
//	…
//	old := apicheck.Module{Path: "corp.example/lib", Version: "v1.4.2", Proxy: "https://modules.corp.example"}
//	verdict, err := apicheck.Compare(ctx, old, apicheck.Module{Dir: ".", Proxy: old.Proxy})
//
// [Gate] is a gate for a registry: it refuses a version whose number is too small for its API
// change. [Enough] is its rule.
//
// # What is compared
//
// The comparison covers the exported names of all packages that users can import. Internal
// packages, programs and tests are left out. It follows the rules of
// https://pkg.go.dev/golang.org/x/exp/apidiff: a change is incompatible if code that uses the
// module may no longer compile. The behaviour of functions is not compared.
//
// Beyond apidiff it compares types of internal packages in the API, exported or not; type
// arguments; the unions of constraints; and package names. A constraint that users can name
// must stay the same, because their own type parameters must satisfy it. If the API has types
// of other modules, they may change with the required version; such a change is listed and
// needs a minor version.
//
// Packages are loaded as users get them: through a module that requires the version. So the
// version's replace directives have no effect. Function bodies are ignored, even if they do
// not compile.
//
// The value of an untyped constant whose name ends in Version may change in any version.
// [Exclusion.Constants] excludes others.
//
// # Platforms
//
// An API may differ between platforms. The whole API is compared on the first of
// [Options.Platforms]. Every other platform of Go, with and without cgo, is compared only if
// its declarations have a difference that no earlier platform has. Comments, layout and bodies
// are ignored; unexported declarations count only if an exported one uses them. The module must
// load on all of Options.Platforms.
//
// Some files cannot be loaded: files for an old or future Go, for the race detector or for
// another compiler, and platforms on which the module does not compile. They are compared by
// their declarations only. A new exported declaration needs a minor version, a removed one a
// major version, and a changed one cannot be judged. Types of C are unknown. So an exported
// declaration that uses one cannot be judged if it, or a header that it needs, has changed.
//
// Files that are built only with a tag of the user's, such as "ignore" or "integration", are
// not part of the API.
//
// # What cannot be judged
//
// BumpUnknown never means "no change". The verdict is BumpUnknown if packages do not load or
// have type errors, if the required version of Go is not installed, if [Options.Timeout] or
// [Options.Memory] is exceeded, or if a changed declaration cannot be judged.
// [Verdict.Problems] has the reason and what to do. If there is also an incompatible change, the
// verdict is BumpMajor.
//
// # Hostile modules
//
// A module may come from an attacker. None of its code is run or compiled: the comparison uses
// no go generate, cgo, version control, or tools and toolchains that the module names. The go
// command (go list) and go/types read its source.
//
// The type checker cannot be stopped or bounded inside its process: a hundred bytes of source
// can keep it busy for years, or use any amount of memory. So each comparison runs in a worker.
// The worker is the program itself, started again with an empty environment, the variable
// UPKEEP_APICHECK_WORKER, and a new temporary folder for all caches. [Main] recognises the
// variable, compares, and exits. The program's init functions run in the worker too.
//
// A worker that does not reach Main within 30 seconds is killed, and the comparison returns
// [ErrNoWorker]. A worker is also killed when [Options.Timeout] passes, on Linux with all its
// child processes. Its memory is limited: on Linux by the kernel, elsewhere only by the garbage
// collector.
//
// If the program's file is replaced while it runs, the worker on Linux is still the running
// program. Elsewhere it is the new file, which must call Main as well.
//
// The worker connects only to the addresses in [Module.Proxy] and downloads dependencies from
// there. It uses no checksum database, so the proxy must be trusted.
package apicheck
