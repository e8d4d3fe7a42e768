package flagd_test

import (
	"context"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"sync"
	"testing"

	theirs "github.com/diegoholiveira/jsonlogic/v3"
	"github.com/open-feature/flagd/core/pkg/evaluator"
	"github.com/open-feature/flagd/core/pkg/logger"
	"github.com/open-feature/flagd/core/pkg/model"
	"github.com/open-feature/flagd/core/pkg/store"
	flagdsync "github.com/open-feature/flagd/core/pkg/sync"
	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/flags/jsonlogic"
)

// An outcome is what is compared. An error has only a code. If the variant is missing, the value is
// missing too, because the caller's default is used.
type outcome struct {
	Value   any
	Variant string
	Reason  string
	Code    string
}

func failure(code string) outcome { return outcome{Reason: model.ErrorReason, Code: code} }

func (o outcome) equal(other outcome) bool { return reflect.DeepEqual(o, other) }

// accessors are the types of an evaluation; "any" means any type.
var accessors = []string{"any", "bool", "string", "float", "int", "object"}

// flagd's evaluator registers its operators in a global table and compiles its schema, so all tests share
// one. A document replaces the one before.
var flagd = sync.OnceValue(func() *evaluator.JSON {
	log := logger.NewLogger(zap.NewNop(), false)
	s, err := store.NewStore(log, []string{source})
	if err != nil {
		panic(err)
	}
	core := evaluator.NewJSON(log, s)
	theirs.AddOperator(literalOperator, func(values, _ any) any { return decode(values.(string)) })
	return core
})

// flagdInUse serialises the tests that set a document.
var flagdInUse sync.Mutex

const source = "random"

// flagdHas is the document that was set last.
var flagdHas string

func setFlagd(document []byte) error {
	flagdHas = string(document)
	return flagd().SetState(flagdsync.DataSync{FlagData: string(document), Source: source})
}

// askFlagd evaluates as a flagd provider does for OpenFeature.
func askFlagd(key, accessor string, evalCtx map[string]any) outcome {
	ctx := context.Background()
	var o outcome
	var err error
	switch accessor {
	case "any":
		v := flagd().ResolveAsAnyValue(ctx, "", key, evalCtx)
		o.Value, o.Variant, o.Reason, err = v.Value, v.Variant, v.Reason, v.Error
	case "bool":
		o.Value, o.Variant, o.Reason, _, err = flagd().ResolveBooleanValue(ctx, "", key, evalCtx)
	case "string":
		o.Value, o.Variant, o.Reason, _, err = flagd().ResolveStringValue(ctx, "", key, evalCtx)
	case "float":
		o.Value, o.Variant, o.Reason, _, err = flagd().ResolveFloatValue(ctx, "", key, evalCtx)
	case "int":
		o.Value, o.Variant, o.Reason, _, err = flagd().ResolveIntValue(ctx, "", key, evalCtx)
	case "object":
		o.Value, o.Variant, o.Reason, _, err = flagd().ResolveObjectValue(ctx, "", key, evalCtx)
	}
	if err != nil {
		return failure(err.Error())
	}
	if o.Reason == model.FallbackReason { // DEFAULT without a variant
		o.Reason = model.DefaultReason
	}
	if o.Variant == "" && (o.Reason == model.DefaultReason || o.Reason == model.DisabledReason) {
		o.Value = nil
	}
	return o
}

// ask evaluates with upkeep.
func ask(p *flags.Provider, key, accessor string, evalCtx map[string]any) outcome {
	ctx := context.Background()
	var value any
	var d openfeature.ProviderResolutionDetail
	switch accessor {
	case "any":
		v := p.Evaluate(ctx, key, evalCtx)
		if v.ErrorCode != "" {
			return failure(string(v.ErrorCode))
		}
		return outcome{Value: v.Value, Variant: v.Variant, Reason: string(v.Reason)}
	case "bool":
		r := p.BooleanEvaluation(ctx, key, false, evalCtx)
		value, d = r.Value, r.ProviderResolutionDetail
	case "string":
		r := p.StringEvaluation(ctx, key, "", evalCtx)
		value, d = r.Value, r.ProviderResolutionDetail
	case "float":
		r := p.FloatEvaluation(ctx, key, 0, evalCtx)
		value, d = r.Value, r.ProviderResolutionDetail
	case "int":
		r := p.IntEvaluation(ctx, key, 0, evalCtx)
		value, d = r.Value, r.ProviderResolutionDetail
	case "object":
		r := p.ObjectEvaluation(ctx, key, map[string]any(nil), evalCtx)
		value, d = r.Value, r.ProviderResolutionDetail
	}
	if code := d.ResolutionDetail().ErrorCode; code != "" {
		return failure(string(code))
	}
	if d.Variant == "" && (d.Reason == openfeature.DefaultReason || d.Reason == openfeature.DisabledReason) {
		value = nil
	}
	return outcome{Value: value, Variant: d.Variant, Reason: string(d.Reason)}
}

