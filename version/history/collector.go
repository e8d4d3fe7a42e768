package history

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/internal/problem"
)

// CollectorOptions configure a [Collector]. Nil options are the defaults.
type CollectorOptions struct {
	// Authorize returns the name of the client that sent the request, or an error. It is
	// called concurrently, before the body is read. The name is cut to 64 bytes. It is kept
	// with the client's entries, and each name has its own ids and its own budget. Nil denies
	// everything.
	Authorize func(*http.Request) (who string, err error)

	// EntriesPerDay and BytesPerDay limit what one client may report in a day. Zero means
	// 50,000 entries and 64 MiB. A client may use all of it at once; its budget refills
	// evenly. Each sighting counts: the default is enough for 69 instances with the default
	// interval of [Keep].
	EntriesPerDay int
	BytesPerDay   int64

	// Logger gets a record when the store begins to fail and when it works again. Nil means
	// slog.Default().
	Logger *slog.Logger
}

const (
	defaultEntriesPerDay = 50_000
	defaultBytesPerDay   = 64 << 20

	// maxActive limits the small requests that are decoded and stored at the same time.
	maxActive = 64
	maxBatch  = 1000

	readTimeout  = 10 * time.Second
	storeTimeout = 10 * time.Second
	// lingerTimeout is how long the server discards the unread body after a refusal. Without
	// it a client that still sends its body would not get the response.
	lingerTimeout = 500 * time.Millisecond

	contentType = "application/x-ndjson"
)

// A Collector is an http.Handler that receives the entries of [Reporter] and appends them to
// its store. After status 200 the accepted entries are in the store. The package comment has
// the protocol, the refusals and the limits. It is safe for concurrent use.
type Collector struct {
	store     Appender
	authorize func(*http.Request) (string, error)
	logger    *slog.Logger
	budgets   budgets

	count   *counters
	active  atomic.Int64
	failing atomic.Bool
	large   chan struct{} // has a token for each large body that is being decoded

	mu      sync.Mutex
	waiting []*batch

	turn chan struct{} // has a token while a request appends
}

// NewCollector returns a collector. It returns an error for a nil store or a negative limit.
func NewCollector(store Appender, opts *CollectorOptions) (*Collector, error) {
	o := *cmp.Or(opts, new(CollectorOptions))
	if store == nil {
		return nil, errors.New("history: the store is nil")
	}
	if o.EntriesPerDay < 0 || o.BytesPerDay < 0 {
		return nil, errors.New("history: EntriesPerDay and BytesPerDay must not be negative")
	}
	o.EntriesPerDay = cmp.Or(o.EntriesPerDay, defaultEntriesPerDay)
	o.BytesPerDay = cmp.Or(o.BytesPerDay, defaultBytesPerDay)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	return &Collector{
		turn: make(chan struct{}, 1), large: make(chan struct{}, maxLarge), store: store, authorize: o.Authorize, logger: o.Logger,
		count:   newCounters("accepted", "rejected", "denied", "throttled", "malformed", "overloaded", "failed", "appends"),
		budgets: budgets{entries: o.EntriesPerDay, bytes: int(min(o.BytesPerDay, math.MaxInt)), clients: map[string]*budget{}},
	}, nil
}

// ServeHTTP receives the entries of one request.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// It is set before the first refusal, because the server reads the rest of the body after
	// a refusal. Not every server supports it.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout))
	if c.authorize == nil {
		c.refuseUnread(w, r, "denied", http.StatusForbidden, "no client may report here")
		return
	}
	client, err := c.authorize(r)
	if err != nil {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", "Bearer")
			c.refuseUnread(w, r, "denied", http.StatusUnauthorized, "the request has no token in an Authorization header")
			return
		}
		c.refuseUnread(w, r, "denied", http.StatusForbidden, "you may not report here")
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		c.refuseUnread(w, r, "malformed", http.StatusMethodNotAllowed, "send entries with POST")
		return
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != contentType || r.Header.Get("Content-Encoding") != "" {
		c.refuseUnread(w, r, "malformed", http.StatusUnsupportedMediaType, "send entries as "+contentType+", not compressed")
		return
	}
	client = cleantext.Line(client, maxID)
	wait, refusal := c.budgets.enter(client, time.Now())
	switch refusal {
	case overBudget:
		retryAfter(w, wait)
		c.refuseUnread(w, r, "throttled", http.StatusTooManyRequests, "this client sends more than its budget allows")
		return
	case overload:
		retryAfter(w, wait)
		c.refuseUnread(w, r, "overloaded", http.StatusServiceUnavailable, "too many requests at the same time")
		return
	}
	defer c.budgets.leave(client)
	c.receive(w, r, client)
}

