package layers_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

// upwards is how many uses between the files of one package may run upwards.
const upwards = 10

// TestUses counts for each package which of its files use which others, and how many of these
// uses run upwards when the files are put in the best order: readers go from top to bottom.
// One file uses another if it names a function, method, type, variable or constant that is
// declared there. "go test ./internal/layers -run TestUses -v" prints the numbers, and which
// uses run upwards.
func TestUses(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs the go command")
	}
	pkgs, err := packages.Load(&packages.Config{
		Dir:  filepath.Join("..", ".."),
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedExportFile,
	}, module+"/...")
	require.NoError(t, err)
	for _, p := range pkgs {
		dir := strings.TrimPrefix(p.PkgPath, module+"/")
		if within(dir, "examples") || within(dir, "internal/interop") {
			continue
		}
		require.Empty(t, p.Errors, dir)
		uses := usesOf(p)
		order := bestOrder(uses)
		up := upwardIn(order, uses)
		t.Logf("%-20s %2d files, %3d uses, %2d upwards %v", dir, len(p.Syntax), count(uses), len(up), up)
		require.LessOrEqual(t, len(up), upwards, "%s: uses that run upwards, from file to file: %v", dir, up)
	}
}

// usesOf says which file uses which others.
func usesOf(p *packages.Package) map[string]map[string]bool {
	file := func(pos token.Pos) string { return filepath.Base(p.Fset.Position(pos).Filename) }
	uses := map[string]map[string]bool{}
	for _, f := range p.Syntax {
		from := file(f.Package)
		uses[from] = map[string]bool{}
		ast.Inspect(f, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			object := p.TypesInfo.Uses[id]
			if f, ok := object.(*types.Func); ok {
				object = f.Origin()
			}
			if object == nil || object.Pkg() != p.Types || !isShared(object) {
				return true
			}
			if to := file(object.Pos()); to != from {
				uses[from][to] = true
			}
			return true
		})
	}
	return uses
}

// isShared reports whether an object is declared at the level of the package, or a method.
func isShared(object types.Object) bool {
	if object.Parent() == object.Pkg().Scope() {
		return true
	}
	f, ok := object.(*types.Func)
	return ok && f.Signature().Recv() != nil
}

func count(uses map[string]map[string]bool) int {
	n := 0
	for _, to := range uses {
		n += len(to)
	}
	return n
}

// bestOrder puts files above those that they use, as well as possible. Finding the best order is
// hard in general; moving one file at a time until nothing gets better, from a few starts,
// finds it for packages of this size.
func bestOrder(uses map[string]map[string]bool) []string {
	files := slices.Sorted(maps.Keys(uses))
	byUses := slices.Clone(files)
	slices.SortStableFunc(byUses, func(a, b string) int { return len(uses[b]) - len(uses[a]) })
	used := map[string]int{}
	for _, to := range uses {
		for file := range to {
			used[file]++
		}
	}
	byUsers := slices.Clone(files)
	slices.SortStableFunc(byUsers, func(a, b string) int { return used[a] - used[b] })
	byBoth := slices.Clone(files)
	slices.SortStableFunc(byBoth, func(a, b string) int { return used[a] - len(uses[a]) - used[b] + len(uses[b]) })
	var best []string
	for _, order := range [][]string{files, byUses, byUsers, byBoth} {
		order = improve(order, uses)
		if best == nil || len(upwardIn(order, uses)) < len(upwardIn(best, uses)) {
			best = order
		}
	}
	return best
}

func improve(order []string, uses map[string]map[string]bool) []string {
	for better := true; better; {
		better = false
		for i := range order {
			file := order[i]
			// gain is what it gains to have the file at place j.
			gain, most, at := 0, 0, i
			for j := i - 1; j >= 0; j-- {
				gain += step(uses, file, order[j])
				if gain > most {
					most, at = gain, j
				}
			}
			gain = 0
			for j := i + 1; j < len(order); j++ {
				gain += step(uses, order[j], file)
				if gain > most {
					most, at = gain, j
				}
			}
			if at != i {
				order = slices.Insert(slices.Delete(order, i, i+1), at, file)
				better = true
			}
		}
	}
	return order
}

// step is what it gains that a stands above b and no longer below.
func step(uses map[string]map[string]bool, a, b string) int {
	gain := 0
	if uses[a][b] {
		gain++
	}
	if uses[b][a] {
		gain--
	}
	return gain
}

func upwardIn(order []string, uses map[string]map[string]bool) []string {
	var up []string
	for i, upper := range order {
		for _, lower := range order[i+1:] {
			if uses[lower][upper] {
				up = append(up, fmt.Sprintf("%s→%s", strings.TrimSuffix(lower, ".go"), strings.TrimSuffix(upper, ".go")))
			}
		}
	}
	return up
}
