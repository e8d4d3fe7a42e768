package flagd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-feature/flagd/core/pkg/model"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/flags/jsonlogic"
	"github.com/upkeep-go/upkeep/internal/testsize"
)

var quiet = slog.New(slog.DiscardHandler)

// TestAgreesWithFlagd compares the two on documents from fixed seeds.
func TestAgreesWithFlagd(t *testing.T) {
	found := tally{}
	for seed := range testsize.Pick[uint64](100, 1500, 15_000) {
		found.add(compare(t, seeded(seed).scenario(), fmt.Sprintf("seed %d", seed)))
	}
	t.Logf("%d evaluations, of which %d differ by a known fault of flagd", found.evaluations, found.differences)
	for _, name := range slices.Sorted(maps.Keys(found.faults)) {
		t.Logf("%6d %s", found.faults[name], name)
	}
	require.Greater(t, found.evaluations, 1000)
	require.Less(t, found.differences, found.evaluations/3, "the known faults explain too many differences")
}

// TestFaultsAreFlagds proves each known fault with an example: upkeep gives what the rule means, and
// flagd does not.
func TestFaultsAreFlagds(t *testing.T) {
	flagdInUse.Lock()
	defer flagdInUse.Unlock()
	flagd()
	for _, f := range operatorFaults {
		t.Run(f.name, func(t *testing.T) {
			rule, data := decode(f.rule), decode(f.data)
			ours, theirs := evalOurs(rule, data), evalTheirs(rule, data)
			means := result{value: decode(f.means)}
			require.Equal(t, means.text(), ours.text())
			require.NotEqual(t, means.text(), theirs.text())
			w := &walk{}
			w.settle(rule, data)
			require.Empty(t, w.unknown)
			require.Equal(t, []string{f.name}, w.faults)
		})
	}
	for _, f := range customFaults {
		t.Run(f.name, func(t *testing.T) {
			data := decode(f.data).(map[string]any)
			var found []string
			for _, use := range customUses(decode(f.rule), data) {
				name, _ := use.explain(t, "flag")
				found = append(found, name)
			}
			require.Equal(t, []string{f.name}, found)

			variants := map[string]any{"true": true, "false": false}
			document := encode(map[string]any{"flags": map[string]any{
				"flag": map[string]any{"state": "ENABLED", "variants": variants, "targeting": decode(f.rule)},
			}})
			require.NoError(t, setFlagd(document))
			p := open(t, document)
			defer func() { require.NoError(t, p.Close()) }()
			require.Equal(t, strings.Trim(f.means, `"`), ask(p, "flag", "any", data).Variant)
			require.NotEqual(t, strings.Trim(f.means, `"`), askFlagd("flag", "any", data).Variant)
		})
	}
	for _, f := range documentFaults {
		t.Run(f.name, func(t *testing.T) {
			var s scenario
			require.NoError(t, json.Unmarshal([]byte(f.document), &s.document))
			s.contexts = []map[string]any{decode(f.context).(map[string]any)}
			// The order of references is random in flagd, so one of many attempts is wrong.
			for range 200 {
				if compareLocked(t, s, "the example").faults[f.name] > 0 {
					return
				}
			}
			t.Error("flagd does not have this fault")
		})
	}
	t.Run(faultWholeDocument, func(t *testing.T) {
		s := scenario{contexts: []map[string]any{{}}}
		require.NoError(t, json.Unmarshal([]byte(`{"flags": {
			"wrong": {"variants": {"on": true}, "defaultVariant": "of"},
			"right": {"variants": {"on": true}, "defaultVariant": "on"}}}`), &s.document))
		require.Equal(t, 1, compareLocked(t, s, "the example").faults[faultWholeDocument])
	})
}

func FuzzAgreesWithFlagd(f *testing.F) {
	f.Add([]byte{})
	for seed := range uint64(32) {
		data := make([]byte, 256)
		g := seeded(seed)
		for i := range data {
			data[i] = byte(g.choose(256))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		compare(t, fromBytes(data).scenario(), "this input")
	})
}

