package apicheck_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
	"github.com/upkeep-go/upkeep/pkgmgmt/proxytest"
)

// A compiledCase is a module in two versions, old and new in an archive, and the source of a
// package that uses it. The compiler decides what is incompatible.
type compiledCase struct {
	name, archive, consumer string
	want                    apicheck.Bump // Empty means that only the compiler decides.
	sound                   bool          // what compiles before and after must not be major
	lines                   []string
}

// compareCompiled puts all cases into one module as folders, because one comparison takes as long
// as that of a single case. It returns the number of broken consumers.
func compareCompiled(t *testing.T, cases []compiledCase) (breaks int) {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	broken := map[string]map[string]bool{}
	for _, side := range []string{"old", "new"} {
		write(side+"/lib/go.mod", "module corp.example/lib\n\ngo 1.26\n")
		write(side+"/consumer/go.mod", "module consumer.example\n\ngo 1.26\n\nrequire corp.example/lib v0.0.0\n\nreplace corp.example/lib => ../lib\n")
		for i, c := range cases {
			own := fmt.Sprintf("corp.example/lib/p%d", i)
			write(fmt.Sprintf("%s/consumer/p%d/c.go", side, i), strings.ReplaceAll(c.consumer, "corp.example/lib", own))
			for _, f := range txtar.Parse([]byte(c.archive)).Files {
				if name, ok := strings.CutPrefix(f.Name, side+"/"); ok {
					write(fmt.Sprintf("%s/lib/p%d/%s", side, i, name), strings.ReplaceAll(string(f.Data), "corp.example/lib", own))
				}
			}
		}
		broken[side] = failing(t, filepath.Join(root, side, "consumer"))
	}
	require.Empty(t, broken["old"], "each consumer compiles before")
	v, err := checker(t, &apicheck.Options{Platforms: []string{"linux/amd64"}}).Compare(t.Context(), apicheck.Module{Dir: filepath.Join(root, "old", "lib")}, apicheck.Module{Dir: filepath.Join(root, "new", "lib")})
	require.NoError(t, err)
	require.Empty(t, v.Problems)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := bumpOf(v, fmt.Sprintf("p%d", i))
			of := "\n" + linesOf(v, i)
			if broken["new"][fmt.Sprintf("consumer.example/p%d", i)] {
				breaks++
				require.Equal(t, apicheck.BumpMajor, got, "the consumer does not compile any more: %s%s", of, c.archive)
			} else if c.want != "" {
				require.NotEqual(t, apicheck.BumpMajor, c.want, "the consumer shows it")
			}
			if c.want != "" {
				require.Equal(t, c.want, got, of)
			}
			if c.sound && !broken["new"][fmt.Sprintf("consumer.example/p%d", i)] {
				require.NotEqual(t, apicheck.BumpMajor, got, "the consumer still compiles: %s%s", of, c.archive)
			}
			for _, line := range c.lines {
				line = strings.ReplaceAll(line, "corp.example/lib", fmt.Sprintf("corp.example/lib/p%d", i))
				mark, rest := line[:2], line[2:]
				switch {
				case strings.HasPrefix(rest, "./"):
					rest = fmt.Sprintf("./p%d/%s", i, rest[2:])
				case !strings.HasPrefix(rest, "package "):
					rest = fmt.Sprintf("./p%d.%s", i, rest)
				}
				require.Contains(t, lines(v), mark+rest)
			}
		})
	}
	return breaks
}

// linesOf returns the lines of a verdict for one case.
func linesOf(v apicheck.Verdict, i int) string {
	var all []string
	for _, line := range lines(v) {
		if strings.Contains(line, fmt.Sprintf("/p%d.", i)) || strings.Contains(line, fmt.Sprintf("/p%d/", i)) || strings.Contains(line, fmt.Sprintf("/p%d:", i)) {
			all = append(all, line)
		}
	}
	return strings.Join(all, "\n")
}

