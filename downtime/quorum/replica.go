package quorum

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
)

// Options of a [Replica]. Nil options are the defaults.
type Options struct {
	// Fleet names the replicas that have one document of windows, where several such share a
	// database. [Files] does not use it. Empty means the one fleet of the database.
	Fleet Fleet

	// Name is what operators see of this replica; in PostgreSQL it is the application_name,
	// which is cut at 63 bytes. Empty means program, host and process id.
	Name string

	// Logger logs when the replica joins and falls out. Nil means slog.Default().
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

// A Replica is this process's part in a quorum: give it to a guard as
// Options.Quorum. [Postgres] and [Files] make one. It is for one guard.
//
// It joins at once, so that operators see it also while it knows of no window, and joins again
// whenever it has fallen out. All methods may be called from any goroutine.
type Replica struct {
	opts    Options
	join    func(ctx context.Context, strict bool) (member, error)
	slice   time.Duration // how long a beat may block; 0: it does not
	changed chan struct{}
	wake    chan struct{}   // there is something to watch over
	life    context.Context // until Close
	cancel  context.CancelFunc
	ended   chan struct{}

	turn   chan struct{} // held by who uses the member
	member member        // nil: fallen out
	fault  string        // what the last attempt to join failed with, "" when it did not
	pooled bool          // its session was seen to be shared: the next must be seen not to be

	mu       sync.Mutex
	windows  map[string]bool // that operators may count on us knowing; true: that we keep operators from; nil: fallen out
	outdated bool
	lost     int
	fell     chan struct{} // closed when it falls out
}

// A member is one life of a replica: a session, or an open file. After an error it must end.
// windows are never empty.
type member interface {
	know(ctx context.Context, windows []string) error
	forget(ctx context.Context, windows []string) error
	enter(ctx context.Context, windows []string) (entered []string, err error)
	leave(ctx context.Context, windows []string) error
	outdated(ctx context.Context, known map[string]bool) (bool, error) // an operator holds a window that is not known
	beat(ctx context.Context, d time.Duration) error                   // an error when it is cut off, after a wait of d
	end()
}

const (
	pulse     = time.Second     // between beats that do not wait
	rejoining = 5 * time.Second // between attempts to join that nobody has asked for
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

// Changed is [downtime.Quorum]'s.
func (r *Replica) Changed() <-chan struct{} { return r.changed }

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// Close leaves the quorum: operators no longer wait for this replica, so close the guard first
// and let its work end. Close may be called more than once.
func (r *Replica) Close() error {
	r.cancel()
	<-r.ended
	return nil
}

// Stats are for metrics: joined (1 or 0), outdated (1 or 0), known and open (windows),
// lost (how often it has fallen out).
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
		"joined":   number(r.windows != nil),
		"outdated": number(r.outdated),
		"known":    float64(len(r.windows)),
		"open":     float64(len(r.open())),
		"lost":     float64(r.lost),
	}
}

