package pkgmgmt

import "github.com/upkeep-go/upkeep/internal/document"

// A Severity says how bad a [Fault] is.
type Severity int

const (
	// SeverityError means that the policy cannot be used.
	SeverityError Severity = iota
	// SeverityWarning means that it can be used, and is probably a mistake.
	SeverityWarning
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == SeverityWarning {
		return "warning"
	}
	return "error"
}

// A Fault is one thing wrong with a policy. [ParsePolicy] and [OpenPolicy] return all of
// them together, as [Faults].
type Fault struct {
	File     string // the policy's name
	Line     int    // from 1; 0 when not known
	Column   int    // from 1, in characters; 0 when not known
	Rule     string // the module pattern of the rule. Empty when the fault is in no rule
	Field    string // "require", "allow[2]". Empty when the fault is in no field
	Severity Severity
	Err      error
}

// Error gives the place, the rule, the field and the fault:
//
//	packages.yaml:7:14: rule "golang.org/x/crypto": require: improper constraint: "at least 1.4"
func (f *Fault) Error() string {
	return document.FaultText(f.File, f.Line, f.Column, "rule", f.Rule, f.Field, f.Err)
}

func (f *Fault) Unwrap() error { return f.Err }

// Faults are all the faults of a policy, in its order.
type Faults []*Fault

// Error gives one fault a line, at most fifty of them.
func (fs Faults) Error() string { return document.FaultsText(fs) }

// Unwrap lets errors.As find the first [*Fault], and errors.Is look at each.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}
