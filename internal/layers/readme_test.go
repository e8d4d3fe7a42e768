package layers_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// readme returns the README and the blocks of code in it in one language.
func readme(t *testing.T, language string) (text string, blocks []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	require.NoError(t, err)
	for _, block := range strings.Split(string(data), "```"+language+"\n")[1:] {
		code, _, _ := strings.Cut(block, "```")
		blocks = append(blocks, code)
	}
	return string(data), blocks
}

// TestReadmeCompiles holds the README's Go to examples/service, which the compiler reads: the
// first block by its paragraphs, in their order, and the second as the whole program. The first
// has at most fifteen lines.
func TestReadmeCompiles(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "..", "examples", "service", "main.go"))
	require.NoError(t, err)
	program := string(data)
	_, blocks := readme(t, "go")
	require.Len(t, blocks, 2)

	lines, rest := 0, program
	for paragraph := range strings.SplitSeq(strings.TrimSpace(blocks[0]), "\n\n") {
		_, after, found := strings.Cut(rest, strings.Trim(paragraph, "\n")+"\n")
		require.True(t, found, "in examples/service/main.go this paragraph is missing, or comes earlier:\n%s", paragraph)
		rest = after
		for line := range strings.Lines(paragraph) {
			if strings.Trim(line, "\t\n })") != "" {
				lines++
			}
		}
	}
	require.LessOrEqual(t, lines, 15)

	_, code, _ := strings.Cut(program, "package main\n")
	require.Equal(t, "package main\n"+code, blocks[1])
}

// TestReadmeDocuments holds the README's documents to those of examples/service, without their
// comments.
func TestReadmeDocuments(t *testing.T) {
	t.Parallel()
	_, blocks := readme(t, "yaml")
	comment := regexp.MustCompile(`(?m)^#.*\n`)
	names := []string{"flags.yaml", "windows.yaml", "packages.yaml"}
	require.Len(t, blocks, len(names))
	for i, name := range names {
		data, err := os.ReadFile(filepath.Join("..", "..", "examples", "service", name))
		require.NoError(t, err)
		require.Equal(t, comment.ReplaceAllString(string(data), ""), blocks[i], name)
	}
}

// TestReadmeLinks finds every file that README.md and examples/README.md link to, and every
// package that users import in the README's table.
func TestReadmeLinks(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	for _, name := range []string{"README.md", "examples/README.md", ".github/CONTRIBUTING.md", ".github/SECURITY.md", ".github/COMPATIBILITY.md"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		prose := regexp.MustCompile("(?s)\n```.*?\n```").ReplaceAllString(string(data), "")
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(prose, -1) {
			require.FileExists(t, withIndex(filepath.Join(root, filepath.Dir(name), m[1])), "in %s", name)
		}
	}
	text, _ := readme(t, "go")
	for dir, files := range goFiles(t, root, true) {
		top, _, _ := strings.Cut(dir, "/")
		if top == "examples" || strings.Contains("/"+dir+"/", "/internal/") || strings.Contains(dir, "testdata") || !isLibrary(t, root, dir, files) {
			continue
		}
		require.Contains(t, text, "(https://pkg.go.dev/"+module+"/"+dir+")")
	}
}

// withIndex returns a folder's README.md or first Go file, and any other path as it is.
func withIndex(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		for _, pattern := range []string{"README.md", "*.go"} {
			if found, _ := filepath.Glob(filepath.Join(path, pattern)); len(found) > 0 {
				return found[0]
			}
		}
	}
	return path
}

// isLibrary reports whether a folder has a package that others can import.
func isLibrary(t *testing.T, root, dir string, files []string) bool {
	t.Helper()
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, dir, file), nil, parser.PackageClauseOnly)
			require.NoError(t, err)
			return parsed.Name.Name != "main"
		}
	}
	return false
}
