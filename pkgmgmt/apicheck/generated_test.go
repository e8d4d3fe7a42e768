package apicheck_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
)

// Ways in which an API exposes a type of an internal package, in.T, and how a consumer gets a
// value x of it. USE is replaced by the use of x.
var shows = []struct{ name, imports, decl, consumer string }{
	{"alias", "", "type T = in.T", "var x lib.T\n_ = x\nUSE"},
	{"result", "", "func Get() (t in.T) { return }", "x := lib.Get()\n_ = x\nUSE"},
	{"pointer", "", "func Get() *in.T { return nil }", "x := lib.Get()\n_ = x\nUSE"},
	{"variable", "", "var V in.T", "x := lib.V\n_ = x\nUSE"},
	{"map of slices", "", "var V map[string][]in.T", "x := lib.V[\"\"][0]\n_ = x\nUSE"},
	{"channel of functions", "", "var V chan func() in.T", "x := (<-lib.V)()\n_ = x\nUSE"},
	{"field", "", "type S struct { F in.T }", "x := lib.S{}.F\n_ = x\nUSE"},
	{"method", "", "type S int\nfunc (S) M() (t in.T) { return }", "x := lib.S(0).M()\n_ = x\nUSE"},
	{"interface", "", "type I interface { M() in.T }", "var i lib.I\nx := i.M()\n_ = x\nUSE"},
	{"constructor", "", "var New = in.New", "x := lib.New()\n_ = x\nUSE"},
	{"sequence", "iter", "func All() iter.Seq[in.T] { return nil }", "for x := range lib.All() {\n_ = x\nUSE\n}"},
	{"second of a sequence", "iter", "func All() iter.Seq2[int, []in.T] { return nil }", "for _, xs := range lib.All() {\nx := xs[0]\n_ = x\nUSE\n}"},
	{"atomic pointer", "sync/atomic", "var V atomic.Pointer[in.T]", "x := lib.V.Load()\n_ = x\nUSE"},
	{"own generic type", "", "type Box[A any] struct { V A }\nvar B Box[in.T]", "x := lib.B.V\n_ = x\nUSE"},
	{"generic method", "", "type Box[A any] struct{}\nfunc (Box[A]) Get() (a A) { return }\nfunc New() (b Box[in.T]) { return }", "x := lib.New().Get()\n_ = x\nUSE"},
	{"second result of a generic function", "", "func Or[A any](a A) (A, in.T) { panic(0) }", "_, x := lib.Or(1)\n_ = x\nUSE"},
}

// Changes of that type, and a use of x. Sound changes must not break users.
var typeChanges = []struct {
	name, old, new, use string
	sound               bool
}{
	{"a field is removed", "type T struct{ A, B int }", "type T struct{ A int }", "_ = x.B", false},
	{"a field has another type", "type T struct{ B int }", "type T struct{ B string }", "var _ int = x.B", false},
	{"a field's type argument", "type T struct{ B func() map[string]atomic.Pointer[int] }", "type T struct{ B func() map[string]atomic.Pointer[string] }", "p := x.B()[\"\"]\nvar _ *int = p.Load()", false},
	{"a field is added", "type T struct{ A int }", "type T struct{ A, B int }", "_ = x.A", true},
	{"a method is removed", "type T struct{}\nfunc (*T) Do() {}", "type T struct{}", "y := &x\n(*y).Do()", false},
	{"a method has another parameter", "type T struct{}\nfunc (T) Do() {}", "type T struct{}\nfunc (T) Do(int) {}", "x.Do()", false},
	{"a method has another result", "type T struct{}\nfunc (T) Do() (i int) { return }", "type T struct{}\nfunc (T) Do() (i int64) { return }", "var _ int = x.Do()", false},
	{"a method's type argument", "type T struct{}\nfunc (T) Do() (i iter.Seq[int]) { return }", "type T struct{}\nfunc (T) Do() (i iter.Seq[int8]) { return }", "for i := range x.Do() { var _ int = i }", false},
	{"a method is added", "type T struct{}", "type T struct{}\nfunc (T) Do() {}", "", true},
	{"a body changes", "type T struct{}\nfunc (T) Do() int { return 1 }", "type T struct{}\nfunc (T) Do() int { return 2 }", "var _ int = x.Do()", true},
	{"an unexported field changes", "type T struct{ a int }", "type T struct{ b string }", "", true},
	{"another unexported type in it", "type T struct{ I inner }\ntype inner struct{ X, Y int }", "type T struct{ I inner }\ntype inner struct{ X int }", "_ = x.I.Y", false},
	{"what is not reached", "type T struct{}\ntype Other struct{ A int }", "type T struct{}\ntype Other struct{ B int }", "", true},
	{"a function field", "type T struct{ F func(int) error }", "type T struct{ F func(int) (int, error) }", "var _ func(int) error = x.F", false},
	{"an embedded type loses a method", "type T struct{ Base }\ntype Base struct{}\nfunc (Base) Close() {}", "type T struct{ Base }\ntype Base struct{}", "x.Close()", false},
	{"a constant type", "type T struct{ K Kind }\ntype Kind int", "type T struct{ K Kind }\ntype Kind string", "_ = x.K + 1", false},
	{"an array's length", "type T struct{ A [2]int }", "type T struct{ A [3]int }", "var _ [2]int = x.A", false},
	{"a channel's direction", "type T struct{ C chan int }", "type T struct{ C <-chan int }", "x.C <- 1", false},
	{"another name", "type T struct{ A int }\nfunc (*T) Do() {}", "type U struct{ A int }\nfunc (*U) Do() {}", "y := x\ny.Do()\n_ = y.A", true},
	{"another name and a field less", "type T struct{ A, B int }", "type U struct{ A int }", "_ = x.B", false},
	{"another name and a method less", "type T struct{}\nfunc (T) Do() {}", "type U struct{}", "x.Do()", false},
	{"another name and a method more", "type T struct{}\nfunc (T) Do() {}", "type U struct{}\nfunc (U) Do() {}\nfunc (U) More() {}", "x.Do()", true},
	{"another name for what it shows", "type T struct{ I *inner }\ntype inner struct{ X int; Self *inner }", "type T struct{ I *core }\ntype core struct{ X int; Self *core }", "_ = x.I.Self.X", true},
	{"another name for what it shows and a field less", "type T struct{ I inner }\ntype inner struct{ X, Y int }", "type T struct{ I core }\ntype core struct{ X int }", "_ = x.I.Y", false},
	{"an alias for what has moved", "type T struct{ A int }\nfunc (*T) Do() {}", "type T = U\ntype U struct{ A int }\nfunc (*U) Do() {}", "y := x\ny.Do()\n_ = y.A", true},
	{"comparability", "type T struct{ A int }", "type T struct{ A int; f func() }", "_ = x == x", false},
}

