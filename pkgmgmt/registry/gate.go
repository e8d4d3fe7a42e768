package registry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// A Gate judges a version after its zip has been checked and before anyone can see it.
// It is called once for each upload of a version that is not published yet, by many
// goroutines at once, under no lock, and must return soon after its context ends.
//
// An error means that the gate could not do its work, and counts as VerdictUnknown with the
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

	// Versions are the module's releases and prereleases in ascending order, without this
	// one. Yanked versions are among them, because there are users who have them, except
	// when the store has no Names. Blocked versions and pseudo-versions are not.
	Versions []string

	// Proxy is the read side of the registry as it would be with this version
	// published, for a GOPROXY on loopback: it asks for no credentials and writes no
	// access log. Modules that are not private are not in it.
	Proxy http.Handler
}

// A Verdict is what a gate says of a version. The empty Verdict means VerdictUnknown, so
// that a gate that forgets to judge lets nothing through.
type Verdict string

// The verdicts.
const (
	VerdictUnknown Verdict = "unknown" // it cannot be judged: not published, unless overridden
	VerdictPass    Verdict = "pass"    // publish it
	VerdictRefuse  Verdict = "refuse"  // do not publish it, unless overridden
)

// A Judgement is a verdict and its grounds, which whoever publishes is told.
type Judgement struct {
	Verdict Verdict `json:"verdict"`
	// Reason is one sentence: "an incompatible change needs v2.0.0, not v1.3.0".
	Reason string `json:"reason,omitempty"`
	// Details are the single grounds, one line each: the incompatible changes.
	Details []string `json:"details,omitempty"`
}

// bounded is the judgement as a record can hold it: a record that is too large to be read
// would be the end of its version.
func (j Judgement) bounded() Judgement {
	const most, long = 1000, 4 << 10
	left := maxSmall / 16 // for all of them
	var all []string
	for i, d := range j.Details {
		d = cleantext.Flat(d, long)
		if left -= len(d); i == most || left < 0 {
			all = append(all, fmt.Sprintf("and %d more", len(j.Details)-i))
			break
		}
		all = append(all, d)
	}
	return Judgement{Verdict: j.Verdict, Reason: shown(j.Reason), Details: all}
}
