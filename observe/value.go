package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/upkeep-go/upkeep/internal/rerun"
	"github.com/upkeep-go/upkeep/observe/capture"
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

// nextValue takes the place of a call that begins, so that the order is that of the
// calls, or -1 when there is none.
func (rec *recording) nextValue(name string) int {
	if rec == nil {
		return -1
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	switch {
	case rec.closed:
		return -1
	case len(rec.values) >= maxValues:
		rec.dropped.Values++
		return -1
	}
	ordinal := 0
	for i := range rec.values {
		if rec.values[i].Name == name {
			ordinal++
		}
	}
	rec.values = append(rec.values, capture.Value{Name: name, Ordinal: ordinal, Unrecordable: "it did not return"})
	return len(rec.values) - 1
}

func (rec *recording) keepValue(at int, value any, err error) {
	defer rec.caps.obs.shield()
	var v capture.Value
	if err != nil {
		v.Error = errorTexts(err)
	} else if data, err := marshal(value); err != nil {
		v.Unrecordable = clip(err.Error(), maxText)
	} else if len(data) > rec.caps.maxBody {
		v.Unrecordable = fmt.Sprintf("%d bytes are too many", len(data))
	} else {
		v.Result = data
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.closed {
		return
	}
	if !rec.reserve(len(v.Result)) {
		v.Result, v.Unrecordable = nil, "there was no room"
	}
	kept := &rec.values[at]
	kept.Result, kept.Error, kept.Unrecordable = v.Result, v.Error, v.Unrecordable
}

// marshal survives a MarshalJSON that panics, such as that of a typed nil.
func marshal(value any) (data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return json.Marshal(value)
}

// errorTexts are those of err and of what it wraps.
func errorTexts(err error) []string {
	var texts []string
	for err != nil && len(texts) < maxErrorTexts {
		texts = append(texts, clip(fmt.Sprint(err), maxPath))
		switch e := err.(type) {
		case interface{ Unwrap() []error }:
			err = nil
			for _, inner := range e.Unwrap() {
				if inner != nil && len(texts) < maxErrorTexts {
					texts = append(texts, errorTexts(inner)...)
				}
			}
		default:
			err = errors.Unwrap(err)
		}
	}
	return texts[:min(len(texts), maxErrorTexts)]
}
