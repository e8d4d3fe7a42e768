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

// enteredStream is a stream in the context that the guard has given it.
type enteredStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *enteredStream) Context() context.Context { return s.ctx }

// A stream is one that a window may end.
type stream struct {
	enteredStream
	receives bool // more than one message of the client
	cancel   context.CancelCauseFunc
	stop     func() bool

	mu     sync.Mutex
	grace  *time.Timer
	closed bool
}

// newStream lets the stream run until its client has gone, or the guard has ended
// entered and the grace is over.
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

// close is called when the handler has returned.
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

// endedBy is the refusal that has ended the stream; nil: none has.
func (s *stream) endedBy() *downtime.UnavailableError {
	var refused *downtime.UnavailableError
	errors.As(context.Cause(s.ctx), &refused)
	return refused
}

// RecvMsg returns when a window ends the stream, though the client has sent nothing. What
// it then still sends is lost, and may be written to m until the handler has returned: an m
// that was to be used again is not to be read any more. Recv of generated code makes one
// for each message.
func (s *stream) RecvMsg(m any) error {
	if !s.receives {
		return s.ServerStream.RecvMsg(m)
	}
	if refused := s.endedBy(); refused != nil {
		return status.Error(codes.Unavailable, clip(refused.Reason))
	}
	// The server ends a receive that is left behind when the handler has returned.
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
	return <-received // the client has gone, which this one has seen too
}

// with is a context with the values of another besides its own, which come first: package
// context finds by one of them what ends it.
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
