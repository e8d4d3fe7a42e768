package capture

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/upkeep-go/upkeep/observe/capture/har"
)

var (
	// ErrNotRedacted is returned by [Bundle.Encode] for a bundle that no [Redactor]
	// has been over: what was not redacted does not become a file by mistake.
	ErrNotRedacted = errors.New("capture: the bundle is not redacted")

	// ErrName is returned by [Store] for a name that [NewName] cannot have made.
	ErrName = errors.New("capture: not the name of a bundle")

	// ErrTooLarge is returned by [Store] for a bundle that is larger than all of
	// them may be.
	ErrTooLarge = errors.New("capture: the bundle is larger than the store")
)

// A Fault is one thing that is wrong with a [Redaction].
type Fault struct {
	File         string // Empty means that the rules are not from a file.
	Line, Column int    // from 1; 0 means unknown
	Field        string // such as "JSON[2]"
	Severity     har.Severity
	Rule         string // as it was given
	Err          error
}

func (f *Fault) Error() string {
	place := f.File
	if f.Line > 0 {
		place = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
	}
	return fmt.Sprintf("%s: Redaction.%s: %q: %v", cmp.Or(place, "capture"), f.Field, f.Rule, f.Err)
}

// Unwrap returns Err.
func (f *Fault) Unwrap() error { return f.Err }

// Faults are all that is wrong with a [Redaction].
type Faults []*Fault

func (fs Faults) Error() string { return errors.Join(fs.Unwrap()...).Error() }

// Unwrap returns each fault, for errors.As and errors.Is.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}
