package observe

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/upkeep-go/upkeep/internal/response"
)

// writer records what becomes of a response. It lives inside the request's state.
// Its fields are atomic because a handler may leave goroutines behind that still
// write when it has returned.
type writer struct {
	inner    http.ResponseWriter
	st       *state
	tee      *recording   // nil: the response is not recorded
	head     *bodyHead    // nil: Options.Outcome sees no body
	bytes    atomic.Int64 // of the body
	declared atomic.Int64 // Content-Length of the response, plus 1; 0: none
	status   atomic.Int32 // 0: nothing was sent yet
	phase    atomic.Int32
	stream   atomic.Int32
	hijacked atomic.Bool
	broken   atomic.Bool // a write failed
	informed atomic.Bool // a 1xx was sent, after which some handlers clear the header
	earlier  atomic.Bool // the client was there when a status of 500 or more was sent
}

// The phases of a response.
const (
	phaseHandler int32 = iota // its handler runs
	phaseAnswer               // it has panicked, and is answered for
	phaseEnded                // its handler has returned
	phaseOutside              // it has, without an answer, which may still come from outside
	phaseLate                 // and did
)

// The states of a response as a stream.
const (
	streamNot int32 = iota
	streamRuns
	streamOver // the handler has returned
)

// wrap returns w in the shape of the writer that it wraps: it is an http.Flusher,
// http.Hijacker, io.ReaderFrom or http.Pusher if the inner one is. The shapes are those of
// package http and of wrappers that hide one interface; for others http.ResponseController finds
// the inner writer by Unwrap. A connection is taken over through w even if inner hides its
// http.Hijacker behind Unwrap. Package response does the same, and would make a request's state
// larger than 512 bytes.
func (w *writer) wrap(inner http.ResponseWriter) http.ResponseWriter {
	w.inner = inner
	hijacks := response.CanHijack(inner)
	if _, flushes := inner.(http.Flusher); !flushes {
		if hijacks {
			return takeWriter{w}
		}
		return w
	}
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
	takeWriter   struct{ *writer } // wrappers that hide all but Unwrap
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
func (w takeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error)      { return w.hijack() }
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
	context.AfterFunc(w.st, func() { gone <- true })
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
	w.prepare(status)
	w.inner.WriteHeader(status)
	// 1xx come before the answer; only 101 is one (RFC 9110 section 15.2).
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.sent(status)
	} else {
		w.informed.Store(true)
	}
}

func (w *writer) Write(p []byte) (int, error) {
	if w.late() {
		return 0, ErrResponseEnded
	}
	w.begin()
	n, err := w.inner.Write(p)
	w.wrote(p, n, err)
	return n, err
}

// WriteString is for io.WriteString, which would copy s for writers without it.
func (w *writer) WriteString(s string) (int, error) {
	if w.late() {
		return 0, ErrResponseEnded
	}
	w.begin()
	n, err := io.WriteString(w.inner, s)
	var p []byte
	if w.tee != nil || w.head != nil {
		p = []byte(s)
	}
	w.wrote(p, n, err)
	return n, err
}

// wrote notes that n bytes were written, those of p where p is known.
func (w *writer) wrote(p []byte, n int, err error) {
	w.bytes.Add(int64(n))
	if err != nil {
		w.noteBroken(err)
	}
	if p = p[:max(0, min(n, len(p)))]; len(p) == 0 {
		return
	}
	if w.tee != nil {
		w.tee.wrote(p)
	}
	if w.head != nil {
		w.head.keep(p)
	}
}

// noteBroken notes an error of the connection. Those of package http are about the handler.
func (w *writer) noteBroken(err error) {
	if !errors.Is(err, http.ErrBodyNotAllowed) && !errors.Is(err, http.ErrContentLength) && !errors.Is(err, http.ErrHijacked) {
		w.broken.Store(true)
	}
}

