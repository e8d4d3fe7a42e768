package quorum

import (
	"errors"
	"fmt"
	"strings"

	"github.com/upkeep-go/upkeep/downtime"
)

var (
	// ErrClosed is returned by [Replica.Agree] after [Replica.Close], and by
	// [Lock.Check] after [Lock.Close]. Lock.Close also ends the [Lock]'s contexts with it as the
	// cause.
	ErrClosed = errors.New("quorum: closed")

	// ErrLost is returned by [Lock.Check] when the lock is no longer held, because its session
	// has ended or its file is gone. It is also the cause in the [Lock]'s contexts. Replicas may
	// be open by now.
	ErrLost = errors.New("quorum: the lock is lost")

	// ErrNobody is returned by [Drain] and [DrainFiles] if no replica has joined: the
	// database, the fleet or the folder is wrong, or the service does not run.
	ErrNobody = errors.New("quorum: no replica has joined: is this the database, fleet or folder of the service?")

	// ErrPooled is returned, wrapped, by [Replica.Agree], [Drain] and [Lock.Check] if the session
	// is shared with others, as behind pgbouncer in transaction mode. Locks of a shared session
	// prove nothing, so the session is ended.
	ErrPooled = errors.New("quorum: the session is shared by a pooler: connect to PostgreSQL itself, or to a pooler in session mode")
)

// A WaitingError names the peers that were in the way when the wait for a window ended.
// [Drain], [DrainFiles] and [Lock.Check] return it.
type WaitingError struct {
	Window  string
	Missing int    // how many of the replicas that [DrainOptions] expect have not joined
	Waiting []Peer // empty if the wait ended before the first look
	Err     error  // why the wait ended: the cause of the context's end, or a failure
}

// Error names up to twenty peers.
func (e *WaitingError) Error() string {
	var parts []string
	if e.Missing > 0 {
		parts = append(parts, fmt.Sprintf("replicas that have not joined: %d", e.Missing))
	}
	if len(e.Waiting) > 0 {
		parts = append(parts, list(e.Waiting, 20))
	}
	who := ""
	if len(parts) > 0 {
		who = ": " + strings.Join(parts, "; ")
	}
	return fmt.Sprintf("quorum: waiting for %s to be quiet%s: %v", quote(e.Window), who, e.Err)
}

// Unwrap returns Err.
func (e *WaitingError) Unwrap() error { return e.Err }

// A FencedError is returned by [Fence] when a write comes too late: an operator holds the
// window's lock, or waits for it with all replicas quiet. Roll the transaction back.
type FencedError struct{ Window string }

func (e *FencedError) Error() string {
	return fmt.Sprintf("quorum: window %s is being drained and refuses writes", quote(e.Window))
}

// Unwrap returns [downtime.ErrWindow].
func (e *FencedError) Unwrap() error { return downtime.ErrWindow }
