package version

import (
	"errors"
	"strconv"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

var (
	// ErrNotGoProgram is returned by [ReadFile], wrapped, for a file that is no Go
	// program, is damaged, or has no build information.
	ErrNotGoProgram = errors.New("not a Go program")

	// ErrTooLarge is returned by [Parse], in a [SnapshotError], beyond [MaxSnapshot].
	ErrTooLarge = errors.New("larger than a snapshot may be")

	// ErrNoSemver is returned by [Info.Semver], wrapped with the reason.
	ErrNoSemver = errors.New("no semantic version")
)

// A SnapshotError is a fault in a snapshot given to [Parse], and where it is.
type SnapshotError struct {
	Name   string // of the snapshot, as given to Parse
	Line   int    // from 1; 0 when the fault has no place
	Column int    // from 1, in bytes; 0 when only the line is known
	Err    error  // what is wrong
}

// Error gives the place and the fault: "snapshot.json:3:14: …".
func (e *SnapshotError) Error() string {
	place := cleantext.Line(e.Name, maxValue)
	if e.Line > 0 {
		place += ":" + strconv.Itoa(e.Line)
	}
	if e.Line > 0 && e.Column > 0 {
		place += ":" + strconv.Itoa(e.Column)
	}
	return place + ": " + e.Err.Error()
}

// Unwrap returns the fault without its place.
func (e *SnapshotError) Unwrap() error { return e.Err }
