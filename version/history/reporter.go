package history

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// ReportOptions configure a [Reporter]. Nil options are the defaults.
type ReportOptions struct {
	// Sign sets the token on each request. It is called for each attempt and must be
	// quick; an error is a failed attempt.
	Sign func(*http.Request) error

	// Client sends the requests. Nil means one of the reporter's own. Redirects are never
	// followed, because a token is for one place.
	Client *http.Client

	// Queue is how many entries may wait. Zero means 1000. They also take 8 MiB at most.
	Queue int

	// GiveUp is how long an entry is tried. Zero means an hour.
	GiveUp time.Duration

	// Drain is how long Close sends what waits. Zero means 5 seconds, negative not at all.
	Drain time.Duration

	// Logger logs when the collector begins to fail or refuse, when it works again, and
	// what Close has dropped. Nil means slog.Default().
	Logger *slog.Logger
}

const (
	defaultQueue  = 1000
	maxQueueBytes = 8 << 20
	defaultGiveUp = time.Hour
	defaultDrain  = 5 * time.Second

	attemptTimeout = 10 * time.Second
	// Of one request, so that a collector takes it.
	maxSent      = 100
	maxSentBytes = maxBody / 2

	minBackoff = time.Second
	maxBackoff = time.Minute
)

// A Reporter is an [Appender] that sends to a [Collector]. [NewReporter] makes it.
//
// Append queues entries and never waits. They are sent in order, several at a time, at
// most 10 seconds an attempt. A failed attempt is repeated after a second, then after
// twice as long, up to a minute, or after the Retry-After, until the entry is too old.
// Only entries that the collector calls malformed (400, 413, 422) are not sent again,
// except one by one. The time that an entry has waited is sent with it, so it gets the
// right place in the history.
//
// When the queue is full new entries are dropped and counted; a waiting sighting gives way
// to the next one of its run. While nothing waits no goroutine runs.
type Reporter struct {
	url    string
	shown  string // url without what may be secret
	client *http.Client
	own    bool // client is
	sign   func(*http.Request) error
	queue  int
	giveUp time.Duration
	drain  time.Duration
	logger *slog.Logger

	mu      sync.Mutex
	waiting []queued
	sending []queued // the part that a request is under way with
	bytes   int
	idle    chan struct{} // closed when the goroutine that sends has ended; nil: there is none
	closed  bool
	failing bool
	count   *counters

	stopped context.Context
	stop    context.CancelFunc
	closing chan struct{}
}

type queued struct {
	entry Entry
	bytes int
	since time.Time // with the monotonic clock
	alone bool      // it was malformed in company
}

// NewReporter returns a reporter that sends to a collector's address, an http or https
// URL. Nothing is sent before the first entry. Close it when the service stops.
func NewReporter(url string, opts *ReportOptions) (*Reporter, error) {
	shown, err := checkURL(url)
	if err != nil {
		return nil, err
	}
	o := *cmp.Or(opts, new(ReportOptions))
	r := &Reporter{
		url: url, shown: shown, sign: o.Sign, queue: o.Queue, giveUp: o.GiveUp,
		drain: cmp.Or(o.Drain, defaultDrain), logger: cmp.Or(o.Logger, slog.Default()),
		closing: make(chan struct{}),
		count:   newCounters("sent", "replaced", "dropped_full", "dropped_old", "dropped_refused", "dropped_closed", "failures"),
	}
	if r.queue <= 0 {
		r.queue = defaultQueue
	}
	if r.giveUp <= 0 {
		r.giveUp = defaultGiveUp
	}
	client := http.Client{}
	if o.Client != nil {
		client = *o.Client
	} else if t, ok := http.DefaultTransport.(*http.Transport); ok {
		client.Transport, r.own = t.Clone(), true
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r.client = &client
	r.stopped, r.stop = context.WithCancel(context.Background())
	return r, nil
}

func checkURL(text string) (shown string, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("history: the collector's address: %w", withoutURL(err))
	}
	bare := *u
	bare.RawQuery, bare.Fragment, bare.RawFragment = "", "", ""
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("history: the collector's address must be an http or https URL, got %q", cleantext.Line(bare.Redacted(), maxName))
	}
	return bare.Redacted(), nil
}

