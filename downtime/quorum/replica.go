package quorum

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
)

// Options of a [Replica]. Nil options are the defaults.
type Options struct {
	// Fleet names the replicas with the same document of windows, if several fleets share a
	// database. [Files] ignores it, because each fleet has its own folder. Empty means the
	// database's only fleet.
	Fleet Fleet

	// Name is the replica's name for operators; in PostgreSQL it is the application_name, which
	// is cut at 63 bytes. Empty means program, host and process id.
	Name string

	// Logger logs when the replica joins and when it loses its session. Nil means
	// slog.Default().
	Logger *slog.Logger
}

func (o *Options) resolve() Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Name == "" {
		host, _ := os.Hostname()
		opts.Name = fmt.Sprintf("%s@%s %d", filepath.Base(os.Args[0]), host, os.Getpid())
	}
	opts.Logger = cmp.Or(opts.Logger, slog.Default())
	return opts
}

// A Replica is this process's part in a quorum. Give it to one guard as Options.Quorum. [Postgres]
// and [Files] return one.
//
// It joins at once, before the guard calls it, so that operators see it even without windows. It
// joins again whenever it has lost its session. It is safe for concurrent use.
type Replica struct {
	opts    Options
	join    func(ctx context.Context, strict bool) (member, error)
	slice   time.Duration // how long a beat may block. Zero means that it does not block.
	changed chan struct{}
	wake    chan struct{}   // rung when beats become necessary
	life    context.Context // until Close
	cancel  context.CancelFunc
	ended   chan struct{}

	// turn serialises access to member, first come first served.
	turn   chan struct{}
	member member // nil while not joined
	fault  string // the error of the last attempt to join. Empty means that it succeeded.
	pooled bool   // a session was shared: the next one must pass the check

	// mu guards the state in the quorum.
	mu        sync.Mutex
	joined    bool
	knows     map[string]bool   // windows that we have published as known
	digests   map[string]string // the published digests, by window
	open      map[string]bool   // windows whose open lock we hold
	outdated  bool
	lost      int
	completed bool          // work was completed since the start
	fell      chan struct{} // closed when the member is lost
}

// A member is one membership of a replica: a session, or an open file. After an error its state is
// unknown: call only end. Lists of windows are never empty.
type member interface {
	// know publishes the digests of windows, including new digests of known windows.
	know(ctx context.Context, digests map[string]string) error
	forget(ctx context.Context, windows []string) error
	enter(ctx context.Context, windows []string) (entered []string, err error)
	leave(ctx context.Context, windows []string) error

	// tend publishes marks of this replica's unfinished work, which others see even when its
	// process has ended. It returns the windows that have a mark.
	tend(ctx context.Context, windows map[string]downtime.Position) (unfinished map[string]bool, err error)

	// outdated reports whether an operator holds a window that is not in windows.
	outdated(ctx context.Context, windows map[string]bool) (bool, error)

	// beat waits for d and returns an error if the member is cut off.
	beat(ctx context.Context, d time.Duration) error

	// linger waits briefly, before the replica leaves, until others have seen which work it has
	// completed.
	linger(ctx context.Context)

	// end releases everything.
	end()
}

const (
	pulse     = time.Second     // between beats that do not wait
	rejoining = 5 * time.Second // between attempts to join, without a call of Agree
)

func newReplica(opts Options, slice time.Duration, join func(ctx context.Context, strict bool) (member, error)) *Replica {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Replica{
		opts:    opts,
		join:    join,
		slice:   slice,
		changed: make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
		fell:    make(chan struct{}),
		life:    ctx,
		cancel:  cancel,
		ended:   make(chan struct{}),
		turn:    make(chan struct{}, 1),
	}
	go r.run()
	return r
}

// Changed implements [downtime.Quorum].
func (r *Replica) Changed() <-chan struct{} { return r.changed }

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// Close leaves the quorum, so that operators no longer wait for this replica. Before Close, close
// the guard and let its work end; otherwise work runs that Drain does not see. Close may be called
// more than once.
func (r *Replica) Close() error {
	r.linger()
	r.cancel()
	<-r.ended
	return nil
}

// linger waits until others have seen this replica's completed work, because its marks end with
// the session.
func (r *Replica) linger() {
	r.mu.Lock()
	completed := r.completed
	r.completed = false
	r.mu.Unlock()
	if !completed {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lingerMax)
	defer cancel()
	if r.take(ctx, nil) == nil {
		if r.member != nil {
			r.member.linger(ctx)
		}
		r.give()
	}
}

// Stats returns numbers to export as metrics:
//
//	joined    1 while the replica takes part in the quorum, else 0
//	outdated  1 while an operator holds a window that the replica does not know, else 0
//	known     windows that the replica has published as known
//	open      windows that the replica keeps open: no operator can take them
//	lost      times that the replica has lost its session
func (r *Replica) Stats() map[string]float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	number := func(is bool) float64 {
		if is {
			return 1
		}
		return 0
	}
	return map[string]float64{
		"joined":   number(r.joined),
		"outdated": number(r.outdated),
		"known":    float64(len(r.knows)),
		"open":     float64(len(r.open)),
		"lost":     float64(r.lost),
	}
}

