package observe

import (
	"context"
	"fmt"
	"reflect"

	"github.com/upkeep-go/upkeep/internal/rerun"
)

// Value calls fn and returns its results. With Options.Captures it also keeps them as JSON for
// the bundle of the request that ctx belongs to. A replay of the bundle answers with them and
// does not call fn. Use it for all that a request gets from outside other than by
// [Observer.Transport]: rows of a database, caches, other protocols, the clock, random
// numbers. A request that depends on anything else cannot be replayed.
//
//	now, err := observe.Value(ctx, "now", func(context.Context) (time.Time, error) { return time.Now(), nil })
//
// name is written as it is, so it must not hold data. Calls of the same name are matched by
// their order, so those that run at the same time need different names. A request keeps 256 values.
//
// T decides what a replay can give back. Results that redaction hides stay in the range and form
// of T: an int8 is another int8, a netip.Prefix another prefix, a slog.Level another level. A replay
// lacks what JSON does not keep, such as unexported fields, and reports that. For an interface,
// such as any, it makes plain types again (numbers, strings, times, lists of them); a struct needs
// a T of its own. Of an error it has the text and that of what it wraps, for errors.Is; its type is
// lost, for errors.As. The standard library's sentinel errors are themselves again. A result that
// cannot be JSON, or is larger than Capture.MaxBody, is noted as such, and the replay calls fn,
// too. What is lost makes the replay of a request that does not fail inconclusive, see
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
