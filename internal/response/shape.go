// Package response helps to wrap an http.ResponseWriter so that nothing gets lost on the way:
// the wrapper is an http.Flusher, http.Hijacker, io.ReaderFrom or http.Pusher where the writer
// that it wraps is one, and http.ResponseController works.
package response

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// A Wrapper is what a [Shape] needs of a wrapper. Its methods with names of their own are called
// only if the wrapped writer has the method of package http or io that the comment names.
type Wrapper interface {
	http.ResponseWriter
	io.StringWriter
	//lint:ignore SA1019 gin's ResponseWriter has it.
	http.CloseNotifier

	// Unwrap and FlushError are for http.ResponseController.
	Unwrap() http.ResponseWriter
	FlushError() error

	HijackConn() (net.Conn, *bufio.ReadWriter, error)    // Hijack
	CopyFrom(io.Reader) (int64, error)                   // ReadFrom
	PushTarget(target string, o *http.PushOptions) error // Push
}

// A Shape is the room for a wrapper's shape. It is part of the wrapper, so that wrapping
// allocates nothing more.
type Shape struct{ Wrapper }

// Of returns w in the shape of the writer that it wraps. The shapes are those of package http and
// of wrappers that hide one interface. If w is not an http.Hijacker but http.ResponseController
// finds one behind it, the result is an http.Hijacker. Otherwise its connection would bypass w.
func (s *Shape) Of(w Wrapper, inner http.ResponseWriter) http.ResponseWriter {
	s.Wrapper = w
	hijacks := CanHijack(inner)
	if _, flushes := inner.(http.Flusher); !flushes {
		if hijacks {
			return (*hijacker)(s)
		}
		return s
	}
	_, reads := inner.(io.ReaderFrom)
	switch {
	case hijacks && reads:
		return (*http1)(s)
	case hijacks:
		return (*flushHijacker)(s)
	case reads:
		return (*flushReader)(s)
	}
	if _, pushes := inner.(http.Pusher); pushes {
		return (*http2)(s)
	}
	return (*flusher)(s)
}

// CanHijack reports whether http.ResponseController.Hijack finds an http.Hijacker.
func CanHijack(w http.ResponseWriter) bool {
	for {
		switch at := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = at.Unwrap()
		default:
			return false
		}
	}
}

type (
	hijacker      Shape // strange
	flusher       Shape // tests, HTTP/3
	flushHijacker Shape // HTTP/1 behind wrappers that hide ReadFrom
	flushReader   Shape // HTTP/1 behind wrappers that hide Hijack
	http1         Shape
	http2         Shape
)

func (s *flusher) Flush()       { _ = s.FlushError() }
func (s *flushHijacker) Flush() { _ = s.FlushError() }
func (s *flushReader) Flush()   { _ = s.FlushError() }
func (s *http1) Flush()         { _ = s.FlushError() }
func (s *http2) Flush()         { _ = s.FlushError() }

func (s *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error)      { return s.HijackConn() }
func (s *flushHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return s.HijackConn() }
func (s *http1) Hijack() (net.Conn, *bufio.ReadWriter, error)         { return s.HijackConn() }

func (s *flushReader) ReadFrom(src io.Reader) (int64, error) { return s.CopyFrom(src) }
func (s *http1) ReadFrom(src io.Reader) (int64, error)       { return s.CopyFrom(src) }

func (s *http2) Push(target string, o *http.PushOptions) error { return s.PushTarget(target, o) }
