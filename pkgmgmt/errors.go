package pkgmgmt

import "github.com/upkeep-go/upkeep/internal/document"

// Severity of a [Fault].
type Severity int

const (
	// SeverityError makes the policy unusable.
	SeverityError Severity = iota
	// SeverityWarning is probably a mistake. The policy can be used.
	SeverityWarning
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == SeverityWarning {
		return "warning"
	}
	return "error"
}

// A Fault is one fault of a policy. [ParsePolicy] and [OpenPolicy] return all of them
// together, as [Faults].
type Fault struct {
	File     string // the policy's name
	Line     int    // from 1; 0 means unknown
	Column   int    // from 1, in characters; 0 means unknown
	Rule     string // the module pattern of the rule; Empty means that it concerns no single rule
	Field    string // "require", "allow[2]"; Empty means that it concerns no single field
	Severity Severity
	Err      error
}

// Error returns the place, the rule, the field and the fault:
//
//	packages.yaml:7:14: rule "golang.org/x/crypto": require: improper constraint: "at least 1.4"
func (f *Fault) Error() string {
	return document.FaultText(f.File, f.Line, f.Column, "rule", f.Rule, f.Field, f.Err)
}

func (f *Fault) Unwrap() error { return f.Err }

// Faults are all faults of a policy, in its order.
type Faults []*Fault

// Error returns one line for each fault, at most fifty.
func (fs Faults) Error() string { return document.FaultsText(fs) }

// Unwrap returns the faults, for errors.As and errors.Is.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}
