package pkgmgmt

import (
	"fmt"
	"strings"

	"github.com/upkeep-go/upkeep/internal/document"
)

// A Fault is one thing wrong with a policy. [ParsePolicy] returns all of them
// together, as [Faults].
type Fault struct {
	File   string // the policy's name, as given to ParsePolicy
	Line   int    // from 1; 0 when not known
	Column int    // from 1, in characters; 0 when not known
	Module string // the pattern of the rule; empty when the fault stands outside one
	Field  string // "require", "allow[2]"; empty when the fault is in no field
	Err    error
}

// Error gives the place, the rule, the field and the fault:
//
//	packages.yaml:7:14: module "golang.org/x/crypto": require: improper constraint: "at least 1.4"
func (f *Fault) Error() string {
	text := document.Place(f.File, f.Line, f.Column)
	if f.Module != "" {
		text += fmt.Sprintf(": module %q", f.Module)
	}
	if f.Field != "" {
		text += ": " + f.Field
	}
	return text + ": " + f.Err.Error()
}

func (f *Fault) Unwrap() error { return f.Err }

// Faults are all the faults of a policy, in its order.
type Faults []*Fault

// Error gives one fault a line, at most fifty of them.
func (fs Faults) Error() string {
	const most = 50
	lines := make([]string, 0, min(len(fs), most+1))
	for i, f := range fs {
		if i == most {
			lines = append(lines, fmt.Sprintf("and %d more", len(fs)-most))
			break
		}
		lines = append(lines, f.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find the first [*Fault], and errors.Is look at each.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}
