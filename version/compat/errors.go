package compat

import (
	"errors"

	"github.com/upkeep-go/upkeep/internal/document"
)

// ErrIncomparable is wrapped by errors of [Skew.Check] for a version without an order.
var ErrIncomparable = errors.New("cannot be compared")

// Severity of a [Fault].
type Severity int

const (
	// SeverityError makes the rules unusable.
	SeverityError Severity = iota
	// SeverityWarning is probably a mistake. The rules can be used.
	SeverityWarning
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == SeverityWarning {
		return "warning"
	}
	return "error"
}

// A Fault is one thing wrong with [Rules].
type Fault struct {
	File     string // the document's name; Empty means no document
	Line     int    // from 1; 0 means unknown
	Column   int    // from 1, in characters; 0 means unknown
	Rule     string // "peers.shop[0]"; Empty means that it concerns no single rule
	Field    string // "peers.shop[0].minimum"; Empty means that it concerns no single field
	Severity Severity
	Err      error
}

// Error returns the place, the field and the fault:
//
//	compat.yaml:2:14: default[0].minimum: "1.x" is not a version that can be compared
func (f *Fault) Error() string {
	return document.FaultText(f.File, f.Line, f.Column, "", "", f.Field, f.Err)
}

func (f *Fault) Unwrap() error { return f.Err }

// Faults are all the faults of a policy.
type Faults []*Fault

// Error returns one line for each fault.
func (fs Faults) Error() string { return document.FaultsText(fs) }

// Unwrap returns the faults, for errors.As and errors.Is.
func (fs Faults) Unwrap() []error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errs
}
