package flags

import (
	"errors"

	"github.com/upkeep-go/upkeep/internal/document"
	"github.com/upkeep-go/upkeep/internal/live"
)

// What Init, [Open] and [Lint] say of a document, or of its source, wrapped in an error
// that names it.
var (
	// ErrEmpty and ErrNull: the document holds nothing, as a file that was truncated or a
	// template that gave null.
	ErrEmpty = document.ErrEmpty
	ErrNull  = document.ErrNull

	// ErrTooLarge: the document has more than 64 MiB.
	ErrTooLarge = live.ErrTooLarge

	// ErrBusy: the source has not returned from an earlier load.
	ErrBusy = live.ErrBusy
)

// ErrClosed is what Init and [Open] say of a provider that was shut down while they
// waited for its first document.
var ErrClosed = errors.New("the provider was shut down")

// A Problem is one fault of a flag document. A document that cannot be used at all
// is refused with one; the faults of single flags are listed by
// [Provider.Problems].
type Problem struct {
	File   string // the document's name
	Line   int    // from 1; 0 when not known
	Column int    // from 1, in characters; 0 when not known
	Flag   string // its key; empty when the fault is the document's
	Field  string // "variants", "targeting", …; empty when the fault is the whole flag's
	Err    error

	// Severity is SeverityError but for what [Lint] merely warns of.
	Severity Severity
}

// Error is the fault with its place:
//
//	flags.yaml:14:7: flag "new-checkout": defaultVariant: "of" is not a variant
func (p *Problem) Error() string {
	text := document.Place(p.File, p.Line, p.Column)
	if p.Flag != "" {
		text += `: flag "` + p.Flag + `"`
	}
	if p.Field != "" {
		text += ": " + p.Field
	}
	return text + ": " + p.Err.Error()
}

func (p *Problem) Unwrap() error { return p.Err }
