package observe

import (
	"context"
	"fmt"
	"reflect"

	"github.com/upkeep-go/upkeep/internal/rerun"
)

// Value calls fn and returns its results. With Options.Captures it also keeps them as JSON for
// the bundle of the request that ctx belongs to. A replay of the bundle answers with them and
// does not call fn. Use it for everything that a request gets from outside, except by
// [Observer.Transport]: rows of a database, caches, other protocols, the clock, random
// numbers. A request that depends on other data cannot be replayed.
//
//	now, err := observe.Value(ctx, "now", func(context.Context) (time.Time, error) { return time.Now(), nil })
//
// name is written as it is, so it must not hold data. Calls of the same name are matched by
// their order, so those that run at the same time need different names. A request keeps 256 values.
//
// T decides what a replay can return. A result that redaction hides stays in the range and form
// of T: an int8 stays an int8, a netip.Prefix a prefix, a slog.Level a level. Parts that JSON does
// not keep, such as unexported fields, are missing, and the replay reports that. With an interface
// as T, such as any, the replay returns plain types (numbers, strings, times, lists of them); a
// struct needs a T of its own. An error keeps its text and the texts that it wraps, for errors.Is;
// errors.As does not find its type. Sentinel errors of the standard library are restored. If a
// result cannot be JSON, or is larger than Capture.MaxBody, the bundle says so, and the replay
// calls fn. If a value is lost and the replayed request does not fail, the replay is inconclusive, see
// package observe/replay.
//
// Without Captures, and outside of a request, Value only calls fn.
func Value[T any](ctx context.Context, name string, fn func(context.Context) (T, error)) (T, error) {
	if replay := rerun.From(ctx); replay != nil {
		if result, dynamic, err, ok := replay.Value(name); ok {
			var value T
			if err == nil {
				if err = decode(replay, name, result, dynamic, reflect.ValueOf(&value).Elem()); err != nil {
					replay.Broken(name, err)
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
		rec.keepValue(at, reflect.TypeFor[T](), value, err)
	}
	return value, err
}

func recordingFrom(ctx context.Context) *recording {
	if st := stateFrom(ctx); st != nil {
		return st.rec
	}
	return nil
}
