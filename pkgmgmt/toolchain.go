package pkgmgmt

import (
	"regexp"
	"runtime/debug"
)

var goVersion = regexp.MustCompile(`^go(\d+)\.(\d+)(?:\.(\d+))?(?:(alpha|beta|rc)(\d+))?(?:[-+ ].*)?$`)

// semverOfGo is the version of a Go release, "go1.26.1 X:nodwarf5", as that of a module.
// Empty means that it is no release.
func semverOfGo(text string) string {
	m := goVersion.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	patch := m[3]
	if patch == "" {
		patch = "0"
	}
	version := "v" + m[1] + "." + m[2] + "." + patch
	if m[4] != "" {
		version += "-" + m[4] + "." + m[5]
	}
	return version
}

// checkGo judges the Go that a program was built with, by the rules that name it.
func (rs *rules) checkGo(bi *debug.BuildInfo, violations []Violation) []Violation {
	for _, name := range toolchainNames {
		for _, rl := range rs.exact[name] {
			found := func(rule Rule, reason, fix string) {
				violations = append(violations, Violation{Module: name, Version: shown(bi.GoVersion), Rule: rule, Reason: because(reason, rl.reason), Fix: fix})
			}
			version := semverOfGo(bi.GoVersion)
			if rl.denied {
				found(RuleDeny, "must not be used: "+rl.deny, "build with "+rl.replacement)
			}
			if rl.required && version == "" {
				found(RuleUnverifiable, "is no release of Go, so whether it satisfies "+rl.require.text+" cannot be told", "build with a release of Go that satisfies "+rl.require.text)
			} else if rl.required {
				if ok, why := rl.require.allows(version); !ok {
					found(RuleRequire, why, "build with a release of Go that satisfies "+rl.require.text)
				}
			}
			if rl.minAge.d > 0 || rl.maxBehind.d > 0 {
				found(RuleUnverifiable, "is of an age that no registry tells", "use require for Go")
			}
		}
	}
	return violations
}
