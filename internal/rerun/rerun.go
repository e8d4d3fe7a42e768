// Package rerun lets package observe find a replay of package observe/replay: as a value of the
// request's context. It keeps that out of the exported names of both.
package rerun

import "context"

// A Replay supplies the values of a request that is served again, and is notified of its end. It
// is safe for concurrent use.
type Replay interface {
	// Value answers a call of observe.Value: with a JSON text and, if the call asks for an
	// interface, the Go type of the result, or with an error. If ok is false, the call must be
	// made.
	Value(name string) (result []byte, dynamic string, err error, ok bool)

	// RequestID is that of the request when it was recorded, or "".
	RequestID() string

	// Lost reports a part that a value from Value lacks.
	Lost(name, what string)

	// Broken reports that a value from Value cannot be used.
	Broken(name string, err error)

	// Failed is called by observe.Fail.
	Failed(err error)

	// Panicked is called for a panic that observe.Observer.Handler answers.
	Panicked(value any, stack []byte)
}

type contextKey struct{}

// With returns a context whose requests belong to r.
func With(ctx context.Context, r Replay) context.Context {
	return context.WithValue(ctx, contextKey{}, r)
}

// From returns the replay that ctx belongs to, or nil.
func From(ctx context.Context) Replay {
	r, _ := ctx.Value(contextKey{}).(Replay)
	return r
}