// Agree implements [downtime.Quorum]. It is AgreeOn without digests and unfinished work.
func (r *Replica) Agree(ctx context.Context, windows map[string]bool) (open map[string]bool, err error) {
	positions := make(map[string]downtime.Position, len(windows))
	for w, wanted := range windows {
		positions[w] = downtime.Position{Wanted: wanted}
	}
	open, _, err = r.AgreeOn(ctx, positions)
	return open, err
}

// AgreeOn implements [downtime.FleetQuorum]. It publishes which windows this replica knows, with
// their digests. It releases the windows that the replica does not want open and locks those that
// it wants open. It returns the wanted windows that operators do not hold.
//
// The error is [downtime.ErrOutdated] if an operator holds a window that is missing in windows;
// [ErrClosed]; or a failure, after which the replica is no longer joined. If the replica loses its
// session while AgreeOn waits, AgreeOn returns at once, so that the guard closes. The next call
// joins again.
func (r *Replica) AgreeOn(ctx context.Context, windows map[string]downtime.Position) (open, unfinished map[string]bool, err error) {
	if open, ok := r.settled(windows); ok {
		return open, nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer context.AfterFunc(r.life, cancel)()
	r.mu.Lock()
	fell := r.fell
	r.mu.Unlock()
	if err := r.take(ctx, fell); err != nil {
		return nil, nil, err
	}
	defer r.give()
	fresh := r.member == nil
	if fresh {
		if err := r.enterQuorum(ctx); err != nil {
			return nil, nil, r.failed(err)
		}
	}
	err = r.agree(ctx, windows, fresh)
	if err == nil {
		unfinished, err = r.member.tend(ctx, windows)
	}
	if err != nil {
		r.fall(err, nil)
		return nil, nil, r.failed(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range windows {
		r.completed = r.completed || p.Completed
	}
	if r.outdated {
		return nil, nil, downtime.ErrOutdated
	}
	return maps.Clone(r.open), unfinished, nil
}

func (r *Replica) failed(err error) error {
	if r.life.Err() != nil {
		return ErrClosed
	}
	return fmt.Errorf("quorum: %w", err)
}

// settled returns the answer if nothing has changed. A window with an occurrence always needs the
// full way, because other replicas may have changed its marks.
func (r *Replica) settled(windows map[string]downtime.Position) (map[string]bool, bool) {
	if r.life.Err() != nil {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.joined || r.outdated || len(windows) != len(r.knows) {
		return nil, false
	}
	for w, p := range windows {
		if p.Occurrence != "" || !r.knows[w] || p.Digest != r.digests[w] || p.Wanted != r.open[w] {
			return nil, false
		}
	}
	return maps.Clone(r.open), true
}

// take waits for the turn, at most until fell is closed.
func (r *Replica) take(ctx context.Context, fell <-chan struct{}) error {
	select {
	case r.turn <- struct{}{}:
		if r.life.Err() == nil {
			return nil
		}
		r.give()
	case <-fell:
	case <-ctx.Done():
	}
	if r.life.Err() != nil {
		return ErrClosed
	}
	select {
	case <-fell:
		return errFell
	default:
		return fmt.Errorf("quorum: %w", context.Cause(ctx))
	}
}

var errFell = errors.New("quorum: fell out; joining again")

func (r *Replica) give() { <-r.turn }

// enterQuorum joins. The caller holds the turn, and member is nil.
func (r *Replica) enterQuorum(ctx context.Context) error {
	m, err := r.join(ctx, r.pooled)
	if err != nil {
		r.pooled = r.pooled || errors.Is(err, ErrPooled)
		if text := err.Error(); text != r.fault && r.life.Err() == nil {
			r.fault = text
			r.opts.Logger.Warn("cannot join the quorum of maintenance windows", "err", err)
		}
		return err
	}
	r.fault = ""
	r.member = m
	r.mu.Lock()
	r.joined, r.knows, r.digests, r.open, r.outdated = true, map[string]bool{}, map[string]string{}, map[string]bool{}, false
	r.mu.Unlock()
	r.opts.Logger.Info("joined the quorum of maintenance windows", "name", r.opts.Name)
	return nil
}

// fall ends the member, whose state is unknown. It notifies first, because ending a member may
// take a second.
func (r *Replica) fall(err error, bell chan struct{}) {
	r.set(func() {
		r.joined, r.knows, r.digests, r.open, r.outdated = false, nil, nil, nil, false
		r.lost++
		close(r.fell)
		r.fell = make(chan struct{})
	})
	ring(bell)
	r.pooled = r.pooled || errors.Is(err, ErrPooled)
	r.member.end()
	r.member = nil
	if r.life.Err() == nil {
		r.opts.Logger.Warn("fell out of the quorum of maintenance windows", "err", err)
	}
}

// agree brings the member's locks to the state that windows describe.
//
// The order matters. A replica that learns of a window, or of a new definition, may have work
// running in its scope. So it first takes the open lock, and only then publishes that it knows the
// window, because operators never consider a window quiet while a replica does not know it. If an
// operator holds the lock at that moment, it will release it, and the replica tries again at the
// next call. A replica that has just joined, or is outdated, refuses everything, so it publishes at
// once. After it has joined, or has forgotten a window, it looks for operators, because operators
// look for replicas after they have taken a window. So at least one sees the other.
func (r *Replica) agree(ctx context.Context, windows map[string]downtime.Position, fresh bool) error {
	r.mu.Lock()
	look := fresh || r.outdated
	var shut, forget, enter []string
	know := map[string]string{}
	for w := range r.open {
		if !windows[w].Wanted {
			shut = append(shut, w)
		}
	}
	for w := range r.knows {
		if _, reported := windows[w]; !reported {
			forget = append(forget, w)
		}
	}
	for w, p := range windows {
		if !r.knows[w] || p.Digest != r.digests[w] {
			know[w] = p.Digest
		}
		if p.Wanted && !r.open[w] {
			enter = append(enter, w)
		}
	}
	r.mu.Unlock()
	for _, list := range [][]string{shut, forget, enter} {
		slices.Sort(list)
	}

	if len(enter) > 0 {
		entered, err := r.member.enter(ctx, enter)
		if err != nil {
			return err
		}
		r.set(func() { add(r.open, entered) })
		if !look {
			for _, w := range enter {
				if !slices.Contains(entered, w) {
					delete(know, w)
				}
			}
		}
	}
	if len(know) > 0 {
		if err := r.member.know(ctx, know); err != nil {
			return err
		}
		r.set(func() {
			for w, digest := range know {
				r.knows[w], r.digests[w] = true, digest
			}
		})
		ring(r.wake)
	}
	if len(shut) > 0 {
		r.set(func() { remove(r.open, shut) })
		if err := r.member.leave(ctx, shut); err != nil {
			return err
		}
	}
	if len(forget) > 0 {
		look = true
		r.set(func() {
			remove(r.knows, forget)
			for _, w := range forget {
				delete(r.digests, w)
			}
		})
		if err := r.member.forget(ctx, forget); err != nil {
			return err
		}
	}
	if look {
		return r.look(ctx)
	}
	return nil
}

func (r *Replica) look(ctx context.Context) error {
	outdated, err := r.member.outdated(ctx, r.known())
	if err == nil {
		r.set(func() { r.outdated = outdated })
	}
	return err
}

func (r *Replica) known() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.knows)
}

func (r *Replica) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func add(set map[string]bool, windows []string) {
	for _, w := range windows {
		set[w] = true
	}
}

func remove(set map[string]bool, windows []string) {
	for _, w := range windows {
		delete(set, w)
	}
}

// run keeps the replica joined.
func (r *Replica) run() {
	defer close(r.ended)
	for r.life.Err() == nil {
		pause := r.once()
		if pause == 0 {
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-r.wake:
		case <-r.life.Done():
		}
		timer.Stop()
	}
	r.turn <- struct{}{}
	defer r.give()
	if r.member != nil {
		r.member.end()
		r.member = nil
		r.set(func() { r.joined, r.knows, r.digests, r.open, r.outdated = false, nil, nil, nil, false })
	}
	ring(r.changed)
}

// once beats or joins, and returns the pause until the next call.
func (r *Replica) once() time.Duration {
	ctx := r.life
	if r.take(ctx, nil) != nil {
		return 0 // closed
	}
	defer r.give()
	if r.member == nil {
		bounded, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if r.enterQuorum(bounded) != nil {
			return jitter(rejoining)
		}
		if err := r.look(bounded); err != nil {
			r.fall(err, nil)
			return jitter(rejoining)
		}
		if r.isOutdated() { // otherwise a guard that got an error calls again by itself
			ring(r.changed)
		}
		return 0
	}
	wait, pause := time.Duration(0), jitter(pulse)
	if r.slice > 0 && len(r.known()) > 0 {
		wait, pause = r.slice, 0
	}
	bounded, cancel := context.WithTimeout(ctx, patience+wait)
	defer cancel()
	err := r.member.beat(bounded, wait)
	if err == nil && r.isOutdated() {
		if err = r.look(bounded); err == nil && !r.isOutdated() {
			ring(r.changed)
		}
	}
	if err != nil && ctx.Err() == nil {
		r.fall(err, r.changed)
		return 0
	}
	return pause
}

func (r *Replica) isOutdated() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outdated
}
