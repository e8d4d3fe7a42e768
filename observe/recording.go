package observe

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
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

// A recording is what may become the bundle of one request. It is made for each
// request while Options.Captures is set, and nearly always thrown away, so it keeps
// references where it can, and copies only what others may change. Like the state it
// belongs to it is never reused, for goroutines may hold it long after the request;
// its buffers are, and closed says that they are gone.
type recording struct {
	room *recordings

	method, uri, host, proto string
	secure                   bool
	length                   int64         // of the request's body, -1: not told
	fields                   *headerFields // of the request's header

	mu        sync.Mutex
	closed    bool
	held      int // bytes reserved
	request   kept
	response  kept
	header    http.Header // of a response of 500 or more, as it was sent
	exchanges []*exchange
	values    []capture.Value
	flags     []flagRecord
	logs      []slog.Record // those that were written at once
	logSizes  []int
	logBytes  int
	dropped   capture.Dropped
}

// headerFields are the names and values of a header, in turn.
type headerFields struct{ list []string }

var headerFieldsPool sync.Pool

func (p *headerFields) add(h http.Header) {
	for name, values := range h {
		for _, value := range values {
			p.list = append(p.list, name, value)
		}
	}
}

func (p *headerFields) free() {
	if cap(p.list) <= 1024 {
		clear(p.list)
		p.list = p.list[:0]
		headerFieldsPool.Put(p)
	}
}

func newHeaderFields(h http.Header) *headerFields {
	p, _ := headerFieldsPool.Get().(*headerFields)
	if p == nil {
		p = &headerFields{list: make([]string, 0, 64)}
	}
	p.add(h)
	return p
}