// A tally counts the results of comparisons.
type tally struct {
	evaluations int
	differences int
	faults      map[string]int // by name
}

func (t *tally) add(other tally) {
	t.evaluations += other.evaluations
	t.differences += other.differences
	if t.faults == nil {
		t.faults = map[string]int{}
	}
	for name, n := range other.faults {
		t.faults[name] += n
	}
}

// compare evaluates every flag of a scenario in both, and fails if a known fault of flagd does not
// explain a difference.
func compare(t *testing.T, s scenario, from string) tally {
	t.Helper()
	flagdInUse.Lock()
	defer flagdInUse.Unlock()
	return compareLocked(t, s, from)
}

func compareLocked(t *testing.T, s scenario, from string) tally {
	t.Helper()
	found := tally{faults: map[string]int{}}
	p := open(t, s.json())
	defer func() { require.NoError(t, p.Close()) }()
	definitions := s.document["flags"].(map[string]any)
	document := s.json()
	refused := map[string]error{}
	for _, problem := range p.Problems() {
		var at *flags.Fault
		require.ErrorAs(t, problem, &at)
		// If a flag has several faults, one that flagd refuses too counts.
		if before := refused[at.Flag]; before == nil || errors.Is(before, jsonlogic.ErrUnknownOperator) {
			refused[at.Flag] = at
		}
	}
	if err := setFlagd(document); err != nil {
		// flagd refuses the whole document if upkeep refuses a flag.
		require.NotEmpty(t, refused, "%s: only flagd refuses it: %v\n%s", from, err, document)
		found.faults[faultWholeDocument]++
		kept := maps.Clone(definitions)
		for key := range refused {
			if !errors.Is(refused[key], jsonlogic.ErrUnknownOperator) {
				delete(kept, key)
			}
		}
		rest := maps.Clone(s.document)
		rest["flags"] = kept
		document = encode(rest)
		require.NoError(t, setFlagd(document), "%s", from)
		definitions = kept
	}
	for _, key := range slices.Sorted(maps.Keys(definitions)) {
		definition := definitions[key].(map[string]any)
		for _, evalCtx := range s.contexts {
			walked := &walk{}
			for _, accessor := range accessors {
				found.evaluations++
				got, want := ask(p, key, accessor, evalCtx), askFlagd(key, accessor, evalCtx)
				if got.equal(want) {
					continue
				}
				found.differences++
				d := difference{
					key: key, accessor: accessor, definition: definition, context: evalCtx,
					evaluators: s.document["$evaluators"], walked: walked, refused: refused[key], ours: got, theirs: want,
				}
				names, unknown := d.explain(t)
				if flagdHas != string(document) { // explain may have set a different one
					require.NoError(t, setFlagd(document))
				}
				if len(unknown) > 0 {
					t.Errorf("%s: flag %s as %s\n  flag    %s\n  context %s\n  flagd   %+v\n  upkeep  %+v\n  %s",
						from, key, accessor, encode(definition), encode(evalCtx), want, got, strings.Join(unknown, "\n  "))
					return found
				}
				for _, name := range names {
					found.faults[name]++
				}
			}
		}
	}
	return found
}

// A difference is one evaluation with two outcomes.
type difference struct {
	key        string
	accessor   string
	definition map[string]any
	evaluators any
	context    map[string]any
	walked     *walk
	refused    error // why upkeep refuses the flag; usually nil
	ours       outcome
	theirs     outcome
}

