package grpcguard

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/upkeep-go/upkeep/downtime"
)

// enteredStream is a stream with the context of its guard.
type enteredStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *enteredStream) Context() context.Context { return s.ctx }

// A stream is a stream that a window may end.
type stream struct {
	enteredStream
	receives bool // the client may send more than one message
	cancel   context.CancelCauseFunc
	stop     func() bool

	mu     sync.Mutex
	grace  *time.Timer
	closed bool
}

// newStream returns a stream whose context ends when the client has gone, or a grace after the
// guard has ended entered.
func (i *Interceptor) newStream(ss grpc.ServerStream, entered context.Context, receives bool) *stream {
	ctx, cancel := context.WithCancelCause(with{ss.Context(), entered})
	s := &stream{enteredStream: enteredStream{ss, ctx}, receives: receives, cancel: cancel}
	s.stop = context.AfterFunc(entered, func() {
		cause := context.Cause(entered)
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed && errors.Is(cause, downtime.ErrWindow) {
			s.grace = time.AfterFunc(i.grace, func() { cancel(cause) })
		}
	})
	return s
}

// close must be called when the handler has returned.
func (s *stream) close() {
	s.stop()
	s.cancel(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.grace != nil {
		s.grace.Stop()
	}
}

// endedBy returns the refusal that ended the stream, or nil.
func (s *stream) endedBy() *downtime.UnavailableError {
	var refused *downtime.UnavailableError
	errors.As(context.Cause(s.ctx), &refused)
	return refused
}

// RecvMsg returns when a window ends the stream, even if the client sends nothing. A message
// that arrives later is lost, and is written to m at any time until the handler returns, so a
// handler must not use m again. Recv in generated code makes a new m for each message.
func (s *stream) RecvMsg(m any) error {
	if !s.receives {
		return s.ServerStream.RecvMsg(m)
	}
	if refused := s.endedBy(); refused != nil {
		return status.Error(codes.Unavailable, clip(refused.Reason))
	}
	// When the handler has returned, the server ends a receive that is still waiting.
	received := make(chan error, 1)
	go func() { received <- s.ServerStream.RecvMsg(m) }()
	select {
	case err := <-received:
		return err
	case <-s.ctx.Done():
	}
	if refused := s.endedBy(); refused != nil {
		return status.Error(codes.Unavailable, clip(refused.Reason))
	}
	return <-received // the client has gone, so this receive has ended too
}

// with is a context with the values of a second context as well. Its own values come first,
// because package context finds a context's parent by one of them.
type with struct {
	context.Context
	more context.Context
}

func (c with) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.more.Value(key)
}