func open(t testing.TB, document []byte) *flags.Provider {
	t.Helper()
	p, err := flags.Open(t.Context(), flags.Bytes("random.json", document), &flags.Options{Logger: quiet})
	require.NoError(t, err, "%s", document)
	return p
}

// A result is the result of one expression of a rule: a JSON value, NaN or an infinity, or an error.
type result struct {
	value any
	err   bool
}

// text identifies a result: two results are equal if their texts are. Inside a list, NaN and infinities
// are null, as in JavaScript's JSON.
func (r result) text() string {
	if r.err {
		return "error"
	}
	if notFinite(r.value) {
		return strconv.FormatFloat(r.value.(float64), 'g', -1, 64)
	}
	return string(encode(finite(r.value)))
}

func notFinite(v any) bool {
	f, ok := v.(float64)
	return ok && (math.IsNaN(f) || math.IsInf(f, 0))
}

func finite(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = finite(v[i])
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for key := range v {
			m[key] = finite(v[key])
		}
		return m
	}
	if notFinite(v) {
		return nil
	}
	if v == 0.0 {
		return 0.0 // not −0, because JavaScript formats it as 0
	}
	return v
}

func (r result) equal(other result) bool { return r.text() == other.text() }

// literalOperator is a value that is already evaluated: {"literal": "its JSON"}. Unlike the value itself
// it is never evaluated as a rule. Unlike a variable it is the same in every scope.
const literalOperator = "literal"

func literal(v any) any {
	switch f, _ := v.(float64); {
	case math.IsNaN(f):
		return map[string]any{literalOperator: "NaN"}
	case math.IsInf(f, 1):
		return map[string]any{literalOperator: "Infinity"}
	case math.IsInf(f, -1):
		return map[string]any{literalOperator: "-Infinity"}
	}
	return map[string]any{literalOperator: string(encode(finite(v)))}
}

func decode(text string) any {
	switch text {
	case "NaN":
		return math.NaN()
	case "Infinity":
		return math.Inf(1)
	case "-Infinity":
		return math.Inf(-1)
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err)
	}
	return v
}

// evalTheirs evaluates an expression with flagd's core. Data must have the types of encoding/json.
func evalTheirs(rule, data any) result {
	value, err := theirs.ApplyInterface(decode(string(encode(rule))), data)
	return result{value, err != nil}
}

// evalOurs evaluates an expression with upkeep's compiler, but with flagd's own four operators. So it
// differs from evalTheirs only in JsonLogic.
func evalOurs(rule, data any) result {
	compiled, err := jsonlogic.Compile(encode(rule), &jsonlogic.Options{Dialect: jsonlogic.DialectFlagd, Operators: flagdOperators()})
	if err != nil {
		return result{err: true}
	}
	value, err := compiled.Eval(data)
	return result{value, err != nil}
}

var flagdOperators = sync.OnceValue(func() map[string]jsonlogic.Operator {
	log := logger.NewLogger(zap.NewNop(), false)
	return map[string]jsonlogic.Operator{
		evaluator.FractionEvaluationName:   adapt(evaluator.NewFractional(log).Evaluate),
		evaluator.StartsWithEvaluationName: adapt(evaluator.NewStringComparisonEvaluator(log).StartsWithEvaluation),
		evaluator.EndsWithEvaluationName:   adapt(evaluator.NewStringComparisonEvaluator(log).EndsWithEvaluation),
		evaluator.SemVerEvaluationName:     adapt(evaluator.NewSemVerComparison(log).SemVerEvaluation),
		literalOperator:                    adapt(func(values, _ any) any { return decode(values.([]any)[0].(string)) }),
	}
})

func adapt(operator func(values, data any) any) jsonlogic.Operator {
	return func(args []jsonlogic.Arg) (jsonlogic.Func, error) {
		return func(s *jsonlogic.Scope) (any, error) {
			values := make([]any, len(args))
			for i, arg := range args {
				values[i] = arg.Eval(s)
			}
			return operator(values, s.Data()), nil
		}, nil
	}
}
