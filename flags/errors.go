package flags

import (
	"errors"

	"github.com/upkeep-go/upkeep/internal/document"
	"github.com/upkeep-go/upkeep/internal/live"
)

// Init and [Open] return these errors, and [Lint] has them in its faults, wrapped with the name
// of the document.
var (
	// ErrEmpty and ErrNull mean that the document has no content: a truncated file, or a template
	// that produced null.
	ErrEmpty = document.ErrEmpty
	ErrNull  = document.ErrNull

	// ErrTooLarge means that the document has more than 64 MiB.
	ErrTooLarge = live.ErrTooLarge

	// ErrBusy means that an earlier load of the source has not returned.
	ErrBusy = live.ErrBusy
)

// ErrClosed is returned by Init and [Open] when the provider is shut down while they wait for the
// first document.
var ErrClosed = errors.New("the provider was shut down")

// A Fault is one thing wrong with a flag document. A document that cannot be used is refused with
// all of its faults, as [Faults]. [Provider.Problems] lists the faults of single flags.
type Fault struct {
	File     string // the document's name
	Line     int    // from 1; 0 means not known
	Column   int    // from 1, in characters; 0 means not known
	Flag     string // the flag's key; Empty means that the fault is the document's
	Field    string // "variants", "targeting", …; Empty means the whole flag
	Severity Severity
	Err      error
}

// Error formats the fault with its place:
//
//	flags.yaml:14:7: flag "new-checkout": defaultVariant: "of" is not a variant
func (f *Fault) Error() string {
	return document.FaultText(f.File, f.Line, f.Column, "flag", f.Flag, f.Field, f.Err)
}

func (f *Fault) Unwrap() error { return f.Err }

// Faults are all faults of a document, in its order.
type Faults []*Fault

// Error has one line for each of the first fifty faults.
func (fs Faults) Error() string { return document.FaultsText(fs) }

// Unwrap returns the faults for errors.As and errors.Is.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}

// faultsOf splits what a reader has collected into faults and warnings. The warnings are unknown
// fields.
func faultsOf(file string, collected []document.Fault) (faults, unknown Faults) {
	for _, f := range collected {
		fault := &Fault{File: file, Line: f.Line, Column: f.Column, Flag: f.Subject, Field: f.Field, Err: f.Err}
		if f.Warning {
			fault.Severity = SeverityWarning
			unknown = append(unknown, fault)
		} else {
			faults = append(faults, fault)
		}
	}
	return faults, unknown
}

// faultsIn converts an error to faults: those of a document, or the failure of its source.
func faultsIn(file string, err error) Faults {
	var faults Faults
	var fault *Fault
	var failure *live.Error
	switch {
	case errors.As(err, &faults):
		return faults
	case errors.As(err, &fault):
		return Faults{fault}
	case errors.As(err, &failure):
		return Faults{{File: failure.Document, Err: failure.Err}}
	}
	return Faults{{File: file, Err: err}}
}

// A Severity is how bad a [Fault] is.
type Severity int

const (
	// SeverityError means that the flag, or the document, does not work.
	SeverityError Severity = iota
	// SeverityWarning means that it works and is probably a mistake.
	SeverityWarning
)

// String is "error" or "warning".
func (s Severity) String() string {
	if s == SeverityWarning {
		return "warning"
	}
	return "error"
}
