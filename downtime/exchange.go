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

// An exchange is a request that was admitted, and its response. It is what the handler gets:
// request, context and writer in one piece of memory, which a handler may go on using when it
// has returned. It stays small, because each request needs one:
//
//   - Any response may turn out to be a stream, so each handler needs a context that can be ended.
//   - A handler's goroutine may ask its request for the context when the handler has returned. To
//     set ours in the request that we were given, and to take it out again, would be a data race;
//     and what handlers may keep cannot be pooled.
type exchange struct {
	task
	guard   *Guard
	place   place
	request http.Request
	inner   http.ResponseWriter
	shape   response.Shape

	begun   atomic.Bool                // there is a response; set under mu
	cutting atomic.Pointer[cutBecause] // why reads and writes fail; nil: they do not. Set under mu

	mu       sync.Mutex
	attached bool  // the list of what runs has the task
	returned bool  // the handler has
	aborts   bool  // a part of a response was sent, and the rest was cut
	conn     *conn // that was taken over; nil: none
}

// cutBecause says why an exchange was cut.
type cutBecause struct {
	by  *UnavailableError
	why closure
}

// open hands on request and writer.
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

// end is called when the handler has returned or panics. given is the request that the guard
// got: what the handler has set on its copy, such as forms, whose files package http removes,
// pattern and path values, is set there too. Its header and body stay.
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

// cutUnanswered returns why the exchange was cut, if it was and there is no response: the guard
// then answers. If a part of a response was sent, it panics with http.ErrAbortHandler, so that
// the client does not take it for a whole one. The handler has returned.
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
	for _, name := range [...]string{ // of what the handler was about to send
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

// cut makes reads and writes fail, those too that are waiting for the client.
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
	_ = control.SetReadDeadline(longAgo) // a writer that cannot is no server's
	if x.begun.Load() {
		x.aborts = control.SetWriteDeadline(longAgo) == nil
	}
}

// cutBy is why reads and writes fail. Nil means that they do not.
func (x *exchange) cutBy() error {
	if cut := x.cutting.Load(); cut != nil {
		return cut.by
	}
	return nil
}

var longAgo = time.Unix(1, 0)

// begin is called before anything is sent. Its error says that nothing may be any more.
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

// isStreamType reports whether the media type of a response is one of those that last until
// somebody ends them.
func isStreamType(contentType string) bool {
	if strings.IndexByte(contentType, '-') < 0 { // as all of them have, and few others
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

// failed says why reading or writing has failed, if that was the guard's doing.
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

// A conn is a connection that a handler has taken over. It is counted until it is closed.
// Reader and writer that a handler gets with it are those of package http: when the guard closes
// the connection, they fail as well.
type conn struct {
	net.Conn
	exchange *exchange
	closed   bool // under exchange.mu
}

// NetConn returns the connection that c wraps, as that of package tls does. To close it there
// does not end the count.
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

// abort closes the connection without waiting for the client, as the end of TLS would. mu is
// held.
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

// ReadFrom and WriteTo keep the short way from file to connection and back.
func (c *conn) ReadFrom(src io.Reader) (int64, error) { return io.Copy(c.Conn, src) }
func (c *conn) WriteTo(dst io.Writer) (int64, error)  { return io.Copy(dst, c.Conn) }

// A halfConn can be closed for writing alone.
type halfConn struct{ *conn }

func (c halfConn) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// A cutBody is the body of a request that may be cut.
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
