package downtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/live"
)

// A Guard stands in every way into a service and keeps it shut while a window says
// so. It counts what it lets in, and so knows when it is quiet. All methods may be
// called from any goroutine.
//
// # Count, then check
//
// Whatever is admitted is first counted, and the state that admitted it is believed
// only if it still holds then. When the guard closes it first publishes the closed
// state and then looks at the counts. Of the two, one comes first: either the entry
// was counted before the state changed, and is seen; or it sees the change, is
// uncounted, and asks again. A guard that checks first and counts after reports
// quiet while a request starts.
//
// What is refused is never counted, so that a crowd at a closed door does not look
// like work behind it.
//
// Quiet is said only when nothing can begin any more, not even what [Guard.Hold] hands
// on. So it is never taken back, but by an operator who bypasses the window.
//
// # The document
//
// The document is the fleet's state: begin, early end and extension are written
// there, and every replica and every restart sees them. A document that cannot be
// read or parsed changes nothing. A window that vanishes from it while in progress
// is kept to its end, and so is one of which start, repeat, except or a freeze is changed
// so that it would not be in progress; unless the document says "allowShrink: true". End a
// window with actual.end. Of a window that repeats only the occurrence in progress is
// kept. What was kept is forgotten by a restart.
//
// [Guard.Begin], [Guard.Complete] and [Guard.Extend] are for one process in need: until
// the document says otherwise, or the process ends.
//
// # Overrun
//
// A window ends when it was planned to, or when operators say so. Two things make the
// guard of a process think that the work is unfinished then: [Guard.Drain] has said there
// that it is quiet, and neither Complete nor actual.end has followed; or something that
// bypasses the window is running. With "overrun: hold", the default, the window then
// stays closed ([schedule.PhaseOverrun]) until it is completed or extended, or what bypasses it has
// ended, for [Options].OverrunMax at most. With "overrun: reopen" it is opened. Both, and
// being opened with the work unfinished after all, are logged as errors and told by
// [Guard.Events]. So who drains a window in a process completes it there, too, or in the
// document.
//
// # The clock
//
// A clock that is set, and a machine that has slept, are noticed within a second. A clock
// that is set back opens nothing: what was announced stays announced, and what has begun
// stays closed until its end by the clock, or until a document or a command says
// otherwise. A window that is over closes again if its end is more than a minute ahead.
type Guard struct {
	opts    Options
	logger  *slog.Logger
	pass    passes
	link    string       // Options.StatusURL as a header; empty: none
	cors    http.Handler // answers refusals, behind Options.CORS; nil: refuse does
	bypass  *bypass      // nil: nobody may
	streams streams
	keeper  *live.Keeper[schedule.Schedule]
	now     atomic.Pointer[snapshot]
	running running

	changed broadcast // a snapshot was published, or something left
	sealing sync.Mutex
	events  events

	refused     atomic.Int64
	wouldRefuse atomic.Int64 // by rehearsals

	begun    time.Time
	wake     chan struct{} // there is a new document, or a window was found quiet
	cancel   context.CancelFunc
	done     <-chan struct{} // closed when Close is called
	ended    chan struct{}   // closed when the guard's goroutine has ended
	attended chan struct{}   // closed when the quorum's goroutine has ended
	question chan struct{}   // there is something new to ask the quorum

	quorumFailures atomic.Int64

	mu       sync.Mutex // held to look at the clock and to publish a snapshot
	document *live.Snapshot[schedule.Schedule]
	trouble  string // why the document was last not updated; empty: it was
	progress map[occurrenceKey]*progress
	locals   map[occurrenceKey]*local
	agreed   agreed
	ticked   time.Time
	news     []news // to be logged once mu is free
}

