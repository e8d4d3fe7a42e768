package observe

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// writer records what becomes of a response. It lives inside the request's state.
// Its fields are atomic because a handler may leave goroutines behind that still
// write when it has returned.
type writer struct {
	inner    http.ResponseWriter
	ctx      context.Context // of the request
	counts   *counts
	tee      *recording   // nil: the response is not recorded
	status   atomic.Int32 // 0: nothing was sent yet
	bytes    atomic.Int64 // of the body
	hijacked atomic.Bool
	phase    atomic.Int32
}

// The phases of a response.
const (
	phaseHandler int32 = iota // its handler runs
	phaseEnded                // its handler has returned
	phaseOutside              // it has, without an answer, which may still come from outside
	phaseLate                 // and did
)

// wrap returns w in the shape of the writer it wraps: whoever asks whether it is
// an http.Flusher, http.Hijacker, io.ReaderFrom or http.Pusher gets the inner
// one's answer. The shapes are those of package http and of wrappers that hide one
// interface; for stranger ones http.ResponseController finds the inner writer by Unwrap.
func (w *writer) wrap(inner http.ResponseWriter) http.ResponseWriter {
	w.inner = inner
	_, flushes := inner.(http.Flusher)
	if !flushes {
		return w
	}
	_, hijacks := inner.(http.Hijacker)
	_, reads := inner.(io.ReaderFrom)
	switch {
	case hijacks && reads:
		return http1Writer{w}
	case hijacks:
		return hijackWriter{w}
	case reads:
		return readWriter{w}
	}
	if _, pushes := inner.(http.Pusher); pushes {
		return http2Writer{w}
	}
	return flushWriter{w}
}

type (
	flushWriter  struct{ *writer } // tests, HTTP/3
	hijackWriter struct{ *writer } // HTTP/1 behind wrappers that hide ReadFrom
	readWriter   struct{ *writer } // HTTP/1 behind wrappers that hide Hijack
	http1Writer  struct{ *writer } // HTTP/1
	http2Writer  struct{ *writer } // HTTP/2
)

func (w flushWriter) Flush()                                           { w.flush() }
func (w hijackWriter) Flush()                                          { w.flush() }
func (w readWriter) Flush()                                            { w.flush() }
func (w http1Writer) Flush()                                           { w.flush() }
func (w http2Writer) Flush()                                           { w.flush() }
func (w hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error)    { return w.hijack() }
func (w http1Writer) Hijack() (net.Conn, *bufio.ReadWriter, error)     { return w.hijack() }
func (w readWriter) ReadFrom(src io.Reader) (int64, error)             { return w.readFrom(src) }
func (w http1Writer) ReadFrom(src io.Reader) (int64, error)            { return w.readFrom(src) }
func (w http2Writer) Push(target string, opts *http.PushOptions) error { return w.push(target, opts) }

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.inner }

func (w *writer) Header() http.Header { return w.inner.Header() }

// CloseNotify is there because gin's ResponseWriter claims to have it and then asks
// for it (Context.Stream). It says what the request's context says.
func (w *writer) CloseNotify() <-chan bool {
	gone := make(chan bool, 1)
	context.AfterFunc(w.ctx, func() { gone <- true })
	return gone
}

func (w *writer) WriteHeader(status int) {
	if w.late() {
		return
	}
	if w.hijacked.Load() {
		w.inner.WriteHeader(status) // sends nothing, but may have something to say to that
		return
	}
	if w.tee != nil {
		w.tee.began(status, w.inner.Header())
	}
	w.inner.WriteHeader(status)
	// 1xx come before the answer; only 101 is one (RFC 9110 section 15.2).
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.status.CompareAndSwap(0, int32(status))
	}
}

func (w *writer) Write(p []byte) (int, error) {
	if w.late() {
		return 0, ErrResponseEnded
	}
	w.begin()
	n, err := w.inner.Write(p)
	w.bytes.Add(int64(n))
	if w.tee != nil {
		w.tee.wrote(p[:max(0, min(n, len(p)))])
	}
	return n, err
}

// WriteString is for io.WriteString, which would copy s for writers without it.
func (w *writer) WriteString(s string) (int, error) {
	if w.late() {
		return 0, ErrResponseEnded
	}
	w.begin()
	n, err := io.WriteString(w.inner, s)
	w.bytes.Add(int64(n))
	if w.tee != nil {
		w.tee.wrote([]byte(s[:max(0, min(n, len(s)))]))
	}
	return n, err
}

// FlushError is what http.ResponseController calls; it is there in every shape so
// that the flush is seen even when the inner writer hides its Flusher.
func (w *writer) FlushError() error {
	if w.late() {
		return ErrResponseEnded
	}
	err := http.NewResponseController(w.inner).Flush()
	if err == nil {
		w.begin()
	}
	return err
}

// begin notes the implicit status of a body without one. On a connection that was
// taken over there is none: package http sends nothing there any more.
func (w *writer) begin() {
	if w.status.Load() == 0 && !w.hijacked.Load() {
		w.status.CompareAndSwap(0, http.StatusOK)
	}
}

// begun reports whether it is too late for another answer.
func (w *writer) begun() bool { return w.status.Load() != 0 || w.hijacked.Load() }

// end is called when the handler has returned. If nothing was answered, what stands outside may
// answer in its place: echo's WrapMiddleware hands this writer to echo, which answers a handler's
// error once all middlewares have returned. Then the inner writer is echo's own and can be
// unwrapped, as those of package http cannot.
func (w *writer) end() {
	phase := phaseEnded
	if _, wraps := w.inner.(interface{ Unwrap() http.ResponseWriter }); wraps && !w.begun() {
		phase = phaseOutside
	}
	w.phase.Store(phase)
}

// late reports and counts a use after the handler returned that must not be.
func (w *writer) late() bool {
	switch w.phase.Load() {
	case phaseHandler, phaseLate:
		return false
	case phaseOutside:
		if w.phase.CompareAndSwap(phaseOutside, phaseLate) {
			w.counts.lateAnswers.Add(1)
		}
		return false
	}
	w.counts.lateWrites.Add(1)
	return true
}

func (w *writer) flush() { _ = w.FlushError() }

func (w *writer) hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.late() {
		return nil, nil, ErrResponseEnded
	}
	conn, rw, err := w.inner.(http.Hijacker).Hijack()
	if err == nil {
		w.hijacked.Store(true)
	}
	return conn, rw, err
}

func (w *writer) readFrom(src io.Reader) (written int64, err error) {
	if w.late() {
		return 0, ErrResponseEnded
	}
	w.begin()
	if w.tee != nil {
		// What is captured is written by hand; the rest goes the short way, from file to socket.
		if n := w.tee.wants(); n > 0 {
			if written, err = io.CopyN(struct{ io.Writer }{w}, src, n); err == io.EOF {
				return written, nil
			} else if err != nil {
				return written, err
			}
		}
	}
	n, err := w.inner.(io.ReaderFrom).ReadFrom(src)
	w.bytes.Add(n)
	if w.tee != nil {
		w.tee.passed(n)
	}
	return written + n, err
}

func (w *writer) push(target string, opts *http.PushOptions) error {
	if w.late() {
		return ErrResponseEnded
	}
	return w.inner.(http.Pusher).Push(target, opts)
}
