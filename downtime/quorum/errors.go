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

	// ErrPooled is what ends a session that turns out to be shared with others, as
	// behind pgbouncer in transaction mode. Locks of such a session mean nothing.
	// [Replica.Agree], [Drain] and [Lock.Check] return it, wrapped.
	ErrPooled = errors.New("quorum: the session is shared by a pooler: connect to PostgreSQL itself, or to a pooler in session mode")
)

// A WaitingError says who was in the way when the wait for a window ended.
// [Drain], [DrainFiles] and [Lock.Check] return it.
type WaitingError struct {
	Window  string
	Waiting []Peer // nobody, when the end came before the first look
	Err     error  // why the wait ended: the cause of the context's end, or a fault
}

// Error names everyone, up to twenty.
func (e *WaitingError) Error() string {
	const most = 20
	var b strings.Builder
	fmt.Fprintf(&b, "quorum: waiting for %s to be quiet", quote(e.Window))
	for i, p := range e.Waiting {
		b.WriteString([]string{"; ", ": "}[b2i(i == 0)])
		if i == most {
			fmt.Fprintf(&b, "and %d more", len(e.Waiting)-most)
			break
		}
		b.WriteString(p.String())
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// Unwrap gives Err.
func (e *WaitingError) Unwrap() error { return e.Err }

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A FencedError is returned by [Fence] when a write comes too late: an operator holds
// the window's lock, or stands in line for it with all replicas quiet. The transaction
// must be rolled back.
type FencedError struct{ Window string }

func (e *FencedError) Error() string {
	return fmt.Sprintf("quorum: window %s is being drained: it takes no more writes", quote(e.Window))
}

// Unwrap makes errors.Is(err, [downtime.ErrWindow]) true.
func (e *FencedError) Unwrap() error { return downtime.ErrWindow }
