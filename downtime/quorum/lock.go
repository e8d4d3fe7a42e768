package quorum

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// A Lock is an operator's lock on a window. While it is held, replicas refuse work in the
// window's scope, even if the window is over by their clocks. [Drain] and [DrainFiles] return it
// when the window is quiet. It is safe for concurrent use.
type Lock struct {
	report Report
	waited []Peer

	turn     chan struct{} // serialises access to operator
	operator operator      // nil if closed or lost

	life   context.Context // ends with the lock
	finish context.CancelCauseFunc
	ended  chan struct{}
	close  sync.Once
}

// An operator is a session, or an open file, that can hold a window. After an error of look,
// seize, yield or beat its state is unknown: call only end.
type operator interface {
	look(ctx context.Context) (Report, error)
	seize(ctx context.Context) (bool, error) // waits briefly at most
	yield(ctx context.Context) error
	beat(ctx context.Context, d time.Duration) error // see member.beat
	end()
}

const (
	poll    = 100 * time.Millisecond // between two looks of a waiting operator
	absence = time.Second            // that a replica may need to join again after its session was cut
)

// DrainOptions are options of [Drain] and [DrainFiles]. Nil means the defaults.
type DrainOptions struct {
	// Replicas is how many replicas must have joined when the window is quiet. Drain waits for
	// missing ones. Zero means any number, but at least one must have joined at some time since
	// Drain began.
	Replicas int
}

// drain is the operator's part of the protocol. While replicas are in the way it only looks,
// because an operator that waits for the lock keeps new replicas closed, even before the window
// has begun.
func drain(ctx context.Context, window string, opts *DrainOptions, begin func(context.Context) (operator, error)) (*Lock, error) {
	expected := 0
	if opts != nil {
		expected = opts.Replicas
	}
	if expected < 0 {
		return nil, fmt.Errorf("quorum: DrainOptions.Replicas must not be negative, got %d", expected)
	}
	fail := func(err error, rep Report) error {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if errors.Is(err, ErrNobody) {
			return err
		}
		missing := 0
		if rep.Window != "" { // there was a look
			missing = max(0, expected-rep.replicas())
		}
		return &WaitingError{Window: window, Missing: missing, Waiting: rep.Waiting(), Err: err}
	}
	if ctx.Err() != nil {
		return nil, fail(nil, Report{})
	}
	o, err := begin(ctx)
	if err != nil {
		return nil, fail(err, Report{})
	}
	waited := map[int]Peer{}
	rep, err := await(ctx, o, expected, waited)
	if err == nil {
		err = ctx.Err() // the caller has given up, even if the lock came first
	}
	if err != nil {
		o.end()
		return nil, fail(err, rep)
	}
	life, finish := context.WithCancelCause(context.Background())
	l := &Lock{
		report:   rep,
		waited:   slices.SortedFunc(maps.Values(waited), func(a, b Peer) int { return cmp.Compare(a.PID, b.PID) }),
		turn:     make(chan struct{}, 1),
		operator: o,
		life:     life,
		finish:   finish,
		ended:    make(chan struct{}),
	}
	go l.watch()
	return l, nil
}

// await returns the report that proves quiet, or the last report before an error.
func await(ctx context.Context, o operator, expected int, waited map[int]Peer) (rep Report, err error) {
	someone, since := false, time.Now()
	for {
		now, err := o.look(ctx)
		if err != nil {
			return rep, err
		}
		rep = now
		someone = someone || rep.replicas() > 0
		if !someone && time.Since(since) > absence {
			return rep, ErrNobody
		}
		pause := poll
		if free := note(rep, waited); free && someone && rep.replicas() >= expected {
			begun := time.Now()
			held, err := o.seize(ctx)
			if err != nil {
				return rep, err
			}
			if held {
				// A replica that joined before this look must know the window. A replica that joins
				// after it sees that we hold the lock.
				if now, err = o.look(ctx); err != nil {
					return rep, err
				}
				rep = now
				if note(rep, waited); len(rep.Waiting()) == 0 && rep.replicas() >= expected {
					return rep, nil
				}
				if err := o.yield(ctx); err != nil {
					return rep, err
				}
			}
			pause = max(0, poll-time.Since(begun)) // try again at once
		}
		if pause > 0 {
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
			}
		}
		if ctx.Err() != nil {
			return rep, context.Cause(ctx)
		}
	}
}