// Options of a [Guard]. Nil options are the defaults.
type Options struct {
	// Pass lists what always passes, is never counted and never refused: paths, with a
	// method before them where one matters, as patterns of net/http ("GET /healthz").
	// A request must be written just so; doubt means that it does not pass. Nil:
	// [DefaultPass]. Empty but not nil: nothing.
	Pass []string

	// Classify says what a request does, where its method does not tell: GraphQL is all
	// POST. It must not read the body that the handler needs. Nil: the safe methods of
	// RFC 9110 §9.2.1 (GET, HEAD, OPTIONS, TRACE) read and all others write.
	Classify func(*http.Request) Effect

	// Long says whether a request takes long, and is therefore refused from a window's
	// cutoff on. Nil: none does.
	Long func(*http.Request) bool

	// Boot is what to do as long as no document has ever been read. The zero value is
	// BootWait.
	Boot Boot

	// BootTimeout is how long Open waits for a first document, and with BootClosed and
	// BootOpen for the first attempt. 0: 10 s.
	BootTimeout time.Duration

	// Poll is the time between loads of the document, varied by a tenth. 0: 15 s.
	Poll time.Duration

	// LastGood names a file in which the last accepted document is kept, for a start
	// without source. Empty: none.
	LastGood string

	// Fallback is the document for a start with neither source nor last good copy,
	// usually an embedded one. Empty: none.
	Fallback []byte

	// StaleAfter is how long the source may be silent or failing before the document
	// counts as stale, in Stats and on the status page; nothing else changes. 0: never.
	StaleAfter time.Duration

	// RetryMax bounds Retry-After. 0: 1 h.
	RetryMax time.Duration

	// RetryJitter is what is at most added to the time to a window's end, each time at
	// random, so that not all return in the same second; and never more than a quarter of
	// the window. 0: 30 s. Negative: nothing.
	RetryJitter time.Duration

	// Service is what users call the service, a few words for the page that a refused browser
	// gets. Empty means that it says "maintenance" alone.
	Service string

	// CORS is the application's own CORS middleware, put around refusals, so that they
	// carry the headers that its answers carry and a page of another origin can read
	// them; Access-Control-Expose-Headers then has Retry-After besides. A preflight
	// request in the scope of a window is answered by it, and neither counted nor refused: a
	// refused one would hide the refusal from the page. Nil: refusals carry no such
	// headers, and a preflight request is refused as any other.
	CORS func(http.Handler) http.Handler

	// StatusURL is the address of a page that tells users how things stand: an http or https
	// URL, or a path that begins with "/". Responses to requests in the scope of a window that
	// is announced or in progress carry it as Link with rel="status" (RFC 8631), set
	// before the handler is called; refusals too, and in their body. Windows that
	// rehearse are not told of. Package status has such a page. Keep it out of all scopes.
	// Empty means none.
	StatusURL string

	// Reminders are how long before the start of a window [Guard.Events] reminds of it,
	// as far as it is announced by then. Nil: 24 h, 1 h and 10 min. Empty but not nil:
	// none.
	Reminders []time.Duration

	// OverrunMax is for how long after its planned end a window is held closed while its
	// work is unfinished: see [Guard]. 0: 1 h.
	OverrunMax time.Duration

	// Quorum makes this guard one of many that are drained together: see [Quorum]. The
	// guard does not close it. Nil: this process decides alone.
	Quorum Quorum

	// StreamJitter is what is at most added to a window's start, each time at random, before
	// a stream is ended, so that not all come back in the same moment; and never more than a
	// quarter of the window. So long, at least, draining takes. 0: 5 s. Negative: nothing.
	StreamJitter time.Duration

	// Bypass lets operators in all the same. Nil: nobody.
	Bypass *Bypass

	// Logger is told each change of phase once, and of trouble with the document. Nil:
	// slog.Default().
	Logger *slog.Logger
}

// Boot is what a guard does before it has ever read a document.
type Boot uint8

// The boot policies.
const (
	// BootWait makes Open wait up to BootTimeout for a document that is missing, empty
	// or out of reach, and after that refuses what writes until there is one. For a document
	// that is there and faulty it does not wait, for that will not mend itself.
	BootWait Boot = iota
	// BootClosed refuses everything until there is a document.
	BootClosed
	// BootOpen refuses nothing until there is a document.
	BootOpen
)

const (
	defaultBootTimeout = 10 * time.Second
	defaultRetryMax    = time.Hour
	defaultRetryJitter = 30 * time.Second
	defaultOverrunMax  = time.Hour
	defaultEndJitter   = 5 * time.Second
	bootRetry          = 10 * time.Second
	overrunRetry       = time.Minute

	tick     = time.Second            // the clock is looked at, at least
	fastTick = 100 * time.Millisecond // the same, while what runs matters
	runUp    = time.Minute            // before a window, in which it matters already
)

