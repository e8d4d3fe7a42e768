package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"path"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// CaptureOptions say what the bundles in Options.Captures hold. Where Options.Log is a
// slog.TextHandler, a struct among the attributes of a log record is a text there, and the names
// of its fields are hidden with all else; with other handlers it is JSON, and they stay.
type CaptureOptions struct {
	// Redact says what may be readable. Nil allows the least, with pseudonyms that
	// only this process knows; give at least a key, so that they are the same in all bundles.
	// In its Fields an attribute of log records has the names of all groups it is in, also
	// those of Logger.WithGroup: "wg.page", where "page" alone does not match.
	Redact *capture.Redaction

	// MaxBody is how many bytes are kept of each body and value. Zero means 64 KiB;
	// 1 MiB is the most. A request keeps 16 times that in all.
	MaxBody int

	// Build is what the application calls itself, such as its version and revision. It
	// stands in the bundle as it is, and a replay says when it is another.
	Build string
}

var noSpan trace.SpanContext

// captures writes bundles, in one goroutine, so that a slow disk is felt by nobody.
type captures struct {
	obs      *Observer
	store    capture.Store
	redactor *capture.Redactor
	maxBody  int
	build    string

	held                         atomic.Int64 // bytes of recordings of requests that run
	queuedBytes, queued, written atomic.Int64
	failed, dropped              lossCount

	mu     sync.Mutex
	closed bool
	gaveUp bool // Close did: what waited is counted already
	queue  chan *unwritten
	done   chan struct{}
	ctx    context.Context // of what is written; cancelled by Close at last
	cancel context.CancelFunc
}

func newCaptures(o *Observer, opts *Options) (*captures, error) {
	if opts.Captures == nil {
		return nil, nil
	}
	rules := opts.Capture
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
		obs: o, store: opts.Captures, redactor: redactor, maxBody: rules.MaxBody, build: rules.Build,
		queue: make(chan *unwritten, maxQueue), done: make(chan struct{}),
	}
	if c.maxBody == 0 {
		c.maxBody = defaultMaxBody
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// An unwritten bundle has all that is needed to write it when the request is over.
type unwritten struct {
	rec      *recording
	name     string
	start    time.Time
	size     int64
	status   int
	header   http.Header
	duration time.Duration
	hijacked bool
	logs     []tailRecord
	details  capture.Details
}

// capture hands the request's recording to the writer if the request is told, and
// throws it away if not. It returns the name that the bundle is going to have.
func (st *state) capture(out *outcome, records []tailRecord, lost int) string {
	rec := st.rec
	if rec == nil || st.job || !rec.close() {
		return ""
	}
	if !st.told {
		rec.free()
		return ""
	}
	u := &unwritten{
		rec: rec, start: st.start, status: int(out.status), duration: out.duration, hijacked: st.w.hijacked.Load(),
		header: rec.header,
		details: capture.Details{
			Schema: 1, RequestID: st.id, Route: out.route, Reason: capture.Reason(st.why.String()), Status: int(out.status),
			Build: rec.caps.build, Go: runtime.Version(), Dropped: rec.dropped,
		},
	}
	if u.header == nil {
		u.header = st.w.Header().Clone()
	}
	if sc := st.span.SpanContext(); sc.IsValid() {
		u.details.TraceID = sc.TraceID().String()
	}
	if p, ok := out.err.(*PanicError); ok {
		u.details.Panic = newPanic(p)
	} else if out.err != nil {
		u.details.Error = &capture.Error{Type: errorType(out.err), Texts: errorTexts(out.err)}
	}
	u.details.Dropped.Logs += lost
	u.logs = make([]tailRecord, 0, len(records)+len(rec.logs))
	for _, r := range records {
		r.record = r.record.Clone() // this one is going to be written too
		u.logs = append(u.logs, r)
	}
	u.size = int64(rec.held) + int64(rec.logBytes) + int64(len(records))*256 + 4<<10
	u.name = capture.NewName(st.start)
	if !rec.caps.enqueue(u) {
		rec.free()
		return ""
	}
	return u.name
}

func newPanic(p *PanicError) *capture.Panic {
	t := reflect.TypeOf(p.Value)
	return &capture.Panic{
		Type: typeName(p.Value), Text: clip(fmt.Sprint(p.Value), maxPath), Stack: string(p.Stack),
		Runtime: t != nil && t.PkgPath() == "runtime" || t != nil && t.Kind() == reflect.Pointer && t.Elem().PkgPath() == "runtime",
	}
}

func (c *captures) enqueue(u *unwritten) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.queuedBytes.Load()+u.size > maxQueued {
		c.dropped.Add(1)
		return false
	}
	if len(c.queue) == cap(c.queue) { // nobody else sends
		c.dropped.Add(1)
		return false
	}
	c.queued.Add(1)
	c.queuedBytes.Add(u.size)
	// What waits is counted there and no longer here.
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
	var told time.Time
	report := func(what string, err error) {
		// A full disk is no reason to fill another one with log records.
		if now := time.Now(); told.IsZero() || now.Sub(told) >= time.Minute {
			told = now
			c.obs.logger.WarnContext(context.Background(), what, "error", err, "failed", c.failed.Load())
		}
	}
	for {
		select {
		case <-hourly.C:
			if err := c.sweep(); err != nil {
				c.guard(func() { report("old captures were not deleted", err) })
			}
		case u, ok := <-c.queue:
			if !ok {
				return
			}
			err := c.write(u)
			if c.settle(u, err) && err != nil {
				c.guard(func() { report("a capture was not written", err) })
			}
		}
	}
}

