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
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

type source struct {
	side
	dir      string          // where the go command has put it
	consumer string          // a folder with a module that requires it
	files    map[string]file // all Go files that may matter, by their path in dir
	packages []string        // import paths of the folders that others can import from
}

type file struct {
	hash [sha256.Size]byte
	out  bool // of package main or documentation, or in no build without a tag
}

// fetch gets a version, and makes a module that requires it. A fault of the module is
// in problems.
func fetch(ctx context.Context, work, name string, s side) (src *source, problems []string, err error) {
	src = &source{side: s, consumer: filepath.Join(work, name)}
	if err := os.Mkdir(src.consumer, 0o700); err != nil {
		return nil, nil, err
	}
	// Each side has a cache of its own: one version may be here with two contents.
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", s.Path+"@"+s.Version)
	cmd.Dir, cmd.Env = src.consumer, src.environment(work, "")
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

// environment is what the go command gets besides what the worker has.
func (src *source) environment(work, platform string) []string {
	env := append(os.Environ(), "GOPROXY="+cmp.Or(src.Proxy, "off"), "GOMODCACHE="+filepath.Join(work, "modcache-"+filepath.Base(src.consumer)))
	if goos, goarch, ok := strings.Cut(platform, "/"); ok {
		env = append(env, "GOOS="+goos, "GOARCH="+goarch)
	}
	return env
}

func (src *source) walk() (problems []string) {
	src.files = map[string]file{}
	importable := map[string]bool{}
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
		if hidden || !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") {
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f := file{hash: sha256.Sum256(data)}
		syntax, err := parser.ParseFile(token.NewFileSet(), base, data, parser.PackageClauseOnly|parser.ParseComments)
		if err == nil {
			f.out = syntax.Name.Name == "main" || syntax.Name.Name == "documentation" || optional(syntax)
		}
		src.files[rel] = f
		dir := path.Dir(rel)
		if pkg := path.Join(src.Path, dir); !f.out && !isInternal(dir) && module.CheckImportPath(pkg) == nil {
			importable[pkg] = true
		}
		return nil
	})
	if err != nil {
		return []string{err.Error()}
	}
	src.packages = slices.Sorted(maps.Keys(importable))
	return nil
}

func isInternal(dir string) bool { return slices.Contains(strings.Split(dir, "/"), "internal") }

// optional tells whether a file is in a build only when its user names a build tag, as
// "ignore" or "integration".
func optional(f *ast.File) bool {
	var all constraint.Expr
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
				return false
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
	if all == nil {
		return false
	}
	able, _ := outcomes(all)
	return !able
}

// outcomes tells whether a constraint can be true and false when no tags are named: what
// the platform, the toolchain and cgo decide may be either.
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

// buildTags are those that a build sets by itself (https://pkg.go.dev/cmd/go#hdr-Build_constraints).
const buildTags = " cgo gc gccgo race msan asan boringcrypto unix " +
	"aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasip1 windows zos " +
	"386 amd64 amd64p32 arm arm64 arm64be armbe loong64 mips mips64 mips64le mips64p32 mips64p32le mipsle ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm "
