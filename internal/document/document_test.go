package document_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/document"
)

func TestPlacesInJSONAndYAML(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a.json": "{\n  \"flags\": {\"é\": 1, \"b\": [true,\n null]}\n}",
		"a.yaml": "\nflags: {\"é\": 1, \"b\": [true,\n null]}\n",
	} {
		root, err := document.Parse(name, []byte(text))
		require.NoError(t, err)
		list := root.Get("flags").Get("b")
		require.Equal(t, document.List, list.Kind)
		require.Equal(t, 2, list.Line)
		column := strings.Index(strings.Split(text, "\n")[1], "[true") // é has two bytes and is one character
		require.Equal(t, column, list.Column, name)
		require.Equal(t, 3, list.Items[1].Line)
		require.Equal(t, 2, list.Items[1].Column)
		require.Equal(t, map[string]any{"flags": map[string]any{"é": 1.0, "b": []any{true, nil}}}, root.Value())
		require.JSONEq(t, `{"flags":{"é":1,"b":[true,null]}}`, string(root.AppendJSON(nil)))
	}
}

func TestFaultsNameTheirPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"a.json", "", "a.json: the document is empty"},
		{"a.yaml", " \n\t", "a.yaml: the document is empty"},
		{"a.yaml", "# only a comment\n", "a.yaml: the document is empty"},
		{"a.yaml", "---\n", "a.yaml: the document is empty"},
		{"a.json", "null", "a.json:1:1: the document is null"},
		{"a.yaml", "\n~\n", "a.yaml:2:1: the document is null"},
		{"a.json", "{\n \"a\": 1,\n \"b\": x\n}", "a.json:3:7: invalid character 'x' looking for beginning of value"},
		{"a.json", "{\"a\": [1,\n2", "a.json:2:2: unexpected end of JSON input"},
		{"a.json", "a: 1", "a.json:1:1: invalid character 'a' looking for beginning of value"},
		{"a.json", "{\"a\":1,\n\"b\":2,\"a\":3}", `a.json:2:7: key "a" is already given on line 1`},
		{"a.yaml", "{\"a\":1,\n\"b\":2,\"a\":3}", `a.yaml:2:7: key "a" is already given on line 1`},
		{"a.yaml", "a: 1\nb: 2\na: 3\n", `a.yaml:3:1: key "a" is already given on line 1`},
		{"a.yaml", "a: 1\n---\nb: 2\n", "a.yaml:2:1: a second YAML document begins here; one is expected"},
		{"a.yaml", "a: 1\nb: c: d\n", "a.yaml:2: mapping values are not allowed in this context"},
		{"a.yaml", "a: .nan\n", "a.yaml:1:4: .nan is not a number that JSON can hold"},
		{"a.yaml", "? [1, 2]\n: 3\n", "a.yaml:1:3: a key must be a plain text"},
		{"a.yaml", "a: !ruby/object x\n", "a.yaml:1:4: tag !ruby/object is not supported"},
		{"a.yaml", "ok: 1\nb: \"\xff\"", "a.yaml:2:5: not UTF-8 text"},
		{"flags", "{\"a\": tru}", "flags:1:10: invalid character '}' in literal true (expecting 'e')"},
	} {
		if c.name == "flags" { // this is also a valid YAML flow mapping, so the name decides
			root, err := document.Parse(c.name, []byte(c.text))
			require.NoError(t, err)
			require.Equal(t, "tru", root.Get("a").Text)
			_, err = document.Parse("flags.json", []byte(c.text))
			require.EqualError(t, err, strings.Replace(c.want, "flags:", "flags.json:", 1))
			continue
		}
		_, err := document.Parse(c.name, []byte(c.text))
		require.EqualError(t, err, c.want, "%q", c.text)
		var syntax *document.SyntaxError
		require.ErrorAs(t, err, &syntax)
		require.Equal(t, c.name, syntax.Name)
	}
}

func TestEmptyAndNullAreTold(t *testing.T) {
	t.Parallel()
	_, err := document.Parse("a", nil)
	require.ErrorIs(t, err, document.ErrEmpty)
	_, err = document.Parse("a", []byte("null"))
	require.ErrorIs(t, err, document.ErrNull)
	_, err = document.Parse("a", []byte("\ufeffnull"))
	require.ErrorIs(t, err, document.ErrNull)
}

