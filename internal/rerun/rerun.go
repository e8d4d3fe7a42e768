// Package rerun is how a replay, package observe/replay, is found by package observe: as
// a value of the request's context. It keeps that out of both surfaces.
package rerun

import "context"

// A Replay answers for a request that is served again, and hears how it ends. It is
// safe for concurrent use.
type Replay interface {
	// Value answers a call of observe.Value: with a JSON text and, if the call asks for an
	// interface, the Go type that the result had, or with an error. ok is false when the call is
	// to be made.
	Value(name string) (result []byte, dynamic string, err error, ok bool)

	// RequestID is that of the request when it was recorded, or "".
	RequestID() string

	// Lost reports what a value lacks that Value answered.
	Lost(name, what string)

	// Broken reports that what Value answered does not fit.
	Broken(name string, err error)

	// Failed hears of observe.Fail.
	Failed(err error)

	// Panicked hears of a panic that observe.Observer.Handler answers.
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
