// Package pkgmgmt checks the modules that a program was built from against a policy, which
// says which versions of which modules a service may run.
//
// Most programs need two functions. [ParsePolicy] reads the policy, or [OpenPolicy] follows a
// document that changes. [Policy.Check] compares the build information of a program with it:
//
//	pol, err := pkgmgmt.ParsePolicy("packages.yaml", data)
//	bi, _ := debug.ReadBuildInfo()
//	for _, v := range pol.Check(bi) {
//		slog.Warn("package policy", "violation", v)
//	}
//
// The check uses the modules that were linked into the binary, not a go.mod file. For a
// program on disk, [debug/buildinfo.ReadFile] returns the build information.
//
// Refuse violations in continuous integration, where the binary is built. At run time only
// log them, because a rule that was added last week must not stop a restart at three in the
// morning. The test binary of a library records no modules. [Policy.Check] returns a
// violation for it, because there is nothing to check.
//
// [Policy.CheckWith] also asks a [ModuleSource] for facts that build information lacks:
// whether a version was retracted or a module deprecated, how old they are, and whether the
// program was built from the registry's content. [NewProxy] reads any module proxy.
//
// A [Fleet] checks all running services and reports their differences.
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
// A pattern is a module path in which "..." matches any text, as in patterns of the go
// command: "corp.example/..." matches corp.example and everything below it. If several
// rules match a module, it must satisfy all of them. If there is a list allow, modules that
// it does not match are violations.
//
// A rule with the module "stdlib" or "go" is about the Go release of the build.
//
// Constraints have the syntax of
// Masterminds (https://pkg.go.dev/github.com/Masterminds/semver/v3#hdr-Basic_Comparisons):
// ">=1.4, !=1.6.0", "^1.4", "1.x || >=2.2". Versions are those of Go modules. A prerelease
// or pseudo-version satisfies a constraint only if the version itself and the release with
// its numbers both satisfy it: v1.5.0-rc.1 satisfies ">=1.4", and v2.0.0-rc.1 does not
// satisfy "<2". Text after a plus sign, as "+incompatible", is ignored.
//
// Ages are "36h" or "3d". minAge is the minimum age of a version, because most mistakes in
// a release are found within days. maxBehind is how much older than the latest version it
// may be. With a module source, retracted versions and deprecated modules are violations
// unless a rule accepts them. Without a module source, rules about ages cannot be checked,
// and there is one violation that says so.
//
// In an editor, a YAML document is completed and checked if its first line is this one. A JSON
// document has the same address in its field $schema.
//
//	# yaml-language-server: $schema=https://raw.githubusercontent.com/upkeep-go/upkeep/main/pkgmgmt/packages.schema.json
//
// # Fleets
//
// A fleet reads the build information of services from their version endpoints, from
// programs and from files. An endpoint must show all modules to requests with the fleet's
// credentials; otherwise the service is unknown, which is worse than fine. Endpoints are
// hostile input: responses are bounded in size and time, redirects are not followed, and
// texts are cleaned before they reach a table.
//
// # Failing safe
//
// A policy with a fault is refused, because a rule that cannot be read cannot be checked.
// Unknown fields are faults. A module that cannot be checked, for instance because a folder
// replaces it, is a violation. The author of a policy is trusted. Still its size is bounded,
// and no input makes this package panic.
package pkgmgmt