// settle counts what became of a bundle that waited, unless Close has given it up.
func (c *captures) settle(u *unwritten, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gaveUp {
		return false
	}
	c.queued.Add(-1)
	c.queuedBytes.Add(-u.size)
	if err != nil {
		c.failed.Add(1)
	} else {
		c.written.Add(1)
	}
	return true
}

// giveUp drops what waits, with the one that the store does not return from, and
// returns how many these were. The queue is closed.
func (c *captures) giveUp() int64 {
	c.mu.Lock()
	c.gaveUp = true
	n := c.queued.Swap(0)
	c.queuedBytes.Store(0)
	if n > 0 {
		c.dropped.Add(n)
	}
	c.mu.Unlock()
	for u := range c.queue {
		u.rec.free()
	}
	return n
}

// guard keeps a panic of a log handler or store from ending the process.
func (c *captures) guard(fn func()) {
	defer c.obs.shield()
	fn()
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

// stop takes no more bundles and waits for those that are queued, but not for long.
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
	for _, patience := range []time.Duration{maxDrain, time.Second} {
		timer := time.NewTimer(patience)
		select {
		case <-c.done:
			timer.Stop()
			return nil
		case <-timer.C:
		}
		c.cancel()
	}
	return fmt.Errorf("observe: Close: %d captures are not written: %T does not return", c.giveUp(), c.store)
}

// bundle is the recording as a bundle that is not redacted.
func (u *unwritten) bundle() *capture.Bundle {
	rec := u.rec
	d := &u.details
	d.Values = rec.values
	for i := range rec.flags {
		f := &rec.flags[i]
		if f.flag.Value == nil {
			data, err := marshal(f.value)
			if err != nil { // a NaN
				data = json.RawMessage("null")
			}
			f.flag.Value = data
		}
		d.Flags = append(d.Flags, f.flag)
	}
	for _, packed := range rec.logs {
		u.logs = append(u.logs, unpackRecord(packed))
	}
	slices.SortStableFunc(u.logs, func(a, b tailRecord) int { return a.record.Time.Compare(b.record.Time) })
	for i := range u.logs {
		d.Logs = append(d.Logs, logRecord(&u.logs[i].record))
	}
	entries := make([]capture.Entry, 0, 1+len(rec.exchanges))
	entries = append(entries, u.inbound())
	for _, x := range rec.exchanges {
		entries = append(entries, x.entry())
	}
	return &capture.Bundle{Log: capture.Log{
		Version: "1.2", Creator: har.Creator{Name: scopeName, Version: "1"}, Details: *d, Entries: entries,
	}}
}

func (u *unwritten) inbound() capture.Entry {
	rec := u.rec
	ms := milliseconds(u.duration)
	e := capture.Entry{Entry: har.Entry{
		Started: u.start, Time: ms, Timings: har.Timings{Wait: ms},
		Request: har.Request{
			Method: rec.method, URL: rec.url(), HTTPVersion: rec.proto, Headers: nameValues(rec.fields.list),
			HeadersSize: -1, BodySize: rec.request.total,
		},
		Response: har.Response{
			Status: u.status, HTTPVersion: rec.proto, Headers: headers(u.header), HeadersSize: -1, BodySize: rec.response.total,
		},
	}}
	e.Request.PostData, e.Exchange.RequestBody = rec.request.postData(e.Request.Headers, rec.length)
	if !u.hijacked {
		e.Response.Content, e.Exchange.ResponseBody = rec.response.content(e.Response.Headers)
	}
	return e
}

func (rec *recording) url() string {
	scheme := "http://"
	if rec.secure {
		scheme = "https://"
	}
	switch {
	case strings.HasPrefix(rec.uri, "/"):
		return scheme + rec.host + rec.uri
	case rec.uri == "*":
		return scheme + rec.host
	case strings.Contains(rec.uri, "://"):
		return rec.uri
	}
	return scheme + rec.host // of CONNECT
}