// failing returns the packages below a folder that do not compile.
func failing(t *testing.T, dir string) map[string]bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-json", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "GOSUMDB=off")
	out, err := cmd.Output()
	failed := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		var event struct{ ImportPath, Action, Output string }
		if json.Unmarshal([]byte(line), &event) != nil {
			continue
		}
		if event.Action == "build-fail" {
			failed[event.ImportPath] = true
		}
		require.NotContains(t, event.ImportPath, "corp.example/lib", "the library compiles: %s", event.Output)
	}
	if err != nil && len(failed) == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	return failed
}

// TestCompiledConsumers compiles a consumer of each change. If the consumer breaks, the change
// must need a new major version.
func TestCompiledConsumers(t *testing.T) {
	t.Parallel()
	needGo(t)
	compareCompiled(t, compiled)
}

var compiled = []compiledCase{
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
	{
		name: "a type moves and leaves an alias", want: apicheck.BumpMinor,
		archive: `
-- old/lib.go --
package lib
type T struct { A int; next *T }
func (t T) Do(T) *T { return t.next }
func (*T) Close() {}
func New() *T { return nil }
-- new/lib.go --
package lib
import "corp.example/lib/sub"
type T = sub.T
func New() *T { return nil }
-- new/sub/x.go --
package sub
type T struct { A int; next *T }
func (t T) Do(T) *T { return t.next }
func (*T) Close() {}
`,
		consumer: `package consumer
import "corp.example/lib"
func f(x lib.T) *lib.T { x.Close(); _ = x.A; return lib.New().Do(x) }
type W struct { lib.T }
var M = map[string]*lib.T{"": {A: 1}}
`,
		lines: []string{"+ package corp.example/lib/sub: added"},
	},
	{
		name: "a type moves to an internal package and leaves an alias", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
type T struct { A int; next *T }
func (t T) Do(T) *T { return t.next }
func (*T) Close() {}
func New() *T { return nil }
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
type T = in.T
func New() *T { return nil }
-- new/internal/in/x.go --
package in
type T struct { A int; next *T }
func (t T) Do(T) *T { return t.next }
func (*T) Close() {}
`,
		consumer: `package consumer
import "corp.example/lib"
func f(x lib.T) *lib.T { x.Close(); _ = x.A; return lib.New().Do(x) }
type W struct { lib.T }
var M = map[string]*lib.T{"": {A: 1}}
`,
	},
	{
		name: "a type moves and loses a method", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
type T struct { A int; next *T }
func (t T) Do(T) *T { return t.next }
func (*T) Close() {}
func New() *T { return nil }
-- new/lib.go --
package lib
import "corp.example/lib/sub"
type T = sub.T
func New() *T { return nil }
-- new/sub/x.go --
package sub
type T struct { A int; next *T }
func (t T) Do(T) *T { return t.next }
`,
		consumer: `package consumer
import "corp.example/lib"
func f(x lib.T) *lib.T { x.Close(); _ = x.A; return lib.New().Do(x) }
type W struct { lib.T }
var M = map[string]*lib.T{"": {A: 1}}
`,
		lines: []string{"- (*T).Close: removed"},
	},
	{
		name: "a type moves and loses a field", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
type T struct { A int; next *T }
func (t T) Do(T) *T { return t.next }
func (*T) Close() {}
func New() *T { return nil }
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
type T = in.T
func New() *T { return nil }
-- new/internal/in/x.go --
package in
type T struct { B int; next *T }
func (t T) Do(T) *T { return t.next }
func (*T) Close() {}
`,
		consumer: `package consumer
import "corp.example/lib"
func f(x lib.T) *lib.T { x.Close(); _ = x.A; return lib.New().Do(x) }
type W struct { lib.T }
var M = map[string]*lib.T{"": {A: 1}}
`,
		lines: []string{"- T.A: removed"},
	},
	{
		name: "a type moves and gains a field and a method", want: apicheck.BumpMinor,
		archive: `
-- old/lib.go --
package lib
type T struct { A int; next *T }
func (t T) Do(T) *T { return t.next }
func (*T) Close() {}
func New() *T { return nil }
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
type T = in.T
func New() *T { return nil }
-- new/internal/in/x.go --
package in
type T struct { A, B int; next *T }
func (t T) Do(T) *T { return t.next }
func (*T) Close() {}
func (T) More() {}
`,
		consumer: `package consumer
import "corp.example/lib"
func f(x lib.T) *lib.T { x.Close(); _ = x.A; return lib.New().Do(x) }
type W struct { lib.T }
var M = map[string]*lib.T{"": {A: 1}}
`,
		lines: []string{"+ T.More: added", "+ T.B: added"},
	},
	{
		name: "a type moves and gets another name", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
type T struct { A int; next *T }
func (t T) Do(T) *T { return t.next }
func (*T) Close() {}
func New() *T { return nil }
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
type T = in.Thing
func New() *T { return nil }
-- new/internal/in/x.go --
package in
type Thing struct { A int; next *Thing }
func (t Thing) Do(Thing) *Thing { return t.next }
func (*Thing) Close() {}
`,
		consumer: `package consumer
import "corp.example/lib"
func f(x lib.T) *lib.T { x.Close(); _ = x.A; return lib.New().Do(x) }
type W struct { lib.T }
var M = map[string]*lib.T{"": {A: 1}}
`,
	},
	{
		name: "a type comes back from an internal package", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/in"
type T = in.T
func New() *T { return nil }
-- new/lib.go --
package lib
type T struct { A int; next *T }
func (t T) Do(T) *T { return t.next }
func (*T) Close() {}
func New() *T { return nil }
-- old/internal/in/x.go --
package in
type T struct { A int; next *T }
func (t T) Do(T) *T { return t.next }
func (*T) Close() {}
`,
		consumer: `package consumer
import "corp.example/lib"
func f(x lib.T) *lib.T { x.Close(); _ = x.A; return lib.New().Do(x) }
type W struct { lib.T }
var M = map[string]*lib.T{"": {A: 1}}
`,
	},
	{
		name: "an interface moves and leaves an alias", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
type T interface { Do(T) error }
func New(T) {}
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
type T = in.T
func New(T) {}
-- new/internal/in/x.go --
package in
type T interface { Do(T) error }
`,
		consumer: `package consumer
import "corp.example/lib"
type x struct{}
func (x) Do(lib.T) error { return nil }
func f() { lib.New(x{}) }
`,
	},
	{
		name: "an interface moves and gains a method", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
type T interface { Do(T) error }
func New(T) {}
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
type T = in.T
func New(T) {}
-- new/internal/in/x.go --
package in
type T interface { Do(T) error; More() }
`,
		consumer: `package consumer
import "corp.example/lib"
type x struct{}
func (x) Do(lib.T) error { return nil }
func f() { lib.New(x{}) }
`,
		lines: []string{"- T.More: added"},
	},
	{
		name: "a generic type moves and leaves an alias", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
type Box[A any] struct { V A }
func (b *Box[B]) Get() (v B) { return b.V }
func (b Box[B]) Map(func(B) Box[B]) *Box[B] { return nil }
func New() (b Box[int]) { return }
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
type Box[A any] = in.Box[A]
func New() (b Box[int]) { return }
-- new/internal/in/x.go --
package in
type Box[A any] struct { V A }
func (b *Box[B]) Get() (v B) { return b.V }
func (b Box[B]) Map(func(B) Box[B]) *Box[B] { return nil }
`,
		consumer: `package consumer
import "corp.example/lib"
func f(b lib.Box[int]) int { return b.Map(nil).Get() + lib.New().V + lib.Box[int]{V: 1}.V }
`,
	},
	{
		name: "a generic type moves and loses a method", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
type Box[A any] struct { V A }
func (b *Box[B]) Get() (v B) { return b.V }
func (b Box[B]) Map(func(B) Box[B]) *Box[B] { return nil }
func New() (b Box[int]) { return }
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
type Box[A any] = in.Box[A]
func New() (b Box[int]) { return }
-- new/internal/in/x.go --
package in
type Box[A any] struct { V A }
func (b Box[B]) Map(func(B) Box[B]) *Box[B] { return nil }
`,
		consumer: `package consumer
import "corp.example/lib"
func f(b lib.Box[int]) int { return b.Map(nil).Get() + lib.New().V + lib.Box[int]{V: 1}.V }
`,
	},
	{
		name: "a type of kind integer moves with its constants", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
type Level int
const Low Level = 1
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
type Level = in.Level
const Low = in.Low
-- new/internal/in/x.go --
package in
type Level int
const Low Level = 1
`,
		consumer: `package consumer
import "corp.example/lib"
func f(l lib.Level) bool { return l == lib.Low }
const High lib.Level = 5
`,
	},
	{
		name: "the copy of a type is another type", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
type T struct{ A int }
func New() (t T) { return }
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
type T struct{ A int }
func New() (t in.T) { return }
-- new/internal/in/x.go --
package in
type T struct{ A int }
`,
		consumer: `package consumer
import "corp.example/lib"
var t lib.T = lib.New()
`,
	},
	{
		name: "a function returns another type of the same shape", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
type T struct{ A int }
type U struct{ A int }
func New() (t T) { return }
-- new/lib.go --
package lib
type T struct{ A int }
type U struct{ A int }
func New() (t U) { return }
`,
		consumer: `package consumer
import "corp.example/lib"
var t lib.T = lib.New()
`,
	},
	{
		name: "a hidden type is renamed", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/in"
func Open() *in.Handle { return nil }
func Use(in.Handle) {}
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
func Open() *in.File { return nil }
func Use(in.File) {}
-- old/internal/in/x.go --
package in
type Handle struct { Fd int; Owner *Owner }
func (*Handle) Close() error { return nil }
type Owner struct { Name string }
-- new/internal/in/x.go --
package in
type File struct { Fd int; Owner *Owner }
func (*File) Close() error { return nil }
type Owner struct { Name string }
`,
		consumer: `package consumer
import "corp.example/lib"
func f() error { h := lib.Open(); _ = h.Fd; _ = h.Owner.Name; lib.Use(*h); return h.Close() }
`,
	},
	{
		name: "a hidden type is renamed, and the one that it shows", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/in"
func Open() *in.Handle { return nil }
func Use(in.Handle) {}
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
func Open() *in.File { return nil }
func Use(in.File) {}
-- old/internal/in/x.go --
package in
type Handle struct { Fd int; Owner *Owner }
func (*Handle) Close() error { return nil }
type Owner struct { Name string }
-- new/internal/in/x.go --
package in
type File struct { Fd int; Owner *User }
func (*File) Close() error { return nil }
type User struct { Name string }
`,
		consumer: `package consumer
import "corp.example/lib"
func f() error { h := lib.Open(); _ = h.Fd; _ = h.Owner.Name; lib.Use(*h); return h.Close() }
`,
	},
	{
		name: "a hidden type is renamed and loses a field", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/in"
func Open() *in.Handle { return nil }
func Use(in.Handle) {}
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
func Open() *in.File { return nil }
func Use(in.File) {}
-- old/internal/in/x.go --
package in
type Handle struct { Fd int; Owner *Owner }
func (*Handle) Close() error { return nil }
type Owner struct { Name string }
-- new/internal/in/x.go --
package in
type File struct { Owner *Owner }
func (*File) Close() error { return nil }
type Owner struct { Name string }
`,
		consumer: `package consumer
import "corp.example/lib"
func f() error { h := lib.Open(); _ = h.Fd; _ = h.Owner.Name; lib.Use(*h); return h.Close() }
`,
	},
	{
		name: "a hidden type is renamed, and the one that it shows loses a field", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/in"
func Open() *in.Handle { return nil }
func Use(in.Handle) {}
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
func Open() *in.File { return nil }
func Use(in.File) {}
-- old/internal/in/x.go --
package in
type Handle struct { Fd int; Owner *Owner }
func (*Handle) Close() error { return nil }
type Owner struct { Name string }
-- new/internal/in/x.go --
package in
type File struct { Fd int; Owner *User }
func (*File) Close() error { return nil }
type User struct {}
`,
		consumer: `package consumer
import "corp.example/lib"
func f() error { h := lib.Open(); _ = h.Fd; _ = h.Owner.Name; lib.Use(*h); return h.Close() }
`,
	},
	{
		name: "a hidden type is renamed and gains a method", want: apicheck.BumpMinor,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/in"
func Open() *in.Handle { return nil }
func Use(in.Handle) {}
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
func Open() *in.File { return nil }
func Use(in.File) {}
-- old/internal/in/x.go --
package in
type Handle struct { Fd int; Owner *Owner }
func (*Handle) Close() error { return nil }
type Owner struct { Name string }
-- new/internal/in/x.go --
package in
type File struct { Fd int; Owner *Owner }
func (*File) Close() error { return nil }
type Owner struct { Name string }
func (*File) Read() {}
`,
		consumer: `package consumer
import "corp.example/lib"
func f() error { h := lib.Open(); _ = h.Fd; _ = h.Owner.Name; lib.Use(*h); return h.Close() }
`,
	},
	{
		name: "a hidden type moves to another internal package", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/in"
func Open() *in.Handle { return nil }
func Use(in.Handle) {}
-- new/lib.go --
package lib
import in "corp.example/lib/internal/other"
func Open() *in.Handle { return nil }
func Use(in.Handle) {}
-- old/internal/in/x.go --
package in
type Handle struct { Fd int; Owner *Owner }
func (*Handle) Close() error { return nil }
type Owner struct { Name string }
-- new/internal/other/x.go --
package other
type Handle struct { Fd int; Owner *Owner }
func (*Handle) Close() error { return nil }
type Owner struct { Name string }
`,
		consumer: `package consumer
import "corp.example/lib"
func f() error { h := lib.Open(); _ = h.Fd; _ = h.Owner.Name; lib.Use(*h); return h.Close() }
`,
	},
	{
		name: "a hidden type moves to another internal package and loses a field", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/in"
func Open() *in.Handle { return nil }
func Use(in.Handle) {}
-- new/lib.go --
package lib
import in "corp.example/lib/internal/other"
func Open() *in.Handle { return nil }
func Use(in.Handle) {}
-- old/internal/in/x.go --
package in
type Handle struct { Fd int; Owner *Owner }
func (*Handle) Close() error { return nil }
type Owner struct { Name string }
-- new/internal/other/x.go --
package other
type Handle struct { Owner *Owner }
func (*Handle) Close() error { return nil }
type Owner struct { Name string }
`,
		consumer: `package consumer
import "corp.example/lib"
func f() error { h := lib.Open(); _ = h.Fd; _ = h.Owner.Name; lib.Use(*h); return h.Close() }
`,
	},
	{
		name: "the name of a renamed hidden type is that of another one now", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/in"
func Open() *in.Handle { return nil }
func Use(in.Handle) {}
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
func Open() *in.File { return nil }
func Use(in.File) {}
-- old/internal/in/x.go --
package in
type Handle struct { Fd int; Owner *Owner }
func (*Handle) Close() error { return nil }
type Owner struct { Name string }
-- new/internal/in/x.go --
package in
type File struct { Fd int; Owner *Owner }
func (*File) Close() error { return nil }
type Owner struct { Name string }
type Handle struct{ Other chan int }
`,
		consumer: `package consumer
import "corp.example/lib"
func f() error { h := lib.Open(); _ = h.Fd; _ = h.Owner.Name; lib.Use(*h); return h.Close() }
`,
	},
	{
		name: "two hidden types swap their names", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/in"
func A() (x in.A) { return }
func B() (x in.B) { return }
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
func A() (x in.B) { return }
func B() (x in.A) { return }
-- old/internal/in/x.go --
package in
type A struct{ X int }
type B struct{ Y int }
-- new/internal/in/x.go --
package in
type B struct{ X int }
type A struct{ Y int }
`,
		consumer: `package consumer
import "corp.example/lib"
var x, y = lib.A().X, lib.B().Y
`,
	},
	{
		name: "two hidden types change places", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/in"
func A() (x in.A) { return }
func B() (x in.B) { return }
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
func A() (x in.B) { return }
func B() (x in.A) { return }
-- old/internal/in/x.go --
package in
type A struct{ X int }
type B struct{ Y int }
-- new/internal/in/x.go --
package in
type A struct{ X int }
type B struct{ Y int }
`,
		consumer: `package consumer
import "corp.example/lib"
var x, y = lib.A().X, lib.B().Y
`,
	},
	{
		name: "a hidden type becomes two", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/in"
func A() (x in.T) { return }
func B(in.T) {}
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
func A() (x in.T) { return }
func B(in.U) {}
-- old/internal/in/x.go --
package in
type T struct{ X int }
-- new/internal/in/x.go --
package in
type T struct{ X int }
type U struct{ X int }
`,
		consumer: `package consumer
import "corp.example/lib"
func f() { lib.B(lib.A()) }
`,
	},
	{
		name: "an unexported type moves to an internal package", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
type impl struct{ A int }
func (*impl) Close() {}
func New() *impl { return nil }
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
func New() *in.Impl { return nil }
-- new/internal/in/x.go --
package in
type Impl struct{ A int }
func (*Impl) Close() {}
`,
		consumer: `package consumer
import "corp.example/lib"
func f() { x := lib.New(); x.A++; x.Close() }
`,
	},
	{
		name: "an unexported type moves to an internal package and loses a method", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
type impl struct{ A int }
func (*impl) Close() {}
func New() *impl { return nil }
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
func New() *in.Impl { return nil }
-- new/internal/in/x.go --
package in
type Impl struct{ A int }
`,
		consumer: `package consumer
import "corp.example/lib"
func f() { x := lib.New(); x.A++; x.Close() }
`,
	},
	{
		name: "a hidden type gets an exported name", want: apicheck.BumpMinor,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/in"
func Open() *in.Handle { return nil }
func Use(in.Handle) {}
-- new/lib.go --
package lib
type Handle struct { Fd int; Owner *Owner }
func (*Handle) Close() error { return nil }
type Owner struct { Name string }
func Open() *Handle { return nil }
func Use(Handle) {}
-- old/internal/in/x.go --
package in
type Handle struct { Fd int; Owner *Owner }
func (*Handle) Close() error { return nil }
type Owner struct { Name string }
`,
		consumer: `package consumer
import "corp.example/lib"
func f() error { h := lib.Open(); _ = h.Fd; _ = h.Owner.Name; lib.Use(*h); return h.Close() }
`,
	},
	{
		name: "an embedded interface without a name loses a method", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
type Closer = interface { Close() }
type T struct { Closer }
-- new/lib.go --
package lib
type Closer = interface {}
type T struct { Closer }
`,
		consumer: "package consumer\nimport \"corp.example/lib\"\nfunc f(t lib.T) { t.Close() }\n",
	},
	{
		name: "comparable is no longer asked for", want: apicheck.BumpMinor,
		archive: `
-- old/lib.go --
package lib
func Keys[T comparable](...T) {}
-- new/lib.go --
package lib
func Keys[T any](...T) {}
`,
		consumer: `package consumer
import "corp.example/lib"
func f() { lib.Keys(1); lib.Keys[string]() }
var F = lib.Keys[int]
`,
		lines: []string{"+ Keys: a type parameter's constraint changed from comparable to any"},
	},
	{
		name: "comparable is no longer asked for by a type", want: apicheck.BumpMinor,
		archive: `
-- old/lib.go --
package lib
type Set[T comparable] struct { List []T }
func (s Set[T]) Has(T) bool { return false }
func Of[T comparable](...T) (s Set[T]) { return }
-- new/lib.go --
package lib
type Set[T any] struct { List []T }
func (s Set[T]) Has(T) bool { return false }
func Of[T any](...T) (s Set[T]) { return }
`,
		consumer: `package consumer
import "corp.example/lib"
var B = lib.Of(1).Has(2)
type W[T comparable] struct { lib.Set[T] }
`,
	},
	{
		name: "a type asks for less and loses a method", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
type Set[T comparable] struct { List []T }
func (s Set[T]) Has(T) bool { return false }
-- new/lib.go --
package lib
type Set[T any] struct { List []T }
`,
		consumer: `package consumer
import "corp.example/lib"
var B = lib.Set[int]{}.Has(2)
`,
		lines: []string{"- Set[T].Has: removed"},
	},
	{
		name: "methods are no longer asked for", want: apicheck.BumpMinor,
		archive: `
-- old/lib.go --
package lib
func Show[T interface{ String() string; Len() int }](T) {}
-- new/lib.go --
package lib
func Show[T interface{ String() string }](T) {}
`,
		consumer: `package consumer
import "corp.example/lib"
type x int
func (x) String() string { return "" }
func (x) Len() int { return 0 }
func f() { lib.Show(x(1)) }
`,
	},
	{
		name: "more methods are asked for", want: apicheck.BumpMajor,
		archive: `
-- old/lib.go --
package lib
func Show[T interface{ String() string }](T) {}
-- new/lib.go --
package lib
func Show[T interface{ String() string; Len() int }](T) {}
`,
		consumer: `package consumer
import "corp.example/lib"
type x int
func (x) String() string { return "" }
func f() { lib.Show(x(1)) }
`,
	},
	{
		name: "a constraint gets a name", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
func Sum[T ~int | ~float64](...T) {}
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
func Sum[T in.Number](...T) {}
-- new/internal/in/x.go --
package in
type Number interface { ~float64 | ~int }
`,
		consumer: `package consumer
import "corp.example/lib"
func f() { lib.Sum(1.5) }
`,
	},
	{
		name: "a constraint gets another name", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
import "corp.example/lib/internal/in"
func Sum[T in.Number](...T) {}
type V[T in.Number] []T
-- new/lib.go --
package lib
import "corp.example/lib/internal/in"
func Sum[T in.Real](...T) {}
type V[T in.Real] []T
-- old/internal/in/x.go --
package in
type Number interface { ~float64 | ~int }
-- new/internal/in/x.go --
package in
type Real interface { ~int | ~float64 }
`,
		consumer: `package consumer
import "corp.example/lib"
func f() { lib.Sum(1.5) }
var V lib.V[int]
`,
	},
	{
		name: "a constraint of the standard library", want: apicheck.BumpPatch,
		archive: `
-- old/lib.go --
package lib
type ordered interface { ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr | ~float32 | ~float64 | ~string }
func Max[T ordered](a, b T) T { return a }
-- new/lib.go --
package lib
import "cmp"
func Max[T cmp.Ordered](a, b T) T { return a }
`,
		consumer: `package consumer
import "corp.example/lib"
var M = lib.Max("a", "b")
`,
	},
}

// TestDependencyBreaks: a type of a dependency in the API changes with the dependency's version.
// This needs at least a minor version, and the verdict has the dependency's name.
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
