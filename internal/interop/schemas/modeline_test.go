package schemas_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	modeline = "# yaml-language-server: $schema="
	address  = "https://raw.githubusercontent.com/upkeep-go/upkeep/main/"
)

// TestDocumentsNameTheirSchema checks that each YAML file of the repository, and each YAML block
// in the guides below examples, that holds one of the four documents begins with the line that names its schema
// to editors: in a file by its relative path, in a guide by its address, because people copy it.
// A block that is in a file beside the guide has the line there.
// Documents below the five packages are data of tests and need no line.
func TestDocumentsNameTheirSchema(t *testing.T) {
	t.Parallel()
	files := 0
	walk(t, func(path string, data []byte) {
		switch filepath.Ext(path) {
		case ".yaml", ".yml":
			k := kindOf(path, data)
			isExample := strings.HasPrefix(path, "examples/") || strings.HasPrefix(path, "internal/interop/")
			if !isExample && !strings.HasPrefix(string(data), modeline) || k == nil {
				require.False(t, strings.HasPrefix(string(data), modeline), "%s is none of the four documents", path)
				return
			}
			files++
			to, err := filepath.Rel(filepath.Dir(filepath.FromSlash(path)), filepath.FromSlash(k.schema))
			require.NoError(t, err)
			require.Equal(t, modeline+filepath.ToSlash(to), firstLine(string(data)), "%s must begin with this line", path)
		case ".md":
			if !strings.HasPrefix(path, "examples/") {
				return
			}
			for _, b := range fenced(string(data)) {
				if k := kindOf(path, []byte(b.code)); k != nil && (b.language == "yaml" || b.language == "yml") && !isInFile(t, path, b.code) {
					require.Equal(t, modeline+address+k.schema, firstLine(b.code), "%s: a block of YAML must begin with this line:\n%s", path, b.code)
				}
			}
		}
	})
	require.GreaterOrEqual(t, files, 10)
}

// isInFile reports whether a YAML file beside a guide has the guide's block below its first line.
func isInFile(t *testing.T, guide, code string) bool {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, filepath.Dir(guide), "*.yaml"))
	require.NoError(t, err)
	for _, name := range names {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		if strings.HasPrefix(string(data), modeline) && strings.Contains(string(data), code) {
			return true
		}
	}
	return false
}

// TestSchemasHaveTheirAddress checks that each schema is where its $id says.
func TestSchemasHaveTheirAddress(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		require.Equal(t, address+k.schema, readSchema(t, k)["$id"])
		eachDescription(t, k.name, readSchema(t, k))
	}
}

// eachDescription checks that every property says what it means.
func eachDescription(t *testing.T, at string, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		if v["additionalProperties"] == false {
			for name, p := range v["properties"].(map[string]any) {
				property := p.(map[string]any)
				if ref, ok := property["$ref"].(string); ok && property["description"] == nil {
					require.Contains(t, []string{"annotation", "state", "variants", "defaultVariant", "targeting", "metadata"}, strings.TrimPrefix(ref, "#/definitions/"), "%s: %s has no description", at, name)
					continue
				}
				require.NotEmpty(t, property["description"], "%s: %s", at, name)
			}
		}
		for name, item := range v {
			eachDescription(t, at+"/"+name, item)
		}
	case []any:
		for _, item := range v {
			eachDescription(t, at, item)
		}
	}
}

// kindOf returns the kind of a document, by the parser that accepts it or by its modeline.
func kindOf(name string, data []byte) *kind {
	for _, k := range kinds {
		if strings.HasPrefix(string(data), modeline) && strings.HasSuffix(firstLine(string(data)), k.schema[strings.LastIndexByte(k.schema, '/'):]) || k.parse(name, data) == nil {
			return k
		}
	}
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
