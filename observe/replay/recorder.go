package replay

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// A recorder is the response writer of a replay. It has what the writers of package http have,
// and notes what it can only pretend.
type recorder struct {
	*httptest.ResponseRecorder
	c              *Case
	body           io.Reader // of the request
	begun, untyped bool

	mu    sync.Mutex
	taken *takenConn
}

func newRecorder(c *Case, r *http.Request) *recorder {
	return &recorder{ResponseRecorder: httptest.NewRecorder(), c: c, body: r.Body}
}

type (
	http1Recorder struct{ *recorder }
	http2Recorder struct{ *recorder }
)

// asServer returns the writer with the methods that the server had for the request's protocol.
func (w *recorder) asServer() http.ResponseWriter {
	if major, _, ok := http.ParseHTTPVersion(w.c.entry().Request.HTTPVersion); ok && major >= 2 {
		return http2Recorder{w}
	}
	return http1Recorder{w}
}

func (w *recorder) begin() {
	if !w.begun {
		_, typed := w.Header()["Content-Type"]
		w.begun, w.untyped = true, !typed
	}
}

func (w *recorder) WriteHeader(status int) {
	if status >= 200 {
		w.begin()
	}
	w.ResponseRecorder.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseRecorder.Write(p)
}

func (w *recorder) WriteString(s string) (int, error) {
	w.begin()
	return w.ResponseRecorder.WriteString(s)
}

func (w *recorder) Flush() {
	w.begin()
	w.ResponseRecorder.Flush()
}

// FlushError is for http.ResponseController.
func (w *recorder) FlushError() error { w.Flush(); return nil }

// ReadFrom is for io.Copy.
func (w http1Recorder) ReadFrom(src io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w.recorder}, src)
}

// CloseNotify never sends: the client stays.
func (w *recorder) CloseNotify() <-chan bool { return make(chan bool) }

// EnableFullDuplex returns nil: the body can always be read.
func (w *recorder) EnableFullDuplex() error { return nil }

// SetReadDeadline notes that deadlines have no effect.
func (w *recorder) SetReadDeadline(time.Time) error { return w.deadline() }

// SetWriteDeadline notes that deadlines have no effect.
func (w *recorder) SetWriteDeadline(time.Time) error { return w.deadline() }

func (w *recorder) deadline() error {
	w.c.lack("the handler set a deadline for the connection, which has no effect in a replay")
	return nil
}

// Push is of HTTP/2. No browser accepts pushes today.
func (http2Recorder) Push(string, *http.PushOptions) error { return http.ErrNotSupported }

// Hijack gives the handler a connection whose client sends the request's body and nothing more.
func (w http1Recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taken != nil {
		return nil, nil, http.ErrHijacked
	}
	w.c.lack("the handler took over the connection (http.Hijacker), and the bundle does not have what the client sent then")
	w.taken = &takenConn{in: w.body}
	return w.taken, bufio.NewReadWriter(bufio.NewReader(w.taken), bufio.NewWriter(w.taken)), nil
}

// fill notes the answer.
func (w *recorder) fill(got *outcome) {
	resp := w.Result()
	got.status, got.header, got.body, got.untyped = resp.StatusCode, resp.Header, w.Body.String(), w.untyped
	if got.untyped { // package http finds out
		got.header.Del("Content-Type")
		if got.body != "" {
			got.header.Set("Content-Type", http.DetectContentType([]byte(got.body)))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taken != nil {
		got.status = w.taken.status(w.c.entry().Response.Status)
		return
	}
	if got.panicked && w.Body.Len() == 0 && got.status < 500 {
		got.status = http.StatusInternalServerError // what observe.Handler, or nothing, would have sent
	}
}

// A takenConn is a connection that a handler took over.
type takenConn struct {
	in  io.Reader
	mu  sync.Mutex
	out bytes.Buffer
}

func (c *takenConn) Read(p []byte) (int, error) { return c.in.Read(p) }

func (c *takenConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(p)
}

// status is that of the answer which was written, or fallback.
func (c *takenConn) status(fallback int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(c.out.Bytes())), nil)
	if err != nil {
		return fallback
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func (*takenConn) Close() error        { return nil }
func (*takenConn) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 80} }

func (*takenConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1234} }
func (*takenConn) SetDeadline(time.Time) error      { return nil }
func (*takenConn) SetReadDeadline(time.Time) error  { return nil }
func (*takenConn) SetWriteDeadline(time.Time) error { return nil }