func (x *exchange) entry() capture.Entry {
	ended := x.ended
	if ended == 0 {
		ended = max(x.answered, 0)
	}
	e := capture.Entry{Entry: har.Entry{
		Started: x.start, Time: milliseconds(ended),
		Timings: har.Timings{Wait: milliseconds(ended)},
		Request: har.Request{
			Method: x.method, HTTPVersion: x.proto, Headers: x.rec.caps.headers(x.header), HeadersSize: -1, BodySize: x.request.total,
		},
		Response: har.Response{
			Status: x.status, HTTPVersion: x.proto, Headers: nameValues(x.fields), HeadersSize: -1, BodySize: x.response.total,
		},
	}, Exchange: capture.Exchange{Error: x.errors, Incomplete: x.ended == 0}}
	if x.responded {
		e.Timings = har.Timings{Wait: milliseconds(x.answered), Receive: milliseconds(ended - x.answered)}
	}
	if e.Request.Method == "" {
		e.Request.Method = http.MethodGet
	}
	if x.url != nil {
		e.Request.URL = x.url.String()
	}
	e.Request.PostData, e.Exchange.RequestBody = x.request.postData(e.Request.Headers, x.length)
	e.Response.Content, e.Exchange.ResponseBody = x.response.content(e.Response.Headers)
	return e
}

// postData is nil when nothing was read.
func (k *kept) postData(h []har.NameValue, length int64) (*har.PostData, *capture.Body) {
	if k.total == 0 {
		if length > 0 {
			return nil, &capture.Body{Unread: true}
		}
		return nil, nil
	}
	unread := !k.ended && (length < 0 || k.total < length)
	return &har.PostData{MimeType: valueOf(h, "Content-Type"), Text: k.text()}, &capture.Body{Bytes: k.total, Truncated: k.cut, Unread: unread}
}

func (k *kept) content(h []har.NameValue) (har.Content, *capture.Body) {
	c := har.Content{Size: k.total, MimeType: valueOf(h, "Content-Type"), Text: k.text()}
	if k.total == 0 {
		return c, nil
	}
	return c, &capture.Body{Bytes: k.total, Truncated: k.cut}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func nameValues(list []string) []har.NameValue {
	out := make([]har.NameValue, 0, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		out = append(out, har.NameValue{Name: list[i], Value: list[i+1]})
	}
	slices.SortStableFunc(out, func(a, b har.NameValue) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func headers(h http.Header) []har.NameValue {
	var p pairs
	p.add(h)
	return nameValues(p.list)
}

// headers are those of an outbound request, without the debug token that it may carry.
func (c *captures) headers(h http.Header) []har.NameValue {
	list := headers(h)
	if d := c.obs.debug; d != nil {
		list = slices.DeleteFunc(list, func(h har.NameValue) bool { return h.Name == d.header })
	}
	return list
}

func valueOf(h []har.NameValue, name string) string {
	for i := range h {
		if h[i].Name == name {
			return h[i].Value
		}
	}
	return ""
}

// logRecord is a record with its attributes as an object, in their order.
func logRecord(r *slog.Record) capture.LogRecord {
	l := capture.LogRecord{Time: r.Time, Level: r.Level.String(), Message: r.Message}
	if r.PC != 0 {
		frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
		l.Source = frame.Function + " " + path.Base(frame.File) + ":" + strconv.Itoa(frame.Line)
	}
	if r.NumAttrs() > 0 {
		var attrs []slog.Attr
		r.Attrs(func(a slog.Attr) bool {
			attrs = append(attrs, a)
			return true
		})
		var b bytes.Buffer
		writeAttrs(&b, attrs)
		l.Attrs = b.Bytes()
	}
	return l
}

func writeAttrs(b *bytes.Buffer, attrs []slog.Attr) {
	b.WriteByte('{')
	for i, a := range attrs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(jsonOf(a.Key))
		b.WriteByte(':')
		switch v := a.Value.Resolve(); v.Kind() {
		case slog.KindGroup:
			writeAttrs(b, v.Group())
		case slog.KindDuration:
			b.Write(jsonOf(v.Duration().String()))
		case slog.KindFloat64:
			if f := v.Float64(); math.IsNaN(f) || math.IsInf(f, 0) {
				b.Write(jsonOf(fmt.Sprint(f)))
			} else {
				b.Write(jsonOf(f))
			}
		default:
			b.Write(jsonOf(v.Any()))
		}
	}
	b.WriteByte('}')
}

func jsonOf(v any) []byte {
	data, err := marshal(v)
	if err != nil {
		data, _ = json.Marshal(clip(fmt.Sprint(v), maxText))
	}
	return data
}
