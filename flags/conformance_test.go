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
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
)

// TestFlagdEvaluatorScenarios runs flagd's own scenarios for an evaluator. They are outside the
// repository, next to it.
func TestFlagdEvaluatorScenarios(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "..", "shared", "conformance", "flagd-testbed", "evaluator")
	doc, err := os.ReadFile(filepath.Join(dir, "flags", "testkit-flags.json"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("flagd's scenarios are not beside this checkout: ../shared/conformance/flagd-testbed")
	}
	require.NoError(t, err)
	v2, v3 := open(t, string(doc)), openV3(t, flags.Bytes("testkit-flags.json", doc))

	features, err := filepath.Glob(filepath.Join(dir, "gherkin", "*.feature"))
	require.NoError(t, err)
	require.NotEmpty(t, features)
	ran := 0
	for _, path := range features {
		for _, sc := range readFeature(t, path) {
			p := v2
			switch {
			case slices.Contains(sc.tags, "@fractional-v1"):
				continue // an old bucketing
			case slices.Contains(sc.tags, "@fractional-v3"):
				p = v3
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

func openV3(t *testing.T, src flags.Source) *flags.Provider {
	t.Helper()
	p, err := flags.Open(t.Context(), src, &flags.Options{Bucketing: flags.BucketingV3, Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// TestFlagdProviderScenarios runs flagd's scenarios for a provider that reads files.
func TestFlagdProviderScenarios(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "..", "shared", "conformance", "flagd-testbed", "provider")
	files, err := filepath.Glob(filepath.Join(dir, "flags", "*.json"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("flagd's scenarios are not beside this checkout: ../shared/conformance/flagd-testbed")
	}
	var sources []flags.Source
	for _, file := range files {
		sources = append(sources, flags.File(file))
	}
	merged := flags.Merge(sources...)
	v2, err := flags.Open(t.Context(), merged, &flags.Options{Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, v2.Close()) })
	v3 := openV3(t, flags.Merge(sources...))

	features, err := filepath.Glob(filepath.Join(dir, "gherkin", "*.feature"))
	require.NoError(t, err)
	ran, v3Ran := 0, 0
	for _, path := range features {
		for _, sc := range readFeature(t, path) {
			p := v2
			switch {
			case slices.Contains(sc.tags, "@fractional-v1"):
				continue // an old bucketing
			case slices.Contains(sc.tags, "@deprecated"):
				continue // the next scenario covers the same flags
			case slices.ContainsFunc(sc.steps, func(s step) bool { return strings.Contains(s.text, `option "selector"`) }):
				continue // needs a flagd server with several flag sets
			case slices.Contains(sc.tags, "@fractional-v3"):
				p = v3
				v3Ran++
			}
			ran++
			t.Run(filepath.Base(path)+"/"+sc.name, func(t *testing.T) {
				if slices.Contains(sc.tags, "@events") {
					runEvents(t, sc, files)
					return
				}
				run := scenarioRun{t: t, p: p, attrs: openfeature.FlattenedContext{}}
				for _, s := range sc.steps {
					run.step(s)
				}
			})
		}
	}
	require.GreaterOrEqual(t, ran, 100)
	require.GreaterOrEqual(t, v3Ran, 10)
}

// runEvents plays the loss of a source in a bubble.
func runEvents(t *testing.T, sc scenario, files []string) {
	synctest.Test(t, func(t *testing.T) {
		var doc []byte
		for _, file := range files {
			if filepath.Base(file) == "changing-flag.json" {
				var err error
				doc, err = os.ReadFile(file)
				require.NoError(t, err)
			}
		}
		src := &script{doc: string(doc)}
		opts := &flags.Options{Poll: 100 * time.Millisecond, LostAfter: 2 * time.Second, Logger: quiet}
		if slices.Contains(sc.tags, "@grace") {
			opts.StaleAfter = 500 * time.Millisecond
		}
		p, err := flags.New(src, opts)
		require.NoError(t, err)
		api := isolated.NewAPI()
		require.NoError(t, api.SetProviderAndWait(t.Context(), p))
		defer func() { require.NoError(t, api.Shutdown(t.Context())) }()
		client := api.NewClient()
		var mu sync.Mutex
		seen := map[string]int{}
		var payload []string
		key := ""
		for _, s := range sc.steps {
			synctest.Wait()
			kind, ofHandler := strings.CutSuffix(strings.TrimPrefix(s.text, "a "), " event handler")
			executed, ofExecution := strings.CutSuffix(s.text, " event handler should have been executed")
			switch {
			case s.text == "a stable flagd provider":
			case ofHandler:
				handler := func(d openfeature.EventDetails) {
					mu.Lock()
					defer mu.Unlock()
					seen[kind]++
					if kind == "change" {
						payload = d.FlagChanges
					}
				}
				client.AddHandler(map[string]openfeature.EventType{
					"ready": openfeature.ProviderReady, "error": openfeature.ProviderError, "stale": openfeature.ProviderStale, "change": openfeature.ProviderConfigChange,
				}[kind], &handler)
			case ofExecution:
				kind := strings.TrimPrefix(executed, "the ")
				mu.Lock()
				require.Positive(t, seen[kind], kind)
				seen[kind] = 0
				mu.Unlock()
			case strings.HasPrefix(s.text, "the connection is lost for "):
				lost, err := time.ParseDuration(strings.TrimPrefix(s.text, "the connection is lost for "))
				require.NoError(t, err)
				src.set("", errors.New("connection lost"))
				time.Sleep(lost)
				src.set(string(doc), nil)
				time.Sleep(time.Second)
			case strings.Contains(s.text, "-flag with key "):
				key = quoted.FindStringSubmatch(s.text)[1]
			case s.text == "the flag was modified":
				var tree map[string]any
				require.NoError(t, json.Unmarshal(doc, &tree))
				all, _ := tree["flags"].(map[string]any)
				def, _ := all[key].(map[string]any)
				def["metadata"] = map[string]any{"modified": true}
				text, err := json.Marshal(tree)
				require.NoError(t, err)
				src.set(string(text), nil)
				time.Sleep(time.Second)
			case s.text == "a change event was fired":
				mu.Lock()
				require.Positive(t, seen["change"])
				mu.Unlock()
			case s.text == "the flag should be part of the event payload":
				require.Contains(t, payload, key)
			default:
				t.Fatalf("unknown step: %s", s.text)
			}
		}
	})
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
	case s.text == "an evaluator", s.text == "a stable flagd provider":
	case strings.HasPrefix(s.text, `an option "cache"`): // without effect: this provider does not cache
	case strings.Contains(s.text, "-flag with key "):
		r.kind, _, _ = strings.Cut(strings.TrimPrefix(s.text, "a "), "-flag")
		r.key, r.code = args[0], s.text[strings.LastIndex(s.text, " value ")+len(" value "):]
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
				want = float64(n) // JSON has only one number type
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
