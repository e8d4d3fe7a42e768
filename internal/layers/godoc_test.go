package layers_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGoDocListsConstructorsWithTheirTypes checks what "go doc" prints. It lists a function
// below the type that it returns only as long as its other results are of predeclared types,
// and a package-level variable that is declared with the type error, exported or not, makes it
// take error for a type of the package. Declare such a variable by its value alone.
func TestGoDocListsConstructorsWithTheirTypes(t *testing.T) {
	t.Parallel()
	for dir := range arrows {
		fset, files, importPath := parsed(t, dir)
		p, err := doc.NewFromFiles(fset, files, importPath, doc.AllDecls)
		require.NoError(t, err)
		local := map[string]bool{}
		for _, typ := range p.Types {
			if len(typ.Decl.Specs) > 0 {
				local[typ.Name] = ast.IsExported(typ.Name)
			}
		}
		for _, f := range p.Funcs {
			if f.Decl.Type.Results == nil || !ast.IsExported(f.Name) {
				continue
			}
			results := map[string]bool{}
			for _, result := range f.Decl.Type.Results.List {
				if name := baseType(result.Type); local[name] && !isTypeParam(f.Decl, name) {
					results[name] = true
				}
			}
			require.NotEqual(t, 1, len(results), "%s: go doc lists %s apart from its type", dir, f.Name)
		}
	}
}

// baseType names a type, an element of a slice, or what a pointer points to.
func baseType(x ast.Expr) string {
	if array, ok := x.(*ast.ArrayType); ok {
		x = array.Elt
	}
	if star, ok := x.(*ast.StarExpr); ok {
		x = star.X
	}
	switch generic := x.(type) {
	case *ast.IndexExpr:
		x = generic.X
	case *ast.IndexListExpr:
		x = generic.X
	}
	if id, ok := x.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

func isTypeParam(f *ast.FuncDecl, name string) bool {
	if f.Type.TypeParams == nil {
		return false
	}
	for _, field := range f.Type.TypeParams.List {
		for _, id := range field.Names {
			if id.Name == name {
				return true
			}
		}
	}
	return false
}

// TestGoDocShowsPackagesByTheirNames finds imports under another name in what is exported:
// readers of the documentation do not see the import.
func TestGoDocShowsPackagesByTheirNames(t *testing.T) {
	t.Parallel()
	for dir := range arrows {
		fset, files, importPath := parsed(t, dir)
		renamed := map[string]map[string]string{} // by file and name
		for _, f := range files {
			names := map[string]string{}
			for _, spec := range f.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				require.NoError(t, err)
				if spec.Name != nil && !isNameOf(spec.Name.Name, imported) {
					names[spec.Name.Name] = imported
				}
			}
			renamed[fset.Position(f.Package).Filename] = names
		}
		p, err := doc.NewFromFiles(fset, files, importPath)
		require.NoError(t, err)
		check := func(name string, node ast.Node) {
			ast.Inspect(node, func(n ast.Node) bool {
				if selector, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := selector.X.(*ast.Ident); ok {
						imported, ok := renamed[fset.Position(x.Pos()).Filename][x.Name]
						require.False(t, ok, "%s: %s shows %s.%s, which is of %s", dir, name, x.Name, selector.Sel.Name, imported)
					}
				}
				return true
			})
		}
		for _, f := range functions(p) {
			check(f.Name, f.Decl.Type)
		}
		values := append(p.Consts, p.Vars...)
		for _, typ := range p.Types {
			check(typ.Name, typ.Decl)
			values = append(append(values, typ.Consts...), typ.Vars...)
		}
		for _, v := range values {
			for _, spec := range v.Decl.Specs {
				if spec, ok := spec.(*ast.ValueSpec); ok && spec.Type != nil {
					check(strings.Join(v.Names, ", "), spec.Type)
				}
			}
		}
	}
}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// isNameOf reports whether a package with this path may have this name without an import
// that renames it.
func isNameOf(name, imported string) bool {
	base := path.Base(imported)
	if majorVersion.MatchString(base) {
		base = path.Base(path.Dir(imported))
	}
	return name == "_" || name == strings.TrimSuffix(strings.TrimPrefix(base, "go-"), "-go")
}

// parsed reads a package without its tests, for [doc.NewFromFiles].
func parsed(t *testing.T, dir string) (*token.FileSet, []*ast.File, string) {
	t.Helper()
	fset := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(dir), "*.go"))
	require.NoError(t, err)
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, f)
	}
	return fset, files, module + "/" + dir
}
