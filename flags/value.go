package flags

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
)

func typeOf(v any) openfeature.Type {
	switch v.(type) {
	case bool:
		return openfeature.Boolean
	case string:
		return openfeature.String
	case float64:
		return openfeature.Float
	}
	return openfeature.Object
}

func as[T any](v any) (T, bool) {
	t, ok := v.(T)
	return t, ok
}

// asInt accepts the integers that a float64 holds exactly.
func asInt(v any) (int64, bool) {
	const most = 1<<53 - 1
	f, ok := v.(float64)
	if !ok || f != math.Trunc(f) || math.Abs(f) > most {
		return 0, false
	}
	return int64(f), true
}

func asAny(v any) (any, bool) { return clone(v), true }

// asObject returns a copy, because the caller may change it.
func asObject(v any) (any, bool) {
	switch v.(type) {
	case map[string]any, []any:
		return clone(v), true
	}
	return nil, false
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := maps.Clone(v)
		for key, item := range m {
			m[key] = clone(item)
		}
		return m
	case []any:
		list := slices.Clone(v)
		for i, item := range list {
			list[i] = clone(item)
		}
		return list
	}
	return v
}

// numberText formats a number as JSON does, and −0 as 0.
func numberText(f float64) string {
	if f == 0 {
		return "0"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strings.Replace(strconv.FormatFloat(f, 'e', -1, 64), "e-0", "e-", 1) // 1e-7, not 1e-07
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// parseExpiry reads a date, which expires at its start in UTC, or a date with time.
func parseExpiry(text string) (time.Time, error) {
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at, nil
	}
	return time.Parse(time.RFC3339, text)
}
