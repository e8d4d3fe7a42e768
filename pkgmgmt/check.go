package pkgmgmt

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
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
		return v, false // a program without dependencies
	}
	return v, true
}

// check checks a module by its build information. st is for the fixes; without a module
// source it is zero.
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
					fix = withoutReplace(dep) + ", and require a version that satisfies " + rl.require.text
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
			found(RuleRequire, because("is replaced by "+replacement(r)+", so whether it satisfies "+rl.require.text+" cannot be decided", rl.reason),
				withoutReplace(dep))
			continue
		}
		if ok, why := rl.require.allows(version); !ok {
			found(RuleRequire, because(why, rl.reason), raise(dep, rs.upgrade(dep, st, now), "that satisfies "+rl.require.text))
		}
	}
	return violations
}

// replaced checks the replacement against the rules deny and allow, because a fork of an
// allowed module is not an allowed module.
func (rs *rules) replaced(dep *debug.Module, violations []Violation) []Violation {
	r := dep.Replace
	if modfile.IsDirectoryPath(r.Path) {
		return violations // a folder is not a module
	}
	found := func(rule Rule, reason string) {
		violations = append(violations, Violation{Module: r.Path, Version: r.Version, Rule: rule, Reason: "replaces " + dep.Path + reason, Fix: withoutReplace(dep)})
	}
	if rs.restricted && !rs.allowed(r.Path) {
		found(RuleAllow, " and is not on the list of allowed modules")
	}
	for rl := range rs.about(r.Path) {
		if rl.denied {
			found(RuleDeny, " and must not be used: "+rl.deny)
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

// checkWith also checks it with a module source.
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
		reason := "is replaced by the folder " + m.Path + ", which no registry knows"
		m = module.Version{Path: dep.Path}
		found(RuleUnverifiable, reason, withoutReplace(dep))
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

func sumOf(dep *debug.Module) string { return cmp.Or(dep.Replace, dep).Sum }

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

// upgrade returns the latest version of a module if it is higher than the one in the build
// and the policy allows it, else "".
func (rs *rules) upgrade(dep *debug.Module, st Status, now time.Time) string {
	m := built(dep)
	if !behind(m.Version, st.Latest) {
		return ""
	}
	for rl := range rs.about(dep.Path) {
		if rl.denied || rl.minAge.d > 0 && now.Sub(st.LatestTime) < rl.minAge.d {
			return ""
		}
		if rl.required && m.Path == dep.Path {
			if ok, _ := rl.require.allows(st.Latest); !ok {
				return ""
			}
		}
	}
	return shown(st.Latest)
}

// raise returns a fix: require the given version, or one that need describes. It never advises a
// lower version or one that the policy refuses.
func raise(dep *debug.Module, version, need string) string {
	m := built(dep)
	path := shown(m.Path)
	replaces := "let the replace directive of " + shown(dep.Path) + " in go.mod name "
	switch {
	case dep.Replace != nil && version != "":
		return replaces + path + " " + version
	case dep.Replace != nil:
		return replaces + "a version of " + path + " " + need
	case version != "":
		return "go get " + path + "@" + version
	}
	return "require a version of " + path + " " + need
}

func withoutReplace(dep *debug.Module) string {
	return "remove the replace directive of " + dep.Path + " from go.mod"
}

// unreplace returns a fix that removes a replace directive.
func unreplace(dep *debug.Module) string {
	fix := withoutReplace(dep)
	if r := dep.Replace; r != nil && r.Path == dep.Path && semver.Compare(r.Version, dep.Version) > 0 {
		fix += ", and require " + shown(r.Version)
	}
	return fix
}

var goVersion = regexp.MustCompile(`^go(\d+)\.(\d+)(?:\.(\d+))?(?:(alpha|beta|rc)(\d+))?(?:[-+ ].*)?$`)

// semverOfGo returns the version of a Go release, "go1.26.1 X:nodwarf5", in the form of a
// module version, or "" for other builds of Go.
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
				found(RuleUnverifiable, "is no release of Go, so whether it satisfies "+rl.require.text+" cannot be decided", "build with a release of Go that satisfies "+rl.require.text)
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
