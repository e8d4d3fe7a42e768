package downtime

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/response"
)

// An exchange is an admitted request with its response: the handler's request, context and writer in
// one allocation. Handlers may use them after they have returned, so exchanges cannot be pooled.
//
// Any response may turn out to be a stream, so each handler needs a context that can be ended. It needs
// a copy of the request too: to set and restore the context of the given one would be a data race.
type exchange struct {
	task
	guard   *Guard
	place   place
	request http.Request
	inner   http.ResponseWriter
	shape   response.Shape

	begun   atomic.Bool                // there is a response; set under mu
	cutting atomic.Pointer[cutBecause] // reads and writes fail with it; may be nil. Set under mu

	mu       sync.Mutex
	attached bool  // the list of what runs has the task
	returned bool  // the handler has
	aborts   bool  // part of a response was sent before the cut
	conn     *conn // hijacked; may be nil
}

// cutBecause says why an exchange was cut.
type cutBecause struct {
	by  *UnavailableError
	why closure
}

// open returns the writer and the request for the handler.
func (x *exchange) open(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request) {
	x.inner = w
	x.ctx.parent = r.Context()
	x.request = *r.WithContext(&x.ctx)
	if x.guard.opts.Grace > 0 {
		x.attach()
		if r.Body != nil && r.Body != http.NoBody {
			x.request.Body = &cutBody{r.Body, x}
		}
	}
	if w == nil {
		return nil, &x.request
	}
	return x.shape.Of(x, w), &x.request
}

// attach adds the task to the entry in the list of what runs, unless the entry has left.
func (x *exchange) attach() {
	x.mu.Lock()
	if runs := !x.returned || x.conn != nil && !x.conn.closed; runs && !x.attached {
		x.place.attach(&x.task)
		x.attached = true
	}
	x.mu.Unlock()
}

// declare says that the exchange is a stream.
func (x *exchange) declare() {
	x.attach()
	x.guard.declare(&x.task)
}

// end is called when the handler returns or panics. It copies pattern, path values and forms that the
// handler has set to the request that the guard got, for middleware outside, and so that package http
// removes the files of forms. Header and body stay.
func (x *exchange) end(given *http.Request) {
	if x.request.URL != nil { // else the handler was not called
		header, body := given.Header, given.Body
		*given = *x.request.WithContext(given.Context())
		given.Header, given.Body = header, body
	}
	x.mu.Lock()
	x.returned = true
	connected := x.conn != nil && !x.conn.closed
	x.mu.Unlock()
	x.ctx.finish()
	if !connected {
		x.guard.leave(x.place)
	}
}

// cutUnanswered is called after the handler has returned. If the exchange was cut before its response
// began, it returns the closure to answer with. If part of a response was sent, it panics with
// http.ErrAbortHandler, so that the client does not take it as complete.
func (x *exchange) cutUnanswered() *closure {
	x.mu.Lock()
	x.returned = true
	cut, aborts := x.cutting.Load(), x.aborts
	answered := x.inner == nil || cut == nil || x.begun.Load() || x.conn != nil
	x.mu.Unlock()
	if aborts {
		panic(http.ErrAbortHandler)
	}
	if answered {
		return nil
	}
	header := x.inner.Header()
	for _, name := range [...]string{ // of the response that the handler has prepared
		"Accept-Ranges", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length", "Content-Range",
		"Etag", "Last-Modified", "Trailer", "Transfer-Encoding",
	} {
		header.Del(name)
	}
	if x.request.ProtoMajor == 1 {
		header.Set("Connection", "close") // the rest of the request is not read
	}
	return &cut.why
}

// cut makes reads and writes fail, also those that wait for the client.
func (x *exchange) cut(by *UnavailableError, why closure) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cutting.Load() != nil || x.returned && x.conn == nil {
		return
	}
	x.cutting.Store(&cutBecause{by, why})
	if x.conn != nil {
		x.conn.abort()
		return
	}
	if x.inner == nil {
		return
	}
	control := http.NewResponseController(x.inner)
	_ = control.SetReadDeadline(longAgo) // fails only for writers of tests
	if x.begun.Load() {
		x.aborts = control.SetWriteDeadline(longAgo) == nil
	}
}

// cutBy returns the error of reads and writes after a cut, and otherwise nil.
func (x *exchange) cutBy() error {
	if cut := x.cutting.Load(); cut != nil {
		return cut.by
	}
	return nil
}

var longAgo = time.Unix(1, 0)

// begin is called before a write. It returns the error of the write after a cut.
func (x *exchange) begin(status int) error {
	if !x.begun.Load() {
		x.mu.Lock()
		first := x.cutting.Load() == nil && !x.begun.Swap(true)
		x.mu.Unlock()
		if first && (isSwitch(x.request.Method, status) || isStreamType(x.inner.Header().Get("Content-Type"))) {
			x.declare()
		}
	}
	return x.cutBy()
}