// begin begins a recording of r, whose body it wraps.
func (c *recordings) begin(r *http.Request) *recording {
	rec := &recording{
		room: c, method: r.Method, uri: r.RequestURI, host: r.Host, proto: r.Proto,
		secure: r.TLS != nil, length: r.ContentLength, fields: newHeaderFields(r.Header),
	}
	if rec.uri == "" && r.URL != nil {
		rec.uri = r.URL.RequestURI()
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &bodyTee{ReadCloser: r.Body, rec: rec, kept: &rec.request}
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
	fields    []string // names and values of the response's header
	errors    []string
	request   kept
	response  kept
	responded bool
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
	if x.request.buf != nil {
		x.request.buf.b = x.request.buf.b[:0]
	}
	x.request = kept{buf: x.request.buf}
}

func (x *exchange) respond(resp *http.Response) {
	if x == nil {
		return
	}
	var p headerFields
	p.add(resp.Header)
	x.rec.mu.Lock()
	defer x.rec.mu.Unlock()
	if !x.rec.closed {
		x.status, x.proto, x.fields, x.responded = resp.StatusCode, resp.Proto, p.list, true
		x.answered = time.Since(x.start)
	}
}

func (x *exchange) read(p []byte) {
	if x == nil || len(p) == 0 {
		return
	}
	x.rec.mu.Lock()
	keep(x.rec, &x.response, p)
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

// A flagRecord is a distinct evaluation of a flag.
type flagRecord struct {
	flag  capture.Flag
	value any // a bool, number or string; for others see flag.Value
}

// keepFlag notes an evaluation, once for each outcome and targeting key.
func (rec *recording) keepFlag(provider, targeting string, kind capture.FlagType, d *openfeature.InterfaceEvaluationDetails) {
	if rec == nil {
		return
	}
	defer rec.room.counts.shield()
	f := flagRecord{flag: capture.Flag{
		Key: d.FlagKey, Type: kind, Variant: d.Variant, Reason: string(d.Reason),
		ErrorCode: string(d.ErrorCode), Provider: provider, Targeting: targeting,
	}}
	switch d.Value.(type) {
	case bool, int64, float64, string, nil:
		f.value = d.Value
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.closed {
		return
	}
	for i := range rec.flags {
		g := &rec.flags[i]
		if g.flag.Key == f.flag.Key && g.flag.Variant == f.flag.Variant && g.flag.ErrorCode == f.flag.ErrorCode && g.flag.Targeting == targeting && g.value == f.value {
			return
		}
	}
	if len(rec.flags) >= maxFlags {
		rec.dropped.Flags++
		return
	}
	f.flag.ErrorText = cleantext.Cut(d.ErrorMessage, maxPath)
	if f.value == nil && d.Value != nil {
		// Others may change a map later.
		data, err := marshal(d.Value)
		if err != nil || len(data) > rec.room.maxBody || !rec.reserve(len(data)) {
			data = json.RawMessage("null")
		}
		f.flag.Value = data
	}
	rec.flags = append(rec.flags, f)
}

// nextValue takes the place of a call that begins, so that the order is that of the
// calls, or -1 when there is none.
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

func (rec *recording) keepValue(at int, value any, err error) {
	defer rec.room.counts.shield()
	var v capture.Value
	if err != nil {
		v.Error = errorTexts(err)
	} else if data, err := marshal(value); err != nil {
		v.Unrecordable = cleantext.Cut(err.Error(), maxText)
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
	kept.Result, kept.Error, kept.Unrecordable = v.Result, v.Error, v.Unrecordable
}

// marshal survives a MarshalJSON that panics, such as that of a typed nil.
func marshal(value any) (data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return json.Marshal(value)
}

// keepLog keeps a record that is written at once; the tail has those that are not.
func (rec *recording) keepLog(r slog.Record, size int) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.closed {
		return
	}
	rec.logs, rec.logSizes = append(rec.logs, r), append(rec.logSizes, size)
	rec.logBytes += size
	for rec.logBytes > maxTail {
		// The newest are nearer to the failure.
		rec.logBytes -= rec.logSizes[0]
		rec.logs[0] = slog.Record{}
		rec.logs, rec.logSizes = rec.logs[1:], rec.logSizes[1:]
		rec.dropped.Logs++
	}
}

// A kept is what is kept of a body.
type kept struct {
	buf   *buffer
	total int64
	ended bool // it was read to its end
	cut   bool
}

// A buffer has the capacity of its class: 4 KiB, 16 KiB and so on to 1 MiB. A pool for
// each keeps short bodies from taking the room of long ones.
type buffer struct {
	b     []byte
	class int
}

var bufferPools [bufferClasses]sync.Pool

func bufferSize(class int) int { return minBuffer << (2 * class) }

func newBuffer(class int) *buffer {
	if b, ok := bufferPools[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, 0, bufferSize(class)), class: class}
}

func (b *buffer) free() {
	b.b = b.b[:0]
	bufferPools[b.class].Put(b)
}

// keep adds p to a body, as far as there is room, and never more after a gap; rec.mu
// is held.
func keep[Bytes []byte | string](rec *recording, k *kept, p Bytes) {
	if rec.closed {
		return
	}
	k.total += int64(len(p))
	if k.cut || len(p) == 0 {
		return
	}
	n := rec.extend(k, len(p))
	k.cut = n < len(p)
	if n > 0 {
		k.buf.b = append(k.buf.b, p[:n]...)
	}
}

// extend makes room for n more bytes of a body, or for as many as may be.
func (rec *recording) extend(k *kept, n int) int {
	have, size := 0, 0
	if k.buf != nil {
		have, size = len(k.buf.b), cap(k.buf.b)
	}
	n = min(n, rec.room.maxBody-have)
	if have+n <= size {
		return n
	}
	class := 0
	for bufferSize(class) < have+n {
		class++
	}
	if !rec.reserve(bufferSize(class) - size) {
		return size - have
	}
	larger := newBuffer(class)
	if k.buf != nil {
		larger.b = append(larger.b, k.buf.b...)
		k.buf.free()
	}
	k.buf = larger
	return n
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

func (k *kept) text() string {
	if k.buf == nil {
		return ""
	}
	return string(k.buf.b)
}

func (k *kept) free() {
	if k.buf != nil {
		k.buf.free()
		k.buf = nil
	}
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

// free gives the buffers back. The recording is closed.
func (rec *recording) free() {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.fields.free()
	rec.request.free()
	rec.response.free()
	for _, x := range rec.exchanges {
		x.request.free()
		x.response.free()
	}
	rec.fields, rec.exchanges, rec.values, rec.flags, rec.logs, rec.logSizes = nil, nil, nil, nil, nil, nil
	rec.room.held.Add(int64(-rec.held))
	rec.held = 0
}

// bodyTee keeps what is read of a body.
type bodyTee struct {
	io.ReadCloser
	rec  *recording
	kept *kept
}

func (b *bodyTee) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.rec.mu.Lock()
	if n > 0 {
		keep(b.rec, b.kept, p[:n])
	}
	if err == io.EOF && !b.rec.closed {
		b.kept.ended = true
	}
	b.rec.mu.Unlock()
	return n, err
}

// wrote keeps what was written of the response.
func (rec *recording) wrote(p []byte) {
	rec.mu.Lock()
	keep(rec, &rec.response, p)
	rec.mu.Unlock()
}

func (rec *recording) wroteString(s string) {
	rec.mu.Lock()
	keep(rec, &rec.response, s)
	rec.mu.Unlock()
}

// wants reports whether there is room for more of the response.
func (rec *recording) wants() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return !rec.closed && !rec.response.cut && (rec.response.buf == nil || len(rec.response.buf.b) < rec.room.maxBody)
}

// passed counts what went past the recording.
func (rec *recording) passed(n int64) {
	if n <= 0 {
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
func (rec *recording) began(status int, h http.Header) {
	if status < http.StatusInternalServerError {
		return
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.header == nil && !rec.closed {
		rec.header = h.Clone()
	}
}
