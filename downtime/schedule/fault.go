package schedule

import (
	"fmt"
	"strings"

	"github.com/upkeep-go/upkeep/internal/document"
)

// A Fault is one thing wrong with a document. [Parse] returns all of
// them together, as [Faults].
//
// Err wraps errors.ErrUnsupported when the fault is a part of RFC 5545's rules that windows
// do not have.
type Fault struct {
	File   string // the document's name, as given to Parse
	Line   int    // from 1; 0 when not known
	Column int    // from 1, in characters; 0 when not known
	Window string // the window's id; empty when the fault stands outside one, or it has none
	Field  string // "duration", "scope.paths[0]"; empty when the fault is in no field
	Err    error
}

// Error gives the place, the window, the field and the fault:
//
//	windows.yaml:14:15: window "db-upgrade": duration: must be positive, got "-2h"
func (f *Fault) Error() string {
	var b strings.Builder
	b.WriteString(document.Place(f.File, f.Line, f.Column))
	b.WriteString(": ")
	if f.Window != "" {
		fmt.Fprintf(&b, "window %q: ", f.Window)
	}
	if f.Field != "" {
		b.WriteString(f.Field)
		b.WriteString(": ")
	}
	b.WriteString(f.Err.Error())
	return b.String()
}

func (f *Fault) Unwrap() error { return f.Err }

// Faults are all the faults of a document, in its order.
type Faults []*Fault

// Error gives one fault a line, at most fifty of them.
func (fs Faults) Error() string {
	const most = 50
	var b strings.Builder
	for i, f := range fs {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == most {
			fmt.Fprintf(&b, "and %d more", len(fs)-most)
			break
		}
		b.WriteString(f.Error())
	}
	return b.String()
}

// Unwrap lets errors.As find the first [*Fault], and errors.Is look at each.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}
