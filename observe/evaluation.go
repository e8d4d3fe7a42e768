package observe

import (
	"log/slog"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/upkeep-go/upkeep/internal/cleantext"
	"go.opentelemetry.io/otel/attribute"
)

// An evaluation is what makes one flag evaluation differ from another. Its value
// is nil, a bool, an int64, a float64 or a string, so it can be compared.
type evaluation struct {
	key, variant string
	code         openfeature.ErrorCode
	value        any
	shown        any // the value as it is recorded
}

func (e *evaluation) same(other evaluation) bool {
	return e.key == other.key && e.variant == other.variant && e.code == other.code && e.value == other.value
}

func newEvaluation(d *openfeature.InterfaceEvaluationDetails) evaluation {
	e := evaluation{key: d.FlagKey, variant: d.Variant, code: d.ErrorCode}
	if e.variant != "" {
		return e
	}
	switch v := flagValue(d.Value).(type) {
	case bool, int64, float64:
		e.value = v
	case string:
		e.value = cleantext.Cut(v, maxText)
	}
	return e
}

// flagValue makes an int64 or float64, as OpenFeature's clients have them, of a number of
// any other type.
func flagValue(value any) any {
	switch v := reflect.ValueOf(value); {
	case v.CanInt():
		return v.Int()
	case v.CanUint() && v.Uint() <= math.MaxInt64:
		return int64(v.Uint())
	case v.CanUint():
		return float64(v.Uint())
	case v.CanFloat():
		return v.Float()
	}
	return value
}

// attr is the evaluation as a log attribute.
func (e evaluation) attr() slog.Attr {
	switch {
	case e.variant != "":
		return slog.String(e.key, e.variant)
	case e.shown != nil:
		return slog.Any(e.key, e.shown)
	}
	return slog.String(e.key, strings.ToLower(string(e.code)))
}

// label is the evaluation as a value of a metric's attribute.
func (e evaluation) label() string {
	switch {
	case e.variant != "":
		return cleantext.Cut(e.variant, maxText)
	case e.code != "":
		return "_ERROR"
	}
	if on, ok := e.value.(bool); ok {
		return strconv.FormatBool(on)
	}
	return other
}

// spanAttr is the evaluation as it stands on a span.
func (e evaluation) spanAttr() attribute.KeyValue {
	key := attribute.Key(prefixFlag + cleantext.Cut(e.key, maxText))
	text := e.variant
	switch {
	case e.shown != nil:
		return anyAttr(key, e.shown)
	case text == "":
		text = strings.ToLower(string(e.code))
	}
	return key.String(cleantext.Cut(text, maxText))
}

// anyAttr is key with the value of an evaluation.
func anyAttr(key attribute.Key, value any) attribute.KeyValue {
	switch v := value.(type) {
	case bool:
		return key.Bool(v)
	case int64:
		return key.Int64(v)
	case float64:
		return key.Float64(v)
	}
	return key.String(value.(string))
}
