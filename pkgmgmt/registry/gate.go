package registry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// A Gate judges a version after its zip has been checked and before the version is visible. It
// is called once for each upload of a version that is not published yet. It must be safe for
// concurrent use and return soon after its context ends. The registry holds no lock during the
// call.
//
// An error means that the gate could not judge: it counts as VerdictUnknown, with the error's
// text as the reason.
type Gate func(ctx context.Context, r *Release) (Judgement, error)

// A Release is a version that a client asks to publish. It is valid until the gate returns.
type Release struct {
	Path    string // the module's path: "corp.example/lib/v2"
	Version string // canonical: "v2.1.0"
	Sum     string // of the zip, as in go.sum: "h1:…"
	GoMod   []byte // the content of go.mod; must not be changed
	Zip     string // name of a local file with the complete and checked zip

	// Versions are the module's releases and prereleases in ascending order, without this
	// one. They include yanked versions, because users have them, unless the store lacks
	// Names. Blocked versions and pseudo-versions are not included.
	Versions []string

	// Proxy serves the private modules of the registry as if this version were published.
	// Serve it on loopback as GOPROXY. It works without credentials and writes no access log.
	Proxy http.Handler
}

// A Verdict is a gate's decision about a version. The empty Verdict means VerdictUnknown, so
// that a zero Judgement publishes nothing.
type Verdict string

// The verdicts.
const (
	VerdictUnknown Verdict = "unknown" // cannot judge: not published, unless overridden
	VerdictPass    Verdict = "pass"    // publish
	VerdictRefuse  Verdict = "refuse"  // do not publish, unless overridden
)

// A Judgement is a verdict with its reasons. It is sent to the publisher and recorded.
type Judgement struct {
	Verdict Verdict `json:"verdict"`
	// Reason is one sentence: "an incompatible change needs v2.0.0, not v1.3.0".
	Reason string `json:"reason,omitempty"`
	// Details are the single reasons, one line each, for example the incompatible changes.
	Details []string `json:"details,omitempty"`
}

// bounded shortens a judgement for the record. A record above maxSmall cannot be read, and
// then its version is lost.
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
