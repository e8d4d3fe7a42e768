package downtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// A Quorum coordinates the guards of many replicas: a guard admits work in the scope of a window
// only if all replicas that matter for the maintenance know the window. Package quorum has two
// implementations, over PostgreSQL and over the files of one machine.
//
// A guard calls Agree repeatedly with its whole state, so a quorum does not need to remember earlier
// calls. It fails closed: a scope is open only if the quorum says so.
//
// A window is near from 61 minutes before its start, or from before its announcement if that is
// earlier, until its end, and then until the quorum has allowed the guard to open it again.
// [Guard.Drain] and [Report].Quiet are still about this process only.
type Quorum interface {
	// Agree gets the ids of the near windows whose mode closes anything. True means that this
	// replica wants to admit work in the window's scope, or has work running there. False means
	// that the window is quiet here, so others may rely on it; before the first false, the guard
	// has closed the scope and counted. Agree returns the windows that this replica may admit work
	// for. Missing windows stay closed, and on an error all windows stay closed. The guard ignores
	// windows that it did not pass.
	//
	// [ErrOutdated] means that others rely on a window that the guard did not pass. The guard then
	// admits nothing and asks again every second. From then on it passes all windows of the
	// document, because a window that is over here may still be in use elsewhere, until all of them
	// may be open.
	//
	// The guard calls Agree once before it admits anything, even when no window is near. After
	// that, one goroutine calls it whenever something changes, and at least every second while a
	// window is near or after a failed call. ctx ends after five seconds; then the call has failed,
	// and Agree must return soon. It must not wait for other replicas, because the guard asks
	// again. The callee owns the map.
	Agree(ctx context.Context, windows map[string]bool) (open map[string]bool, err error)

	// Changed returns a channel. The quorum sends to it, without blocking, when an agreement is lost,
	// for instance because a connection has ended. The guard then closes the scopes of all near
	// windows and calls Agree at once, even when no window is near.
	Changed() <-chan struct{}
}

// A FleetQuorum is a Quorum that also compares the replicas' definitions of a window and remembers
// unfinished work. A guard calls AgreeOn instead of Agree.
type FleetQuorum interface {
	Quorum

	// AgreeOn is Agree with the position of this replica on each window. unfinished has the windows
	// with unfinished work of the same occurrence in any replica, this one included. The guard holds
	// them like its own. On an error, the last answer for unfinished stays in effect.
	AgreeOn(ctx context.Context, windows map[string]Position) (open, unfinished map[string]bool, err error)
}

// A Position is the state of one window in a guard, for a [FleetQuorum].
type Position struct {
	// Wanted is the value for [Quorum].Agree.
	Wanted bool

	// Digest is a hash of id, scope and mode: 32 hexadecimal digits. Replicas with different
	// digests must never agree that a window is quiet.
	Digest string

	// Occurrence is the planned start of the occurrence, as RFC 3339 in UTC.
	Occurrence string

	// Unfinished is true from when [Guard.Drain] has reported the window quiet here, until its
	// work is completed here or by the document, or Options.OverrunMax has passed.
	Unfinished bool

	// Completed is true after the window was completed here, or ended by actual.end. It also
	// completes the work of replicas that have died.
	Completed bool
}

func digestOf(w *schedule.Window) string {
	sum := sha256.Sum256([]byte(w.ID + "\x00" + w.Mode.String() + "\x00" + w.Scope.Key()))
	return hex.EncodeToString(sum[:16])
}

func (o *occurrence) position(wanted bool) Position {
	return Position{
		Wanted: wanted, Digest: digestOf(o.Window), Occurrence: o.Planned.UTC().Format(time.RFC3339),
		Unfinished: o.isOn() && o.drained.Load(), Completed: o.phase == schedule.PhaseCompleted && o.ended,
	}
}

// An agreement is the quorum's last answer. It is immutable.
type agreement struct {
	closed     bool                // nothing may be admitted: after ErrOutdated, or before the first answer
	all        bool                // all windows are passed
	open       map[string]bool     // windows that may be open
	refused    map[string]bool     // windows that may not, by the last answer
	unfinished map[string]string   // the occurrences, by window, with unfinished work in some replica
	sent       map[string]Position // the last question
	answered   map[string]Position // the last question that was answered
	err        error               // of the last call
}

const (
	askAhead  = time.Minute     // before the answer is needed
	askEvery  = time.Second     // while a window is near
	askWithin = 5 * time.Second // then the call has failed
)

// asking returns the agreement before a question. Windows that the guard does not want are not open
// from then on.
func (a agreement) asking(windows map[string]Position) agreement {
	a.sent = windows
	a.open = maps.Clone(a.open)
	maps.DeleteFunc(a.open, func(id string, _ bool) bool { return !windows[id].Wanted })
	return a
}

