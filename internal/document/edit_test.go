package document_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/document"
)

func TestSetText(t *testing.T) {
	t.Parallel()
	a := "A\"\n"
	root := func(n *document.Node) *document.Node { return n }
	for _, c := range []struct {
		doc   string
		value *string
		want  string
	}{
		{"x: 1", &a, "x: 1\no: {i: \"A\\\"\\n\"}"},
		{"{x: 1}", nil, "{x: 1}"},
		{"o: {i: 'it''s' , j: 1}", &a, "o: {i: \"A\\\"\\n\" , j: 1}"},
		{"o: {i: \"a\\\"b\"}", nil, "o: {i: null}"},
		{"o:\n  i: # empty\n  j: 1\n", &a, "o:\n  i: \"A\\\"\\n\" # empty\n  j: 1\n"},
		{"o:\n  i: a b  # c\n", nil, "o:\n  i: null  # c\n"},
		{`{"o" : { "i" :  true } }`, &a, `{"o" : { "i" :  "A\"\n" } }`},
		{"\"o\":\n- 1", &a, ""},
		{"o: &x {i: 1}\np: *x", &a, ""},
		{"o: {i: >\n a}", &a, ""},
		{"o: {i: [1]}", &a, ""},
	} {
		got, err := document.SetText("d", []byte(c.doc), root, "o", "i", c.value)
		if c.want == "" {
			require.Error(t, err, c.doc)
			require.Nil(t, got)
			continue
		}
		require.NoError(t, err, c.doc)
		require.Equal(t, c.want, string(got))
	}
	_, err := document.SetText("d", []byte("a: ["), root, "o", "i", nil)
	var syntax *document.SyntaxError
	require.ErrorAs(t, err, &syntax)
	_, err = document.SetText("d", []byte("[1]"), root, "o", "i", &a)
	require.EqualError(t, err, "must be a map")
}

// FuzzSetText edits any text. The result has the value, and the text around it is unchanged.
func FuzzSetText(f *testing.F) {
	for _, doc := range []string{"o: {i: 1}", "o:\n  i: 'x' # c\n", `{"o": {"i": "x"}}`, "{o: {}}", "x: &a {i: *b}", "o:\r\n  j: |\r\n    x\r\n", "? o\n: i: 1", "\ufeffo: {\"i\" : ~}"} {
		f.Add(doc, "2026-12-06T02:00:00Z")
	}
	f.Fuzz(func(t *testing.T, doc, value string) {
		got, err := document.SetText("d", []byte(doc), func(n *document.Node) *document.Node { return n }, "o", "i", &value)
		if err != nil {
			return
		}
		root, err := document.Parse("d", got)
		if err != nil {
			t.Fatal(err)
		}
		if n := root.Get("o").Get("i"); n == nil || n.Text != strings.ToValidUTF8(value, "\ufffd") {
			t.Fatalf("%q became %q", doc, got)
		}
		prefix, suffix := 0, 0
		for prefix < min(len(doc), len(got)) && doc[prefix] == got[prefix] {
			prefix++
		}
		for suffix < min(len(doc), len(got))-prefix && doc[len(doc)-1-suffix] == got[len(got)-1-suffix] {
			suffix++
		}
		if strings.Contains(doc[prefix:len(doc)-suffix], "\n") {
			t.Fatalf("more than a line of %q changed to %q", doc, got)
		}
	})
}