func TestYAMLHoldsWhatJSONHolds(t *testing.T) {
	t.Parallel()
	root, err := document.Parse("a.yaml", []byte(`
day: 2026-12-06
at: 2026-12-06T02:00:00Z
yes: yes
hex: 0x10
big: 1_000
float: 6.02e+23
quoted: "12"
404: code
base: &base {a: 1, b: 2}
more: {<<: *base, b: 3}
many: {<<: [*base, {c: 4}]}
text: |
  two
  lines
`))
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"day": "2026-12-06", "at": "2026-12-06T02:00:00Z", "yes": "yes", "hex": 16.0, "big": 1000.0, "float": 6.02e23,
		"quoted": "12", "404": "code", "base": map[string]any{"a": 1.0, "b": 2.0}, "more": map[string]any{"a": 1.0, "b": 3.0},
		"many": map[string]any{"a": 1.0, "b": 2.0, "c": 4.0}, "text": "two\nlines\n",
	}, root.Value())
	require.True(t, json.Valid(root.AppendJSON(nil)))
}

func TestJSONEscapesThatYAMLRefuses(t *testing.T) {
	t.Parallel()
	root, err := document.Parse("flags.yaml", []byte(`{"a": "\/\ud83d\ude00", "b": "\u0000"}`))
	require.NoError(t, err)
	require.Equal(t, "/😀", root.Get("a").Text)
	require.Equal(t, "\x00", root.Get("b").Text)
}

func TestBounds(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 2000) + strings.Repeat("]", 2000)
	_, err := document.Parse("a.json", []byte(deep))
	require.EqualError(t, err, "a.json:1:1001: nested more than 1000 deep")
	_, err = document.Parse("a.yaml", []byte(deep))
	require.ErrorContains(t, err, "nested more than 1000 deep")

	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&bomb, "a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), i-1)
	}
	_, err = document.Parse("a.yaml", []byte(bomb.String()))
	require.ErrorContains(t, err, "aliases make the document too large")

	_, err = document.Parse("a.yaml", []byte("a: &a [*a]\n"))
	require.Error(t, err)
}

func TestGetOnNothing(t *testing.T) {
	t.Parallel()
	var none *document.Node
	require.Nil(t, none.Get("a"))
	require.Nil(t, none.Value())
	require.Equal(t, "null", string(none.AppendJSON(nil)))
}

// FuzzParse compares the JSON reader with encoding/json: both accept the same texts with the same values,
// except for texts that Parse refuses by its own rules.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5e3,"x\u00e9",true,null],"b":{}}`, "a: 1\nb: [x, {c: d}]\n", "a: &x {b: 1}\nc: {<<: *x}\n", `"\ud800"`, "[[[[", "{\"a\":1,\"a\":2}", "a: |\n  x\n y", "\ufeff{}",
		"- ? a\n", "!!binary aGk=", "%YAML 1.2\n---\n", "\x00", "a: 0o17", "a: 1e999999",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		root, err := document.Parse("x.json", []byte(text))
		var want any
		wantErr := json.Unmarshal([]byte(strings.TrimPrefix(text, "\ufeff")), &want)
		if err == nil {
			var tooBig *json.UnmarshalTypeError
			if !errors.As(wantErr, &tooBig) { // 1e999 is valid JSON but does not fit a float64
				require.NoError(t, wantErr)
				require.Equal(t, want, root.Value())
			}
			again, err := document.Parse("x.json", root.AppendJSON(nil))
			require.NoError(t, err)
			require.Equal(t, root.Value(), again.Value())
		}
		for _, name := range []string{"x", "x.yaml"} {
			root, err := document.Parse(name, []byte(text))
			if err != nil {
				var syntax *document.SyntaxError
				require.ErrorAs(t, err, &syntax)
				continue
			}
			require.True(t, json.Valid(root.AppendJSON(nil)), "%q", root.AppendJSON(nil))
		}
	})
}

func BenchmarkParse(b *testing.B) {
	var json, yaml strings.Builder
	json.WriteString("{")
	for i := range 10_000 {
		if i > 0 {
			json.WriteString(",")
		}
		fmt.Fprintf(&json, `"flag-%d":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","targeting":{"if":[{"ends_with":[{"var":"email"},"@example.com"]},"on","off"]}}`, i)
		fmt.Fprintf(&yaml, "flag-%d:\n  state: ENABLED\n  variants: {on: true, off: false}\n  defaultVariant: off\n  targeting: {if: [{ends_with: [{var: email}, '@example.com']}, 'on', 'off']}\n", i)
	}
	json.WriteString("}")
	b.Run("json/10000 flags", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(json.Len()))
		for b.Loop() {
			if _, err := document.Parse("x.json", []byte(json.String())); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("yaml/10000 flags", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(yaml.Len()))
		for b.Loop() {
			if _, err := document.Parse("x.yaml", []byte(yaml.String())); err != nil {
				b.Fatal(err)
			}
		}
	})
}
