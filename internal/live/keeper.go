package live

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/atomicfile"
)

// A Keeper keeps one value up to date. All methods may be called from any goroutine.
type Keeper[T any] struct {
	opts Options[T]
	name string

	current atomic.Pointer[Snapshot[T]]
	wake    chan struct{}
	ready   chan struct{} // closed after the first attempt
	cancel  context.CancelFunc
	ended   chan struct{} // closed when all goroutines have ended
	running sync.WaitGroup

	mu     sync.Mutex
	status Status

	// Only the run goroutine uses the fields below.
	started time.Time
	loader  *loader
	saved   string // hash of the last good copy
	logged  string // text of the last failure that was logged
	refused []byte // the source's document, if the last attempt refused it
}

// Start keeps src's document until ctx ends or the keeper is closed. It returns at once; [Keeper.Ready]
// waits for the first value.
func Start[T any](ctx context.Context, src Source, opts Options[T]) *Keeper[T] {
	ctx, cancel := context.WithCancel(ctx)
	opts.Poll = cmp.Or(opts.Poll, DefaultPoll)
	opts.Timeout = cmp.Or(opts.Timeout, DefaultTimeout)
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	k := &Keeper[T]{
		opts:    opts,
		name:    cmp.Or(opts.Name, SourceName(src)),
		wake:    make(chan struct{}, 1),
		ready:   make(chan struct{}),
		cancel:  cancel,
		ended:   make(chan struct{}),
		started: time.Now(),
	}
	k.status.Started = k.started
	k.loader = &loader{src: src, timeout: k.opts.Timeout, running: &k.running, returned: k.wakeUp}
	k.running.Go(func() { k.run(ctx) })
	if w, ok := src.(Watcher); ok {
		k.running.Go(func() { k.watch(ctx, w) })
	}
	go func() {
		k.running.Wait()
		close(k.ended)
	}()
	return k
}

// Ready waits until the first attempt has ended. It returns nil if there is a value, of any origin, and
// else the error. The keeper continues in both cases.
func (k *Keeper[T]) Ready(ctx context.Context) error {
	select {
	case <-k.ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if k.Snapshot() != nil {
		return nil
	}
	return k.Status().Err
}

// Snapshot returns the present value; nil means none yet.
func (k *Keeper[T]) Snapshot() *Snapshot[T] { return k.current.Load() }

// Status returns the state of the keeper.
func (k *Keeper[T]) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

// Problems returns the error of the last attempt, and the faults in the value's document that did not
// refuse it.
func (k *Keeper[T]) Problems() []error {
	var problems []error
	if err := k.Status().Err; err != nil {
		problems = append(problems, err)
	}
	if s := k.Snapshot(); s != nil {
		problems = append(problems, s.Problems...)
	}
	return problems
}

// Close stops the keeper and waits for its goroutines. For a source that ignores its context it waits
// only a second. The value can still be read. Close may be called twice.
func (k *Keeper[T]) Close() error {
	k.cancel()
	select {
	case <-k.ended:
	case <-time.After(grace):
	}
	return nil
}

func (k *Keeper[T]) wakeUp() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *Keeper[T]) run(ctx context.Context) {
	for first := true; ; first = false {
		err := k.attempt(ctx)
		if ctx.Err() == nil {
			k.settle(err, first)
			if data := k.refused; first && data != nil && k.Snapshot() != nil && k.accept(data) == nil {
				// The parser needed an earlier document to accept this one.
				err = nil
				k.settle(err, false)
			}
			k.refused = nil
		} else {
			k.update(func(s *Status) { s.Err = cmp.Or(s.Err, context.Cause(ctx)) })
		}
		if first {
			close(k.ready)
		}
		if !k.wait(ctx, err) {
			return
		}
	}
}

// wait returns true when it is time for the next attempt, and false when ctx has ended.
func (k *Keeper[T]) wait(ctx context.Context, err error) bool {
	next := time.After(k.delay(err))
	for {
		select {
		case <-ctx.Done():
			return false
		case <-next:
			return true
		case <-k.wake:
			return k.quiet(ctx)
		case <-time.After(k.untilOlder()):
			k.notify(k.update(k.age))
		}
	}
}

