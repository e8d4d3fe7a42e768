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
	// Sign sets the token of a request. It is called for each attempt and must be quick. If
	// it returns an error, the attempt has failed. Nil sends no token.
	Sign func(*http.Request) error

	// Client sends the requests. Nil means a client of the reporter's own. Redirects are never
	// followed, because they would send the token to another address.
	Client *http.Client

	// Queue is how many entries may wait. Zero means 1000. Their total size is limited to
	// 8 MiB.
	Queue int

	// GiveUp is how long an entry may wait until it is dropped. Zero means an hour.
	GiveUp time.Duration

	// Drain is how long Close sends waiting entries. Zero means 5s, negative means not at all.
	Drain time.Duration

	// Logger gets a record when the collector begins to fail or refuse, when it works again,
	// and when Close drops entries. Nil means slog.Default().
	Logger *slog.Logger
}

const (
	defaultQueue  = 1000
	maxQueueBytes = 8 << 20
	defaultGiveUp = time.Hour
	defaultDrain  = 5 * time.Second

	attemptTimeout = 10 * time.Second
	// Limits of one request, below those of Collector.
	maxSent      = 100
	maxSentBytes = maxBody / 2

	minBackoff = time.Second
	maxBackoff = time.Minute
)

// A Reporter is an [Appender] that sends entries to a [Collector]. It is safe for concurrent
// use.
//
// Append queues entries and never waits. They are sent in order, several in one request, with
// a timeout of 10 seconds. A failed request is repeated after a second, then after twice as
// long each time, up to a minute, or after the Retry-After of the response. If the collector
// refuses a request as malformed (400, 413, 422), its entries are sent one by one, and an entry
// that is refused alone is dropped. Each entry is sent with the time that it has waited, so it
// gets the right place in the history.
//
// If the queue is full, new entries are dropped and counted. A waiting sighting is replaced by
// the next one of its run. A goroutine runs only while entries wait.
type Reporter struct {
	url    string
	shown  string // url without secrets, for logs
	client *http.Client
	own    bool // client belongs to the reporter
	sign   func(*http.Request) error
	queue  int
	giveUp time.Duration
	drain  time.Duration
	logger *slog.Logger

	mu      sync.Mutex
	waiting []queued
	sending []queued // entries of the current request
	bytes   int
	idle    chan struct{} // nil, or closed when the sending goroutine has ended
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
	alone bool      // a request with other entries was malformed, so send it alone
}

// NewReporter returns a reporter that sends to a collector's http or https URL. It sends nothing
// before the first entry. It returns an error for another URL. Close it when the service stops.
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

// withoutURL removes the address from an error for a log, because it may contain a secret.
func withoutURL(err error) error {
	if in, ok := errors.AsType[*url.Error](err); ok {
		return in.Err
	}
	return err
}

// Append queues the entries without waiting and ignores ctx. It returns an error that wraps
// [ErrFull] if it dropped some of them, one that wraps [ErrEntry] for invalid entries, and
// [ErrClosed] after Close.
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
		// The caller may change Info later; infoJSON is a copy.
		e.Info = nil
		q := queued{entry: e, bytes: 512 + len(e.infoJSON), since: now}
		if e.Event != nil {
			q.bytes += len(e.Event.From) + len(e.Event.To) + len(e.Event.Subject) + len(e.Event.URL)
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
		case <-r.closing: // then try again each 100 ms until stopped
			pause.Stop()
			select {
			case <-r.stopped.Done():
			case <-time.After(min(wait, 100*time.Millisecond)):
			}
		}
	}
}

// take moves the next entries from waiting to sending. If it returns none, the goroutine must
// end.
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
	malformed bool          // the collector would refuse the request again
	after     time.Duration // from Retry-After
	refused   int           // refused lines of an accepted request
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
			r.logger.Info("history: the collector accepts entries again", "url", r.shown)
		}
		return 0
	case o.malformed && len(batch) == 1:
		r.count.add("dropped_refused", 1)
		r.count.add("failures", 1)
		r.bytes -= batch[0].bytes
		r.logger.Warn("history: the collector refused an entry; it is dropped", "url", r.shown, "error", o.err)
		return 0
	case o.malformed:
		// Send each alone to find the malformed one.
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
		r.logger.Warn("history: the collector does not accept entries; they wait", "url", r.shown, "error", o.err)
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
			return outcome{err: fmt.Errorf("%s answers 200, but not with the response of a collector", r.shown)}
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

// Close sends waiting entries for Drain at most, with an attempt each 100 ms. Then it drops the
// rest and logs that. Its error is always nil. It may be called twice. Wait for the end of
// [Keep] before Close, so that its last entry is sent.
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
			r.logger.Warn("history: entries were dropped at Close", "url", r.shown, "dropped", dropped)
		}
	}
	r.stop()
	if r.own {
		r.client.CloseIdleConnections()
	}
	return nil
}

// Stats returns numbers to export as metrics:
//
//	queued           entries that wait to be sent
//	sent             entries that the collector has accepted
//	replaced         waiting entries that a later sighting has replaced
//	dropped_full     entries dropped because the queue was full
//	dropped_old      entries dropped because they had waited too long
//	dropped_refused  entries that the collector refused
//	dropped_closed   entries that were left at Close
//	failures         attempts to send that failed
//	failing          1 if the last attempt failed, else 0
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