// lost returns the agreement after its loss.
func (a agreement) lost() agreement {
	a.open = nil
	return a
}

// settled returns the agreement after the answer to a question.
func (a agreement) settled(sent map[string]Position, open, unfinished map[string]bool, err error) agreement {
	next := agreement{
		closed: errors.Is(err, ErrOutdated), open: map[string]bool{}, refused: a.refused, unfinished: a.unfinished,
		sent: a.sent, answered: a.answered, err: err,
	}
	all := false
	refused := map[string]bool{}
	for id, position := range sent {
		wanted := position.Wanted
		switch {
		case err == nil && wanted && open[id]:
			next.open[id] = true
		case wanted:
			refused[id] = err == nil
			all = true // another replica may rely on it
		}
	}
	if err == nil { // otherwise the last answer stays
		next.refused, next.answered = refused, sent
		next.unfinished = map[string]string{}
		for id := range unfinished {
			next.unfinished[id] = sent[id].Occurrence
		}
	}
	next.all = next.closed || a.all && all
	return next
}

func (a *agreement) isLike(b *agreement) bool {
	return a.closed == b.closed && a.all == b.all &&
		maps.Equal(a.open, b.open) && maps.Equal(a.refused, b.refused) && maps.Equal(a.unfinished, b.unfinished)
}

// isUnfinished reports whether any replica has unfinished work in the occurrence.
func (a *agreement) isUnfinished(o *occurrence) bool {
	at := a.unfinished[o.Window.ID]
	return at != "" && at == o.Planned.UTC().Format(time.RFC3339)
}

// needsMark reports whether the fleet does not know yet that the occurrence has unfinished work.
func (g *Guard) needsMark(o *occurrence) bool {
	if g.asker == nil {
		return false
	}
	if _, fleet := g.asker.quorum.(FleetQuorum); !fleet {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.agreed.answered[o.Window.ID]
	return g.agreed.err == nil && !(at.Unfinished && at.Occurrence == o.position(false).Occurrence)
}

// An asker calls the quorum in a goroutine of its own, because the guard's goroutine must not block.
type asker struct {
	quorum Quorum
	again  bell // the positions have changed

	positions func() map[string]Position                                                  // for the next call
	settle    func(sent map[string]Position, open, unfinished map[string]bool, err error) // after a call
	lost      func()                                                                      // the agreement is lost
}

func (a *asker) run(ctx context.Context, asked chan<- struct{}) {
	changed := a.quorum.Changed()
	timer := time.NewTimer(askEvery)
	defer timer.Stop()
	for first := true; ; first = false {
		again := a.ask(ctx)
		if first {
			close(asked)
		}
		timer.Stop()
		if again {
			timer.Reset(askEvery)
		}
		select {
		case <-ctx.Done():
			a.lost() // a later loss would not be noticed
			a.end(ctx)
			return
		case <-a.again:
		case _, ok := <-changed:
			if !ok {
				changed = nil
			}
			a.lost()
		case <-timer.C:
		}
	}
}

// ask calls the quorum once, and reports whether to call it again after askEvery.
func (a *asker) ask(ctx context.Context) (again bool) {
	sent := a.positions()
	bounded, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	closed := make(chan struct{})
	inTime := context.AfterFunc(bounded, func() { // windows close even if Agree does not return
		a.lost()
		close(closed)
	})
	open, unfinished, err := a.agree(bounded, sent)
	if !inTime() {
		<-closed
		err = errors.Join(context.Cause(bounded), err)
	}
	if ctx.Err() != nil {
		return false
	}
	a.settle(sent, open, unfinished, err)
	return len(sent) > 0 || err != nil
}

// end reports completed work to a fleet before the guard ends, because a process may end as soon as
// its work has.
func (a *asker) end(ctx context.Context) {
	fleet, ok := a.quorum.(FleetQuorum)
	if !ok {
		return
	}
	sent := a.positions()
	for _, position := range sent {
		if position.Completed {
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWithin)
			defer cancel()
			_, _, _ = fleet.AgreeOn(bounded, sent) // if it fails, others hold the window
			return
		}
	}
}

func (a *asker) agree(ctx context.Context, sent map[string]Position) (open, unfinished map[string]bool, err error) {
	if fleet, ok := a.quorum.(FleetQuorum); ok {
		return fleet.AgreeOn(ctx, maps.Clone(sent))
	}
	wanted := make(map[string]bool, len(sent))
	for id, position := range sent {
		wanted[id] = position.Wanted
	}
	open, err = a.quorum.Agree(ctx, wanted)
	return open, nil, err
}
