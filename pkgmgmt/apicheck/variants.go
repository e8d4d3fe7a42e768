package apicheck

import (
	"fmt"
	"go/build"
	"go/build/constraint"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A variant is one way to build a module: a platform, with or without cgo, with an older or newer
// Go or the race detector.
type variant struct {
	platform string // GOOS/GOARCH
	cgo      bool
	tag      string // Empty means none. "go1.17" means the newest release of Go.
}

func (v variant) String() string {
	switch {
	case v.tag != "" && v.cgo:
		return v.platform + " with cgo and " + v.tag
	case v.tag != "":
		return v.platform + " with " + v.tag
	case v.cgo:
		return v.platform + " with cgo"
	}
	return v.platform
}

// loads reports whether the installed go command can list the packages of a variant.
func (v variant) loads() bool { return v.tag == "" }

// compiles reports whether a variant compiles a file.
func (v variant) compiles(name string, f file) bool {
	if !f.constrained {
		return true
	}
	if f.cgo && !v.cgo {
		return false
	}
	c := build.Default
	c.GOOS, c.GOARCH, _ = strings.Cut(v.platform, "/")
	c.CgoEnabled, c.Compiler = v.cgo, "gc"
	switch release, ok := releaseOf(v.tag); {
	case ok:
		c.ReleaseTags = nil
		for i := range release {
			c.ReleaseTags = append(c.ReleaseTags, "go1."+strconv.Itoa(i+1))
		}
	case v.tag == "gccgo":
		c.Compiler = v.tag
	case v.tag == "boringcrypto":
		c.BuildTags = []string{"goexperiment.boringcrypto"}
	case v.tag != "":
		c.BuildTags = []string{v.tag}
	}
	c.JoinPath = path.Join
	c.OpenFile = func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(f.header)), nil }
	ok, err := c.MatchFile("", path.Base(name))
	return ok && err == nil
}

// releaseOf returns the minor version of a release tag.
func releaseOf(tag string) (minor int, ok bool) {
	text, ok := strings.CutPrefix(tag, "go1.")
	minor, err := strconv.Atoi(text)
	return minor, ok && err == nil && 0 < minor && minor < 10_000
}

// variants returns the variants that may compile different files, the given platforms first.
func variants(first []string, files []file) (all []variant) {
	platforms := slices.Clone(first)
	for _, p := range strings.Fields(everyPlatform) {
		if !slices.Contains(platforms, p) {
			platforms = append(platforms, p)
		}
	}
	tags := []string{""}
	add := func(tag string) {
		if !slices.Contains(tags, tag) && len(tags) < maxTags {
			tags = append(tags, tag)
		}
	}
	newest := len(build.Default.ReleaseTags)
	for _, f := range files {
		for _, tag := range f.tags() {
			switch minor, ok := releaseOf(tag); {
			case ok && minor > newest:
				add(tag)
			case ok && minor > 1:
				add(fmt.Sprintf("go1.%d", minor-1))
			case strings.Contains(modeTags, " "+tag+" ") || strings.HasPrefix(tag, "goexperiment."):
				add(tag)
			}
		}
	}
	for _, tag := range tags {
		for _, cgo := range []bool{false, true} {
			for _, p := range platforms {
				all = append(all, variant{p, cgo, tag})
			}
		}
	}
	return all
}

const maxTags = 20

// tags returns the tags in a file's build constraint.
func (f file) tags() (all []string) {
	line, _, _ := strings.Cut(f.header, "\n")
	expr, err := constraint.Parse(line)
	if err != nil {
		return nil
	}
	var visit func(constraint.Expr)
	visit = func(expr constraint.Expr) {
		switch x := expr.(type) {
		case *constraint.NotExpr:
			visit(x.X)
		case *constraint.AndExpr:
			visit(x.X)
			visit(x.Y)
		case *constraint.OrExpr:
			visit(x.X)
			visit(x.Y)
		case *constraint.TagExpr:
			all = append(all, x.Tag)
		}
	}
	visit(expr)
	return all
}

// buildTags are the tags that the go command sets (https://pkg.go.dev/cmd/go#hdr-Build_constraints).
const buildTags = modeTags + "cgo gc unix " +
	"aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasip1 windows zos " +
	"386 amd64 amd64p32 arm arm64 arm64be armbe loong64 mips mips64 mips64le mips64p32 mips64p32le mipsle ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm "

const modeTags = " gccgo race msan asan boringcrypto "

// everyPlatform is the output of go tool dist list, with the common platforms first.
const everyPlatform = `
	linux/amd64 windows/amd64 darwin/arm64 freebsd/amd64 linux/386 js/wasm linux/arm64 linux/arm wasip1/wasm
	openbsd/amd64 netbsd/amd64 dragonfly/amd64 solaris/amd64 illumos/amd64 aix/ppc64 plan9/amd64 android/arm64 ios/arm64
	darwin/amd64 windows/386 windows/arm64 linux/riscv64 linux/ppc64le linux/s390x linux/loong64 linux/mips linux/mips64
	linux/mips64le linux/mipsle linux/ppc64 freebsd/386 freebsd/arm freebsd/arm64 netbsd/386 netbsd/arm netbsd/arm64
	openbsd/386 openbsd/arm openbsd/arm64 openbsd/ppc64 openbsd/riscv64 plan9/386 plan9/arm android/386 android/amd64
	android/arm ios/amd64`
