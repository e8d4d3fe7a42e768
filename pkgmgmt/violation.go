package pkgmgmt

import (
	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// Rule is a kind of rule.
type Rule string

// The kinds of rules.
const (
	// RuleRequire means that the version does not satisfy a constraint.
	RuleRequire Rule = "require"
	// RuleDeny means that the module must not be used.
	RuleDeny Rule = "deny"
	// RuleAllow means that allow does not match the module.
	RuleAllow Rule = "allow"
	// RuleReplace means that a module or a folder replaces the module.
	RuleReplace Rule = "replace"
	// RuleUnverifiable means that something could not be checked. A violation without a
	// module concerns all modules, for example because the build information lists none.
	RuleUnverifiable Rule = "unverifiable"

	// The following rules need a [ModuleSource].

	// RuleDeprecated means that the module's author has deprecated the module.
	RuleDeprecated Rule = "deprecated"
	// RuleRetracted means that the module's author has retracted the version.
	RuleRetracted Rule = "retracted"
	// RuleAge means that the version is too new, or too much older than the latest one.
	RuleAge Rule = "age"
	// RuleSum means that the program was built from content that differs from the registry's.
	RuleSum Rule = "sum"
)

// A Violation is one rule that a program breaks.
type Violation struct {
	Module  string `json:"module,omitempty"`  // path in the requirement of go.mod
	Version string `json:"version,omitempty"` // in the build; the replacement's if there is one
	Rule    Rule   `json:"rule"`
	Reason  string `json:"reason"` // the fault, as a phrase
	Fix     string `json:"fix"`    // what to do, as a phrase
}

// String returns the violation as one line:
//
//	golang.org/x/crypto v0.30.0: does not satisfy >=0.31 (CVE-2024-45337); to fix: require a version of golang.org/x/crypto that satisfies >=0.31
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

func because(why, reason string) string {
	if reason == "" {
		return why
	}
	return why + " (" + reason + ")"
}

func shown(text string) string { return cleantext.Flat(text, 1<<10) }
