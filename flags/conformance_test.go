package flags_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

// TestFlagdEvaluatorScenarios runs flagd's own scenarios for an evaluator. They are
// kept beside the repository and are no part of it.
func TestFlagdEvaluatorScenarios(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "..", "shared", "conformance", "flagd-testbed", "evaluator")
	doc, err := os.ReadFile(filepath.Join(dir, "flags", "testkit-flags.json"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("flagd's scenarios are not beside this checkout: ../shared/conformance/flagd-testbed")
	}
	require.NoError(t, err)
	p := open(t, string(doc))

	features, err := filepath.Glob(filepath.Join(dir, "gherkin", "*.feature"))
	require.NoError(t, err)
	require.NotEmpty(t, features)
	ran := 0
	for _, path := range features {
		for _, sc := range readFeature(t, path) {
			if slices.Contains(sc.tags, "@fractional-v1") || slices.Contains(sc.tags, "@fractional-v3") {
				continue // the bucketing of the past, and the one that is not the default yet
			}
			ran++
			t.Run(filepath.Base(path)+"/"+sc.name, func(t *testing.T) {
				run := scenarioRun{t: t, p: p, attrs: openfeature.FlattenedContext{}}
				for _, s := range sc.steps {
					run.step(s)
				}
			})
		}
	}
	require.GreaterOrEqual(t, ran, 100)
}

type scenarioRun struct {
	t      *testing.T
	p      *flags.Provider
	kind   string
	key    string
	code   string // the caller's default
	attrs  openfeature.FlattenedContext
	value  any
	detail openfeature.ResolutionDetail
}

var quoted = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)

func (r *scenarioRun) step(s step) {
	r.t.Helper()
	var args []string
	for _, m := range quoted.FindAllStringSubmatch(s.text, -1) {
		args = append(args, strings.ReplaceAll(m[1], `\"`, `"`))
	}
	switch {
	case s.text == "an evaluator":
	case strings.Contains(s.text, "-flag with key "):
		_, _, _ = strings.Cut(s.text, "-")
		r.kind, _, _ = strings.Cut(strings.TrimPrefix(s.text, "a "), "-flag")
		r.key, r.code = args[0], s.text[strings.LastIndex(s.text, "fallback value ")+len("fallback value "):]
		r.code = strings.ReplaceAll(strings.Trim(r.code, `"`), `\"`, `"`)
	case strings.HasPrefix(s.text, "a context containing a key "):
		r.attrs[args[0]] = r.typed(args[1], args[2])
	case strings.HasPrefix(s.text, "a context containing a nested property "):
		r.attrs[args[0]] = map[string]any{args[1]: args[2]}
	case strings.HasPrefix(s.text, "a context containing a targeting key "):
		r.attrs["targetingKey"] = args[0]
	case s.text == "the flag was evaluated with details":
		r.evaluate()
	case strings.HasPrefix(s.text, "the resolved details value should be "):
		want := strings.TrimPrefix(s.text, "the resolved details value should be ")
		require.Equal(r.t, r.typed(r.kind, strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(want, `"`), `"`), `\"`, `"`)), r.value)
	case strings.HasPrefix(s.text, "the reason should be "):
		require.Equal(r.t, args[0], string(r.detail.Reason))
	case strings.HasPrefix(s.text, "the error-code should be "):
		require.Equal(r.t, args[0], string(r.detail.ErrorCode))
	case s.text == "the resolved metadata is empty":
		require.Empty(r.t, r.detail.FlagMetadata)
	case s.text == "the resolved metadata should contain":
		for _, row := range s.table[1:] {
			want := r.typed(row[1], row[2])
			if n, ok := want.(int64); ok {
				want = float64(n) // JSON has one kind of number
			}
			require.Equal(r.t, want, r.detail.FlagMetadata[row[0]])
		}
	default:
		r.t.Fatalf("unknown step: %s", s.text)
	}
}

func (r *scenarioRun) typed(kind, text string) any {
	r.t.Helper()
	var v any
	var err error
	switch kind {
	case "Boolean":
		v, err = strconv.ParseBool(text)
	case "Integer":
		v, err = strconv.ParseInt(text, 10, 64)
	case "Float":
		v, err = strconv.ParseFloat(text, 64)
	case "Object":
		err = json.Unmarshal([]byte(text), &v)
	default:
		v = text
	}
	require.NoError(r.t, err)
	return v
}

func (r *scenarioRun) evaluate() {
	r.t.Helper()
	ctx := context.Background()
	switch code := r.typed(r.kind, r.code).(type) {
	case bool:
		d := r.p.BooleanEvaluation(ctx, r.key, code, r.attrs)
		r.value, r.detail = d.Value, d.ResolutionDetail()
	case int64:
		d := r.p.IntEvaluation(ctx, r.key, code, r.attrs)
		r.value, r.detail = d.Value, d.ResolutionDetail()
	case float64:
		d := r.p.FloatEvaluation(ctx, r.key, code, r.attrs)
		r.value, r.detail = d.Value, d.ResolutionDetail()
	case string:
		d := r.p.StringEvaluation(ctx, r.key, code, r.attrs)
		r.value, r.detail = d.Value, d.ResolutionDetail()
	default:
		d := r.p.ObjectEvaluation(ctx, r.key, code, r.attrs)
		r.value, r.detail = d.Value, d.ResolutionDetail()
	}
}
