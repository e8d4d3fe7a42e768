package layers_test

import (
	"bytes"
	"flag"
	"go/ast"
	"go/doc"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the lists of exported names anew")

// TestSurface holds what each package exports against a list, so that a change of the
// surface is seen in review.
func TestSurface(t *testing.T) {
	t.Parallel()
	for dir := range arrows {
		if strings.HasPrefix(dir, "internal/") || strings.Contains(dir, "/internal/") {
			continue
		}
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			golden := filepath.Join("testdata", strings.ReplaceAll(dir, "/", "_")+".txt")
			got := surface(t, dir)
			if *update {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			gone, added := difference(string(want), got), difference(got, string(want))
			require.Empty(t, slices.Concat(gone, added), "what %s exports has changed (first what is gone, then what is new); if that is meant: go test ./internal/layers -update, and say it in CHANGELOG.md", dir)
		})
	}
}

// difference lists the lines of a that b does not have.
func difference(a, b string) []string {
	have := strings.Split(b, "\n")
	return slices.DeleteFunc(strings.Split(a, "\n"), func(line string) bool { return slices.Contains(have, line) })
}

// TestEveryExportedNameIsDocumented includes methods.
func TestEveryExportedNameIsDocumented(t *testing.T) {
	t.Parallel()
	for dir := range arrows {
		p, _ := load(t, dir)
		require.NotEmpty(t, p.Doc, "package %s", dir)
		for _, f := range functions(p) {
			if f.Name != "Error" && f.Name != "Unwrap" { // which say it themselves
				require.NotEmpty(t, f.Doc, "%s: %s", dir, f.Name)
			}
		}
		for _, typ := range p.Types {
			require.NotEmpty(t, typ.Doc, "%s: %s", dir, typ.Name)
		}
	}
}

func load(t *testing.T, dir string) (*doc.Package, *token.FileSet) {
	t.Helper()
	fset, files, importPath := parsed(t, dir)
	p, err := doc.NewFromFiles(fset, files, importPath)
	require.NoError(t, err)
	return p, fset
}

func functions(p *doc.Package) []*doc.Func {
	funcs := slices.Clone(p.Funcs)
	for _, typ := range p.Types {
		funcs = append(append(funcs, typ.Funcs...), typ.Methods...)
	}
	return funcs
}

func surface(t *testing.T, dir string) string {
	t.Helper()
	p, fset := load(t, dir)
	var lines []string
	add := func(prefix string, node any) {
		var b bytes.Buffer
		require.NoError(t, printer.Fprint(&b, fset, node))
		lines = append(lines, prefix+strings.Join(strings.Fields(b.String()), " "))
	}
	values := slices.Concat(p.Consts, p.Vars)
	for _, f := range functions(p) {
		f.Decl.Body, f.Decl.Doc = nil, nil
		add("", f.Decl)
	}
	for _, typ := range p.Types {
		values = slices.Concat(values, typ.Consts, typ.Vars)
		for _, spec := range typ.Decl.Specs {
			spec, ok := spec.(*ast.TypeSpec)
			require.True(t, ok)
			members := fieldsOf(spec.Type)
			if members == nil {
				spec.Doc, spec.Comment = nil, nil
				add("type ", spec)
				continue
			}
			kind := "struct"
			if _, ok := spec.Type.(*ast.InterfaceType); ok {
				kind = "interface"
			}
			lines = append(lines, "type "+spec.Name.Name+" "+kind)
			for _, field := range members.List {
				for _, name := range field.Names {
					if name.IsExported() {
						add("type "+spec.Name.Name+" "+kind+", "+name.Name+" ", field.Type)
					}
				}
				if len(field.Names) == 0 {
					add("type "+spec.Name.Name+" "+kind+", embeds ", field.Type)
				}
			}
		}
	}
	for _, v := range values {
		for _, name := range v.Names {
			if ast.IsExported(name) {
				lines = append(lines, v.Decl.Tok.String()+" "+name)
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n") + "\n"
}

func fieldsOf(typ ast.Expr) *ast.FieldList {
	switch typ := typ.(type) {
	case *ast.StructType:
		return typ.Fields
	case *ast.InterfaceType:
		return typ.Methods
	}
	return nil
}
