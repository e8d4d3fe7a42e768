package observe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/observe/capture"
)

// captures writes bundles in one goroutine, so requests do not wait for a slow disk.
type captures struct {
	recordings
	logger   *slog.Logger
	store    capture.Store
	redactor *capture.Redactor
	build    string

	queuedBytes, queued, written atomic.Int64
	failed, dropped              lossCount

	mu       sync.Mutex
	closed   bool
	gaveUp   bool     // Close gave up: the bundles that waited are counted
	canceled bool     // Close has canceled the store's context
	lost     []string // bundles that were not written because of that
	waiting  []string // the names of the bundles in the queue, and of the one being written
	queue    chan *unwritten
	done     chan struct{}
	ctx      context.Context // of what is written; cancelled by Close at last
	cancel   context.CancelFunc
}

func newCaptures(store capture.Store, rules CaptureOptions) (*captures, error) {
	if store == nil {
		return nil, nil
	}
	var errs []error
	if rules.MaxBody < 0 || rules.MaxBody > maxMaxBody {
		errs = append(errs, fmt.Errorf("observe: Options.Capture.MaxBody must be between 0 and %d, got %d", maxMaxBody, rules.MaxBody))
	}
	redactor, err := capture.NewRedactor(rules.Redact)
	if err != nil {
		errs = append(errs, fmt.Errorf("observe: Options.Capture.Redact: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	c := &captures{
		recordings: recordings{maxBody: cmp.Or(rules.MaxBody, defaultMaxBody)}, store: store, redactor: redactor, build: rules.Build,
		queue: make(chan *unwritten, maxQueue), done: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

func (c *captures) begin(st *state, r *http.Request) {
	if r != nil {
		st.rec = c.recordings.begin(r)
		st.w.tee = st.rec
	}
}

// end gives the recording to the writer if the request is reported, and drops it otherwise.
func (c *captures) end(st *state, out outcome) outcome {
	rec := st.rec
	if rec == nil || st.job || !rec.close() {
		return out
	}
	if !out.reported {
		rec.free()
		return out
	}
	u := &unwritten{
		rec: rec, start: st.start, duration: out.duration, hijacked: st.w.hijacked.Load(),
		header: rec.header,
		details: capture.Details{
			Schema: 1, RequestID: st.id, Route: out.name, Reason: capture.Reason(out.why.String()), Status: int(out.status),
			Build: c.build, Go: runtime.Version(), Dropped: rec.dropped,
		},
	}
	if u.header == nil {
		u.header = st.w.Header().Clone()
	}
	if sc := st.span.SpanContext(); sc.IsValid() {
		u.details.TraceID = sc.TraceID().String()
	}
	if p, ok := out.logged.(*PanicError); ok {
		u.details.Panic = newPanic(p)
	} else if out.logged != nil {
		u.details.Error = &capture.Error{Type: errorType(out.logged), Texts: errorTexts(out.logged), Response: out.shown}
	}
	u.details.Dropped.Logs += out.dropped
	for _, r := range rec.logs {
		u.logs = append(u.logs, r.Record)
	}
	for _, r := range out.records {
		u.logs = append(u.logs, r.Clone()) // this one is going to be written too
	}
	u.size = int64(rec.held) + int64(rec.logBytes) + int64(len(out.records))*256 + 4<<10
	u.name = capture.NewName(st.start)
	if c.enqueue(u) {
		out.bundle = u.name
	} else {
		rec.free()
	}
	return out
}

func (c *captures) enqueue(u *unwritten) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.queuedBytes.Load()+u.size > maxQueued || len(c.queue) == cap(c.queue) { // this is the only sender
		c.dropped.Add(1)
		return false
	}
	c.queued.Add(1)
	c.queuedBytes.Add(u.size)
	c.waiting = append(c.waiting, u.name)
	// Bundles that wait are counted there and no longer here.
	c.held.Add(-int64(u.rec.held))
	u.rec.held = 0
	c.queue <- u
	return true
}

// run writes what is queued until the queue is closed.
func (c *captures) run() {
	defer close(c.done)
	defer c.cancel()
	hourly := time.NewTicker(time.Hour)
	defer hourly.Stop()
	var reported time.Time
	report := func(what string, err error) {
		defer c.counts.shield()
		// A full disk must not fill another one with log records.
		if now := time.Now(); reported.IsZero() || now.Sub(reported) >= time.Minute {
			reported = now
			c.logger.WarnContext(context.Background(), what, "error", plainError(err), "failed", c.failed.Load())
		}
	}
	for {
		select {
		case <-hourly.C:
			if err := c.sweep(); err != nil {
				report("old captures were not deleted", err)
			}
		case u, ok := <-c.queue:
			if !ok {
				return
			}
			err := c.write(u)
			if c.settle(u, err) && err != nil {
				report("a capture was not written", err)
			}
		}
	}
}

// settle counts the result for a bundle that waited, unless Close has given it up.
func (c *captures) settle(u *unwritten, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gaveUp {
		return false
	}
	c.queued.Add(-1)
	c.queuedBytes.Add(-u.size)
	c.waiting = slices.Delete(c.waiting, 0, 1)
	if err != nil {
		c.failed.Add(1)
		if c.canceled {
			c.lost = append(c.lost, u.name)
		}
	} else {
		c.written.Add(1)
	}
	return true
}

// giveUp drops the bundles that wait, and the one that the store does not return from. The
// queue must be closed.
func (c *captures) giveUp() {
	c.mu.Lock()
	c.gaveUp = true
	n := c.queued.Swap(0)
	c.queuedBytes.Store(0)
	if n > 0 {
		c.dropped.Add(n)
	}
	c.lost = append(c.lost, c.waiting...)
	c.mu.Unlock()
	for u := range c.queue {
		u.rec.free()
	}
}

// losses names the bundles that Close has lost. why is what the store did.
func (c *captures) losses(why string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.lost) == 0 {
		return nil
	}
	names := strings.Join(c.lost[:min(len(c.lost), maxLostNames)], ", ")
	if more := len(c.lost) - maxLostNames; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Errorf("observe: Close: %d captures were not written and are lost, because %T %s: %s", len(c.lost), c.store, why, names)
}

func (c *captures) sweep() (err error) {
	sweeper, ok := c.store.(capture.Sweeper)
	if !ok {
		return nil
	}
	defer recovered(&err)
	return sweeper.Sweep(c.ctx)
}

func recovered(err *error) {
	if value := recover(); value != nil {
		*err = newPanicError(value)
	}
}

func (c *captures) write(u *unwritten) (err error) {
	defer recovered(&err)
	defer u.rec.free()
	if err := c.ctx.Err(); err != nil {
		return err
	}
	bundle := u.bundle()
	if err := c.redactor.Redact(bundle); err != nil {
		return err
	}
	data, err := bundle.Encode()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx, maxWrite)
	defer cancel()
	return c.store.Put(ctx, u.name, data)
}

// stop refuses further bundles and waits a short time for those that are queued.
func (c *captures) stop() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	was := c.closed
	c.closed = true
	c.mu.Unlock()
	if was {
		return nil
	}
	close(c.queue)
	if c.ended(maxDrain) {
		return nil
	}
	c.mu.Lock()
	c.canceled = true
	c.mu.Unlock()
	c.cancel()
	if c.ended(time.Second) {
		return c.losses("took too long")
	}
	c.giveUp()
	return c.losses("does not return")
}

// ended waits for the writer, so long at most.
func (c *captures) ended(patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.done:
		return true
	case <-timer.C:
		return false
	}
}
