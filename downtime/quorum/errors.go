package quorum

import (
	"errors"
	"fmt"
	"strings"

	"github.com/upkeep-go/upkeep/downtime"
)

var (
	// ErrClosed is returned by [Replica.Agree] after [Replica.Close], and by
	// [Lock.Check] after [Lock.Close]; it is the cause of the end of a [Lock]'s contexts
	// then.
	ErrClosed = errors.New("quorum: closed")

	// ErrLost is returned by [Lock.Check], and is the cause of the end of a [Lock]'s
	// contexts, when the lock is no longer held: its session has ended, or the file
	// is gone. Replicas may be open by now.
	ErrLost = errors.New("quorum: the lock is lost")

	// ErrNobody is returned by [Drain] and [DrainFiles] when no replica has joined: the
	// database, the fleet or the folder is the wrong one, or the service does not run.
	ErrNobody = errors.New("quorum: no replica has joined: is this the database, fleet or folder of the service?")

	// ErrPooled is what ends a session that turns out to be shared with others, as
	// behind pgbouncer in transaction mode. Locks of such a session mean nothing.
	// [Replica.Agree], [Drain] and [Lock.Check] return it, wrapped.
	ErrPooled = errors.New("quorum: the session is shared by a pooler: connect to PostgreSQL itself, or to a pooler in session mode")
)

// A WaitingError says who was in the way when the wait for a window ended.
// [Drain], [DrainFiles] and [Lock.Check] return it.
type WaitingError struct {
	Window  string
	Missing int    // of the replicas that [DrainOptions] expect, how many have not joined
	Waiting []Peer // nobody, when the end came before the first look
	Err     error  // why the wait ended: the cause of the context's end, or a fault
}

// Error names everyone, up to twenty.
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

// Unwrap gives Err.
func (e *WaitingError) Unwrap() error { return e.Err }

// A FencedError is returned by [Fence] when a write comes too late: an operator holds
// the window's lock, or stands in line for it with all replicas quiet. The transaction
// must be rolled back.
type FencedError struct{ Window string }

func (e *FencedError) Error() string {
	return fmt.Sprintf("quorum: window %s is being drained: it takes no more writes", quote(e.Window))
}

// Unwrap makes errors.Is(err, [downtime.ErrWindow]) true.
func (e *FencedError) Unwrap() error { return downtime.ErrWindow }
