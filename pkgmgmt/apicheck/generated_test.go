package apicheck_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
)

// Ways in which an API shows a type of an internal package, in.T, and how a consumer comes to
// a value x of it. USE stands for what it does then.
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

// Changes of that type, and what a consumer does with x. Those that are sound break nobody.
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
	{"comparability", "type T struct{ A int }", "type T struct{ A int; f func() }", "_ = x == x", false},
}

// TestGeneratedPairs crosses the two. The consumers are compiled against both versions, all
// in one go: what does not compile any more must be major, and what is sound must not be.
// UPKEEP_APICHECK_PAIRS says how many pairs there are, at most 300 or so.
func TestGeneratedPairs(t *testing.T) {
	t.Parallel()
	needGo(t)
	count := 60
	if text := os.Getenv("UPKEEP_APICHECK_PAIRS"); text != "" {
		var err error
		count, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	type one struct {
		name     string
		old, new apicheck.Module
		sound    bool
	}
	root := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	var all []one
	total := len(shows) * len(typeChanges)
	count = min(count, total)
	mods := map[string]string{}
	for n := range count {
		i := n * total / count
		s, c := shows[i/len(typeChanges)], typeChanges[i%len(typeChanges)]
		path := fmt.Sprintf("corp.example/lib%d", n)
		p := one{name: s.name + "/" + c.name, sound: c.sound}
		for side, def := range map[string]string{"old": c.old, "new": c.new} {
			dir := fmt.Sprintf("%s/lib%d", side, n)
			imports := "import \"" + path + "/internal/in\"\n"
			if s.imports != "" {
				imports += "import \"" + s.imports + "\"\n"
			}
			inner := "package in\n"
			for name, word := range map[string]string{"iter": "iter.Seq", "sync/atomic": "atomic."} {
				if strings.Contains(def, word) {
					inner += "import \"" + name + "\"\n"
				}
			}
			write(dir+"/go.mod", "module "+path+"\n\ngo 1.24\n")
			write(dir+"/lib.go", "package lib\n"+imports+s.decl+"\n")
			write(dir+"/internal/in/in.go", inner+def+"\nfunc New() (t T) { return }\n")
			mods[side] += "require " + path + " v0.0.0\nreplace " + path + " => " + filepath.Join(root, dir) + "\n"
			write(fmt.Sprintf("%s/consumer/c%d/c.go", side, n), "package c\nimport lib \""+path+"\"\nfunc f() {\n"+strings.Replace(s.consumer, "USE", c.use, 1)+"\n}\n")
		}
		p.old, p.new = apicheck.Module{Dir: filepath.Join(root, fmt.Sprintf("old/lib%d", n))}, apicheck.Module{Dir: filepath.Join(root, fmt.Sprintf("new/lib%d", n))}
		all = append(all, p)
	}
	broken := map[string]map[string]bool{}
	for _, side := range []string{"old", "new"} {
		write(side+"/consumer/go.mod", "module consumer.example\n\ngo 1.24\n\n"+mods[side])
		broken[side] = failing(t, filepath.Join(root, side, "consumer"))
	}
	require.Empty(t, broken["old"], "each consumer compiles before")
	breaks := 0
	for n, p := range all {
		t.Run(fmt.Sprintf("%d %s", n, p.name), func(t *testing.T) {
			v, err := checker(t, &apicheck.Options{Platforms: []string{"linux/amd64"}}).Compare(t.Context(), p.old, p.new)
			require.NoError(t, err)
			switch {
			case broken["new"][fmt.Sprintf("consumer.example/c%d", n)]:
				breaks++
				require.Equal(t, apicheck.BumpMajor, v.Bump, "%s", v)
			case p.sound:
				require.Contains(t, []apicheck.Bump{apicheck.BumpPatch, apicheck.BumpMinor}, v.Bump, "%s", v)
			default:
				require.NotEqual(t, apicheck.BumpUnknown, v.Bump, "%s", v)
			}
		})
	}
	t.Logf("%d pairs, of which %d break their consumers", count, breaks)
	require.Greater(t, breaks, count/3, "most changes are such that break")
}

// failing are the packages below a folder that do not compile.
func failing(t *testing.T, dir string) map[string]bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-json", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "GOSUMDB=off")
	out, err := cmd.Output()
	failed := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		var event struct{ ImportPath, Action string }
		if json.Unmarshal([]byte(line), &event) == nil && event.Action == "build-fail" {
			failed[event.ImportPath] = true
		}
	}
	if err != nil && len(failed) == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	return failed
}
