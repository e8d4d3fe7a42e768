package layers_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadmeCompiles finds each piece of Go in the README word for word in a file that
// the compiler reads: an Example or an example.
func TestReadmeCompiles(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	var sources []string
	for dir, files := range goFiles(t, root, false) {
		for _, file := range files {
			if strings.HasSuffix(file, "example_test.go") || strings.HasPrefix(dir, "examples/") {
				text, err := os.ReadFile(filepath.Join(root, dir, file))
				require.NoError(t, err)
				sources = append(sources, string(text))
			}
		}
	}
	blocks := strings.Split(string(readme), "```go\n")[1:]
	require.GreaterOrEqual(t, len(blocks), 6, "one for the whole, one for each package")
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		found := false
		for _, source := range sources {
			found = found || strings.Contains(source, code)
		}
		require.True(t, found, "this stands in no file that is compiled:\n%s", code)
	}
}
