package registry

import (
	"context"
	"net/http"
)

// A Gate judges a version after its zip has been checked and before anyone can see it.
// It is called once for each upload of a version that is not published yet, by many
// goroutines at once, under no lock, and must return soon after its context ends.
//
// An error means that the gate could not do its work, and counts as [Unknown] with the
// error's text as the reason.
type Gate func(ctx context.Context, r *Release) (Judgement, error)

// A Release is a version that someone asks to publish. It is valid until the gate
// returns.
type Release struct {
	Path    string // the module's path: "corp.example/lib/v2"
	Version string // canonical: "v2.1.0"
	Sum     string // of the zip, as go.sum has it: "h1:…"
	GoMod   []byte // the go.mod file; not to be changed
	Zip     string // name of a local file that holds the zip, whole and checked

	// Versions are the module's versions that list shows, in ascending order, without
	// this one. Yanked and blocked versions and pseudo-versions are not among them.
	Versions []string

	// Proxy is the read side of the registry as it would be with this version
	// published, for a GOPROXY on loopback: it asks for no credentials and writes no
	// access log. Modules that are not private are not in it.
	Proxy http.Handler
}

// A Verdict is what a gate says of a version.
type Verdict int

// The zero Verdict is Unknown, so that a gate that forgets to judge lets nothing
// through.
const (
	Unknown Verdict = iota // it cannot be judged: not published, unless overridden
	Pass                   // publish it
	Refuse                 // do not publish it, unless overridden
)

// String gives "unknown", "pass" or "refuse".
func (v Verdict) String() string {
	switch v {
	case Pass:
		return "pass"
	case Refuse:
		return "refuse"
	default:
		return "unknown"
	}
}

// MarshalText gives what String gives.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText has written; any other text is Unknown.
func (v *Verdict) UnmarshalText(text []byte) error {
	*v = Unknown
	for _, known := range []Verdict{Pass, Refuse} {
		if string(text) == known.String() {
			*v = known
		}
	}
	return nil
}

// A Judgement is a verdict and its grounds, which whoever publishes is told.
type Judgement struct {
	Verdict Verdict `json:"verdict"`
	// Reason is one sentence: "an incompatible change needs v2.0.0, not v1.3.0".
	Reason string `json:"reason,omitempty"`
	// Details are the single grounds, one line each: the incompatible changes.
	Details []string `json:"details,omitempty"`
}
