package apicheck_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
	"github.com/upkeep-go/upkeep/pkgmgmt/proxytest"
)

// compiles reports whether a consumer, the source of a package, compiles against a module in
// a folder. The compiler is what decides what is compatible.
func compiles(t *testing.T, module apicheck.Module, consumer string) bool {
	t.Helper()
	dir := t.TempDir()
	mod := "module consumer.example\n\ngo 1.26\n\nrequire corp.example/lib v0.0.0\n\nreplace corp.example/lib => " + module.Dir + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "consumer.go"), []byte(consumer), 0o600))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-e", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "GOSUMDB=off")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	return err == nil
}

// TestCompiledConsumers has changes that a consumer feels, and those that none can. What
// does not compile any more needs a new major version.
func TestCompiledConsumers(t *testing.T) {
	t.Parallel()
	needGo(t)
	for _, c := range compiled {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			old, new := pair(t, c.archive)
			require.True(t, compiles(t, old, c.consumer), "the consumer must compile before")
			breaks := !compiles(t, new, c.consumer)
			require.Equal(t, c.want == apicheck.BumpMajor, breaks, "the compiler decides")
			v, err := checker(t, &apicheck.Options{Platforms: []string{"linux/amd64"}}).Compare(t.Context(), old, new)
			require.NoError(t, err)
			require.Equal(t, c.want, v.Bump, "%s", v)
			for _, line := range c.lines {
				require.Contains(t, lines(v), line)
			}
		})
	}
}

