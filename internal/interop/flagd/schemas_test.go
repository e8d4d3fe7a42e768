package flagd_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	schemas "github.com/open-feature/flagd-schemas/json"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/internal/testsize"
)

// schemaTests is the folder json/test of flagd's schemas.
func schemaTests(t *testing.T) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/open-feature/flagd-schemas").Output()
	require.NoError(t, err)
	return filepath.Join(strings.TrimSpace(string(dir)), "json", "test")
}

// asDocument makes a document from a test of flagd's schemas. Some of those tests are only a rule.
func asDocument(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	if !strings.Contains(path, string(filepath.Separator)+"targeting"+string(filepath.Separator)) {
		return data
	}
	return fmt.Appendf(nil, `{"flags": {"f": {"state": "ENABLED", "variants": {"yes": 1, "no": 2}, "targeting": {"cat": %s}}}, "$evaluators": {"some-ref": {"var": "x"}}}`, data)
}

// TestLintOfSchemas compares Lint with the tests of flagd's schemas: it reports each invalid document, and
// reports only warnings in a valid one.
func TestLintOfSchemas(t *testing.T) {
	dir := schemaTests(t)
	files, err := filepath.Glob(filepath.Join(dir, "*", "*", "*.json"))
	require.NoError(t, err)
	require.Greater(t, len(files), 20)
	for _, path := range files {
		name, err := filepath.Rel(dir, path)
		require.NoError(t, err)
		t.Run(name, func(t *testing.T) {
			found := flags.Lint(filepath.Base(path), asDocument(t, path))
			valid := strings.Contains(name, "positive") || strings.Contains(name, "with-array-flags") // as flagd itself reads it
			if !valid {
				require.NotEmpty(t, found)
				return
			}
			for _, f := range found {
				require.Equal(t, flags.SeverityWarning, f.Severity, "%v", f)
			}
			p, err := flags.Open(t.Context(), flags.Bytes(filepath.Base(path), asDocument(t, path)), &flags.Options{Logger: quiet, Strict: true})
			require.NoError(t, err)
			require.NoError(t, p.Close())
		})
	}
}

// TestLintReportsWhatTheSchemaRefuses changes valid documents at random. Lint must report each document
// that the schema refuses.
func TestLintReportsWhatTheSchemaRefuses(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	for name, text := range map[string]string{"flagd.json": schemas.FlagdSchema, "flags.json": schemas.FlagSchema, "targeting.json": schemas.TargetingSchema} {
		schema, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		require.NoError(t, err)
		require.NoError(t, compiler.AddResource("https://flagd.dev/schema/v0/"+name, schema))
	}
	schema, err := compiler.Compile("https://flagd.dev/schema/v0/flags.json")
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	invalid := 0
	for range testsize.Pick(500, 5000, 100_000) {
		doc := decode(schemaSeed).(map[string]any)
		for range 1 + random.IntN(2) {
			change(random, doc)
		}
		text := encode(doc)
		instance, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
		require.NoError(t, err)
		if err := schema.Validate(instance); err == nil {
			continue
		} else if len(flags.Lint("f.json", []byte(text))) == 0 {
			t.Errorf("Lint finds nothing in %s", text)
		}
		invalid++
	}
	require.Greater(t, invalid, 100)
}

const schemaSeed = `{
	"$schema": "https://flagd.dev/schema/v0/flags.json",
	"metadata": {"flagSetId": "s", "version": "1", "n": 1},
	"$evaluators": {"staff": {"ends_with": [{"var": "email"}, "@example.com"]}},
	"flags": {
		"a": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off", "metadata": {"owner": "me"},
			"targeting": {"if": [{"and": [{"$ref": "staff"}, {"in": [{"var": ["country", "ES"]}, ["ES", "PT"]]}]}, "on", {"fractional": [{"var": "email"}, ["on", 10], ["off", 90]]}]}},
		"b": {"state": "DISABLED", "variants": {"x": "X", "y": "Y"}, "defaultVariant": "x",
			"targeting": {"if": [{"sem_ver": [{"var": "version"}, ">=", "1.2.3"]}, "y", {"<": [1, {"var": "age"}, 9]}, "x", {"!": [{"missing": ["a"]}]}, "y"]}},
		"c": {"state": "ENABLED", "variants": {"one": 1, "two": 2}, "targeting": {"fractional": [["one"], ["two", 1]]}},
		"d": {"state": "ENABLED", "variants": {"o": {"k": 1}}, "defaultVariant": "o",
			"targeting": {"if": [{"some": [{"var": "l"}, {"==": [{"var": ""}, 1]}]}, "o", {"missing_some": [1, ["a", "b"]]}, {"substr": ["o", 0]}]}}
	}
}`

// change makes one change at a random place in a document.
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
				item := v[key]
				places = append(places, place{func() any { return v[key] }, func(x any) { v[key] = x }, func() { delete(v, key) }})
				visit(item)
			}
		case []any:
			for i, item := range v {
				places = append(places, place{func() any { return v[i] }, func(x any) { v[i] = x }, nil})
				visit(item)
			}
		}
	}
	visit(root)
	at := places[random.IntN(len(places))]
	others := []any{nil, true, 1.0, -0.5, "text", "", []any{}, map[string]any{}, []any{"a", 1.0}, map[string]any{"k": []any{}}, map[string]any{"var": "x"}, map[string]any{"nothing": 1.0}, "$flagd.other"}
	switch kind := random.IntN(4); {
	case kind == 0 && at.cut != nil:
		at.cut()
	case kind == 1:
		if list, ok := at.get().([]any); ok {
			if random.IntN(2) == 0 && len(list) > 0 {
				at.set(list[:len(list)-1])
			} else {
				at.set(append(list, others[random.IntN(len(others))]))
			}
			return
		}
		fallthrough
	default:
		at.set(others[random.IntN(len(others))])
	}
}
