package schemas_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
)

// faulty are documents with a fault that schemas can see, by kind.
var faulty = map[string][]string{
	"flags": {
		`{}`, `[]`, `3`, `{"flags": null}`, `{"flags": 3}`, `{"flags": {"f": null}}`, `{"flags": {"f": []}}`, `{"flags": {"f": {}}}`,
		`{"flags": {}, "allowShrink": "yes"}`, `{"flags": {}, "allowShrink": null}`, `{"flags": {}, "metadata": []}`, `{"flags": {}, "metadata": null}`,
		`{"flags": {}, "$evaluators": []}`, `{"flags": {}, "$evaluator": {}}`,
		`{"flags": [{"variants": {"a": 1}}]}`, `{"flags": [{"key": 3, "variants": {"a": 1}}]}`, `{"flags": [3]}`,
		flag(`"variants": {}`), flag(`"variants": []`), flag(`"variants": {"a": null}`),
		flag(`"variants": {"a": 1}, "state": "enabled"`), flag(`"variants": {"a": 1}, "state": true`), flag(`"variants": {"a": 1}, "state": null`),
		flag(`"variants": {"a": 1}, "defaultVariant": []`), flag(`"variants": {"a": 1}, "defaultVariant": {}`),
		flag(`"variants": {"a": 1}, "metadata": 3`), flag(`"variants": {"a": 1}, "targetting": {"if": []}`), flag(`"variant": {"a": 1}`),
		flag(`"variants": {"a": 1}, "targeting": {"fi": [true, "a"]}`), flag(`"variants": {"a": 1}, "targeting": {"if": [{"startsWith": ["a", "b"]}, "a"]}`),
		flag(`"variants": {"a": 1}, "targeting": {"log": "a"}`), flag(`"variants": {"a": 1}, "targeting": {"$ref": 3}`), flag(`"variants": {"a": 1}, "targeting": [{"and": [{"": 1}]}]`),
	},
	"windows": {
		`{}`, `[]`, `"windows"`, `{"windows": null}`, `{"windows": {}}`, `{"windows": [3]}`, `{"windows": [null]}`, `{"windows": [], "allowShrink": 1}`, `{"windows": [], "window": []}`,
		`{"windows": [], "freezes": {}}`, `{"windows": [], "freezes": [{"from": "2026-12-20T00:00:00Z"}]}`, `{"windows": [], "freezes": [{"from": "2026-12-20", "to": "2026-12-21"}]}`,
		`{"windows": [], "freezes": [{"from": "soon", "to": "2026-12-21", "timezone": "UTC"}]}`, `{"windows": [], "freezes": [{"from": "2026-12-20", "to": "2026-12-21", "timezone": "UTC", "until": 3}]}`,
		`{"windows": [], "freezes": [{"from": "2026-12-20", "to": "2026-12-21", "timezone": "UTC", "windows": ["not an id"]}]}`, `{"windows": [], "$schema": 3}`,
		window(`"id"`, ``), window(`"id"`, `"id": "no spaces"`), window(`"id"`, `"id": 3`), window(`"id"`, `"id": ""`), window(`"start"`, ``), window(`"duration"`, ``),
		window(`"start"`, `"start": "tomorrow"`), window(`"start"`, `"start": "2026-12-06"`), window(`"start"`, `"start": "2026-12-06T02:00"`), window(`"start"`, `"start": "2026-12-06 02:00:00Z"`),
		window(`"start"`, `"start": 2026`), window(`"duration"`, `"duration": "two hours"`), window(`"duration"`, `"duration": "-2h"`), window(`"duration"`, `"duration": "0s"`), window(`"duration"`, `"duration": 2`),
		window(`"duration"`, `"duration": "2"`), window(`"duration"`, `"duration": "P1M"`), window(`"duration"`, `"duration": "1d1d"`), window(`"duration"`, `"duration": "1w"`), window(`"duration"`, `"duration": "P1DT"`),
		window(``, `"strat": 1`), window(``, `"mode": "open"`), window(``, `"mode": null`), window(``, `"overrun": "keep"`), window(``, `"title": 3`), window(``, `"title": "`+strings.Repeat("x", 201)+`"`),
		window(``, `"runbook": "runbooks/db"`), window(``, `"runbook": "ftp://x.example/"`), window(``, `"timezone": "Local"`), window(``, `"timezone": ""`), window(``, `"timezone": 1`),
		window(``, `"announce": "soon"`), window(``, `"cutoff": "0m"`), window(``, `"rollback": null`), window(``, `"scope": []`), window(``, `"scope": {"path": []}`), window(``, `"scope": {"paths": "/a"}`),
		window(``, `"scope": {"paths": ["a"]}`), window(``, `"scope": {"methods": ["G T"]}`), window(``, `"scope": {"hosts": [""]}`), window(``, `"scope": {"work": ["a*"]}`), window(``, `"scope": {"work": [3]}`),
		window(``, `"repeat": "weekly"`), window(``, `"repeat": "FREQ=HOURLY"`), window(``, `"repeat": 3`), window(``, `"except": []`), window(``, `"repeat": "FREQ=DAILY", "except": ["tomorrow"]`),
		window(``, `"actual": []`), window(``, `"actual": {"begin": 3}`), window(``, `"actual": {"begin": "2026-12-06T01:02"}`), window(``, `"actual": {"start": null}`),
	},
	"packages": {
		`[]`, `{"rules": {}}`, `{"rules": null}`, `{"rules": [3]}`, `{"rule": []}`, `{"allow": "x"}`, `{"allow": [""]}`, `{"allow": [3]}`, `{"allow": ["has spaces"]}`, `{"forbidReplace": "yes"}`, `{"$schema": 3}`,
		rule(``), rule(`"reason": "r"`), rule(`"require": ""`), rule(`"require": 1`), rule(`"deny": ""`), rule(`"deny": true`), rule(`"require": ">=1", "replacement": "x"`),
		rule(`"deny": "old", "reason": "r"`), rule(`"deny": "old", "require": ">=1"`), rule(`"deny": "old", "minAge": "3d"`), rule(`"accept": ["deprecated"]`), rule(`"accept": [], "reason": "r"`),
		rule(`"accept": ["old"], "reason": "r"`), rule(`"accept": ["retracted"], "reason": "r", "require": ">=1"`), rule(`"accept": ["retracted"], "reason": "r", "deny": "d"`),
		rule(`"minAge": "3"`), rule(`"minAge": "P3D"`), rule(`"maxBehind": 3`), rule(`"maxBehind": "0d"`), rule(`"requires": ">=1"`), `{"rules": [{"require": ">=1"}]}`, `{"rules": [{"module": 3, "require": ">=1"}]}`,
	},
	"compat": {
		`[]`, `{}`, `{"default": []}`, `{"peers": {}}`, `{"peers": {"a": []}}`, `{"default": {}}`, `{"default": null}`, `{"peers": []}`, `{"peers": {"a": null}}`, `{"header": "X Y", "default": [{"strict": true}]}`, `{"header": 3, "default": [{"strict": true}]}`,
		`{"peers": {"not a name": [{"strict": true}]}}`, `{"peers": {"": [{"strict": true}]}}`, `{"defaults": [{"strict": true}], "default": [{"strict": true}]}`, `{"$schema": 3, "default": [{"strict": true}]}`,
		fits(``), fits(`"strict": false`), fits(`"block": []`), fits(`"minimum": ""`), fits(`"minimum": 1.4`), fits(`"require": 3`), fits(`"block": "v1"`), fits(`"block": [1.6]`), fits(`"block": [""]`), fits(`"block": ["(devel)"]`),
		fits(`"strict": "yes"`), fits(`"strict": true, "stage": "warning"`), fits(`"strict": true, "reason": 3`), fits(`"strict": true, "reason": "a\nb"`), fits(`"strict": true, "reason": "` + strings.Repeat("x", 513) + `"`),
		fits(`"strict": true, "sunset": "soon"`), fits(`"strict": true, "deprecation": 2027`), fits(`"strict": true, "link": "a b"`), fits(`"strict": true, "minimun": "v1"`),
		fits(`"skew": {"minor": -1}`), fits(`"skew": {"minor": 1.5}`), fits(`"skew": {"minor": "1"}`), fits(`"skew": 1`), fits(`"skew": {"major": 1}`), fits(`"skew": {"newer": 1}`),
	},
}

