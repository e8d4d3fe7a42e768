package observe

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/upkeep-go/upkeep/internal/rerun"
)

// Value calls fn and returns what it returns. Where Options.Captures is set, it also
// keeps that for the bundle of the request that ctx belongs to, as JSON; and in a
// replay of the bundle fn is not called, but answered from it. It is for all that a
// request gets from outside other than by [Observer.Transport]: rows of a database,
// caches, other protocols, the clock, random numbers. A request whose answer depends on
// anything else cannot be replayed.
//
//	now, err := observe.Value(ctx, "now", func(context.Context) (time.Time, error) { return time.Now(), nil })
//
// name says what it is; it is written as it is, so it must not hold data. Calls of the
// same name are told apart by their order, so those that run at the same time need
// different names. What JSON does not keep, such as unexported fields, is not there in
// a replay; of an error there is its text and that of what it wraps, and the standard
// library's sentinel errors are themselves again. What cannot be JSON, or is larger than
// Capture.MaxBody, is noted as such, and fn is called in the replay too. A request keeps
// 256 values.
//
// Without Captures, and outside of a request, Value only calls fn.
func Value[T any](ctx context.Context, name string, fn func(context.Context) (T, error)) (T, error) {
	if replay := rerun.From(ctx); replay != nil {
		if result, err, ok := replay.Value(name); ok {
			var value T
			if err == nil {
				if err = json.Unmarshal(result, &value); err != nil {
					err = fmt.Errorf("observe: value %q of the replayed bundle: %w", name, err)
				}
			}
			return value, err
		}
	}
	rec := recordingFrom(ctx)
	at := rec.nextValue(name)
	value, err := fn(ctx)
	if at >= 0 {
		rec.keepValue(at, value, err)
	}
	return value, err
}

func recordingFrom(ctx context.Context) *recording {
	if st := stateFrom(ctx); st != nil {
		return st.rec
	}
	return nil
}
