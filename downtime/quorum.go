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

// A Quorum makes the guards of many replicas one: none admits work in the scope of a window
// unless all replicas know of it that matter for the maintenance. Package quorum has two, over
// PostgreSQL and over the files of one machine.
//
// A guard asks by telling what it knows, again and again, so that a quorum needs no memory of
// what was asked before. It fails closed: a scope is open only where the quorum says so.
//
// A window is near from a minute more than an hour before its start, or before it is
// announced where that is earlier, until its end, and after that until the guard was
// told that it may open again. [Guard.Drain] and [Report].Quiet go on to speak of this
// process.
type Quorum interface {
	// Agree is told the ids of the windows that are near and whose mode closes anything: true
	// where this replica wants to admit work in the window's scope, or has work running
	// there; false where the window is quiet here, so that others may rely on it. Before the
	// first false, the guard has closed the scope and counted. Agree returns the windows that
	// this replica may admit work for; a missing one it may not, and on an error none. A window
	// that Agree is not told of any more is of no interest to the guard.
	//
	// [ErrOutdated] means that others rely on a window that Agree was not told of. The guard
	// then admits nothing at all and asks again every second. From then on it tells of all
	// windows of the document, because one that is over here may be in use elsewhere, until
	// all of them may be open.
	//
	// Agree is called once before the guard admits anything, even when no window is
	// near, and from then on by one goroutine at a time, whenever something changes, at
	// least every second while a window is near or the last call failed. After five seconds
	// ctx ends and the call has failed, and Agree must return soon. It must not wait for
	// others: the guard asks again. The map is the callee's.
	Agree(ctx context.Context, windows map[string]bool) (open map[string]bool, err error)

	// Changed is sent to, without blocking, when Agree should be called at once, even when no
	// window is near, because what was agreed on is lost, for instance with a connection. The
	// guard closes the scopes of all windows that are near, and asks.
	Changed() <-chan struct{}
}

// A FleetQuorum is a Quorum that also compares what the replicas know of a window, and keeps
// in mind whose work is unfinished. A guard calls AgreeOn in place of Agree.
type FleetQuorum interface {
	Quorum

	// AgreeOn is Agree with the position of this replica on each window. unfinished are the
	// windows that have unfinished work in any replica, at the same occurrence: the guard holds
	// them as it holds its own. With an error the last answer stays.
	AgreeOn(ctx context.Context, windows map[string]Position) (open, unfinished map[string]bool, err error)
}

// A Position is what a guard says to a [FleetQuorum] about one window.
type Position struct {
	// Wanted is what [Quorum].Agree is told.
	Wanted bool

	// Digest is the same text for the same id, scope and mode: 32 hexadecimal digits. Replicas
	// with different digests must never agree that a window is quiet.
	Digest string

	// Occurrence is the planned start of the occurrence, as RFC 3339 in UTC.
	Occurrence string

	// Unfinished is true from when [Guard.Drain] has reported the window quiet here, until its
	// work is completed here or by the document, or Options.OverrunMax has passed.
	Unfinished bool

	// Completed is true once the window was completed here, or ended by actual.end: no replica
	// that has ended without a word holds it any more.
	Completed bool
}

// digestOf is the Digest of a window's Position.
func digestOf(w *schedule.Window) string {
	sum := sha256.Sum256([]byte(w.ID + "\x00" + w.Mode.String() + "\x00" + w.Scope.Key()))
	return hex.EncodeToString(sum[:16])
}

// position is what the quorum is to be told of an occurrence.
func (o *occurrence) position(wanted bool) Position {
	return Position{
		Wanted: wanted, Digest: digestOf(o.Window), Occurrence: o.Planned.UTC().Format(time.RFC3339),
		Unfinished: o.isOn() && o.drained.Load(), Completed: o.phase == schedule.PhaseCompleted && o.ended,
	}
}

// An agreement is what the quorum has said. It never changes.
type agreement struct {
	closed     bool                // nothing may be admitted: it said ErrOutdated last, or has not been asked
	all        bool                // it is asked about all windows
	open       map[string]bool     // what may be open
	refused    map[string]bool     // what it said last must not be
	unfinished map[string]string   // the occurrences, by window, that have unfinished work in some replica
	told       map[string]Position // what it was told last
	answered   map[string]Position // what it was told when it last answered
	err        error               // why it did not answer the last time
}

