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

// A Lock is an operator's hold on a window: while it lasts no replica admits work
// in the window's scope, whatever the clock says. [Drain] and [DrainFiles] return it, with
// everything quiet. All methods may be called from any goroutine.
type Lock struct {
	report Report
	waited []Peer

	turn     chan struct{} // held by who uses the operator
	operator operator      // nil: closed or lost

	life   context.Context // ends with the lock
	finish context.CancelCauseFunc
	ended  chan struct{}
	close  sync.Once
}

// An operator is a session, or an open file, that can hold a window. After an error of
// look, seize, yield or beat nothing is known of it but that it must end.
type operator interface {
	look(ctx context.Context) (Report, error)
	seize(ctx context.Context) (bool, error) // waits a little at most
	yield(ctx context.Context) error
	beat(ctx context.Context, d time.Duration) error // as a member's
	end()
}

const (
	poll    = 100 * time.Millisecond // between two looks of an operator who waits
	absence = time.Second            // that a replica may need to join again when its session was cut
)

// DrainOptions are options of [Drain] and [DrainFiles]. Nil means the defaults.
type DrainOptions struct {
	// Replicas is how many replicas must have joined when the window is quiet: Drain waits
	// for those that are missing. Zero means any number, but at least one must have joined
	// at some time since Drain began.
	Replicas int
}

// drain is the operator's half of the protocol. While replicas are in the way it only
// looks: an operator in line for the lock would keep newcomers closed before the window
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
		err = ctx.Err() // which came first does not matter: it was given up
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

// await returns the last look before an error, or the one that is the proof.
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
				// Whoever has joined before this look must know of the window; whoever
				// joins after it sees that we have it.
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
			pause = max(0, poll-time.Since(begun)) // back into line at once
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

// note notes whom is waited for, and says whether to stand in line: only writes are
// in the way, which others must not follow.
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

// Report is how all stood to the window when the lock was had. Without peers all
// replicas have left since Drain began.
func (l *Lock) Report() Report { return l.report }

// Waited are those who were in the way before the lock was had, by PID, each as it was
// last seen in the way.
func (l *Lock) Waited() []Peer { return slices.Clone(l.waited) }

// Context ends when ctx does, or with the lock, and then its cause is [ErrLost],
// wrapped, or [ErrClosed]. Do the maintenance under it:
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

// Check asks whether the lock is held still, and everybody aware: worth it before a step
// of no return. It gives a replica that has just joined up to five seconds to learn of
// the window.
//
// The error is [ErrLost], wrapped; [ErrClosed]; the cause of ctx's end; or a
// [*WaitingError] with a replica that has joined since and does not know of the window, whose
// guard admits nothing, or with one that by now knows the window with another scope or mode
// than when the lock was had.
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
			return &WaitingError{Window: l.report.Window, Waiting: waiting, Err: errors.New("not all are aware")}
		}
	}
}

// look looks in the lock's own session, so that the lock is held when it was looked.
func (l *Lock) look(ctx context.Context) (Report, error) {
	if err := l.take(ctx); err != nil {
		return Report{}, err
	}
	defer l.give()
	// To cancel a statement may cost the session, which is not ctx's to decide.
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

// take waits for our turn with the operator.
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

// lose ends a lock of which nothing is known any more.
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
		if pause := slice - time.Since(begun); pause > 0 { // of files, whose beat does not wait
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-l.life.Done():
				timer.Stop()
			}
		}
	}
}

// Close lets the window go: replicas open again when the window is over. It may be
// called more than once. The error is [ErrLost], wrapped, when the lock was lost
// before: what was done under it may not have been alone.
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