// quiet waits until no event has come for settle, so that a file that is written in several steps is
// read once.
func (k *Keeper[T]) quiet(ctx context.Context) bool {
	limit, calm := time.After(settleMax), time.After(settle)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-calm:
			return true
		case <-limit:
			return true
		case <-k.wake:
			calm = time.After(settle)
		}
	}
}

// delay is the time from an attempt that ended with err to the next attempt.
func (k *Keeper[T]) delay(err error) time.Duration {
	delay := k.opts.Poll
	var server interface{ RetryAfter() time.Duration }
	fails := errors.As(err, &server)
	switch {
	case err != nil && k.Snapshot() == nil: // a start is waiting for the first value
		delay = min(delay, retryFirst)
	case fails: // do not overload the server
		delay = min(delay<<min(k.Status().InARow-1, 10), max(delay, backoffMax))
	}
	if fails {
		delay = max(delay, server.RetryAfter())
	}
	return time.Duration(float64(delay) * (0.9 + 0.2*rand.Float64()))
}

func (k *Keeper[T]) silence(s *Status) time.Duration {
	if s.Checked.IsZero() {
		return time.Since(k.started)
	}
	return time.Since(s.Checked)
}

func (k *Keeper[T]) age(s *Status) {
	silence := k.silence(s)
	s.Stale = s.Stale || k.opts.StaleAfter > 0 && silence >= k.opts.StaleAfter
	s.Lost = k.opts.LostAfter > 0 && silence >= k.opts.LostAfter
}

func (k *Keeper[T]) untilOlder() time.Duration {
	s := k.Status()
	next := time.Duration(math.MaxInt64)
	if k.opts.StaleAfter > 0 && !s.Stale {
		next = k.opts.StaleAfter
	}
	if k.opts.LostAfter > 0 && !s.Lost {
		next = min(next, k.opts.LostAfter)
	}
	return max(0, next-k.silence(&s))
}

func (k *Keeper[T]) attempt(ctx context.Context) error {
	data, err := k.loader.load(ctx)
	if k.loader.abandoned {
		k.loader.abandoned = false
		k.update(func(s *Status) { s.Abandoned++ })
	}
	if err != nil {
		return &Error{k.name, err}
	}
	if prev := k.Snapshot(); prev != nil && prev.Origin == FromSource && prev.content == revision(data) {
		return nil
	}
	return k.accept(data)
}

// accept publishes a document of the source and saves the last good copy.
func (k *Keeper[T]) accept(data []byte) error {
	if err := k.publish(k.name, data, FromSource); err != nil {
		k.refused = data
		return err
	}
	if k.opts.LastGood != "" {
		var err error
		if k.opts.Copy != nil {
			data, err = k.opts.Copy(data, k.Snapshot().Value)
		}
		err = k.opts.Save(k.name, data, err, &k.saved)
		k.update(func(s *Status) { s.SaveErr = err })
	}
	return nil
}

func (k *Keeper[T]) publish(name string, data []byte, origin Origin) error {
	if err := blank(data); err != nil {
		return &Error{name, err}
	}
	var prev *T
	if s := k.Snapshot(); s != nil {
		prev = s.Value
	}
	next, problems, err := k.parse(name, data, prev)
	if err != nil {
		return err
	}
	snapshot := &Snapshot[T]{Value: next, Revision: revision(data), Origin: origin, Since: time.Now(), Problems: problems, content: revision(data)}
	if k.opts.Revision != nil {
		snapshot.Revision = k.opts.Revision(next)
	}
	if origin == FromLastGood {
		k.saved = snapshot.content
	}
	k.current.Store(snapshot)
	k.update(func(s *Status) { s.Updates++ })
	if k.opts.OnUpdate != nil {
		k.opts.OnUpdate(snapshot)
	}
	k.opts.Log("document loaded", name, prev, snapshot)
	return nil
}

func (k *Keeper[T]) parse(name string, data []byte, prev *T) (next *T, problems []error, err error) {
	defer func() {
		if p := recover(); p != nil {
			next, problems, err = nil, nil, fmt.Errorf("%s: the parser panicked: %v", name, p)
		}
	}()
	return k.opts.Parse(name, data, prev)
}