// explain returns the known faults that cause a difference, and causes that are unknown.
func (d difference) explain(t *testing.T) (faults, unknown []string) {
	if d.refused == nil {
		d.walk(t)
	}
	for _, f := range documentFaults {
		if f.is(d) {
			faults = append(faults, f.name)
		}
	}
	if d.refused != nil {
		if len(faults) == 0 {
			unknown = append(unknown, "upkeep refuses the flag: "+d.refused.Error())
		}
		return faults, unknown
	}
	w := d.walked
	if len(w.unknown) > 0 || !d.ours.equal(d.predict(w.meaning)) && len(faults) == 0 && len(w.faults) == 0 {
		unknown = append(w.unknown, fmt.Sprintf("the rule means %s, which is %+v", w.meaning.text(), d.predict(w.meaning)))
	} else if len(faults) == 0 && len(w.faults) == 0 {
		unknown = append(unknown, fmt.Sprintf("flagd does not follow its own rule, which means %s", w.meaning.text()))
	}
	return append(faults, w.faults...), unknown
}

// walk examines the rule. The result is the same for all types of accessor.
func (d difference) walk(t *testing.T) {
	if d.walked.done {
		return
	}
	w := d.walked
	w.done = true
	rule := resolve(d.definition["targeting"], d.evaluators, nil)
	data, _ := decode(string(encode(d.context))).(map[string]any)
	data["$flagd"] = map[string]any{"flagKey": d.key, "timestamp": float64(time.Now().Unix())}
	w.meaning = evalOurs(rule, data) // with flagd's own operators
	w.settle(rule, data)
	for _, use := range customUses(rule, data) {
		if name, differs := use.explain(t, d.key); name != "" {
			w.faults = append(w.faults, name)
		} else if differs {
			w.unknown = append(w.unknown, use.String())
		}
	}
}

// predict returns the outcome of a flag whose rule has a result.
func (d difference) predict(r result) outcome {
	variants := d.definition["variants"].(map[string]any)
	name, reason := "", model.TargetingMatchReason
	targeting, _ := d.definition["targeting"].(map[string]any)
	switch {
	case d.definition["state"] == "DISABLED":
		return outcome{Reason: model.DisabledReason}
	case d.definition["targeting"] == nil || targeting != nil && len(targeting) == 0:
		reason = model.StaticReason
		if name, _ = d.definition["defaultVariant"].(string); name == "" {
			return outcome{Reason: model.DefaultReason}
		}
	case r.err:
		return failure(model.ParseErrorCode)
	case notFinite(r.value):
		return failure(model.GeneralErrorCode)
	case r.value == nil:
		reason = model.DefaultReason
		if name, _ = d.definition["defaultVariant"].(string); name == "" {
			return outcome{Reason: model.DefaultReason}
		}
	default:
		if name = r.text(); name[0] == '"' {
			name = r.value.(string)
		}
		if _, ok := variants[name]; !ok {
			return failure(model.GeneralErrorCode)
		}
	}
	value := variants[name]
	ok := true
	switch d.accessor {
	case "bool":
		_, ok = value.(bool)
	case "string":
		_, ok = value.(string)
	case "float":
		_, ok = value.(float64)
	case "int":
		var f float64
		if f, ok = value.(float64); ok {
			ok = f == float64(int64(f))
			value = int64(f)
		}
	case "object":
		_, isMap := value.(map[string]any)
		_, isList := value.([]any)
		ok = isMap || isList
	}
	if !ok {
		return failure(model.TypeMismatchErrorCode)
	}
	return outcome{Value: value, Variant: name, Reason: reason}
}

// resolve replaces references to evaluators by their rules.
func resolve(rule, evaluators any, following []string) any {
	switch rule := rule.(type) {
	case []any:
		list := make([]any, len(rule))
		for i := range rule {
			list[i] = resolve(rule[i], evaluators, following)
		}
		return list
	case map[string]any:
		if len(rule) != 1 {
			return rule
		}
		for op, args := range rule {
			if op != "$ref" {
				return map[string]any{op: resolve(args, evaluators, following)}
			}
			name, _ := args.(string)
			target, ok := evaluators.(map[string]any)[name]
			if ok && !slices.Contains(following, name) {
				return resolve(target, evaluators, append(slices.Clone(following), name))
			}
		}
	}
	return rule
}