// FlushError is what http.ResponseController calls; it is there in every shape so
// that the flush is seen even when the inner writer hides its Flusher.
func (w *writer) FlushError() error {
	if w.late() {
		return ErrResponseEnded
	}
	fresh := w.status.Load() == 0 && !w.hijacked.Load()
	if fresh {
		w.prepare(http.StatusOK)
	}
	err := http.NewResponseController(w.inner).Flush()
	if fresh && !errors.Is(err, http.ErrNotSupported) {
		w.sent(http.StatusOK)
	}
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		w.noteBroken(err)
	}
	return err
}

// begin notes the implicit status of a body without one. On a connection that was
// taken over there is none, because package http does not send there any more.
func (w *writer) begin() {
	if w.status.Load() == 0 && !w.hijacked.Load() {
		w.prepare(http.StatusOK)
		w.sent(http.StatusOK)
	}
}

// prepare is called before a status is sent. It may be called for a status that is not sent
// after all.
func (w *writer) prepare(status int) {
	if w.status.Load() != 0 {
		return
	}
	h := w.inner.Header()
	w.st.ownHeaders(h, w.informed.Load())
	if status == http.StatusRequestEntityTooLarge && w.st.protocol < "2" {
		// http.MaxBytesReader does this with the server's own writer, so that the server
		// does not read the rest of the body.
		h["Connection"] = closeConnection
	}
	if status < http.StatusInternalServerError {
		return
	}
	if !w.st.clientGone() {
		w.earlier.Store(true)
	}
	if w.phase.Load() == phaseHandler {
		w.st.panicRecovered()
	}
	if w.tee != nil {
		w.tee.began(h)
	}
}

// Its value is never changed.
var closeConnection = []string{"close"}

// sent notes that the response has begun.
func (w *writer) sent(status int) {
	if !w.status.CompareAndSwap(0, int32(status)) {
		return
	}
	h := w.inner.Header()
	if values := h["Content-Length"]; len(values) > 0 {
		if n, err := strconv.ParseInt(values[0], 10, 64); err == nil && n >= 0 && n < math.MaxInt64 {
			w.declared.Store(n + 1)
		}
	}
	if declaredStream(h["Content-Type"]) || w.st.isStream() {
		w.beginStream()
	}
}

// beginStream counts the response among the active streams.
func (w *writer) beginStream() {
	if w.stream.CompareAndSwap(streamNot, streamRuns) {
		w.st.obs.counts.streams.Add(1)
		w.st.obs.counts.streamsActive.Add(1)
	}
}

// endStream reports whether the response was a stream.
func (w *writer) endStream() bool {
	if w.stream.Load() == streamNot && w.status.Load() == 0 && w.st.isStream() {
		w.beginStream()
	}
	was := w.stream.Swap(streamOver) == streamRuns
	if was {
		w.st.obs.counts.streamsActive.Add(-1)
	}
	return was
}

// missing returns an error if the handler wrote less than the Content-Length that it sent.
func (w *writer) missing(method string) error {
	status, announced, wrote := w.status.Load(), w.declared.Load()-1, w.bytes.Load()
	switch {
	case wrote >= announced, w.hijacked.Load(), method == http.MethodHead:
		return nil
	case status < 200, status == http.StatusNoContent, status == http.StatusNotModified:
		return nil
	}
	return &incompleteError{wrote, announced}
}

// begun reports whether it is too late for another answer.
func (w *writer) begun() bool { return w.status.Load() != 0 || w.hijacked.Load() }

// end is called when the handler has returned. If there was no answer, a handler outside may
// still answer: echo's WrapMiddleware hands this writer to echo, which answers a handler's
// error once all middlewares have returned. Then the inner writer is echo's own and can be
// unwrapped, as those of package http cannot.
func (w *writer) end() {
	if !w.begun() {
		w.prepare(http.StatusOK) // what package http sends now
	}
	phase := phaseEnded
	if _, wraps := w.inner.(interface{ Unwrap() http.ResponseWriter }); wraps && !w.begun() {
		phase = phaseOutside
	}
	w.phase.Store(phase)
}

