// Package apicheck finds out which version bump the change of a module's API needs.
//
// Most programs need two names. [Main] is called first in main. [Compare] loads two versions of a module and answers
// with a [Verdict]: [BumpPatch], [BumpMinor], [BumpMajor] or [BumpUnknown], and each change:
//
//	apicheck.Main() // first in main
//	…
//	old := apicheck.Module{Path: "corp.example/lib", Version: "v1.4.2", Proxy: "https://modules.corp.example"}
//	verdict, err := apicheck.Compare(ctx, old, apicheck.Module{Dir: ".", Proxy: old.Proxy})
//
// [Gate] is the same as the gate of a registry, which refuses to publish a
// version whose number promises more than its API keeps. [Enough] is its rule.
//
// # What is compared
//
// The exported names of all packages that others can import, so neither internal
// packages nor programs nor tests, by the rules of
// https://pkg.go.dev/golang.org/x/exp/apidiff: a change is incompatible when code that
// uses the module may no longer compile. What a function does is not compared.
//
// Besides what apidiff compares: types of internal packages that the API shows, exported or
// not; type arguments; the unions of constraints; the name of a package. A constraint that
// users can name may neither narrow nor widen, because their own type parameters must fit
// it. Types of other modules that the API shows may change with the required version; such a
// change is named and needs a minor version.
//
// Packages are loaded as a user gets them, through a module that requires the version
// to be judged, so that its replace directives do not count. The bodies of functions
// are not looked at: a module whose bodies do not compile is judged all the same.
//
// The value of an untyped constant whose name ends in Version may change in any version.
// [Exclusion.Constants] names others whose value may change.
//
// # Platforms
//
// An API may differ from platform to platform. The whole API is compared on the first of
// [Options.Platforms]. Every other platform of Go, with and without cgo, is compared only if
// its declarations differ in a way that no platform before has shown: comments, layout and
// bodies do not count, and unexported declarations count only if an exported one
// mentions them. The module must load on the platforms of Options.Platforms.
//
// Files that do not load are judged by their declarations alone: a file for an old or a future Go, for
// the race detector or for another compiler, and a platform on which the module does not
// compile. A new exported declaration needs a minor version, a removed one a major version. A
// declaration that has changed cannot be judged there. The types of C are never known, so an
// exported declaration that mentions one cannot be judged when it or what it includes has
// changed.
//
// Files that are in a build only when its user names a tag, "ignore" or "integration", are not
// part of the API.
//
// # What cannot be judged
//
// BumpUnknown never means "no change". The verdict is BumpUnknown if packages do not load or
// have type errors, if a version of Go is not here, if [Options.Timeout] passes or
// [Options.Memory] is used up, and if a changed declaration cannot be judged.
// [Verdict.Problems] says which, and what helps. An incompatible change makes the verdict
// BumpMajor all the same.
//
// # Hostile modules
//
// A module to be judged may have been uploaded by anyone. None of its code is run or
// compiled: no go generate, no cgo, no tools or toolchains that it names, no version
// control. Its source is read, by the go command (go list) and by go/types.
//
// The type checker cannot be stopped or bounded inside its process: a hundred bytes of
// source can keep it busy for years, or fill any memory. So each comparison runs in a
// worker: the program itself, started once more with an emptied environment, the variable
// UPKEEP_APICHECK_WORKER, and a new temporary folder for all caches. [Main], which the
// program calls first in main, recognises the variable, compares, and ends the process. A
// worker that has not reached Main after 30 seconds is ended, and the comparison returns
// [ErrNoWorker]. The worker is also ended when [Options.Timeout] passes, on Linux with all
// that it has started. Its memory is limited: on Linux by the kernel, elsewhere only by the
// garbage collector. The init functions of the program run in the worker, too.
//
// On Linux a program whose file has been replaced goes on with the program that runs.
// Elsewhere the worker is the new file, which must call Main as well.
//
// The worker speaks to no address but those of [Module.Proxy], and through it loads
// what the module depends on. There is no checksum database: the proxy is trusted.
package apicheck
