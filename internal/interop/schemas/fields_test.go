package schemas_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSchemasHaveTheFieldsOfTheirParsers puts every name that the parser or the schema knows
// into every map of a document: the parser knows the field there if and only if the schema has it.
func TestSchemasHaveTheFieldsOfTheirParsers(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			names := map[string]bool{}
			for _, dir := range k.fields {
				fieldsAsked(t, filepath.Join(root, filepath.FromSlash(dir)), names)
			}
			require.Greater(t, len(names), 5)
			schema := readSchema(t, k)
			schemaNames(schema, names)
			places := 0
			for _, seed := range k.seeds {
				doc := decode(t, seed)
				eachMap(doc, schema, schema, "", func(at string, m map[string]any, has map[string]bool) {
					places++
					for name := range names {
						old, was := m[name]
						m[name] = "x"
						changed := encode(t, doc)
						if was {
							m[name] = old
						} else {
							delete(m, name)
						}
						unknown := strings.Contains(k.findings(changed), `unknown field "`+name+`"`)
						require.Equal(t, has[name], !unknown, "%s has the field %q by the schema: %v", at, name, has[name])
					}
				})
			}
			require.Greater(t, places, 1)
		})
	}
}

// findings is what the parser, or Lint where there is one, has against a document.
func (k *kind) findings(doc []byte) string {
	if k.lint != nil {
		return k.lint("doc.json", doc)
	}
	if err := k.parse("doc.json", doc); err != nil {
		return err.Error()
	}
	return ""
}

// fieldsAsked collects the names that the source in a folder gives to the methods Field and Need
// of document.Fields, as a literal or as the elements of a list over which it loops.
func fieldsAsked(t *testing.T, dir string, names map[string]bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		lists := map[string]*ast.CompositeLit{}
		ast.Inspect(file, func(n ast.Node) bool {
			if loop, ok := n.(*ast.RangeStmt); ok {
				if list, ok := loop.X.(*ast.CompositeLit); ok && loop.Value != nil {
					lists[loop.Value.(*ast.Ident).Name] = list
				}
			}
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || method.Sel.Name != "Field" && method.Sel.Name != "Need" {
				return true
			}
			switch arg := call.Args[0].(type) {
			case *ast.BasicLit:
				addLiteral(t, arg, names)
			case *ast.Ident:
				require.Contains(t, lists, arg.Name, "%s: a field whose name cannot be read", name)
				for _, element := range lists[arg.Name].Elts {
					addLiteral(t, element, names)
				}
			}
			return true
		})
	}
}

func addLiteral(t *testing.T, e ast.Expr, names map[string]bool) {
	t.Helper()
	name, err := strconv.Unquote(e.(*ast.BasicLit).Value)
	require.NoError(t, err)
	names[name] = true
}

func readSchema(t *testing.T, k *kind) map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(k.schema)))
	require.NoError(t, err)
	return decode(t, string(data)).(map[string]any)
}

// schemaNames collects the names of all properties.
func schemaNames(v any, names map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		if properties, ok := v["properties"].(map[string]any); ok {
			for name := range properties {
				names[name] = true
			}
		}
		for _, item := range v {
			schemaNames(item, names)
		}
	case []any:
		for _, item := range v {
			schemaNames(item, names)
		}
	}
}

// eachMap calls visit with each map of a document whose fields are fixed, and with the fields
// that the schema has for it.
func eachMap(v any, schema, whole map[string]any, at string, visit func(at string, m map[string]any, has map[string]bool)) {
	for ref, ok := schema["$ref"].(string); ok; ref, ok = schema["$ref"].(string) {
		schema = whole["definitions"].(map[string]any)[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any)
	}
	if schema["maxProperties"] != nil {
		return // a rule of targeting, whose keys are operators
	}
	properties, _ := schema["properties"].(map[string]any)
	switch v := v.(type) {
	case map[string]any:
		closed, isBool := schema["additionalProperties"].(bool)
		has := map[string]bool{}
		if isBool && !closed {
			for name := range properties {
				has[name] = true
			}
			visit(at, v, has)
		}
		other, _ := schema["additionalProperties"].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(v)) {
			below, ok := properties[key].(map[string]any)
			if !ok {
				below = other
			}
			eachMap(v[key], below, whole, at+"/"+key, visit)
		}
	case []any:
		items, _ := schema["items"].(map[string]any)
		for i, item := range v {
			eachMap(item, items, whole, at+"/"+strconv.Itoa(i), visit)
		}
	}
}

func decode(t testing.TB, text string) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal([]byte(text), &v))
	return v
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return data
}

// TestOperatorsOfTargeting holds the operators in the schema of flags against the compiler's.
func TestOperatorsOfTargeting(t *testing.T) {
	t.Parallel()
	k := kinds[0]
	rule := readSchema(t, k)["definitions"].(map[string]any)["rule"].(map[string]any)
	known := rule["properties"].(map[string]any)
	names := map[string]bool{"log": true, "nothing": true}
	for _, dir := range []string{"flags", "flags/jsonlogic"} {
		mapKeys(t, filepath.Join(root, filepath.FromSlash(dir)), names)
	}
	for name := range known {
		names[name] = true
	}
	for name := range names {
		if name == "$ref" {
			continue
		}
		doc := encode(t, map[string]any{"flags": map[string]any{"f": map[string]any{"variants": map[string]any{"a": 1}, "targeting": map[string]any{name: []any{}}}}})
		err := k.parse("doc.json", doc)
		refused := err != nil && strings.Contains(err.Error(), "unknown operator")
		require.Equal(t, known[name] == nil, refused, "operator %q", name)
	}
}

// mapKeys collects the string keys of all literals of maps in a folder: tables of operators are
// such maps.
func mapKeys(t *testing.T, dir string, names map[string]bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if entry, ok := n.(*ast.KeyValueExpr); ok {
				if key, ok := entry.Key.(*ast.BasicLit); ok && key.Kind == token.STRING {
					addLiteral(t, key, names)
				}
			}
			return true
		})
	}
}