func (c *Collector) receive(w http.ResponseWriter, r *http.Request, client string) {
	body, fault := c.openBody(w, r)
	if fault == nil {
		defer c.release(body)
		fault = body.decode(client)
	}
	if fault != nil {
		c.budgets.spend(client, 0, body.bytes, time.Now())
		reason, refuse := "malformed", c.refuse
		if fault.overloaded {
			retryAfter(w, time.Second)
			reason = "overloaded"
		}
		if fault.unread {
			refuse = c.refuseUnread
		}
		refuse(w, r, reason, fault.status, fault.detail)
		return
	}
	// Only now, because before a response the server may wait for the rest of a body.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	entries, faults := body.entries, body.faults
	if wait, ok := c.budgets.spend(client, body.lines(), body.bytes, time.Now()); !ok {
		retryAfter(w, wait)
		c.refuse(w, r, "throttled", http.StatusTooManyRequests, "this client sends more than its budget allows")
		return
	}
	c.count.add("rejected", body.rejected)
	if len(entries) == 0 {
		detail := "there is no entry"
		if len(faults) > 0 {
			detail = "line " + strconv.Itoa(faults[0].Line) + ": " + faults[0].Reason
		}
		c.refuse(w, r, "malformed", http.StatusBadRequest, detail)
		return
	}
	if err := c.keep(r.Context(), entries); err != nil {
		if !c.failing.Swap(true) {
			c.logger.ErrorContext(r.Context(), "history: the collector's store fails; clients must try again", "error", err)
		}
		retryAfter(w, 5*time.Second)
		c.refuse(w, r, "failed", http.StatusServiceUnavailable, "the history cannot be written now")
		return
	}
	if c.failing.Swap(false) {
		c.logger.InfoContext(r.Context(), "history: the collector's store works again")
	}
	c.count.add("accepted", len(entries))
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(receipt{Accepted: len(entries), Refused: faults})
}

type receipt struct {
	Accepted int         `json:"accepted"`
	Refused  []lineFault `json:"refused,omitempty"`
}

// A batch has the entries of one request that waits for the store.
type batch struct {
	entries []Entry
	kept    chan error // gets the result
}

// keep appends entries, together with those of other requests that wait.
func (c *Collector) keep(ctx context.Context, entries []Entry) error {
	own := &batch{entries, make(chan error, 1)}
	c.mu.Lock()
	c.waiting = append(c.waiting, own)
	c.mu.Unlock()
	select {
	case err := <-own.kept:
		return err
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	}
	for {
		select {
		case err := <-own.kept:
			return err
		default:
			c.keepWaiting(ctx)
		}
	}
}

// keepWaiting appends up to maxBatch waiting entries. The caller must hold turn.
func (c *Collector) keepWaiting(ctx context.Context) {
	c.mu.Lock()
	n, all := 0, []Entry(nil)
	for n < len(c.waiting) && (n == 0 || len(all)+len(c.waiting[n].entries) <= maxBatch) {
		all = append(all, c.waiting[n].entries...)
		n++
	}
	together := slices.Clone(c.waiting[:n])
	c.waiting = slices.Delete(c.waiting, 0, n)
	c.mu.Unlock()

	err := errors.New("history: the store has panicked")
	defer func() {
		for _, b := range together {
			b.kept <- err
		}
	}()
	// Other requests wait for this append, so this client must not cancel it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	c.count.add("appends", 1)
	err = c.store.Append(ctx, all...)
}

// Stats returns numbers to export as metrics:
//
//	accepted    entries that were stored
//	rejected    entries that were refused
//	denied      requests that Authorize refused
//	throttled   requests of clients whose budget was used up
//	malformed   requests that could not be read
//	overloaded  requests refused because too many were active
//	failed      requests whose entries the store did not take
//	appends     appends to the store
//	active      requests that are decoded or stored now
//	clients     clients with a budget in use
func (c *Collector) Stats() map[string]float64 {
	stats := c.count.all()
	stats["active"] = float64(c.active.Load())
	stats["clients"] = float64(c.budgets.count())
	return stats
}

func retryAfter(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int((wait+time.Second-1)/time.Second))))
}

// refuseUnread refuses a request without reading its body.
func (c *Collector) refuseUnread(w http.ResponseWriter, r *http.Request, reason string, status int, detail string) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(lingerTimeout))
		if r.ProtoMajor < 2 { // in HTTP/2 only the stream ends
			w.Header().Set("Connection", "close")
		}
	}
	c.refuse(w, r, reason, status, detail)
}

func (c *Collector) refuse(w http.ResponseWriter, r *http.Request, reason string, status int, detail string) {
	c.count.add(reason, 1)
	problem.Write(w, r, problem.Problem{Status: status, Detail: detail})
}