// late reports and counts a use after the handler returned that must not be.
func (w *writer) late() bool {
	switch w.phase.Load() {
	case phaseHandler, phaseAnswer, phaseLate:
		return false
	case phaseOutside:
		if w.phase.CompareAndSwap(phaseOutside, phaseLate) {
			w.st.obs.counts.lateAnswers.Add(1)
		}
		return false
	}
	w.st.obs.counts.lateWrites.Add(1)
	return true
}

func (w *writer) flush() { _ = w.FlushError() }

func (w *writer) hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.late() {
		return nil, nil, ErrResponseEnded
	}
	conn, rw, err := http.NewResponseController(w.inner).Hijack()
	if err != nil {
		return conn, rw, err
	}
	w.hijacked.Store(true)
	w.beginStream()
	if rw != nil && rw.Writer != nil && w.status.Load() == 0 {
		rw = bufio.NewReadWriter(rw.Reader, bufio.NewWriter(&handshake{w: w, Writer: rw.Writer}))
	}
	return conn, rw, err
}

// A handshake reads the status from the first bytes written to a connection that was taken
// over. It sees only writes through the buffer that Hijack returned, and none to the
// connection itself, because the connection must keep its type.
type handshake struct {
	*bufio.Writer
	w    *writer
	line [len("HTTP/1.1 101")]byte
	n    int
}

func (h *handshake) Write(p []byte) (int, error) {
	if h.n < len(h.line) {
		h.n += copy(h.line[h.n:], p)
		if h.n == len(h.line) {
			if status := statusOf(string(h.line[:])); status >= 200 || status == http.StatusSwitchingProtocols {
				h.w.status.CompareAndSwap(0, int32(status))
			}
		}
	}
	n, err := h.Writer.Write(p)
	if err == nil {
		err = h.Writer.Flush()
	}
	return n, err
}

// statusOf returns the status in the first bytes of a response, or 0.
func statusOf(line string) int {
	if !strings.HasPrefix(line, "HTTP/1.") || line[8] != ' ' {
		return 0
	}
	status, err := strconv.ParseUint(line[9:], 10, 16)
	if err != nil {
		return 0
	}
	return int(status)
}

// upgrades reports whether the client asked for another protocol.
func upgrades(h http.Header) bool {
	if len(h["Upgrade"]) == 0 {
		return false
	}
	for _, line := range h["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(option), "upgrade") {
				return true
			}
		}
	}
	return false
}

func (w *writer) readFrom(src io.Reader) (written int64, err error) {
	if w.late() {
		return 0, ErrResponseEnded
	}
	// A captured body is written by hand; others go the short way, from file to socket.
	if wanted := max(w.tee.wants(), w.head.wants()); wanted > 0 {
		if written, err = io.CopyN(struct{ io.Writer }{w}, src, wanted); err == io.EOF {
			return written, nil
		} else if err != nil {
			return written, err
		}
	}
	if fresh := w.status.Load() == 0 && !w.hijacked.Load(); fresh {
		w.prepare(http.StatusOK)
		// The response begins with the first byte that is read, not with the attempt.
		// Files and sockets keep their type, for the short way.
		if !isFile(src) {
			src = &firstRead{Reader: src, w: w}
		}
	}
	n, err := w.inner.(io.ReaderFrom).ReadFrom(src)
	if n > 0 {
		w.begin()
	}
	w.bytes.Add(n)
	if err != nil {
		w.noteBroken(err) // or src is, which does not matter where the client is there
	}
	w.tee.passed(n)
	return written + n, err
}

// A firstRead begins the response when something was read.
type firstRead struct {
	io.Reader
	w *writer
}

func (f *firstRead) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if n > 0 {
		f.w.begin()
	}
	return n, err
}

// isFile reports whether the system may copy src without our help.
func isFile(src io.Reader) bool {
	if limited, ok := src.(*io.LimitedReader); ok {
		src = limited.R
	}
	_, ok := src.(syscall.Conn)
	return ok
}

func (w *writer) push(target string, opts *http.PushOptions) error {
	if w.late() {
		return ErrResponseEnded
	}
	return w.inner.(http.Pusher).Push(target, opts)
}
