// Package pkgmgmt holds the modules that a program is built from against a policy:
// which versions of which shared packages a service may run.
//
// Most programs need two names. [ParsePolicy] reads the policy, or [OpenPolicy] follows a
// document that changes, and [Policy.Check] compares the build information of a program
// with it:
//
//	pol, err := pkgmgmt.ParsePolicy("packages.yaml", data)
//	bi, _ := debug.ReadBuildInfo()
//	for _, v := range pol.Check(bi) {
//		slog.Warn("package policy", "violation", v)
//	}
//
// What is checked is what the linker put into the binary, not what a go.mod file
// somewhere says: [debug/buildinfo.ReadFile] gives the same of a program on disk.
//
// Refuse in continuous integration, of the binary that was built; at run time, warn.
// A rule that was added last week must not stop a restart at three in the morning.
// The test binary of a library records no modules, so a check inside of its tests
// checks nothing: [Policy.Check] says so, with a violation.
//
// What build information does not tell, [Policy.CheckWith] asks a [ModuleSource]: whether a
// version has been retracted, a module deprecated, how old they are, and whether the
// program was built from what the registry has. [NewProxy] reads any module proxy.
//
// A [Fleet] does the same for all services that run, and says where they differ.
//
// # The policy
//
//	rules:
//	  - module: golang.org/x/crypto
//	    require: ">=0.31, !=0.32.1"
//	    reason: CVE-2024-45337
//	  - module: github.com/pkg/errors
//	    deny: archived since 2021
//	    replacement: the standard library's errors
//	  - module: corp.example/...
//	    require: ">=1.0"
//	    minAge: 3d
//	    maxBehind: 180d
//	  - module: corp.example/legacy
//	    accept: [deprecated]
//	    reason: gone with the old shop in May
//	allow: [corp.example/..., golang.org/x/..., github.com/stretchr/testify]
//	forbidReplace: true
//
// A pattern is a module path in which "..." stands for any text, as in patterns of
// the go command: "corp.example/..." is everything below corp.example, and corp.example
// itself. Of several rules for one module, all must hold. Where allow is given,
// modules that it does not name are violations.
//
// The names stdlib and go are about Go itself: the release that the program was built with.
//
// Constraints are written as people write them
// (https://pkg.go.dev/github.com/Masterminds/semver/v3#hdr-Basic_Comparisons):
// ">=1.4, !=1.6.0", "^1.4", "1.x || >=2.2". Versions are Go's. A prerelease or
// pseudo-version satisfies a constraint when both it, by precedence, and the release
// that it leads up to do: v1.5.0-rc.1 satisfies ">=1.4", and v2.0.0-rc.1 does not
// satisfy "<2". What stands after a plus sign, "+incompatible" for instance, does not
// count.
//
// Ages are "36h" or "3d". By minAge a version must have been out for so long: what is
// wrong with a release is mostly found within days. By maxBehind it may be so much older
// than the latest version. Retracted versions and deprecated modules are violations
// wherever a registry is asked, unless a rule accepts them. These rules need a registry;
// without one there is one violation that says so.
//
// # Fleets
//
// A fleet reads what services run from their version endpoints, which for that have to
// show everything to those with a token, from programs and from files. A service that
// shows too little is unknown, and not fine. Endpoints are hostile input: answers are
// bounded in size and time, redirects are not followed, and nothing that they say
// reaches a table without being cleaned.
//
// # Failing safe
//
// A policy with a fault is refused whole, because a rule that is not understood
// cannot be kept; fields that are not known are faults. What cannot be judged, a
// module replaced by a folder for instance, is a violation and never passes in
// silence. Policies are hostile input to no one but their author; they are bounded
// all the same, and no bytes panic.
package pkgmgmt
