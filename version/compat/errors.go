package compat

import (
	"errors"

	"github.com/upkeep-go/upkeep/internal/document"
)

// ErrIncomparable is returned by [Skew.Check], wrapped, for a version without an order.
var ErrIncomparable = errors.New("cannot be compared")

// A Severity says how bad a [Fault] is.
type Severity int

const (
	// SeverityError means that the rules cannot be used.
	SeverityError Severity = iota
	// SeverityWarning means that they can be used, and are probably a mistake.
	SeverityWarning
)

// String gives "error" or "warning".
func (s Severity) String() string {
	if s == SeverityWarning {
		return "warning"
	}
	return "error"
}

// A Fault is one thing wrong with [Rules].
type Fault struct {
	File     string // the document's name; empty without a document
	Line     int    // from 1; 0 when not known
	Column   int    // from 1, in characters; 0 when not known
	Rule     string // "peers.shop[0]"; empty when the fault is in no rule
	Field    string // "peers.shop[0].minimum"; empty when the fault is in no field
	Severity Severity
	Err      error
}

// Error gives the place, the field and the fault:
//
//	compat.yaml:2:14: default[0].minimum: "1.x" is no version that could be compared
func (f *Fault) Error() string {
	return document.FaultText(f.File, f.Line, f.Column, "", "", f.Field, f.Err)
}

func (f *Fault) Unwrap() error { return f.Err }

// Faults are all the faults of a policy.
type Faults []*Fault

// Error gives one fault a line.
func (fs Faults) Error() string { return document.FaultsText(fs) }

// Unwrap lets errors.As find the first [*Fault], and errors.Is look at each.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}
