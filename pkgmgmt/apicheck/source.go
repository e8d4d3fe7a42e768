package apicheck

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

type source struct {
	side
	dir      string              // the folder in the module cache
	consumer string              // a folder with a module that requires it
	packages []string            // import paths of the folders that users can import
	files    map[string]file     // all Go files that may be compiled, by their path in dir
	folders  map[string][]string // their paths by folder, sorted
	imports  map[string][]string // the folders of this module that a file imports, by its path
	headers  *headers            // the files that C may include

	declared map[string]map[string]declaration // by the path of a file
}

type file struct {
	hash        [sha256.Size]byte
	name        string // of the package
	out         bool   // package main or documentation, or only built with a tag
	cgo         bool   // it imports C
	constrained bool   // some variants do not compile it
	header      string // the build constraint, as the start of a file
}

// fetch downloads a version and writes a module that requires it. Faults of the module are in
// problems.
func fetch(ctx context.Context, work, name string, s side) (src *source, problems []string, err error) {
	src = &source{side: s, consumer: filepath.Join(work, name)}
	if err := os.Mkdir(src.consumer, 0o700); err != nil {
		return nil, nil, err
	}
	// Each side has its own cache, because one version may be compared with two contents.
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", s.Path+"@"+s.Version)
	cmd.Dir, cmd.Env = src.consumer, src.environment(work, variant{})
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	failed := cmd.Run()
	var told struct{ Dir, GoMod, Error string }
	if json.Unmarshal(stdout.Bytes(), &told) != nil || told.Error != "" || failed != nil || told.Dir == "" {
		said := cmp.Or(told.Error, stderr.String())
		if said == "" && failed != nil {
			said = failed.Error()
		}
		return nil, []string{said}, nil
	}
	src.dir = told.Dir
	goVersion := "1.21"
	if data, err := os.ReadFile(told.GoMod); err == nil {
		if mod, err := modfile.ParseLax("go.mod", data, nil); err == nil && mod.Go != nil {
			goVersion = mod.Go.Version
		}
	}
	if problems = src.walk(); len(problems) > 0 {
		return nil, problems, nil
	}
	mod := fmt.Sprintf("module apicheck.invalid/consumer\n\ngo %s\n\nrequire %s %s\n", goVersion, modfile.AutoQuote(s.Path), s.Version)
	var imports strings.Builder
	imports.WriteString("package consumer\n\n")
	for _, p := range src.packages {
		fmt.Fprintf(&imports, "import _ %q\n", p)
	}
	return src, nil, errors.Join(
		os.WriteFile(filepath.Join(src.consumer, "go.mod"), []byte(mod), 0o600),
		os.WriteFile(filepath.Join(src.consumer, "consumer.go"), []byte(imports.String()), 0o600),
	)
}

// environment returns the worker's environment with additions for the go command.
func (src *source) environment(work string, v variant) []string {
	env := append(os.Environ(), "GOPROXY="+cmp.Or(src.Proxy, "off"), "GOMODCACHE="+filepath.Join(work, "modcache-"+filepath.Base(src.consumer)))
	if goos, goarch, ok := strings.Cut(v.platform, "/"); ok {
		env = append(env, "GOOS="+goos, "GOARCH="+goarch)
	}
	if v.cgo {
		env = append(env, "CGO_ENABLED=1") // go list does not run cgo
	}
	return env
}