// resolve checks options and fills in the defaults.
func (o *Options) resolve() (Options, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"BootTimeout", opts.BootTimeout},
		{"Poll", opts.Poll},
		{"StaleAfter", opts.StaleAfter},
		{"RetryMax", opts.RetryMax},
		{"OverrunMax", opts.OverrunMax},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("downtime: Options.%s must not be negative, got %v", d.name, d.value))
		}
	}
	if opts.Boot > BootOpen {
		errs = append(errs, fmt.Errorf("downtime: Options.Boot must be one of the constants, got %d", opts.Boot))
	}
	if err := checkStatusURL(opts.StatusURL); err != nil {
		errs = append(errs, err)
	}
	opts.BootTimeout = cmp.Or(opts.BootTimeout, defaultBootTimeout)
	opts.RetryMax = max(time.Second, cmp.Or(opts.RetryMax, defaultRetryMax))
	opts.RetryJitter = max(0, cmp.Or(opts.RetryJitter, defaultRetryJitter))
	opts.OverrunMax = cmp.Or(opts.OverrunMax, defaultOverrunMax)
	if opts.Reminders == nil {
		opts.Reminders = []time.Duration{24 * time.Hour, time.Hour, 10 * time.Minute}
	}
	for _, r := range opts.Reminders {
		if r <= 0 {
			errs = append(errs, fmt.Errorf("downtime: Options.Reminders must be positive, got %v", r))
		}
	}
	opts.Reminders = slices.Clone(opts.Reminders)
	slices.Sort(opts.Reminders)
	opts.StreamJitter = max(0, cmp.Or(opts.StreamJitter, defaultEndJitter))
	opts.Logger = cmp.Or(opts.Logger, slog.Default())
	if opts.Pass == nil {
		opts.Pass = DefaultPass()
	}
	return opts, errors.Join(errs...)
}

