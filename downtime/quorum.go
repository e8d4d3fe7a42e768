package downtime

import (
	"context"
	"errors"
	"maps"
	"time"
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

// An agreement is what the quorum has said. It never changes.
type agreement struct {
	closed  bool            // nothing may be admitted: it said ErrOutdated last, or has not been asked
	all     bool            // it is asked about all windows
	open    map[string]bool // what may be open
	refused map[string]bool // what it said last must not be
	told    map[string]bool // what it was told last
	err     error           // why it did not answer the last time
}

const (
	askAhead  = time.Minute     // before its word is needed
	askEvery  = time.Second     // while it matters
	askWithin = 5 * time.Second // or it has not answered
)

// telling is the agreement once the quorum is told of windows: what the guard does not want
// is not open from then on.
func (a agreement) telling(windows map[string]bool) agreement {
	a.told = windows
	a.open = maps.Clone(a.open)
	maps.DeleteFunc(a.open, func(id string, _ bool) bool { return !windows[id] })
	return a
}

// lost is the agreement once what was said no longer holds.
func (a agreement) lost() agreement {
	a.open = nil
	return a
}

// settled is the agreement once the quorum, told of windows, has answered.
func (a agreement) settled(told, open map[string]bool, err error) agreement {
	next := agreement{closed: errors.Is(err, ErrOutdated), open: map[string]bool{}, refused: a.refused, told: a.told, err: err}
	all := false
	refused := map[string]bool{}
	for id, wanted := range told {
		switch {
		case err == nil && wanted && open[id]:
			next.open[id] = true
		case wanted:
			refused[id] = err == nil
			all = true // somebody may rely on it
		}
	}
	if err == nil { // else what it said holds
		next.refused = refused
	}
	next.all = next.closed || a.all && all
	return next
}

func (a *agreement) isLike(b *agreement) bool {
	return a.closed == b.closed && a.all == b.all &&
		maps.Equal(a.open, b.open) && maps.Equal(a.refused, b.refused)
}

// An asker asks the quorum again and again, in a goroutine of its own, because the guard's
// has a clock to keep.
type asker struct {
	quorum Quorum
	again  bell // there is something new to tell

	tell   func() map[string]bool                      // what to tell the quorum now
	settle func(told, open map[string]bool, err error) // it has answered
	lost   func()                                      // what it said no longer holds
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
	open, err := a.quorum.Agree(bounded, maps.Clone(told))
	if !inTime() {
		<-closed
		err = errors.Join(context.Cause(bounded), err)
	}
	if ctx.Err() != nil {
		return false
	}
	a.settle(told, open, err)
	return len(told) > 0 || err != nil
}
