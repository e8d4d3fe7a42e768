package apicheck

import (
	"maps"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzDeclarations reads any file with any header, and the same file with other layouts.
func FuzzDeclarations(f *testing.F) {
	for _, name := range []string{"declarations.go", "variants.go", "process_linux.go"} {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(string(data), "")
	}
	f.Add("package p\n// #define A B\nimport \"C\"\nconst X = 2 * C.A\ntype T struct { a *C.struct_s; B C.t }\nfunc (T) M() (x C.t) { return }\n", "#define B 1\ntypedef struct s { int x; } t;\ntypedef int (*f)(t);\n")
	f.Add("//go:build !go1.18 && (race || linux)\n\npackage p\nconst (\n\tA = iota << 1\n\t_\n\tB, C = iota, 2\n)\nvar X, Y = f()\nvar F = func() { g() }\n", "")
	f.Add("package p; func F[T interface{ ~int | comparable }](a, b T, _ ...struct{}) (x, y []T) {}; type G[A any, B any] = map[A]B", "enum { A }")
	f.Add("package", "")
	f.Fuzz(func(t *testing.T, text, header string) {
		h := parseHeaders(header)
		all := declarations([]byte(text), h)
		require.True(t, maps.EqualFunc(all, declarations([]byte(text), h), func(a, b declaration) bool { return a.text == b.text }), "the text is the same in every run")
		if _, broken := all[""]; !broken {
			again := declarations([]byte(text+"\n// a comment\n"), h)
			require.Equal(t, texts(all), texts(again), "a comment must not change declarations")
		}
		s := &source{side: side{Path: "corp.example/lib"}, imports: map[string][]string{}}
		info := s.file("lib_linux.go", []byte(text))
		for _, v := range variants([]string{"linux/amd64"}, []file{info}) {
			_ = v.compiles("lib_linux.go", info)
		}
	})
}

func texts(all map[string]declaration) map[string]string {
	out := map[string]string{}
	for name, d := range all {
		out[name] = d.text
	}
	return out
}
