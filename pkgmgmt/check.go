package pkgmgmt

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

func unverifiable(bi *debug.BuildInfo) (v Violation, ok bool) {
	v = Violation{Rule: RuleUnverifiable, Fix: "check the program as it is deployed: a binary built by the go command from a module"}
	switch {
	case bi == nil:
		v.Reason = "there is no build information"
	case len(bi.Deps) > 0:
		return v, false
	case strings.HasSuffix(bi.Path, ".test"):
		v.Reason = "this test binary records no modules, so there is nothing to check"
	case bi.Main.Path == "":
		v.Reason = "the build information names no modules, so there is nothing to check"
	default:
		return v, false // a program of the standard library alone
	}
	return v, true
}

// check judges a module by what build information says of it. st is what a module source
// knows, for the fixes; the zero Status where none was asked.
func (rs *rules) check(dep *debug.Module, st Status, now time.Time, violations []Violation) []Violation {
	path, version := dep.Path, dep.Version
	found := func(rule Rule, reason, fix string) {
		violations = append(violations, Violation{Module: path, Version: version, Rule: rule, Reason: reason, Fix: fix})
	}
	if r := dep.Replace; r != nil {
		version = r.Version
		if rs.forbidReplace {
			fix := unreplace(dep)
			for rl := range rs.about(path) {
				if !rl.required || r.Path != path {
					continue
				}
				if ok, _ := rl.require.allows(r.Version); !ok {
					fix = "remove the replace directive of " + path + " from go.mod, and require a version that satisfies " + rl.require.text
				}
			}
			found(RuleReplace, "is replaced by "+replacement(r), fix)
		}
		if r.Path != path {
			violations = rs.replaced(dep, violations)
		}
	}
	if rs.restricted && !rs.allowed(path) {
		found(RuleAllow, "is not on the list of allowed modules", "remove the dependency on "+path+", or have it added to the policy's allow list")
	}
	for rl := range rs.about(path) {
		if rl.denied {
			fix := "remove the dependency on " + path
			if rl.replacement != "" {
				fix += "; use " + rl.replacement + " in its place"
			}
			found(RuleDeny, "must not be used: "+rl.deny, fix)
			continue
		}
		if !rl.required {
			continue
		}
		if r := dep.Replace; r != nil && r.Path != path {
			found(RuleRequire, because("is replaced by "+replacement(r)+", so whether it satisfies "+rl.require.text+" cannot be told", rl.reason),
				"remove the replace directive of "+path+" from go.mod")
			continue
		}
		if ok, why := rl.require.allows(version); !ok {
			found(RuleRequire, because(why, rl.reason), raise(dep, rs.upgrade(dep, st, now), "that satisfies "+rl.require.text))
		}
	}
	return violations
}

// replaced holds the module that stands in against the rules that are about what
// may be used at all: a fork of an allowed module is no allowed module.
func (rs *rules) replaced(dep *debug.Module, violations []Violation) []Violation {
	r := dep.Replace
	if modfile.IsDirectoryPath(r.Path) {
		return violations // a folder is no module to judge
	}
	fix := "remove the replace directive of " + dep.Path + " from go.mod"
	if rs.restricted && !rs.allowed(r.Path) {
		violations = append(violations, Violation{Module: r.Path, Version: r.Version, Rule: RuleAllow, Reason: "replaces " + dep.Path + " and is not on the list of allowed modules", Fix: fix})
	}
	for rl := range rs.about(r.Path) {
		if rl.denied {
			violations = append(violations, Violation{Module: r.Path, Version: r.Version, Rule: RuleDeny, Reason: "replaces " + dep.Path + " and must not be used: " + rl.deny, Fix: fix})
		}
	}
	return violations
}

func replacement(r *debug.Module) string {
	if modfile.IsDirectoryPath(r.Path) {
		return "the folder " + r.Path
	}
	return r.Path + " " + r.Version
}

