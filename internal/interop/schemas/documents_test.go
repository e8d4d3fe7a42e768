package schemas_test

import (
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A text is something in the repository that may be a document.
type text struct {
	place string
	data  []byte
}

// texts finds all texts in the repository that may be documents: YAML and JSON files, seeds
// of fuzz tests, string literals, blocks of code in comments, and blocks in Markdown.
func texts(t *testing.T) []text {
	t.Helper()
	var all []text
	add := func(place, data string) { all = append(all, text{place, []byte(data)}) }
	walk(t, func(path string, data []byte) {
		switch ext := filepath.Ext(path); {
		case ext == ".go":
			goTexts(t, path, data, add)
		case ext == ".md":
			for i, block := range fenced(string(data)) {
				add(path+" block "+strconv.Itoa(i), block.code)
			}
		case ext == ".yaml" || ext == ".yml" || ext == ".json":
			add(path, string(data))
		case strings.Contains(path, "/testdata/fuzz/"):
			for line := range strings.Lines(string(data)) {
				if quoted, ok := strings.CutPrefix(strings.TrimSpace(line), "[]byte("); ok {
					if s, err := strconv.Unquote(strings.TrimSuffix(quoted, ")")); err == nil {
						add(path, s)
					}
				}
			}
		}
	})
	return all
}

// walk calls each with every file of the repository, named by its path from the root.
func walk(t *testing.T, each func(path string, data []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == ".git" || d.Name() == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		if err == nil {
			each(filepath.ToSlash(rel), data)
		}
		return err
	})
	require.NoError(t, err)
}

func goTexts(t *testing.T, path string, data []byte, add func(place, data string)) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, data, parser.ParseComments)
	if err != nil {
		return // a file of testdata that is not meant to compile
	}
	place := func(n ast.Node) string { return set.Position(n.Pos()).String() }
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil && strings.ContainsAny(s, "{:") {
				add(place(lit), s)
			}
		}
		return true
	})
	for _, group := range file.Comments {
		for _, block := range new(comment.Parser).Parse(group.Text()).Content {
			if code, ok := block.(*comment.Code); ok {
				add(place(group), code.Text)
			}
		}
	}
}

type block struct{ language, code string }

// fenced returns the blocks of code in a Markdown text.
func fenced(text string) (blocks []block) {
	var open *block
	for line := range strings.Lines(text) {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &block{language: fence}
		case isFence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.code += line
		}
	}
	return blocks
}

// TestSchemasAcceptDocuments checks every document in the repository that its parser accepts.
func TestSchemasAcceptDocuments(t *testing.T) {
	t.Parallel()
	all := texts(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			schema, accepted := k.compile(t), 0
			for _, doc := range all {
				if k.parse(doc.place, doc.data) != nil {
					continue
				}
				accepted++
				err := validate(schema, doc.place, doc.data)
				if err != nil && k.lint != nil && containsAny(k.lint(doc.place, doc.data), k.passes) {
					continue
				}
				require.NoError(t, err, "%s:\n%s", doc.place, doc.data)
			}
			t.Logf("%d documents", accepted)
			require.Greater(t, accepted, 10)
		})
	}
}