func flag(fields string) string { return `{"flags": {"f": {` + fields + `}}}` }
func rule(fields string) string { return list(`{"rules": [{"module": "x.example/m"`, fields) }
func fits(fields string) string { return `{"default": [{` + fields + `}]}` }
func list(before, fields string) string {
	if fields != "" {
		before += ", " + fields
	}
	return before + "}]}"
}

// window is a document of one window, with a field replaced by another, or with another field.
func window(without, with string) string {
	fields := []string{`"id": "w"`, `"start": "2026-12-06T02:00:00Z"`, `"duration": "1h"`}
	if without != "" {
		fields = slices.DeleteFunc(fields, func(f string) bool { return strings.HasPrefix(f, without) })
	}
	if with != "" {
		fields = append(fields, with)
	}
	return `{"windows": [{` + strings.Join(fields, ", ") + `}]}`
}

// TestSchemasRefuseFaultyDocuments checks that schema and parser both refuse what a schema can see.
func TestSchemasRefuseFaultyDocuments(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		schema := k.compile(t)
		for _, doc := range faulty[k.name] {
			require.Error(t, k.parse("doc.json", []byte(doc)), "the parser accepts %s", doc)
			require.Error(t, validate(schema, "doc.json", []byte(doc)), "the schema accepts %s", doc)
		}
		for _, seed := range k.seeds {
			require.NoError(t, k.parse("doc.json", []byte(seed)))
			require.NoError(t, validate(schema, "doc.json", []byte(seed)))
		}
	}
}

