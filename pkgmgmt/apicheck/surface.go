package apicheck

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// A surface is the API of a version on one platform.
type surface struct {
	packages map[string]*types.Package // importable packages, by import path
	others   map[string]*types.Package // other compared packages: internal ones, and those of other modules
	modules  map[*types.Package]string // module and version of packages of other modules
}

// hidden reports whether a package is internal or belongs to another module.
func (s *surface) hidden(pkg *types.Package) bool { return s.others[pkg.Path()] == pkg }

// load type-checks the packages from source as a user's build would in a variant. It compiles
// nothing.
func (src *source) load(ctx context.Context, work string, v variant, excluded func(pkg string) bool) (out *surface, problems []string, err error) {
	fset := token.NewFileSet()
	roots, err := packages.Load(&packages.Config{
		Context: ctx,
		Mode:    packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedDeps | packages.NeedModule,
		Dir:     src.consumer,
		Env:     src.environment(work, v),
		Fset:    fset,
	}, ".")
	if err != nil {
		return nil, []string{err.Error()}, nil
	}
	_, goarch, _ := strings.Cut(v.platform, "/")
	c := typeChecker{fset: fset, cgo: v.cgo, sizes: types.SizesFor("gc", goarch), done: map[string]*types.Package{}}
	out = &surface{packages: map[string]*types.Package{}, others: map[string]*types.Package{}, modules: map[*types.Package]string{}}
	for _, root := range roots {
		for _, e := range root.Errors {
			c.problem("%s", e.Msg)
		}
		for _, p := range values(root.Imports) {
			if len(p.GoFiles) == 0 || p.Name == "main" || p.Module == nil || p.Module.Path != src.Path || excluded(p.PkgPath) {
				if len(p.GoFiles) == 0 && len(p.IgnoredFiles) == 0 && !excluded(p.PkgPath) {
					c.faults(p)
				}
				continue
			}
			if t := c.check(p, 0); t != nil {
				out.packages[p.PkgPath] = t
			}
		}
	}
	for _, p := range c.seen {
		if p.Module == nil {
			continue
		}
		t := c.done[p.ID]
		if p.Module.Path != src.Path {
			if t != nil && p.Module.Version != "" {
				out.others[p.PkgPath] = t
				out.modules[t] = p.Module.Path + " " + p.Module.Version
			}
			continue
		}
		if t != nil && isInternalPackage(src.Path, p.PkgPath) && !excluded(p.PkgPath) {
			out.others[p.PkgPath] = t
		}
	}
	return out, c.problems, nil
}

// A typeChecker checks packages from source without function bodies.
type typeChecker struct {
	fset     *token.FileSet
	sizes    types.Sizes
	cgo      bool
	done     map[string]*types.Package // by package id; nil during its check
	seen     []*packages.Package
	problems []string
}

func (c *typeChecker) problem(format string, args ...any) {
	if text := shown(fmt.Sprintf(format, args...)); len(c.problems) < maxProblems && !slices.Contains(c.problems, text) {
		c.problems = append(c.problems, text)
	}
}

// faults records the errors of the go command for a package. Missing files to embed are ignored,
// because they are not part of the API.
func (c *typeChecker) faults(p *packages.Package) {
	for _, e := range p.Errors {
		if !strings.Contains(e.Msg, "no matching files found") {
			c.problem("%s: %s", p.PkgPath, e.Msg)
		}
	}
}

// maxImports bounds the depth of imports, because each uses stack.
const maxImports = 1000

func (c *typeChecker) check(p *packages.Package, depth int) *types.Package {
	if p.PkgPath == "unsafe" {
		return types.Unsafe
	}
	if t, ok := c.done[p.ID]; ok {
		if t == nil {
			c.problem("%s: imports itself", p.PkgPath)
		}
		return t
	}
	if depth > maxImports {
		c.problem("%s: imports are nested too deeply", p.PkgPath)
		return nil
	}
	c.done[p.ID] = nil
	c.seen = append(c.seen, p)
	c.faults(p)
	if len(p.GoFiles) == 0 {
		return nil // the go command has reported it
	}
	imports := map[string]*types.Package{}
	for _, name := range sortedKeys(p.Imports) {
		imports[name] = c.check(p.Imports[name], depth+1)
	}
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(c.fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			c.problem("%s: %v", p.PkgPath, withoutFolder(err.Error(), p.Dir))
			continue
		}
		files = append(files, f)
	}
	config := types.Config{
		IgnoreFuncBodies: true,
		FakeImportC:      c.cgo, // cgo is not run, so the types of C are unknown
		Sizes:            c.sizes,
		Importer: importer(func(name string) (*types.Package, error) {
			if t := imports[name]; t != nil {
				return t, nil
			}
			if name == "unsafe" {
				return types.Unsafe, nil
			}
			return nil, fmt.Errorf("could not import %s", name)
		}),
		Error: func(err error) {
			c.problem("%s: %s", p.PkgPath, withoutFolder(err.Error(), p.Dir))
		},
	}
	if p.Module != nil && p.Module.GoVersion != "" {
		config.GoVersion = "go" + p.Module.GoVersion
	}
	t, _ := config.Check(p.PkgPath, c.fset, files, nil) // config.Error gets all errors
	c.done[p.ID] = t
	return t
}

// withoutFolder removes the folder from file names in a text.
func withoutFolder(text, dir string) string {
	return strings.ReplaceAll(text, dir+string(filepath.Separator), "")
}

type importer func(string) (*types.Package, error)

func (i importer) Import(name string) (*types.Package, error) { return i(name) }

func isInternalPackage(module, pkg string) bool {
	rest, ok := strings.CutPrefix(pkg, module+"/")
	return ok && slices.Contains(strings.Split(path.Clean(rest), "/"), "internal")
}

// values returns the values of a map in the order of its keys.
func values[V any](pkgs map[string]V) (all []V) {
	for _, name := range sortedKeys(pkgs) {
		all = append(all, pkgs[name])
	}
	return all
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
