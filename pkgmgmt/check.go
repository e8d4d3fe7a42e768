package pkgmgmt

import (
	"fmt"
	"iter"
	"runtime/debug"
	"strings"

	"golang.org/x/mod/modfile"
)

// A Rule is a kind of rule of a policy.
type Rule string

// The kinds of rules.
const (
	// RuleRequire: the version does not satisfy a constraint.
	RuleRequire Rule = "require"
	// RuleDeny: the module must not be used.
	RuleDeny Rule = "deny"
	// RuleAllow: the module is on none of the lists of what may be used.
	RuleAllow Rule = "allow"
	// RuleReplace: the module is replaced by another, or by a folder.
	RuleReplace Rule = "replace"
	// RuleUnverifiable: something could not be checked. A violation that has no module is
	// about all of them: the build information names none, for instance.
	RuleUnverifiable Rule = "unverifiable"

	// The following need a [ModuleSource].

	// RuleDeprecated: the module's author says that it should no longer be used.
	RuleDeprecated Rule = "deprecated"
	// RuleRetracted: the module's author has taken the version back.
	RuleRetracted Rule = "retracted"
	// RuleAge: the version is too new, or too much older than the latest.
	RuleAge Rule = "age"
	// RuleSum: the program was built from another content than the registry has.
	RuleSum Rule = "sum"
)

// A Violation is one rule that a program does not keep.
type Violation struct {
	Module  string `json:"module,omitempty"`  // path, as the go.mod file requires it
	Version string `json:"version,omitempty"` // in the build; of the replacement where there is one
	Rule    Rule   `json:"rule"`
	Reason  string `json:"reason"` // what is wrong, a phrase
	Fix     string `json:"fix"`    // what to do, a phrase
}

// String is the violation in one line:
//
//	golang.org/x/crypto v0.30.0: does not satisfy >=0.31 (CVE-2024-45337); to fix: go get golang.org/x/crypto@latest, or another version that satisfies >=0.31
func (v Violation) String() string {
	subject := v.Module
	if v.Version != "" {
		subject += " " + v.Version
	}
	if subject != "" {
		subject += ": "
	}
	return subject + v.Reason + "; to fix: " + v.Fix
}

// Check compares the modules that a program was built from with the policy, and
// returns what violates it in the order of the build information, nil if nothing
// does. The main module itself is not checked.
//
// Where bi is nil or names no modules at all, because it is a library's test binary or
// was built by a tool that records none, there is one violation, [RuleUnverifiable].
// There is one, too, where the policy has rules about ages: [Policy.CheckWith] keeps those.
func (pol *Policy) Check(bi *debug.BuildInfo) []Violation {
	if v, ok := unverifiable(bi); ok {
		return []Violation{v}
	}
	var violations []Violation
	for _, dep := range bi.Deps {
		if dep != nil {
			violations = pol.check(dep, violations)
		}
	}
	if pol.ages {
		violations = append(violations, Violation{
			Rule:   RuleUnverifiable,
			Reason: "the policy has rules about ages, which build information does not tell",
			Fix:    "check with a registry",
		})
	}
	return violations
}

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

func (pol *Policy) check(dep *debug.Module, violations []Violation) []Violation {
	if pol == nil {
		return violations
	}
	path, version := dep.Path, dep.Version
	found := func(rule Rule, reason, fix string) {
		violations = append(violations, Violation{Module: path, Version: version, Rule: rule, Reason: reason, Fix: fix})
	}
	if r := dep.Replace; r != nil {
		version = r.Version
		if pol.forbidReplace {
			found(RuleReplace, "is replaced by "+replacement(r), "remove the replace directive of "+path+" from go.mod")
		}
		if r.Path != path {
			violations = pol.replaced(dep, violations)
		}
	}
	if pol.restricted && !pol.allowed(path) {
		found(RuleAllow, "is not on the list of allowed modules", "remove the dependency on "+path+", or have it added to the policy's allow list")
	}
	for rl := range pol.rulesFor(path) {
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
			found(RuleRequire, because(why, rl.reason), fmt.Sprintf("go get %s@latest, or another version that satisfies %s", path, rl.require.text))
		}
	}
	return violations
}

// replaced holds the module that stands in against the rules that are about what
// may be used at all: a fork of an allowed module is no allowed module.
func (pol *Policy) replaced(dep *debug.Module, violations []Violation) []Violation {
	r := dep.Replace
	if modfile.IsDirectoryPath(r.Path) {
		return violations // a folder is no module to judge
	}
	fix := "remove the replace directive of " + dep.Path + " from go.mod"
	if pol.restricted && !pol.allowed(r.Path) {
		violations = append(violations, Violation{Module: r.Path, Version: r.Version, Rule: RuleAllow, Reason: "replaces " + dep.Path + " and is not on the list of allowed modules", Fix: fix})
	}
	for rl := range pol.rulesFor(r.Path) {
		if rl.denied {
			violations = append(violations, Violation{Module: r.Path, Version: r.Version, Rule: RuleDeny, Reason: "replaces " + dep.Path + " and must not be used: " + rl.deny, Fix: fix})
		}
	}
	return violations
}

func (pol *Policy) allowed(path string) bool {
	if pol.allowExact[path] {
		return true
	}
	for _, p := range pol.allow {
		if p.matches(path) {
			return true
		}
	}
	return false
}

// rulesFor yields the rules about a module, those that name it first.
func (pol *Policy) rulesFor(path string) iter.Seq[*rule] {
	return func(yield func(*rule) bool) {
		for _, rl := range pol.exact[path] {
			if !yield(rl) {
				return
			}
		}
		for _, rl := range pol.patterns {
			if rl.module.matches(path) && !yield(rl) {
				return
			}
		}
	}
}

func replacement(r *debug.Module) string {
	if modfile.IsDirectoryPath(r.Path) {
		return "the folder " + r.Path
	}
	return r.Path + " " + r.Version
}

func because(why, reason string) string {
	if reason == "" {
		return why
	}
	return why + " (" + reason + ")"
}