// Types of consumers, and constraints with the types that they allow.
const argumentTypes = `
type myInt int
func (myInt) String() string { return "" }
type myString string
type named struct{ A int }
func (named) String() string { return "" }
type function func()
func (function) String() string { return "" }
`

var constraints = []struct{ text, allows string }{
	{"any", "int string float64 myInt myString named function struct{} func()"},
	{"comparable", "int string float64 myInt myString named struct{}"},
	{"interface{ ~int | ~string }", "int string myInt myString"},
	{"interface{ int | string }", "int string"},
	{"interface{ ~int }", "int myInt"},
	{"interface{ String() string }", "myInt named function"},
	{"interface{ ~int; String() string }", "myInt"},
	{"interface{ comparable; String() string }", "myInt named"},
	{"cmp.Ordered", "int string float64 myInt myString"},
}

// Ways in which an API uses a constraint, C, and a use by a consumer with a type, A, that satisfies
// it.
var asks = []struct{ name, decl, consumer string }{
	{"function", "func F[T C](...T) {}", "lib.F[A]()"},
	{"type", "type V[T C] struct{ L []T }\nfunc (V[T]) Do() {}", "lib.V[A]{}.Do()"},
	{"function of an internal constraint", "func F[T in.C](...T) {}", "lib.F[A]()"},
}

func generated() (all []compiledCase) {
	for _, s := range shows {
		for _, c := range typeChanges {
			g := compiledCase{name: s.name + "/" + c.name}
			for side, def := range map[string]string{"old": c.old, "new": c.new} {
				name := "T"
				if !strings.Contains(def, "type T ") {
					name = "U"
				}
				imports := "import \"corp.example/lib/internal/in\"\n"
				if s.imports != "" {
					imports += "import \"" + s.imports + "\"\n"
				}
				inner := "package in\n"
				for pkg, word := range map[string]string{"iter": "iter.Seq", "sync/atomic": "atomic."} {
					if strings.Contains(def, word) {
						inner += "import \"" + pkg + "\"\n"
					}
				}
				g.archive += "-- " + side + "/lib.go --\npackage lib\n" + imports + strings.ReplaceAll(s.decl, "in.T", "in."+name) + "\n" +
					"-- " + side + "/internal/in/in.go --\n" + inner + def + "\nfunc New() (t " + name + ") { return }\n"
			}
			g.consumer = "package c\nimport lib \"corp.example/lib\"\nfunc f() {\n" + strings.Replace(s.consumer, "USE", c.use, 1) + "\n}\n"
			g.sound = c.sound
			all = append(all, g)
		}
	}
	for _, a := range asks {
		for _, old := range constraints {
			for _, new := range constraints {
				g := compiledCase{name: a.name + "/" + old.text + "/" + new.text, sound: true}
				for side, text := range map[string]string{"old": old.text, "new": new.text} {
					imported := ""
					if strings.Contains(text, "cmp.") {
						imported = "import \"cmp\"\n"
					}
					if strings.Contains(a.decl, "in.C") {
						g.archive += "-- " + side + "/lib.go --\npackage lib\nimport \"corp.example/lib/internal/in\"\n" + a.decl + "\n" +
							"-- " + side + "/internal/in/in.go --\npackage in\n" + imported + "type C interface{ " + text + " }\n"
					} else {
						g.archive += "-- " + side + "/lib.go --\npackage lib\n" + imported + strings.Replace(a.decl, "T C", "T "+text, 1) + "\n"
					}
				}
				g.consumer = "package c\nimport lib \"corp.example/lib\"\n" + argumentTypes + "func f() {\n"
				for _, arg := range strings.Fields(old.allows) {
					g.consumer += strings.Replace(a.consumer, "A", arg, 1) + "\n"
				}
				g.consumer += "}\n"
				all = append(all, g)
			}
		}
	}
	return all
}

// TestGeneratedPairs combines ways and changes. A change that breaks a consumer must be major, and a
// sound change must not be major.
func TestGeneratedPairs(t *testing.T) {
	t.Parallel()
	needGo(t)
	all := generated()
	require.Greater(t, len(all), 600)
	count := testsize.Pick(0, 60, len(all))
	some := make([]compiledCase, count)
	for n := range some {
		some[n] = all[n*len(all)/count]
	}
	breaks := 0
	for chunk := range slices.Chunk(some, 200) {
		breaks += compareCompiled(t, chunk)
	}
	t.Logf("%d pairs, of which %d break their consumers", count, breaks)
	require.Greater(t, breaks, count/4, "too few pairs break a consumer")
}