// withoutURL is an error that goes to a log: there may be a secret in an address.
func withoutURL(err error) error {
	if in, ok := errors.AsType[*url.Error](err); ok {
		return in.Err
	}
	return err
}

// Append queues the entries without waiting, whatever ctx says. Its error wraps [ErrFull]
// when some were dropped, and [ErrEntry] for those that are invalid; it is [ErrClosed]
// after Close.
func (r *Reporter) Append(_ context.Context, entries ...Entry) error {
	kept, err := tidyAll(entries, maxID)
	if err != nil {
		return err
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	dropped := 0
	for _, e := range kept {
		// The caller may go on to change what Info points to.
		e.Info = nil
		q := queued{entry: e, bytes: 512 + len(e.infoJSON), since: now}
		if e.Event != nil {
			q.bytes += len(e.Event.From) + len(e.Event.To) + len(e.Event.Subject)
		}
		switch {
		case r.replace(q):
		case len(r.waiting)+len(r.sending) >= r.queue || r.bytes+q.bytes > maxQueueBytes:
			dropped++
		default:
			r.waiting = append(r.waiting, q)
			r.bytes += q.bytes
		}
	}
	if r.idle == nil && len(r.waiting) > 0 {
		r.idle = make(chan struct{})
		go r.send(r.idle)
	}
	if dropped > 0 {
		r.count.add("dropped_full", dropped)
		return fmt.Errorf("history: %w: %d dropped", ErrFull, dropped)
	}
	return nil
}

func (r *Reporter) replace(q queued) bool {
	if q.entry.Kind != KindSeen && q.entry.Kind != KindStopped {
		return false
	}
	for n := len(r.waiting) - 1; n >= 0; n-- {
		if w := &r.waiting[n]; w.entry.Run == q.entry.Run && w.entry.Kind == KindSeen {
			r.bytes += q.bytes - w.bytes
			r.count.add("replaced", 1)
			*w = q
			return true
		}
	}
	return false
}

func (r *Reporter) send(idle chan struct{}) {
	defer close(idle)
	backoff := minBackoff
	for {
		batch := r.take()
		if len(batch) == 0 {
			return
		}
		o := r.attempt(batch)
		wait := r.settle(batch, o, &backoff)
		if wait == 0 {
			continue
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-r.closing: // try once more at once, then as often as time allows
			pause.Stop()
			select {
			case <-r.stopped.Done():
			case <-time.After(min(wait, 100*time.Millisecond)):
			}
		}
	}
}

// take takes what is to be sent next. When it takes nothing the goroutine is over.
func (r *Reporter) take() []queued {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropOld()
	if r.stopped.Err() != nil {
		r.count.add("dropped_closed", len(r.waiting))
		r.waiting, r.bytes = nil, 0
	}
	n, bytes := 0, 0
	for n < len(r.waiting) && n < maxSent && (n == 0 || bytes+r.waiting[n].bytes <= maxSentBytes) {
		if r.waiting[n].alone {
			n = max(n, 1)
			break
		}
		bytes += r.waiting[n].bytes
		n++
	}
	if n == 0 {
		r.waiting, r.idle = nil, nil
		return nil
	}
	r.sending, r.waiting = r.waiting[:n:n], r.waiting[n:]
	return r.sending
}

func (r *Reporter) dropOld() {
	r.waiting = slices.DeleteFunc(r.waiting, func(q queued) bool {
		old := time.Since(q.since) > r.giveUp
		if old {
			r.count.add("dropped_old", 1)
			r.bytes -= q.bytes
		}
		return old
	})
}

type outcome struct {
	err       error
	malformed bool          // the collector does not want it, now or later
	after     time.Duration // when it says that it may be tried again
	refused   int           // among those that it has accepted
}

func (r *Reporter) settle(batch []queued, o outcome, backoff *time.Duration) (wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sending = nil
	was := r.failing
	r.failing = o.err != nil
	switch {
	case o.err == nil:
		*backoff = minBackoff
		r.count.add("sent", len(batch)-o.refused)
		r.count.add("dropped_refused", o.refused)
		for _, q := range batch {
			r.bytes -= q.bytes
		}
		if was {
			r.logger.Info("history: the collector takes entries again", "url", r.shown)
		}
		return 0
	case o.malformed && len(batch) == 1:
		r.count.add("dropped_refused", 1)
		r.count.add("failures", 1)
		r.bytes -= batch[0].bytes
		r.logger.Warn("history: the collector refuses an entry, which is dropped", "url", r.shown, "error", o.err)
		return 0
	case o.malformed:
		// Which of them it is shows when each comes alone.
		for n := range batch {
			batch[n].alone = true
		}
		r.count.add("failures", 1)
		r.waiting = append(batch, r.waiting...)
		return 0
	}
	r.count.add("failures", 1)
	r.waiting = append(batch, r.waiting...)
	if !was {
		r.logger.Warn("history: the collector does not take what is to be reported, which waits", "url", r.shown, "error", o.err)
	}
	wait = *backoff/2 + mathrand.N(*backoff/2+1)
	*backoff = min(2*(*backoff), maxBackoff)
	return max(wait, min(o.after, maxBackoff))
}

func (r *Reporter) attempt(batch []queued) outcome {
	ctx, cancel := context.WithTimeout(r.stopped, attemptTimeout)
	defer cancel()
	var body []byte
	for _, q := range batch {
		e := q.entry
		e.Late += time.Since(q.since)
		var err error
		if body, err = appendLine(body, e); err != nil {
			return outcome{err: err, malformed: true}
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return outcome{err: err}
	}
	request.Header.Set("Content-Type", contentType)
	if r.sign != nil {
		if err := r.sign(request); err != nil {
			return outcome{err: fmt.Errorf("signing: %w", err)}
		}
	}
	response, err := r.client.Do(request)
	if err != nil {
		return outcome{err: withoutURL(err)}
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return outcome{err: err}
	}
	if response.StatusCode == http.StatusOK {
		var got receipt
		if err := json.Unmarshal(answer, &got); err != nil || got.Accepted <= 0 || got.Accepted > len(batch) {
			return outcome{err: fmt.Errorf("%s answers 200, but not as a collector does", r.shown)}
		}
		return outcome{refused: len(batch) - got.Accepted}
	}
	o := outcome{err: fmt.Errorf("the collector answers %s", cleantext.Line(response.Status, maxName))}
	switch response.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		o.malformed = true
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		o.after = time.Duration(min(seconds, 3600)) * time.Second
	}
	return o
}

// Close sends what waits, for Drain at most, with an attempt each tenth of a second, and
// drops and logs the rest; its error is nil. It may be called twice. Wait for the end of
// [Keep] before, so that its last entry is sent.
func (r *Reporter) Close() error {
	r.mu.Lock()
	idle, first := r.idle, !r.closed
	r.closed = true
	if first {
		close(r.closing)
	}
	r.mu.Unlock()
	if idle != nil {
		drain := time.NewTimer(max(r.drain, 0))
		select {
		case <-idle:
		case <-drain.C:
		}
		drain.Stop()
		r.stop()
		<-idle
		if dropped := r.count.all()["dropped_closed"]; first && dropped > 0 {
			r.logger.Warn("history: not all was reported", "url", r.shown, "dropped", dropped)
		}
	}
	r.stop()
	if r.own {
		r.client.CloseIdleConnections()
	}
	return nil
}

// Stats are numbers for metrics and alerts: entries "queued" now, "sent", "replaced" by
// later sightings, "dropped_full", "dropped_old", "dropped_refused" and "dropped_closed";
// attempts that were "failures", and "failing" while the last one was.
func (r *Reporter) Stats() map[string]float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	stats := r.count.all()
	stats["queued"] = float64(len(r.waiting) + len(r.sending))
	stats["failing"] = 0
	if r.failing {
		stats["failing"] = 1
	}
	return stats
}
