package pkgmgmt

import (
	"github.com/upkeep-go/upkeep/internal/cleantext"
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