// Open loads the document and starts to guard. ctx bounds the opening only; the guard
// lives until [Guard.Close].
//
// A document that cannot be had or is faulty is no error, for a service must start: the
// guard does what [Options].Boot says, logs it, and goes on trying. Try documents with
// [schedule.Parse] before they are shipped. An error is a nil source, nonsense in the
// options, or the cause of ctx's end.
func Open(ctx context.Context, src Source, opts *Options) (*Guard, error) {
	if src == nil {
		return nil, errors.New("downtime: the source is nil")
	}
	o, err := opts.resolve()
	if err != nil {
		return nil, err
	}
	pass, err := newPasses(o.Pass)
	if err != nil {
		return nil, err
	}
	var past *bypass
	if o.Bypass != nil {
		if past, err = newBypass(o.Bypass, o.Logger); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	lifetime, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g := &Guard{
		opts:     o,
		logger:   o.Logger,
		pass:     pass,
		bypass:   past,
		begun:    time.Now(),
		wake:     make(chan struct{}, 1),
		cancel:   cancel,
		done:     lifetime.Done(),
		ended:    make(chan struct{}),
		attended: make(chan struct{}),
		question: make(chan struct{}, 1),
		progress: map[occurrenceKey]*progress{},
		locals:   map[occurrenceKey]*local{},
	}
	if o.StatusURL != "" {
		g.link = "<" + o.StatusURL + `>; rel="status"`
	}
	if o.CORS != nil {
		g.cors = o.CORS(http.HandlerFunc(g.answer))
	}
	g.running.init()
	g.changed.init()
	g.keeper = live.Start(lifetime, src, live.Options[schedule.Schedule]{
		Parse:      parseKeeping,
		OnUpdate:   func(*live.Snapshot[schedule.Schedule]) { g.ring() },
		OnStatus:   func(live.Status) { g.ring() },
		Poll:       o.Poll,
		StaleAfter: o.StaleAfter,
		LastGood:   o.LastGood,
		Fallback:   o.Fallback,
		Logger:     o.Logger,
	})
	if err := g.await(ctx); err != nil {
		cancel()
		_ = g.keeper.Close()
		return nil, err
	}
	g.tick(time.Now())
	go g.run(lifetime)
	if o.Quorum == nil {
		close(g.attended)
		return g, nil
	}
	asked := make(chan struct{})
	go g.attend(lifetime, asked)
	select {
	case <-asked:
	case <-ctx.Done():
		_ = g.Close()
		return nil, context.Cause(ctx)
	}
	return g, nil
}

// await waits for the first document, as the boot policy has it. A document that is
// missing or out of reach may come any moment; one that is there and faulty is not worth
// the wait.
func (g *Guard) await(ctx context.Context) error {
	const look = 100 * time.Millisecond
	bounded, cancel := context.WithTimeout(ctx, g.opts.BootTimeout)
	defer cancel()
	err := g.keeper.Ready(bounded)
	for g.keeper.Snapshot() == nil && g.opts.Boot == BootWait && bounded.Err() == nil && !isFaulty(g.keeper.Status().Err) {
		again := time.NewTimer(look) // for nobody tells of a second failure
		select {
		case <-g.wake:
		case <-again.C:
		case <-bounded.Done():
		}
		again.Stop()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if g.keeper.Snapshot() == nil {
		if status := g.keeper.Status(); status.Err != nil {
			err = status.Err
		}
		g.logger.Error("no maintenance schedule yet", "boot", g.opts.Boot.String(), "err", err)
	}
	return nil
}

// isFaulty says whether it is the document itself that is at fault.
func isFaulty(err error) bool {
	var fault *schedule.Fault
	return errors.As(err, &fault)
}

// String gives "wait", "closed" or "open".
func (b Boot) String() string {
	switch b {
	case BootWait:
		return "wait"
	case BootClosed:
		return "closed"
	case BootOpen:
		return "open"
	}
	return fmt.Sprintf("Boot(%d)", uint8(b))
}

// parseKeeping parses a document and keeps what is in progress and no longer in it.
func parseKeeping(name string, data []byte, prev *schedule.Schedule) (*schedule.Schedule, []error, error) {
	s, err := schedule.Parse(name, data)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	s = s.Keeping(prev, now)
	return s, heldFaults(s, name, now), nil
}

// heldFaults tells of the windows that are kept though the document has lost them.
func heldFaults(s *schedule.Schedule, name string, now time.Time) []error {
	var faults []error
	for o := range s.Kept() {
		if o.Phase(now) == schedule.PhaseInProgress {
			how := "gone from the document while in progress"
			if s.Window(o.Window.ID) != o.Window {
				how = "in progress, though by the document it no longer takes place,"
			}
			faults = append(faults, &schedule.Fault{File: name, Window: o.Window.ID, Err: fmt.Errorf(
				"is %s and is kept to its end, %s", how, o.End.Format(time.RFC3339))})
		}
	}
	return faults
}

// keeps says whether the document has lost the occurrence, which is kept to its end.
func keeps(s *schedule.Schedule, o schedule.Occurrence) bool {
	for kept := range s.Kept() {
		if kept.Window == o.Window {
			return true
		}
	}
	return false
}

// Close ends the watching of document and clock and waits for it to end. The guard
// stays as it is: what is closed stays closed, whatever the time. One with a quorum
// closes besides what it needed the quorum's word for. Subscribers of [Guard.Events] end.
// Close may be called more than once.
func (g *Guard) Close() error {
	g.cancel()
	<-g.ended
	<-g.attended
	return g.keeper.Close()
}

func (g *Guard) ring() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *Guard) run(ctx context.Context) {
	defer close(g.ended)
	timer := time.NewTimer(g.pause(time.Now()))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
		case <-timer.C:
		}
		now := time.Now()
		g.tick(now)
		timer.Reset(g.pause(now))
	}
}

// pause is the time to the next tick. The wall clock may be set, and a machine may
// sleep, so that no timer is ever trusted for longer than a second.
func (g *Guard) pause(now time.Time) time.Duration {
	s := g.now.Load()
	pause := tick
	for _, n := range s.near {
		if n.drains() || n.Phase.Before(schedule.PhaseInProgress) && n.Window.Mode != schedule.ModeAnnounce && n.Start.Sub(now) < runUp {
			pause = fastTick
		}
	}
	if g.streams.dues.Load() > 0 {
		pause = fastTick
	}
	if !s.next.IsZero() {
		pause = min(pause, s.next.Sub(now))
	}
	return max(pause, time.Nanosecond)
}

// tick looks at the clock and the document.
func (g *Guard) tick(now time.Time) {
	g.mu.Lock()
	g.advance(now, false)
	news := g.takeNews()
	g.mu.Unlock()
	g.log(news)
}

