package compat

import (
	"errors"
	"strings"
)

// ErrIncomparable is what [Skew.Check] returns, wrapped with the reason, for a
// version that has no order.
var ErrIncomparable = errors.New("cannot be compared")

// A Fault is one thing wrong with [Rules]. [New], [ParsePolicy],
// [Policy.Update] and [Policy.UpdateDocument] return all of them together, as
// [Faults].
type Fault struct {
	File  string // the document's name, as given to ParsePolicy, with line and column; empty without a document
	Field string // "peers.shop[0].minimum"; empty when the fault is in no field
	Err   error
}

// Error gives the document, the field and the fault:
//
//	compat.yaml:2:14: default[0].minimum: "1.x" is no version that could be compared
func (f *Fault) Error() string {
	text := ""
	if f.File != "" {
		text = f.File + ": "
	}
	if f.Field != "" {
		text += f.Field + ": "
	}
	return text + f.Err.Error()
}

func (f *Fault) Unwrap() error { return f.Err }

// Faults are all the faults of a policy.
type Faults []*Fault

// Error gives one fault a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
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

// An UnfitError says that a peer breaks a rule. [Policy.CheckClient] and
// [Policy.CheckServer] return it at any stage; the transport of [Expect] at
// [StageEnforce], where [errors.As] finds it in the error of an [http.Client].
type UnfitError struct {
	Peer     string // name that the peer tells; empty when it tells none
	Version  string // version that it tells; empty when it tells none
	Required string // what the rule wants: ">=1.4.0, not v1.4.3"
	Why      string // what is wrong with the version: "does not satisfy >=1.4.0"
	Reason   string // Rule.Reason
	Link     string // Rule.Link
	Stage    Stage  // of the rule
}

// Error gives peer, version and what is needed:
//
//	compat: shop v1.3.0 does not satisfy >=1.4.0: orders lose their currency
func (e *UnfitError) Error() string { return "compat: " + e.detail() }

func (e *UnfitError) detail() string {
	text := "the peer"
	if e.Peer != "" {
		text = e.Peer
	}
	if e.Version != "" {
		text += " " + e.Version
	}
	text += " " + e.Why
	if !strings.Contains(e.Why, e.Required) {
		text += "; needed is " + e.Required
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// A SkewError says that two versions are further apart than a [Skew] allows.
type SkewError struct {
	Skew   Skew   // the rule
	Client string // version, cut to 128 bytes
	Server string // version, cut to 128 bytes
	Why    string // "is 2 minor versions newer, and may be 1"
}

// Error names both sides: "compat: kubectl v1.37.0 against kube-apiserver
// v1.35.1: is 2 minor versions newer, and may be 1".
func (e *SkewError) Error() string {
	return "compat: " + sideOr(e.Skew.Client, "client") + " " + e.Client + " against " +
		sideOr(e.Skew.Server, "server") + " " + e.Server + ": " + e.Why
}

func sideOr(name, side string) string {
	if name == "" {
		return side
	}
	return name
}