func (src *source) walk() (problems []string) {
	src.files, src.folders, src.imports = map[string]file{}, map[string][]string{}, map[string][]string{}
	src.declared = map[string]map[string]declaration{}
	importable := map[string]bool{}
	var included strings.Builder
	err := filepath.WalkDir(src.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src.dir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		base := d.Name()
		hidden := strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")
		if d.IsDir() {
			if rel != "." && (hidden || base == "testdata" || base == "vendor") {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(base, ".h") {
			data, err := os.ReadFile(name)
			included.Write(data)
			return err
		}
		if hidden || !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") {
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f := src.file(rel, data)
		src.files[rel] = f
		dir := path.Dir(rel)
		src.folders[dir] = append(src.folders[dir], rel)
		if pkg := path.Join(src.Path, dir); !f.out && !isInternal(dir) && module.CheckImportPath(pkg) == nil {
			importable[pkg] = true
		}
		return nil
	})
	if err != nil {
		return []string{err.Error()}
	}
	src.packages, src.headers = sortedKeys(importable), parseHeaders(included.String())
	return nil
}

func (src *source) file(rel string, data []byte) file {
	f := file{hash: sha256.Sum256(data), constrained: strings.Contains(path.Base(rel), "_")}
	syntax, err := parser.ParseFile(token.NewFileSet(), "x.go", data, parser.ImportsOnly|parser.ParseComments)
	if syntax == nil || syntax.Name == nil || err != nil && syntax.Name.Name == "_" {
		return f
	}
	when := constraintOf(syntax)
	f.name = syntax.Name.Name
	f.out = f.name == "main" || f.name == "documentation"
	if when != nil {
		able, _ := outcomes(when)
		f.out = f.out || !able
		f.header = "//go:build " + when.String() + "\n\n"
		f.constrained = true
	}
	f.header += "package p\n"
	for _, spec := range syntax.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		if name == "C" && !f.cgo {
			f.cgo, f.constrained = true, true
		}
		if rest, ok := strings.CutPrefix(name+"/", src.Path+"/"); ok {
			src.imports[rel] = append(src.imports[rel], path.Clean(rest))
		}
	}
	return f
}

// packageName returns the name of a variant's package in a folder. Empty means that there is no
// package.
func (src *source) packageName(v variant, dir string) string {
	for _, name := range src.folders[dir] {
		if f := src.files[name]; !f.out && v.compiles(name, f) {
			return f.name
		}
	}
	return ""
}

// declarations returns the declarations of a file.
func (src *source) declarations(name string) map[string]declaration {
	all, ok := src.declared[name]
	if !ok {
		data, err := os.ReadFile(filepath.Join(src.dir, filepath.FromSlash(name)))
		if err != nil {
			data = []byte(err.Error()) // not Go, and different from the other version
		}
		all = declarations(data, src.headers)
		src.declared[name] = all
	}
	return all
}

func isInternal(dir string) bool { return slices.Contains(strings.Split(dir, "/"), "internal") }

// constraintOf returns a file's build constraints. Nil means none.
func constraintOf(f *ast.File) (all constraint.Expr) {
lines:
	for _, group := range f.Comments {
		if group.Pos() > f.Package {
			break
		}
		for _, c := range group.List {
			// A +build line without an empty line below it is a comment of the package.
			if !constraint.IsGoBuild(c.Text) && (!constraint.IsPlusBuild(c.Text) || group == f.Doc) {
				continue
			}
			expr, err := constraint.Parse(c.Text)
			if err != nil {
				return nil
			}
			if constraint.IsGoBuild(c.Text) {
				all = expr
				break lines
			}
			if all != nil {
				expr = &constraint.AndExpr{X: all, Y: expr}
			}
			all = expr
		}
	}
	return all
}

// outcomes reports whether a constraint can be true, and whether it can be false, without tags of
// the user's. Tags of the platform, the toolchain and cgo may be true or false.
func outcomes(expr constraint.Expr) (able, unable bool) {
	switch x := expr.(type) {
	case *constraint.NotExpr:
		able, unable = outcomes(x.X)
		return unable, able
	case *constraint.AndExpr:
		a, notA := outcomes(x.X)
		b, notB := outcomes(x.Y)
		return a && b, notA || notB
	case *constraint.OrExpr:
		a, notA := outcomes(x.X)
		b, notB := outcomes(x.Y)
		return a || b, notA && notB
	case *constraint.TagExpr:
		decided := strings.HasPrefix(x.Tag, "go1.") || strings.HasPrefix(x.Tag, "goexperiment.") || strings.Contains(buildTags, " "+x.Tag+" ")
		return decided, true
	}
	return true, true
}