// note records the peers in the way. free means that only writes are in the way, so that the
// operator may wait for the lock, which refuses further writes.
func note(rep Report, waited map[int]Peer) (free bool) {
	free = true
	for _, p := range rep.Waiting() {
		waited[p.PID] = p
		if p.State != StateWriting {
			free = false
		}
	}
	return free
}

// Report returns the states of all peers when Drain got the lock. It is empty if all replicas have
// left since Drain began.
func (l *Lock) Report() Report { return l.report }

// Waited returns the peers that Drain has waited for, by PID, each in its last state in the way.
func (l *Lock) Waited() []Peer { return slices.Clone(l.waited) }

// Context returns a context that ends with ctx or with the lock. In the latter case its cause is
// [ErrLost], wrapped, or [ErrClosed]. Use it for the maintenance:
//
//	err := migrate(lock.Context(ctx))
func (l *Lock) Context(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	if l.life.Err() != nil {
		cancel(context.Cause(l.life))
		return ctx
	}
	context.AfterFunc(l.life, func() { cancel(context.Cause(l.life)) })
	return ctx
}

// Check returns nil if the lock is still held and all replicas know the window. Call it before a
// point of no return. A replica that has just joined gets up to five seconds to learn of the
// window.
//
// The error is [ErrLost], wrapped; [ErrClosed]; the cause of ctx's end; or a [*WaitingError]. The
// latter names replicas that have joined since and do not know the window, whose guards refuse
// everything, and replicas whose window now has a different scope or mode than when Drain got
// the lock.
func (l *Lock) Check(ctx context.Context) error {
	begun := time.Now()
	for {
		rep, err := l.look(ctx)
		if err != nil {
			return err
		}
		waiting := rep.Waiting()
		if len(waiting) == 0 {
			return nil
		}
		pause := time.NewTimer(poll)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return &WaitingError{Window: l.report.Window, Waiting: waiting, Err: context.Cause(ctx)}
		}
		if time.Since(begun) > patience {
			return &WaitingError{Window: l.report.Window, Waiting: waiting, Err: errors.New("not all replicas know the window as it was drained")}
		}
	}
}

// look uses the lock's own session, which proves that the lock was held at the time of the report.
func (l *Lock) look(ctx context.Context) (Report, error) {
	if err := l.take(ctx); err != nil {
		return Report{}, err
	}
	defer l.give()
	// ctx must not cancel the statement, because that can end the session and lose the lock.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	rep, err := l.operator.look(bounded)
	if err == nil {
		err = l.operator.beat(bounded, 0)
	}
	if digest, ok := l.report.definition(); ok {
		rep.differing(digest)
	}
	if err != nil {
		return Report{}, l.lose(err)
	}
	return rep, nil
}

func (l *Lock) take(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if l.operator == nil {
		l.give()
		return context.Cause(l.life)
	}
	return nil
}

func (l *Lock) give() { <-l.turn }

// lose ends a lock whose state is unknown.
func (l *Lock) lose(err error) error {
	err = fmt.Errorf("%w: %w", ErrLost, err)
	l.finish(err)
	l.operator.end()
	l.operator = nil
	return err
}

// watch notices when the lock is lost.
func (l *Lock) watch() {
	defer close(l.ended)
	for {
		if l.take(l.life) != nil {
			return
		}
		bounded, cancel := context.WithTimeout(context.Background(), patience+slice)
		begun := time.Now()
		err := l.operator.beat(bounded, slice)
		cancel()
		if err != nil {
			_ = l.lose(err)
		}
		l.give()
		if pause := slice - time.Since(begun); pause > 0 { // with files, whose beat does not wait
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-l.life.Done():
				timer.Stop()
			}
		}
	}
}

// Close releases the window: replicas open again when the window is over for them. It may be
// called more than once. The error is [ErrLost], wrapped, if the lock was lost before, so that
// replicas may have worked during the maintenance.
func (l *Lock) Close() error {
	l.close.Do(func() {
		if l.take(context.Background()) != nil {
			<-l.ended
			return // lost
		}
		l.finish(ErrClosed)
		l.operator.end()
		l.operator = nil
		l.give()
		<-l.ended
	})
	if err := context.Cause(l.life); !errors.Is(err, ErrClosed) {
		return err
	}
	return nil
}
