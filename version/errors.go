package version

import (
	"errors"
	"strconv"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

var (
	// ErrNotGoProgram is wrapped by errors of [ReadFile] if the file is not a Go program, is
	// damaged, or lacks build information.
	ErrNotGoProgram = errors.New("not a Go program")

	// ErrTooLarge is in the [SnapshotError] of [Parse] for more than [MaxSnapshot] bytes.
	ErrTooLarge = errors.New("larger than a snapshot may be")

	// ErrNoSemver is wrapped by errors of [Info.Semver], which give the reason.
	ErrNoSemver = errors.New("no semantic version")
)

// A SnapshotError is a fault in a snapshot given to [Parse], and where it is.
type SnapshotError struct {
	Name   string // of the snapshot, as given to Parse
	Line   int    // from 1; 0 means unknown
	Column int    // from 1, in bytes; 0 means unknown
	Err    error  // the fault
}

// Error returns the place and the fault: "snapshot.json:3:14: …".
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
