package observe

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/observe/capture"
)

// recordings is what the recordings of an observer share.
type recordings struct {
	maxBody int
	hidden  string       // a header of outbound requests that is not recorded; "": none
	held    atomic.Int64 // bytes of the recordings of requests that run
	counts  *counts
}

// A recording is what may become the bundle of one request. It is made for each request while
// Options.Captures is set, and nearly always thrown away, so it copies only what others may
// change. Goroutines may hold it long after the request; closed says that it keeps no more.
type recording struct {
	room *recordings

	method, uri, host, proto string
	secure                   bool
	length                   int64       // of the request's body, -1: not known
	fields                   http.Header // of the request

	mu        sync.Mutex
	closed    bool
	held      int // bytes reserved
	request   kept
	response  kept
	header    http.Header // of a response of 500 or more, as it was sent
	exchanges []*exchange
	values    []capture.Value
	flags     []capture.Flag // distinct ones
	logs      []sizedRecord  // those that were written at once
	logBytes  int
	dropped   capture.Dropped
}

// begin begins a recording of r, whose body it wraps.
func (c *recordings) begin(r *http.Request) *recording {
	rec := &recording{
		room: c, method: r.Method, uri: r.RequestURI, host: r.Host, proto: r.Proto,
		secure: r.TLS != nil, length: r.ContentLength, fields: r.Header.Clone(),
	}
	if rec.uri == "" && r.URL != nil {
		rec.uri = r.URL.RequestURI()
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &bodyTee{ReadCloser: r.Body, rec: rec, kept: &rec.request, trailer: r.Trailer}
	}
	return rec
}

// An exchange is one outbound call.
type exchange struct {
	rec       *recording
	start     time.Time
	method    string
	url       *url.URL
	header    http.Header // of our own copy of the request
	length    int64
	answered  time.Duration // until the response's header
	ended     time.Duration // until the end of its body; 0: not yet
	status    int
	proto     string
	fields    http.Header // of the response
	errors    []string
	request   kept
	response  kept
	responded bool
	answer    *http.Response // nil: there was no response, or it cannot have a body
	announced int64          // the length of its body, -1: it did not say
}

// outbound begins an exchange. sent is a copy that only the base of a transport uses.
func (rec *recording) outbound(sent *http.Request, start time.Time) *exchange {
	if rec == nil {
		return nil
	}
	x := &exchange{rec: rec, start: start, method: sent.Method, url: sent.URL, header: sent.Header, length: sent.ContentLength}
	rec.mu.Lock()
	full := len(rec.exchanges) >= maxExchanges
	switch {
	case rec.closed:
	case full:
		rec.dropped.Exchanges++
	default:
		rec.exchanges = append(rec.exchanges, x)
	}
	ignored := rec.closed || full
	rec.mu.Unlock()
	if ignored {
		return nil
	}
	if sent.Body == nil || sent.Body == http.NoBody {
		return x
	}
	sent.Body = &bodyTee{ReadCloser: sent.Body, rec: rec, kept: &x.request}
	if again := sent.GetBody; again != nil {
		sent.GetBody = func() (io.ReadCloser, error) { // the base sends the body once more
			body, err := again()
			if err != nil {
				return nil, err
			}
			x.resend()
			return &bodyTee{ReadCloser: body, rec: rec, kept: &x.request}, nil
		}
	}
	return x
}

// resend forgets what was sent of the body.
func (x *exchange) resend() {
	x.rec.mu.Lock()
	defer x.rec.mu.Unlock()
	if x.rec.closed {
		return
	}
	x.request = kept{data: x.request.data[:0]}
}

func (x *exchange) respond(resp *http.Response) {
	if x == nil {
		return
	}
	fields := resp.Header.Clone()
	x.rec.mu.Lock()
	defer x.rec.mu.Unlock()
	if !x.rec.closed {
		x.status, x.proto, x.fields, x.responded = resp.StatusCode, resp.Proto, fields, true
		x.answered = time.Since(x.start)
		if resp.Body != nil && resp.Body != http.NoBody && resp.StatusCode != http.StatusSwitchingProtocols {
			x.answer, x.announced = resp, resp.ContentLength
		}
	}
}