// Agree is [downtime.Quorum]'s: it makes known which windows this replica knows of,
// lets operators have those that are false, and keeps them from those that are true.
// It returns those of the latter that no operator holds.
//
// The error is [downtime.ErrOutdated] when an operator holds a window that is not
// among windows; [ErrClosed]; or a fault, after which the replica has fallen out. If it falls
// out while Agree waits, Agree returns at once, so that the guard closes, and joins
// again when it is called the next time.
func (r *Replica) Agree(ctx context.Context, windows map[string]bool) (open map[string]bool, err error) {
	if open, ok := r.settled(windows); ok {
		return open, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer context.AfterFunc(r.life, cancel)()
	r.mu.Lock()
	fell := r.fell
	r.mu.Unlock()
	if err := r.take(ctx, fell); err != nil {
		return nil, err
	}
	defer r.give()
	fresh := r.member == nil
	if fresh {
		if err := r.enterQuorum(ctx); err != nil {
			return nil, r.failed(err)
		}
	}
	if err := r.agree(ctx, windows, fresh); err != nil {
		r.fall(err, nil)
		return nil, r.failed(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outdated {
		return nil, downtime.ErrOutdated
	}
	return r.open(), nil
}

// open are the windows that we keep operators from. mu is held.
func (r *Replica) open() map[string]bool {
	open := maps.Clone(r.windows)
	maps.DeleteFunc(open, func(_ string, is bool) bool { return !is })
	return open
}

func (r *Replica) failed(err error) error {
	if r.life.Err() != nil {
		return ErrClosed
	}
	return fmt.Errorf("quorum: %w", err)
}

func (r *Replica) settled(windows map[string]bool) (map[string]bool, bool) {
	if r.life.Err() != nil {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.windows == nil || r.outdated || !maps.Equal(windows, r.windows) {
		return nil, false
	}
	return r.open(), true
}

// take waits for our turn with the member, but no longer than until fell is closed.
func (r *Replica) take(ctx context.Context, fell <-chan struct{}) error {
	var err error
	select {
	case r.turn <- struct{}{}:
		if r.life.Err() == nil {
			return nil
		}
		r.give()
	case <-fell:
		err = errFell
	case <-ctx.Done():
		err = fmt.Errorf("quorum: %w", context.Cause(ctx))
	}
	if r.life.Err() != nil {
		return ErrClosed
	}
	return err
}

var errFell = errors.New("quorum: fell out; joining again")

func (r *Replica) give() { <-r.turn }

// enterQuorum joins, in our turn, without a member.
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
	r.set(func() { r.windows, r.outdated = map[string]bool{}, false })
	r.opts.Logger.Info("joined the quorum of maintenance windows", "name", r.opts.Name)
	return nil
}

// fall gives up the member. It notifies first, because to end a member may take a second.
func (r *Replica) fall(err error, bell chan struct{}) {
	r.set(func() {
		r.windows, r.outdated = nil, false
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

// agree brings the member to what windows say.
//
// The order matters. A replica makes known a window before it wants it, because the operator
// waits for all who do not know it. After it has joined, or forgotten a window, it looks for
// operators, because they look for us after they have taken a window: one sees the other.
func (r *Replica) agree(ctx context.Context, windows map[string]bool, fresh bool) error {
	r.mu.Lock()
	look := fresh || r.outdated
	var shut, forget, know, enter []string
	for w, open := range r.windows {
		wanted, named := windows[w]
		if open && !wanted {
			shut = append(shut, w)
		}
		if !named {
			forget = append(forget, w)
		}
	}
	for w, wanted := range windows {
		open, knows := r.windows[w]
		if !knows {
			know = append(know, w)
		}
		if wanted && !open {
			enter = append(enter, w)
		}
	}
	r.mu.Unlock()
	for _, list := range [][]string{shut, forget, know, enter} {
		slices.Sort(list)
	}
	mark := func(windows []string, open bool) {
		r.set(func() {
			for _, w := range windows {
				r.windows[w] = open
			}
		})
	}

	if len(know) > 0 {
		if err := r.member.know(ctx, know); err != nil {
			return err
		}
		mark(know, false)
		ring(r.wake)
	}
	if len(shut) > 0 {
		mark(shut, false)
		if err := r.member.leave(ctx, shut); err != nil {
			return err
		}
	}
	if len(forget) > 0 {
		look = true
		r.set(func() {
			maps.DeleteFunc(r.windows, func(w string, _ bool) bool { return slices.Contains(forget, w) })
		})
		if err := r.member.forget(ctx, forget); err != nil {
			return err
		}
	}
	if len(enter) > 0 {
		entered, err := r.member.enter(ctx, enter)
		if err != nil {
			return err
		}
		mark(entered, true)
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
	return maps.Clone(r.windows)
}

func (r *Replica) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *Replica) run() {
	defer close(r.ended)
	for r.life.Err() == nil {
		select {
		case <-time.After(r.once()):
		case <-r.wake:
		case <-r.life.Done():
		}
	}
	r.turn <- struct{}{}
	defer r.give()
	if r.member != nil {
		r.member.end()
		r.member = nil
		r.set(func() { r.windows, r.outdated = nil, false })
	}
	ring(r.changed)
}

// once beats, or joins, and returns the pause to the next time.
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
		if r.isOutdated() { // else there is no hurry: whoever was told of an error asks again
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

const (
	slice    = 200 * time.Millisecond // of a beat that waits, and so the time that Agree may have to wait
	patience = 5 * time.Second        // with one step of a member or an operator
)

// jitter varies d by a tenth, so that a fleet does not do everything at once.
func jitter(d time.Duration) time.Duration {
	return d - d/20 + rand.N(d/10)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
