package capture

import (
	"errors"
	"fmt"
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

// A ParseError is a fault of a file that was to be a bundle.
type ParseError struct {
	Name  string // of the file, as given to [Parse]
	Place string // such as "log.entries[3].request.url", or "" for the whole
	Err   error
}

func (e *ParseError) Error() string {
	if e.Place == "" {
		return fmt.Sprintf("%s: %v", e.Name, e.Err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Name, e.Place, e.Err)
}

// Unwrap returns Err.
func (e *ParseError) Unwrap() error { return e.Err }

// A RuleError is a rule of a [Redaction] that makes no sense.
type RuleError struct {
	Field string // such as "JSON[2]"
	Rule  string
	Err   error
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("capture: Redaction.%s: %q: %v", e.Field, e.Rule, e.Err)
}

// Unwrap returns Err.
func (e *RuleError) Unwrap() error { return e.Err }