// isSwitch reports whether a response switches to another protocol (RFC 9110 §15.2.2; a
// CONNECT: RFC 9110 §9.3.6, RFC 8441 §5).
func isSwitch(method string, status int) bool {
	return status == http.StatusSwitchingProtocols || method == http.MethodConnect && status/100 == 2
}

func isStreamType(contentType string) bool {
	if strings.IndexByte(contentType, '-') < 0 { // fast path: all of them have one
		return false
	}
	media, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case eventStream, "multipart/x-mixed-replace", "application/json-seq":
		return true
	}
	return false
}

func (x *exchange) Header() http.Header { return x.inner.Header() }

func (x *exchange) Unwrap() http.ResponseWriter { return x.inner }

func (x *exchange) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		if x.cutBy() == nil { // it comes before the response
			x.inner.WriteHeader(status)
		}
		return
	}
	if x.begin(status) == nil {
		x.inner.WriteHeader(status)
	}
}

func (x *exchange) Write(p []byte) (int, error) {
	if err := x.begin(http.StatusOK); err != nil {
		return 0, err
	}
	n, err := x.inner.Write(p)
	return n, x.failed(err)
}

func (x *exchange) WriteString(s string) (int, error) {
	if err := x.begin(http.StatusOK); err != nil {
		return 0, err
	}
	n, err := io.WriteString(x.inner, s)
	return n, x.failed(err)
}

func (x *exchange) FlushError() error {
	if err := x.begin(http.StatusOK); err != nil {
		return err
	}
	return x.failed(http.NewResponseController(x.inner).Flush())
}

func (x *exchange) CopyFrom(src io.Reader) (int64, error) {
	if err := x.begin(http.StatusOK); err != nil {
		return 0, err
	}
	n, err := x.inner.(io.ReaderFrom).ReadFrom(src)
	return n, x.failed(err)
}

func (x *exchange) PushTarget(target string, o *http.PushOptions) error {
	if by := x.cutBy(); by != nil {
		return by
	}
	return x.inner.(http.Pusher).Push(target, o)
}

func (x *exchange) CloseNotify() <-chan bool {
	gone := make(chan bool, 1)
	context.AfterFunc(&x.ctx, func() { gone <- true })
	return gone
}

// failed returns the error of a failed read or write, which is the guard's after a cut.
func (x *exchange) failed(err error) error {
	if err != nil {
		if by := x.cutBy(); by != nil {
			return by
		}
	}
	return err
}

// HijackConn counts the connection until it is closed.
func (x *exchange) HijackConn() (net.Conn, *bufio.ReadWriter, error) {
	if by := x.cutBy(); by != nil {
		return nil, nil, by
	}
	inner, rw, err := http.NewResponseController(x.inner).Hijack()
	if err != nil {
		return nil, nil, x.failed(err)
	}
	c := &conn{Conn: inner, exchange: x}
	x.mu.Lock()
	x.conn = c
	if x.cutBy() != nil {
		c.abort()
	}
	x.mu.Unlock()
	x.declare()
	if _, halves := inner.(interface{ CloseWrite() error }); halves {
		return halfConn{c}, rw, nil
	}
	return c, rw, nil
}

// A conn is a hijacked connection. It is counted until it is closed. The handler's bufio.ReadWriter is
// that of package http; it fails too when the guard closes the connection.
type conn struct {
	net.Conn
	exchange *exchange
	closed   bool // under exchange.mu
}

// NetConn returns the connection that c wraps, like tls.Conn's method. Closing that does not end the
// count.
func (c *conn) NetConn() net.Conn { return c.Conn }

func (c *conn) Close() error {
	err := c.Conn.Close()
	x := c.exchange
	x.mu.Lock()
	left := !c.closed && x.returned
	c.closed = true
	x.mu.Unlock()
	if left {
		x.guard.leave(x.place)
	}
	return err
}

// abort closes the connection below TLS, because closing TLS would wait for the client. mu is held.
func (c *conn) abort() {
	at := c.Conn
	if over, wraps := at.(interface{ NetConn() net.Conn }); wraps {
		at = over.NetConn()
	}
	_ = at.Close()
	if !c.closed && c.exchange.returned {
		c.exchange.guard.leave(c.exchange.place)
	}
	c.closed = true
}

// ReadFrom and WriteTo keep sendfile and splice.
func (c *conn) ReadFrom(src io.Reader) (int64, error) { return io.Copy(c.Conn, src) }
func (c *conn) WriteTo(dst io.Writer) (int64, error)  { return io.Copy(dst, c.Conn) }

// A halfConn can be closed for writing alone.
type halfConn struct{ *conn }

func (c halfConn) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

type cutBody struct {
	io.ReadCloser
	exchange *exchange
}

func (b *cutBody) Read(p []byte) (int, error) {
	if by := b.exchange.cutBy(); by != nil {
		return 0, by
	}
	n, err := b.ReadCloser.Read(p)
	return n, b.exchange.failed(err)
}