var compiled = []struct {
	name, archive, consumer string
	want                    apicheck.Bump
	lines                   []string
}{
	{
		name: "a type parameter asks for more", want: apicheck.BumpMajor,
		archive:  "-- old/lib.go --\npackage lib\nfunc Keys[T any](...T) {}\n-- new/lib.go --\npackage lib\nfunc Keys[T comparable](...T) {}\n",
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f() { lib.Keys([]int{}) }\n",
	},
	{
		name: "a type argument of a foreign type is another", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import "iter"
func All() iter.Seq[int] { return nil }
-- new/lib.go --
package lib
import "iter"
func All() iter.Seq[string] { return nil }
`,
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f() { for i := range lib.All() { var _ int = i } }\n",
		lines:    []string{"- All: changed from func() iter.Seq[int] to func() iter.Seq[string]"},
	},
	{
		name: "a type argument deep down in a field", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import "sync/atomic"
type T struct { P map[string][]*atomic.Pointer[int] }
-- new/lib.go --
package lib
import "sync/atomic"
type T struct { P map[string][]*atomic.Pointer[uint] }
`,
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f(t lib.T) *int { return t.P[\"\"][0].Load() }\n",
	},
	{
		name: "a type argument in a method's results", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import "iter"
type T int
func (T) Each() iter.Seq2[int, error] { return nil }
-- new/lib.go --
package lib
import "iter"
type T int
func (T) Each() iter.Seq2[int, string] { return nil }
`,
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f(t lib.T) { for _, err := range t.Each() { _ = err.Error() } }\n",
	},
	{
		name: "a type argument of a type in another package of the module", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/box"
var B box.Box[int]
-- old/box/box.go --
package box
type Box[T any] struct { V T }
-- new/lib.go --
package lib
import "corp.example/lib/box"
var B box.Box[string]
-- new/box/box.go --
package box
type Box[T any] struct { V T }
`,
		consumer: "package consumer\nimport \"corp.example/lib\"\nvar V int = lib.B.V\n",
	},
	{
		name: "a hidden type argument loses a field", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import ("iter"; "corp.example/lib/internal/item")
func All() iter.Seq[item.Item] { return nil }
-- old/internal/item/item.go --
package item
type Item struct { Name string; ID int }
-- new/lib.go --
package lib
import ("iter"; "corp.example/lib/internal/item")
func All() iter.Seq[item.Item] { return nil }
-- new/internal/item/item.go --
package item
type Item struct { ID int }
`,
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f() { for i := range lib.All() { _ = i.Name } }\n",
		lines:    []string{"- ./internal/item.Item.Name: removed"},
	},
	{
		name: "a hidden type in an atomic pointer loses a method", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import ("sync/atomic"; "corp.example/lib/internal/item")
var Current atomic.Pointer[item.Item]
-- old/internal/item/item.go --
package item
type Item struct{}
func (*Item) Close() {}
-- new/lib.go --
package lib
import ("sync/atomic"; "corp.example/lib/internal/item")
var Current atomic.Pointer[item.Item]
-- new/internal/item/item.go --
package item
type Item struct{}
`,
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f() { lib.Current.Load().Close() }\n",
	},
	{
		name: "a hidden constraint of a function narrows", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/num"
func Sum[T num.Number](...T) {}
-- old/internal/num/num.go --
package num
type Number interface { ~int | ~float64 }
-- new/lib.go --
package lib
import "corp.example/lib/internal/num"
func Sum[T num.Number](...T) {}
-- new/internal/num/num.go --
package num
type Number interface { ~int }
`,
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f() { lib.Sum(1.5) }\n",
		lines:    []string{"- ./internal/num.Number: type set changed from interface{~int | ~float64} to interface{~int}"},
	},
	{
		name: "a hidden constraint of a type narrows", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/num"
type Vec[T num.Number] []T
-- old/internal/num/num.go --
package num
type Number interface { Int | ~float64 }
type Int interface { ~int | ~int8 }
-- new/lib.go --
package lib
import "corp.example/lib/internal/num"
type Vec[T num.Number] []T
-- new/internal/num/num.go --
package num
type Number interface { Int | ~float64 }
type Int interface { ~int }
`,
		consumer: "package consumer\nimport \"corp.example/lib\"\nvar V lib.Vec[int8]\n",
	},
	{
		name: "a hidden constraint widens", want: apicheck.BumpMinor,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/num"
func Sum[T num.Number](...T) {}
-- old/internal/num/num.go --
package num
type Number interface { ~int }
-- new/lib.go --
package lib
import "corp.example/lib/internal/num"
func Sum[T num.Number](...T) {}
-- new/internal/num/num.go --
package num
type Number interface { ~int | ~float64 }
`,
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f() { lib.Sum(1) }\n",
	},
	{
		name: "a constraint's parts are written in another order", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
type Number interface { ~int | ~float64 | Small }
type Small interface { int8 }
func Sum[T interface { ~int | ~string }](...T) {}
-- new/lib.go --
package lib
type Number interface { ~float64 | Small | ~int }
type Small interface { int8 }
func Sum[T ~string | ~int](...T) {}
`,
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f[T lib.Number](T) { lib.Sum(\"\") }\n",
	},
	{
		name: "an exported constraint narrows", want: apicheck.BumpMajor,
		archive:  "-- old/lib.go --\npackage lib\ntype Number interface { ~int | ~float64 }\n-- new/lib.go --\npackage lib\ntype Number interface { ~int }\n",
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc g[T lib.Number](T) {}\nfunc f() { g(1.5) }\n",
	},
	{
		name: "an exported constraint widens", want: apicheck.BumpMajor,
		archive:  "-- old/lib.go --\npackage lib\ntype Number interface { ~int | ~float64 }\n-- new/lib.go --\npackage lib\ntype Number interface { ~int | ~float64 | ~string }\n",
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc g[T lib.Number](t T) T { return t * t }\n",
	},
	{
		name: "an exported constraint loses its tilde", want: apicheck.BumpMajor,
		archive:  "-- old/lib.go --\npackage lib\ntype Number interface { ~int }\n-- new/lib.go --\npackage lib\ntype Number interface { int }\n",
		consumer: "package consumer\nimport \"corp.example/lib\"\ntype I int\nfunc g[T lib.Number](t T) {}\nfunc f() { g(I(1)) }\n",
	},
	{
		name: "a hidden constraint with a name in the API widens", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/num"
type Number = num.Number
-- old/internal/num/num.go --
package num
type Number interface { ~int }
-- new/lib.go --
package lib
import "corp.example/lib/internal/num"
type Number = num.Number
-- new/internal/num/num.go --
package num
type Number interface { ~int | ~string }
`,
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc g[T lib.Number](t T) T { return t * t }\n",
	},
	{
		name: "an inline constraint narrows", want: apicheck.BumpMajor,
		archive:  "-- old/lib.go --\npackage lib\nfunc F[T int | string](T) {}\n-- new/lib.go --\npackage lib\nfunc F[T int](T) {}\n",
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f() { lib.F(\"\") }\n",
	},
	{
		name: "an inline constraint widens", want: apicheck.BumpMinor,
		archive:  "-- old/lib.go --\npackage lib\nfunc F[T int](T) {}\n-- new/lib.go --\npackage lib\nfunc F[T int | string](T) {}\n",
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f() { lib.F(1) }\n",
	},
	{
		name: "a constructor of an internal package returns an unexported type that loses a method", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/base"
var New = base.New
-- old/internal/base/base.go --
package base
type impl struct{}
func New() *impl { return nil }
func (*impl) Close() {}
-- new/lib.go --
package lib
import "corp.example/lib/internal/base"
var New = base.New
-- new/internal/base/base.go --
package base
type impl struct{}
func New() *impl { return nil }
`,
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f() { lib.New().Close() }\n",
		lines:    []string{"- ./internal/base.(*impl).Close: removed"},
	},
	{
		name: "an unexported type behind two packages loses a field", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/a"
var Get = a.Get
-- old/internal/a/a.go --
package a
import "corp.example/lib/internal/b"
func Get() struct{ In []b.Out } { panic(0) }
-- old/internal/b/b.go --
package b
type inner struct{ X, Y int }
type Out struct{ I inner }
-- new/lib.go --
package lib
import "corp.example/lib/internal/a"
var Get = a.Get
-- new/internal/a/a.go --
package a
import "corp.example/lib/internal/b"
func Get() struct{ In []b.Out } { panic(0) }
-- new/internal/b/b.go --
package b
type inner struct{ X int }
type Out struct{ I inner }
`,
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f() int { return lib.Get().In[0].I.Y }\n",
	},
	{
		name: "a package has another name", want: apicheck.BumpMajor,
		archive:  "-- old/lib.go --\npackage lib\nfunc F() {}\n-- new/lib.go --\npackage library\nfunc F() {}\n",
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f() { lib.F() }\n",
		lines:    []string{"- package corp.example/lib: name changed from lib to library"},
	},
	{
		name: "what is hidden and not reached", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/in"
type T struct { h in.Handle }
func F() int { return in.New().X }
-- old/internal/in/in.go --
package in
type Handle struct { X int; Y int }
func New() Handle { return Handle{} }
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
type T struct { h in.Handle }
func F() int { return in.New().X }
-- new/internal/in/in.go --
package in
type Handle struct { X int }
func New() Handle { return Handle{} }
`,
		consumer: "package consumer\nimport \"corp.example/lib\"\nvar _ = lib.F()\nvar _ lib.T\n",
	},
}

// TestDependencyBreaks: what the API shows of a dependency changes with its version. That is
// at least a minor version, and the dependency is named.
func TestDependencyBreaks(t *testing.T) {
	t.Parallel()
	needGo(t)
	dep := func(version, source string) proxytest.Module {
		return proxytest.Module{Path: "dep.example/dep", Version: version, Files: proxytest.Files{"dep.go": "package dep\n" + source}}
	}
	p := proxytest.New(t,
		dep("v1.0.0", "type Opt struct { A, B int }\ntype Inner struct{ X, Y int }\ntype Outer struct{ I Inner }\nfunc Gone() {}\n"),
		dep("v1.1.0", "type Opt struct { A int }\ntype Inner struct{ X int }\ntype Outer struct{ I Inner }\n"),
	)
	for decl, want := range map[string]struct {
		bump apicheck.Bump
		line string
	}{
		"type Opt = dep.Opt":                  {apicheck.BumpMinor, "+ dep.example/dep.Opt.B: removed, by the dependency dep.example/dep v1.0.0, now dep.example/dep v1.1.0"},
		"func New(...dep.Opt) {}":             {apicheck.BumpMinor, "+ dep.example/dep.Opt.B: removed, by the dependency dep.example/dep v1.0.0, now dep.example/dep v1.1.0"},
		"type T struct { O []*dep.Opt }":      {apicheck.BumpMinor, "+ dep.example/dep.Opt.B: removed, by the dependency dep.example/dep v1.0.0, now dep.example/dep v1.1.0"},
		"func New() (o dep.Outer) { return }": {apicheck.BumpMinor, "+ dep.example/dep.Inner.Y: removed, by the dependency dep.example/dep v1.0.0, now dep.example/dep v1.1.0"},
		"type T struct { o dep.Opt }":         {apicheck.BumpPatch, ""},
		"func New() { _ = dep.Opt{} }":        {apicheck.BumpPatch, ""},
	} {
		t.Run(decl, func(t *testing.T) {
			t.Parallel()
			old, new := pair(t, `
-- old/go.mod --
module corp.example/lib
go 1.24
require dep.example/dep v1.0.0
-- old/lib.go --
package lib
import "dep.example/dep"
`+decl+`
-- new/go.mod --
module corp.example/lib
go 1.24
require dep.example/dep v1.1.0
-- new/lib.go --
package lib
import "dep.example/dep"
`+decl+`
`)
			old.Proxy, new.Proxy = p.URL, p.URL
			v, err := checker(t, nil).Compare(t.Context(), old, new)
			require.NoError(t, err)
			require.Equal(t, want.bump, v.Bump, "%s", v)
			if want.line != "" {
				require.Contains(t, lines(v), want.line)
			}
			require.NotContains(t, v.String(), "Gone")
		})
	}
}
