package flags

import (
	"context"
	"encoding/json"

	"github.com/open-feature/go-sdk/openfeature"
)

// A Flag is a flag as the code knows it: its key, its type, and the value that
// stands in for whatever goes wrong. It is made by [Bool], [String], [Int], [Float] or
// [Object], once, usually in a package variable; it holds no state.
type Flag[T any] struct {
	key        string
	otherwise  T
	kind       openfeature.Type
	fromClient func(ctx context.Context, client openfeature.IClient, key string, otherwise T, evalCtx openfeature.EvaluationContext) T
	fromValue  func(any) (T, bool)
}

// Bool declares a flag that is on or off.
func Bool(key string, otherwise bool) Flag[bool] {
	return Flag[bool]{
		key, otherwise, openfeature.Boolean,
		func(ctx context.Context, client openfeature.IClient, key string, otherwise bool, evalCtx openfeature.EvaluationContext) bool {
			return client.Boolean(ctx, key, otherwise, evalCtx)
		},
		asBool,
	}
}

// String declares a flag that is a text.
func String(key, otherwise string) Flag[string] {
	return Flag[string]{
		key, otherwise, openfeature.String,
		func(ctx context.Context, client openfeature.IClient, key, otherwise string, evalCtx openfeature.EvaluationContext) string {
			return client.String(ctx, key, otherwise, evalCtx)
		},
		asString,
	}
}

// Int declares a flag that is a whole number within ±(2^53−1).
func Int(key string, otherwise int64) Flag[int64] {
	return Flag[int64]{
		key, otherwise, openfeature.Int,
		func(ctx context.Context, client openfeature.IClient, key string, otherwise int64, evalCtx openfeature.EvaluationContext) int64 {
			return client.Int(ctx, key, otherwise, evalCtx)
		},
		asInt,
	}
}

// Float declares a flag that is a number.
func Float(key string, otherwise float64) Flag[float64] {
	return Flag[float64]{
		key, otherwise, openfeature.Float,
		func(ctx context.Context, client openfeature.IClient, key string, otherwise float64, evalCtx openfeature.EvaluationContext) float64 {
			return client.Float(ctx, key, otherwise, evalCtx)
		},
		asFloat,
	}
}

// Object declares a flag that is a map or a list, read into a T as encoding/json
// would: a struct, a map[string]any. A variant that cannot be read into a T counts
// as missing.
func Object[T any](key string, otherwise T) Flag[T] {
	return Flag[T]{
		key, otherwise, openfeature.Object,
		func(ctx context.Context, client openfeature.IClient, key string, otherwise T, evalCtx openfeature.EvaluationContext) T {
			value, err := client.ObjectValue(ctx, key, nil, evalCtx)
			if err != nil {
				return otherwise
			}
			if v, ok := decode[T](value); ok {
				return v
			}
			return otherwise
		},
		func(value any) (T, bool) {
			object, ok := asObject(value)
			if !ok {
				var zero T
				return zero, false
			}
			return decode[T](object)
		},
	}
}

func decode[T any](value any) (v T, ok bool) {
	switch v := value.(type) {
	case nil:
		return *new(T), false
	case T:
		return v, true
	}
	text, err := json.Marshal(value)
	if err != nil {
		return v, false
	}
	return v, json.Unmarshal(text, &v) == nil
}

// Key is the flag's key in the document.
func (f Flag[T]) Key() string { return f.key }

func (f Flag[T]) accepts(value any) bool {
	_, ok := f.fromValue(value)
	return ok
}

func (f Flag[T]) typeName() string { return f.kind.String() }

// Value asks an OpenFeature client, whatever its provider: hooks run, and the global
// and the transaction's contexts count. What goes wrong gives the declared default.
func (f Flag[T]) Value(ctx context.Context, client openfeature.IClient, evalCtx openfeature.EvaluationContext) T {
	return f.fromClient(ctx, client, f.key, f.otherwise, evalCtx)
}