// settle records the result of an attempt. If the first attempt has failed, it uses a stand-in.
func (k *Keeper[T]) settle(err error, first bool) {
	before := k.Status()
	after := k.update(func(s *Status) {
		s.Attempts++
		s.Err = err
		if err != nil {
			s.Failures++
			s.InARow++
			s.Stale = s.Stale || k.opts.StaleFailures > 0 && s.InARow >= k.opts.StaleFailures
			return
		}
		s.InARow = 0
		s.Checked = time.Now()
		s.Stale, s.Lost = false, false
	})
	if err == nil {
		if k.logged != "" {
			k.opts.Logger.Info("document is read again", "document", k.name)
			k.logged = ""
		}
	} else {
		if first {
			k.opts.StandIn(k.name, k.publish)
		}
		// The first failure is not logged if Ready returns it.
		if text := err.Error(); text != k.logged && (!first || k.Snapshot() != nil) {
			k.opts.Logger.Warn("document not updated", "document", k.name, "err", err)
			k.logged = text
		}
	}
	if (before.Err == nil) != (err == nil) || before.Stale != after.Stale || before.Lost != after.Lost {
		k.notify(after)
	}
}

// StandIn uses the last good copy or, if that fails, the fallback.
func (o *Options[T]) StandIn(name string, use func(name string, data []byte, origin Origin) error) {
	if o.LastGood != "" {
		data, err := ReadFile(o.LastGood)
		if err == nil {
			err = use(CopyName(o.LastGood), data, FromLastGood)
		}
		if err == nil {
			return
		}
		if !errors.Is(err, os.ErrNotExist) {
			o.Logger.Warn("last good copy not used", "document", name, "err", err)
		}
	}
	if len(o.Fallback) > 0 {
		if err := use(name+" (fallback)", o.Fallback, FromFallback); err != nil {
			o.Logger.Error("fallback not used", "document", name, "err", err)
		}
	}
}

// Save writes the last good copy unless it is unchanged. A failure is logged and does not refuse the
// document.
func (o *Options[T]) Save(name string, data []byte, err error, saved *string) error {
	if rev := revision(data); err == nil && *saved != rev {
		if err = atomicfile.Write(o.LastGood, data, 0o600); err == nil {
			*saved = rev
		}
	}
	if err != nil {
		o.Logger.Warn("last good copy not written", "document", name, "err", err)
	}
	return err
}

// Log logs a new value and up to 50 of its problems. prev is the value before, nil for the first.
func (o *Options[T]) Log(text, name string, prev *T, s *Snapshot[T]) {
	level := slog.LevelInfo
	attrs := []any{"document", name, "revision", s.Revision, "origin", string(s.Origin)}
	if prev != nil && o.Changes != nil {
		const most = 20
		names := o.Changes(prev, s.Value)
		attrs = append(attrs, "changed", names[:min(len(names), most)], "changes", len(names))
	}
	if len(s.Problems) > 0 {
		level = slog.LevelWarn
		attrs = append(attrs, "problems", len(s.Problems))
	}
	o.Logger.Log(context.Background(), level, text, attrs...)
	const most = 50
	for _, problem := range s.Problems[:min(len(s.Problems), most)] {
		o.Logger.Warn("document has a problem", "document", name, "err", problem)
	}
}

func (k *Keeper[T]) update(change func(*Status)) Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.status)
	return k.status
}

func (k *Keeper[T]) notify(s Status) {
	if k.opts.OnStatus != nil {
		k.opts.OnStatus(s)
	}
}

// watch keeps a watch running. Polling finds the changes that it misses.
func (k *Keeper[T]) watch(ctx context.Context, w Watcher) {
	wait := retryFirst
	logged := ""
	for {
		began := time.Now()
		err := callWatch(ctx, w, k.wakeUp)
		if ctx.Err() != nil {
			return
		}
		if text := fmt.Sprint(err); text != logged {
			k.opts.Logger.Debug("watch ended, polling goes on", "document", k.name, "err", err)
			logged = text
		}
		if time.Since(began) > time.Minute {
			wait = retryFirst
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, time.Minute)
		k.wakeUp()
	}
}

func callWatch(ctx context.Context, w Watcher, changed func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the watch panicked: %v", p)
		}
	}()
	return w.Watch(ctx, changed)
}

func revision(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// blank finds documents without content, in any format: a truncated file, an empty key of a ConfigMap, a
// template that produced null.
func blank(data []byte) error {
	switch text := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff"))); string(text) {
	case "":
		return ErrEmpty
	case "null", "~":
		return ErrNull
	}
	return nil
}
