package har

import (
	"errors"
	"fmt"
)

// A Fault is one thing that is wrong with a file.
type Fault struct {
	File         string // as given to [Parse]
	Line, Column int    // from 1; 0 means unknown
	Field        string // such as "log.entries[3].request.url"; empty means the file
	Severity     Severity
	Err          error
}

func (f *Fault) Error() string {
	place := f.File
	if f.Line > 0 {
		place += fmt.Sprintf(":%d:%d", f.Line, f.Column)
	}
	if f.Field != "" {
		place += ": " + f.Field
	}
	return place + ": " + f.Err.Error()
}

// Unwrap returns Err.
func (f *Fault) Unwrap() error { return f.Err }

// Severity says how bad a [Fault] is.
type Severity uint8

// The severities. [Parse] and [Check] report errors only.
const (
	SeverityError Severity = iota
	SeverityWarning
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == SeverityWarning {
		return "warning"
	}
	return "error"
}

// Faults are all that is wrong with a file.
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