func (x *exchange) read(p []byte, err error) {
	if x == nil {
		return
	}
	x.rec.mu.Lock()
	x.rec.keep(&x.response, p)
	if err == io.EOF && !x.rec.closed && x.answer != nil {
		x.response.ended, x.response.trailers = true, len(x.answer.Trailer) > 0
	}
	x.rec.mu.Unlock()
}

func (x *exchange) end(err error) {
	if x == nil {
		return
	}
	var texts []string
	if err != nil {
		texts = errorTexts(err)
	}
	x.rec.mu.Lock()
	defer x.rec.mu.Unlock()
	if !x.rec.closed && x.ended == 0 {
		x.ended, x.errors = max(time.Since(x.start), 1), texts
	}
}

// keepFlag notes an evaluation, once for each outcome and targeting key.
func (rec *recording) keepFlag(provider, targeting string, kind capture.FlagType, d *openfeature.InterfaceEvaluationDetails) {
	if rec == nil {
		return
	}
	defer rec.room.counts.shield()
	f := capture.Flag{
		Key: d.FlagKey, Type: kind, Variant: d.Variant, Reason: string(d.Reason),
		ErrorCode: string(d.ErrorCode), Provider: provider, Targeting: targeting,
	}
	var err error
	if f.Value, err = marshal(d.Value); err != nil { // at once, because others may change a map later
		f.Value = json.RawMessage("null")
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.closed || slices.ContainsFunc(rec.flags, func(g capture.Flag) bool {
		return g.Key == f.Key && g.Variant == f.Variant && g.ErrorCode == f.ErrorCode && g.Targeting == targeting && scalar(g.Value) == scalar(f.Value)
	}) {
		return
	}
	if len(rec.flags) >= maxFlags {
		rec.dropped.Flags++
		return
	}
	f.ErrorText = cleantext.Cut(cleantext.URLs(d.ErrorMessage), maxPath)
	if scalar(f.Value) == "null" && (len(f.Value) > rec.room.maxBody || !rec.reserve(len(f.Value))) {
		f.Value = json.RawMessage("null")
	}
	rec.flags = append(rec.flags, f)
}

// scalar is the value of a flag for comparing. All objects and lists are equal.
func scalar(value json.RawMessage) string {
	if value[0] == '{' || value[0] == '[' {
		return "null"
	}
	return string(value)
}

// nextValue reserves a place for a call that begins, so that places have the order of the
// calls. It returns -1 if the recording is full.
func (rec *recording) nextValue(name string) int {
	if rec == nil {
		return -1
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	switch {
	case rec.closed:
		return -1
	case len(rec.values) >= maxValues:
		rec.dropped.Values++
		return -1
	}
	ordinal := 0
	for i := range rec.values {
		if rec.values[i].Name == name {
			ordinal++
		}
	}
	rec.values = append(rec.values, capture.Value{Name: name, Ordinal: ordinal, Unrecordable: "it did not return"})
	return len(rec.values) - 1
}

func (rec *recording) keepValue(at int, asked reflect.Type, value any, err error) {
	defer rec.room.counts.shield()
	v := capture.Value{Type: asked}
	if asked.Kind() == reflect.Interface && value != nil {
		v.Type = reflect.TypeOf(value)
		v.Dynamic = typeName(value)
	}
	if err != nil {
		v.Error = errorTexts(err)
	} else if data, err := marshal(value); err != nil {
		v.Unrecordable = errorText(err)
	} else if len(data) > rec.room.maxBody {
		v.Unrecordable = fmt.Sprintf("%d bytes are too many", len(data))
	} else {
		v.Result = data
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.closed {
		return
	}
	if !rec.reserve(len(v.Result)) {
		v.Result, v.Unrecordable = nil, "there was no room"
	}
	kept := &rec.values[at]
	kept.Result, kept.Error, kept.Unrecordable, kept.Dynamic, kept.Type = v.Result, v.Error, v.Unrecordable, v.Dynamic, v.Type
}

type sizedRecord struct {
	slog.Record
	size int
}

// keepLog keeps a record that is written at once; the tail has those that are not.
func (rec *recording) keepLog(r slog.Record, size int) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.closed {
		return
	}
	rec.logs = append(rec.logs, sizedRecord{r, size})
	rec.logBytes += size
	for rec.logBytes > maxTail {
		// The newest are nearer to the failure.
		rec.logBytes -= rec.logs[0].size
		rec.logs[0] = sizedRecord{}
		rec.logs = rec.logs[1:]
		rec.dropped.Logs++
	}
}

// A kept is what is kept of a body.
type kept struct {
	data  []byte
	total int64
	ended bool // it was read to its end
	cut   bool

	trailers bool
}

// keep adds p to a body while there is room, and never more after a gap. rec.mu must be held.
func (rec *recording) keep(k *kept, p []byte) {
	if rec.closed {
		return
	}
	k.total += int64(len(p))
	if k.cut {
		return
	}
	n := min(len(p), rec.room.maxBody-len(k.data))
	if size, need := cap(k.data), len(k.data)+n; need > size {
		size = min(max(need, 2*size, minBody), rec.room.maxBody)
		if rec.reserve(size - cap(k.data)) {
			k.data = append(make([]byte, 0, size), k.data...)
		} else {
			n = cap(k.data) - len(k.data)
		}
	}
	k.data = append(k.data, p[:n]...)
	k.cut = n < len(p)
}

// reserve takes n bytes from what a request, and all of them, may hold; rec.mu is held.
func (rec *recording) reserve(n int) bool {
	if rec.held+n > maxBodies*rec.room.maxBody {
		return false
	}
	if rec.room.held.Add(int64(n)) > maxRecording {
		rec.room.held.Add(int64(-n))
		return false
	}
	rec.held += n
	return true
}

// close ends the recording: whoever still reads or writes does so unrecorded. It
// reports whether it was open.
func (rec *recording) close() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	was := !rec.closed
	rec.closed = true
	return was
}

// free gives the room back. The recording is closed.
func (rec *recording) free() {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.fields, rec.request, rec.response = nil, kept{}, kept{}
	rec.exchanges, rec.values, rec.flags, rec.logs = nil, nil, nil, nil
	rec.room.held.Add(int64(-rec.held))
	rec.held = 0
}

// bodyTee keeps what is read of a body.
type bodyTee struct {
	io.ReadCloser
	rec     *recording
	kept    *kept
	trailer http.Header // of a request, filled in at the end
}

func (b *bodyTee) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.rec.mu.Lock()
	b.rec.keep(b.kept, p[:max(0, min(n, len(p)))])
	if err == io.EOF && !b.rec.closed {
		b.kept.ended, b.kept.trailers = true, len(b.trailer) > 0
	}
	b.rec.mu.Unlock()
	return n, err
}

// wrote keeps what was written of the response.
func (rec *recording) wrote(p []byte) {
	rec.mu.Lock()
	rec.keep(&rec.response, p)
	rec.mu.Unlock()
}

// wants returns how many more bytes of the response there is room for.
func (rec *recording) wants() int64 {
	if rec == nil {
		return 0
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.closed || rec.response.cut {
		return 0
	}
	return int64(rec.room.maxBody - len(rec.response.data))
}

// passed counts what went past the recording.
func (rec *recording) passed(n int64) {
	if rec == nil || n <= 0 {
		return
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if !rec.closed {
		rec.response.total += n
		rec.response.cut = true
	}
}

// began notes the header that a failure is sent with: a handler may change it after.
func (rec *recording) began(h http.Header) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.header == nil && !rec.closed {
		rec.header = h.Clone()
	}
}