const (
	askAhead  = time.Minute     // before its word is needed
	askEvery  = time.Second     // while it matters
	askWithin = 5 * time.Second // or it has not answered
)

// telling is the agreement once the quorum is told of windows: what the guard does not want
// is not open from then on.
func (a agreement) telling(windows map[string]Position) agreement {
	a.told = windows
	a.open = maps.Clone(a.open)
	maps.DeleteFunc(a.open, func(id string, _ bool) bool { return !windows[id].Wanted })
	return a
}

// lost is the agreement once what was said no longer holds.
func (a agreement) lost() agreement {
	a.open = nil
	return a
}

// settled is the agreement once the quorum, told of windows, has answered.
func (a agreement) settled(told map[string]Position, open, unfinished map[string]bool, err error) agreement {
	next := agreement{
		closed: errors.Is(err, ErrOutdated), open: map[string]bool{}, refused: a.refused, unfinished: a.unfinished,
		told: a.told, answered: a.answered, err: err,
	}
	all := false
	refused := map[string]bool{}
	for id, position := range told {
		wanted := position.Wanted
		switch {
		case err == nil && wanted && open[id]:
			next.open[id] = true
		case wanted:
			refused[id] = err == nil
			all = true // somebody may rely on it
		}
	}
	if err == nil { // else what it said holds
		next.refused, next.answered = refused, told
		next.unfinished = map[string]string{}
		for id := range unfinished {
			next.unfinished[id] = told[id].Occurrence
		}
	}
	next.all = next.closed || a.all && all
	return next
}

func (a *agreement) isLike(b *agreement) bool {
	return a.closed == b.closed && a.all == b.all &&
		maps.Equal(a.open, b.open) && maps.Equal(a.refused, b.refused) && maps.Equal(a.unfinished, b.unfinished)
}

// isUnfinished reports whether some replica has unfinished work in the occurrence.
func (a *agreement) isUnfinished(o *occurrence) bool {
	at := a.unfinished[o.Window.ID]
	return at != "" && at == o.Planned.UTC().Format(time.RFC3339)
}

// needsMark reports whether a fleet is about to be told that the occurrence has unfinished work.
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

// An asker asks the quorum again and again, in a goroutine of its own, because the guard's
// has a clock to keep.
type asker struct {
	quorum Quorum
	again  bell // there is something new to tell

	tell   func() map[string]Position                                                  // what to tell the quorum now
	settle func(told map[string]Position, open, unfinished map[string]bool, err error) // it has answered
	lost   func()                                                                      // what it said no longer holds
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
			a.lost() // because nobody will notice a loss any more
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

// ask asks once, and reports whether to ask again before long.
func (a *asker) ask(ctx context.Context) (again bool) {
	told := a.tell()
	bounded, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	closed := make(chan struct{})
	inTime := context.AfterFunc(bounded, func() { // what is open closes even if Agree does not return
		a.lost()
		close(closed)
	})
	open, unfinished, err := a.agree(bounded, told)
	if !inTime() {
		<-closed
		err = errors.Join(context.Cause(bounded), err)
	}
	if ctx.Err() != nil {
		return false
	}
	a.settle(told, open, unfinished, err)
	return len(told) > 0 || err != nil
}

// end tells a fleet, before the guard ends, which work was completed: a process may end as soon
// as its work has.
func (a *asker) end(ctx context.Context) {
	fleet, ok := a.quorum.(FleetQuorum)
	if !ok {
		return
	}
	told := a.tell()
	for _, position := range told {
		if position.Completed {
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWithin)
			defer cancel()
			_, _, _ = fleet.AgreeOn(bounded, told) // others hold the window if it fails
			return
		}
	}
}

func (a *asker) agree(ctx context.Context, told map[string]Position) (open, unfinished map[string]bool, err error) {
	if fleet, ok := a.quorum.(FleetQuorum); ok {
		return fleet.AgreeOn(ctx, maps.Clone(told))
	}
	wanted := make(map[string]bool, len(told))
	for id, position := range told {
		wanted[id] = position.Wanted
	}
	open, err = a.quorum.Agree(ctx, wanted)
	return open, nil, err
}