// advance does it under g.mu, and publishes a new snapshot where one is due.
func (g *Guard) advance(now time.Time, due bool) {
	g.running.clock.Store(max(1, int64(now.Sub(g.begun))))
	s := g.now.Load()
	document := g.keeper.Snapshot()
	if s == nil || document != g.document ||
		!s.next.IsZero() && !now.Before(s.next) ||
		now.Round(0).Before(g.ticked.Round(0)) || // the wall clock was set back
		g.overrunIsOver(s) {
		due = true
	}
	g.noteDocument(document, now)
	g.document, g.ticked = document, now
	if due {
		s = g.snapshotAt(now)
		g.now.Store(s)
	}
	for _, n := range s.near {
		if n.drains() {
			g.look(n, now)
		}
	}
	g.streams.end(g, s, now, due)
	g.tellPhases(s, now)
	g.remind(s, now)
	g.consult(s)
	if due {
		g.changed.tell()
	}
}

// window is what stands in for a schedule while there is none, nil when nothing does.
func (b Boot) window() *schedule.Window {
	w := &schedule.Window{Timezone: time.UTC, Message: "The maintenance schedule has not been read yet."}
	switch b {
	case BootClosed:
		w.Mode = schedule.ModeClosed
	case BootOpen:
		return nil
	default:
		w.Mode = schedule.ModeReadOnly
	}
	return w
}

// leave uncounts an entry, and tells those who wait for quiet.
func (g *Guard) leave(s *slot) {
	s.leave()
	g.changed.tell()
}

// State is what the guard's schedule says now, with what was said by [Guard.Begin],
// [Guard.Complete] and [Guard.Extend] here, and with windows that overrun. While there
// is no schedule it is empty.
func (g *Guard) State() schedule.State {
	s := g.now.Load()
	if s.schedule == nil {
		return schedule.State{}
	}
	now := time.Now()
	st := s.schedule.At(now)
	if !s.differs {
		return st
	}
	st.Windows = nil
	for _, n := range s.near {
		if n.Window.ID == "" {
			continue
		}
		if n.Phase != schedule.PhaseOpen && n.Phase != schedule.PhaseCompleted {
			st.Windows = append(st.Windows, n.WindowState)
		}
		next := n.Next(now)
		if n.Phase == schedule.PhaseOverrun {
			next = n.until() // at the latest
		}
		if !next.IsZero() && (st.Next.IsZero() || next.Before(st.Next)) {
			st.Next = next
		}
	}
	return st
}

// Revision is the hash of the document in use, 16 hexadecimal digits, or "" while
// there is none: do all replicas have the same?
func (g *Guard) Revision() string {
	if d := g.keeper.Snapshot(); d != nil {
		return d.Revision
	}
	return ""
}

// Problems are what is wrong now: the document cannot be loaded or is refused, and
// then the one before is in use; windows were lost from it while in progress; the
// last good copy cannot be written; the quorum does not answer.
func (g *Guard) Problems() []error {
	var problems []error
	status := g.keeper.Status()
	if status.Err != nil {
		problems = append(problems, status.Err)
	}
	if status.SaveErr != nil {
		problems = append(problems, fmt.Errorf("last good copy: %w", status.SaveErr))
	}
	if d := g.keeper.Snapshot(); d != nil {
		now := time.Now()
		for _, p := range d.Problems {
			var fault *schedule.Fault
			if errors.As(p, &fault) {
				if !slices.ContainsFunc(slices.Collect(d.Value.Kept()), func(o schedule.Occurrence) bool {
					return o.Window.ID == fault.Window && o.Phase(now) == schedule.PhaseInProgress
				}) {
					continue // it was held to its end, which is over
				}
			}
			problems = append(problems, p)
		}
	}
	if err := g.quorumProblem(); err != nil {
		problems = append(problems, fmt.Errorf("quorum: %w", err))
	}
	return problems
}

// broadcast wakes all who wait, and costs next to nothing while nobody does.
type broadcast struct {
	awaited atomic.Bool // since it was last told
	mu      sync.Mutex
	ch      chan struct{}
}

func (b *broadcast) init() { b.ch = make(chan struct{}) }

// next is closed when it is next told.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.awaited.Store(true)
	return b.ch
}

func (b *broadcast) tell() {
	if b.awaited.Load() {
		b.wake()
	}
}

func (b *broadcast) wake() {
	if !b.awaited.CompareAndSwap(true, false) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}