// TestSchemasAgreeWithParsers changes documents at random. If the schema refuses one, so does
// the parser, or Lint reports it for one of the kind's reasons in passes. If the parser refuses
// one and the schema does not, all of the parser's faults are among those in unseen.
func TestSchemasAgreeWithParsers(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			schema := k.compile(t)
			random := rand.New(rand.NewPCG(3, 4))
			refused, accepted, unseen := 0, 0, 0
			for range testsize.Pick(1000, 3000, 30_000) {
				root := decode(t, k.seeds[random.IntN(len(k.seeds))])
				for range 1 + random.IntN(2) {
					change(random, root)
				}
				doc := encode(t, root)
				byParser, bySchema := k.parse("doc.json", doc), validate(schema, "doc.json", doc)
				switch {
				case byParser == nil && bySchema == nil:
					accepted++
				case byParser != nil && bySchema != nil:
					refused++
				case bySchema != nil:
					require.True(t, k.lint != nil && containsAny(k.lint("doc.json", doc), k.passes), "only the schema refuses %s\n%v", doc, bySchema)
				default:
					unseen++
					for line := range strings.Lines(byParser.Error()) {
						require.True(t, containsAny(line, k.unseen), "only the parser refuses %s\n%s", doc, line)
					}
				}
			}
			t.Logf("both accept %d, both refuse %d, only the parser refuses %d", accepted, refused, unseen)
			require.Greater(t, accepted, 50)
			require.Greater(t, refused, 100)
		})
	}
}

// change makes one change at a random place of a document.
func change(random *rand.Rand, root any) {
	type place struct {
		get func() any
		set func(any)
		cut func()
	}
	var places []place
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				places = append(places, place{func() any { return v[key] }, func(x any) { v[key] = x }, func() { delete(v, key) }})
				visit(v[key])
			}
		case []any:
			for i := range v {
				places = append(places, place{func() any { return v[i] }, func(x any) { v[i] = x }, nil})
				visit(v[i])
			}
		}
	}
	visit(root)
	if len(places) == 0 {
		return // an earlier change left an empty document
	}
	at := places[random.IntN(len(places))]
	values := []any{
		nil, true, false, 1.0, 0.0, -0.5, 7.0, "text", "", "a b", "*", "/a", "2026-12-06T02:00", "2026-12-06", "2026-12-06T01:02:03.5Z", "2026-13-06T01:02:03Z", "1h", "3d", "PT2H", "-1h", "0s",
		"Europe/Madrid", ">=1.0", "v1.2.3", "closed", "FREQ=DAILY", "deprecated",
		[]any{},
		map[string]any{},
		[]any{"a"},
		[]any{1.0},
		map[string]any{"k": []any{}},
		map[string]any{"var": "x"},
		map[string]any{"nothing": 1.0},
		map[string]any{"if": []any{true, "a"}, "or": 1.0},
	}
	switch old := at.get().(type) {
	case string:
		if n := len(old); n > 0 && random.IntN(3) == 0 { // one character changes
			i, runes := random.IntN(n), "0aT-:Z /*.+{}"
			at.set(old[:i] + string(runes[random.IntN(len(runes))]) + old[i+random.IntN(2):])
			return
		}
	case []any:
		if random.IntN(2) == 0 {
			at.set(append(slices.Clone(old), values[random.IntN(len(values))]))
			return
		}
	case map[string]any:
		if random.IntN(2) == 0 { // a field has another name, or one more is there
			names := []string{"unknown", "x-more", "title", "windows", "reason", "require", "deny", "accept", "repeat", "except", "timezone", "strict", "flag"}
			old[names[random.IntN(len(names))]] = values[random.IntN(len(values))]
			return
		}
	}
	if at.cut != nil && random.IntN(4) == 0 {
		at.cut()
		return
	}
	at.set(values[random.IntN(len(values))])
}
