package schedule

import (
	"fmt"

	"github.com/upkeep-go/upkeep/internal/document"
)

// A Fault is one thing wrong with a document. [Parse] returns all of them together, as [Faults].
type Fault struct {
	File     string // the document's name, as given to Parse
	Line     int    // from 1; zero means not known
	Column   int    // from 1, in characters; zero means not known
	Window   string // the window's id; empty outside of windows, and for a window without a valid id
	Field    string // "duration", "scope.paths[0]"; empty for a fault of the whole document or window
	Severity Severity
	Err      error // wraps errors.ErrUnsupported for a part of RFC 5545's rules that is not supported
}

// Severity is what a [Fault] means for its document.
type Severity uint8

// The severities.
const (
	SeverityError   Severity = iota // the document is refused
	SeverityWarning                 // probably a mistake; the document can be used
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s > SeverityWarning {
		return fmt.Sprintf("Severity(%d)", uint8(s))
	}
	return [...]string{"error", "warning"}[s]
}

// Error returns the place, the window, the field and the fault:
//
//	windows.yaml:14:15: window "db-upgrade": duration: must be positive, got "-2h"
func (f *Fault) Error() string {
	return document.FaultText(f.File, f.Line, f.Column, "window", f.Window, f.Field, f.Err)
}

func (f *Fault) Unwrap() error { return f.Err }

// Faults are all faults of a document, in the document's order.
type Faults []*Fault

func newFaults(name string, found []document.Fault) Faults {
	faults := make(Faults, len(found))
	for i, f := range found {
		faults[i] = &Fault{
			File: name, Line: f.Line, Column: f.Column, Window: f.Subject, Field: f.Field, Err: f.Err,
		}
		if f.Warning {
			faults[i].Severity = SeverityWarning
		}
	}
	return faults
}

// Error returns one line for each fault, at most fifty of them.
func (fs Faults) Error() string { return document.FaultsText(fs) }

// Unwrap lets errors.As find the first [*Fault], and errors.Is examine each.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}