// checkWith also judges it by what a module source knows.
func (rs *rules) checkWith(dep *debug.Module, answers map[module.Version]answer, now time.Time, violations []Violation) []Violation {
	before := len(violations)
	m := built(dep)
	a, asked := answers[m]
	violations = rs.check(dep, a.Status, now, violations)
	found := func(rule Rule, reason, fix string) {
		violations = append(violations, Violation{Module: m.Path, Version: m.Version, Rule: rule, Reason: reason, Fix: fix})
	}
	switch {
	case !asked && slices.ContainsFunc(violations[before:], func(v Violation) bool { return v.Rule == RuleReplace }):
		return violations
	case !asked && modfile.IsDirectoryPath(m.Path):
		violations = append(violations, Violation{
			Module: dep.Path, Rule: RuleUnverifiable, Reason: "is replaced by the folder " + m.Path + ", which no registry knows",
			Fix: "remove the replace directive of " + dep.Path + " from go.mod",
		})
		return violations
	case !asked:
		found(RuleUnverifiable, "is not built from a version that a registry could know", "build with a published version of "+m.Path)
		return violations
	case errors.Is(a.err, fs.ErrNotExist):
		found(RuleUnverifiable, "is not in the registry", "publish this version, or build with one that is published")
		return violations
	case a.err != nil:
		found(RuleUnverifiable, "cannot be checked: "+shown(a.err.Error()), "check again when the registry answers")
		return violations
	case a.Status == (Status{}):
		return violations
	}
	update := raise(dep, rs.upgrade(dep, a.Status, now), "above "+shown(m.Version)+" that the policy allows, once there is one")
	if sum := sumOf(dep); sum != "" && a.Sum != "" && sum != a.Sum {
		found(RuleSum, "is built from "+shown(sum)+", and the registry has "+shown(a.Sum), "find out which one is true before anything else; then build again with an empty module cache")
	}
	if a.Retracted != "" && !rs.accepts(dep.Path, RuleRetracted) {
		found(RuleRetracted, "is retracted: "+shown(a.Retracted), update)
	}
	if a.Deprecated != "" && !rs.accepts(dep.Path, RuleDeprecated) {
		found(RuleDeprecated, "is deprecated: "+shown(a.Deprecated), "replace "+m.Path+" as its notice says")
	}
	for rl := range rs.about(dep.Path) {
		if (rl.minAge.d > 0 || rl.maxBehind.d > 0) && a.Time.IsZero() {
			found(RuleUnverifiable, because("is of an age that the registry does not tell", rl.reason), "ask a registry that tells times")
			continue
		}
		if old := now.Sub(a.Time); rl.minAge.d > old {
			found(RuleAge, because(fmt.Sprintf("%s, and must be at least %s old", oldness(old), rl.minAge.text), rl.reason),
				"wait until "+a.Time.Add(rl.minAge.d).UTC().Format(time.DateTime)+" UTC")
		}
		if rl.maxBehind.d > 0 && a.LatestTime.IsZero() && behind(m.Version, a.Latest) {
			found(RuleUnverifiable, because("is behind "+shown(a.Latest)+", of an age that the registry does not tell", rl.reason), "ask a registry that tells times")
			continue
		}
		if rl.maxBehind.d > 0 && a.LatestTime.Sub(a.Time) > rl.maxBehind.d && behind(m.Version, a.Latest) {
			found(RuleAge, because(fmt.Sprintf("is %s older than %s, and may be %s", days(a.LatestTime.Sub(a.Time)), shown(a.Latest), rl.maxBehind.text), rl.reason), update)
		}
	}
	return violations
}

func (rs *rules) accepts(path string, what Rule) bool {
	for rl := range rs.about(path) {
		if slices.Contains(rl.accept, what) {
			return true
		}
	}
	return false
}

func sumOf(dep *debug.Module) string {
	if dep.Replace != nil {
		return dep.Replace.Sum
	}
	return dep.Sum
}

func oldness(d time.Duration) string {
	if d < 0 {
		return "has a date in the future"
	}
	return "is " + days(d) + " old"
}

func days(d time.Duration) string {
	switch n := int(d / (24 * time.Hour)); {
	case n == 0:
		return "less than a day"
	case n == 1:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", n)
	}
}
