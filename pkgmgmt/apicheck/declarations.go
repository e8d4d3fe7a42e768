package apicheck

import (
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// A declaration is the text that declares one name of a package, without comments, layout and
// function bodies.
type declaration struct {
	text string
	refs []string // identifiers in the text
	c    bool     // it uses a name of C
}

// declarations returns the declarations of a file by name; methods are "T.M". Equal declarations
// have equal texts. The text of a name of C includes its definitions in the headers. A file that
// cannot be parsed is one declaration with the empty name.
func declarations(data []byte, given *headers) map[string]declaration {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "x.go", data, parser.SkipObjectResolution|parser.ParseComments)
	if err != nil || f.Name == nil {
		return map[string]declaration{"": {text: fmt.Sprintf("%x", sha256.Sum256(data))}}
	}
	w := &declarationWriter{file: fset.File(f.Pos()), data: data, all: map[string]declaration{}, qualifiers: map[string]string{}}
	w.imports(f, given)
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			w.function(d)
		case *ast.GenDecl:
			w.group(d)
		}
	}
	return w.all
}

type declarationWriter struct {
	file       *token.File
	data       []byte
	all        map[string]declaration
	qualifiers map[string]string // package paths by the name of the import
	unnamed    []string          // imports without a name
	dots       string            // dot imports
	cgo        bool              // C is imported
	headers    []*headers        // the input of the C compiler

	text strings.Builder
	refs []string
	c    bool
	used []string // names of C, except those that are only pointed to

	expression bool // a star may multiply
}

func (w *declarationWriter) imports(f *ast.File, given *headers) {
	for _, spec := range f.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		switch {
		case err != nil:
		case name == "C":
			w.cgo = true
		case spec.Name == nil:
			w.unnamed = append(w.unnamed, name)
		case spec.Name.Name == ".":
			w.dots += " " + name
		default:
			w.qualifiers[spec.Name.Name] = name
		}
	}
	slices.Sort(w.unnamed)
	if !w.cgo {
		return
	}
	preamble := ""
	for _, d := range f.Decls {
		if d, ok := d.(*ast.GenDecl); ok && d.Tok == token.IMPORT && d.Doc != nil {
			preamble += d.Doc.Text()
		}
	}
	w.headers = []*headers{parseHeaders(preamble), given}
}

// qualified returns the package that a qualifier names.
func (w *declarationWriter) qualified(name string) string {
	if p, ok := w.qualifiers[name]; ok {
		return p
	}
	var of []string
	for _, p := range w.unnamed {
		if p == name || strings.HasSuffix(p, "/"+name) {
			of = append(of, p)
		}
	}
	if len(of) == 1 {
		return of[0]
	}
	return strings.Join(w.unnamed, " ") // the package's name may differ from its folder's
}

func (w *declarationWriter) add(name string, write func()) {
	if name == "_" || name == "init" {
		return
	}
	w.text.Reset()
	w.refs, w.c, w.used = nil, false, nil
	write()
	if w.c {
		w.word(about(w.used, w.headers...))
	}
	text := w.text.String() + w.dots
	if have, ok := w.all[name]; ok {
		text = have.text + "\n" + text
	}
	w.all[name] = declaration{text: text, refs: w.refs, c: w.c}
}

func (w *declarationWriter) word(text string) { w.text.WriteString(text + " ") }

// source writes the tokens of a node without function bodies.
func (w *declarationWriter) source(n ast.Node) {
	var bodies []*ast.BlockStmt
	ast.Inspect(n, func(n ast.Node) bool {
		if f, ok := n.(*ast.FuncLit); ok {
			bodies = append(bodies, f.Body)
			return false
		}
		return true
	})
	from, end := w.file.Offset(n.Pos()), w.file.Offset(n.End())
	for _, b := range bodies {
		w.tokens(w.data[from:w.file.Offset(b.Pos())])
		w.word("{}")
		from = w.file.Offset(b.End())
	}
	w.tokens(w.data[from:end])
}

func (w *declarationWriter) tokens(source []byte) {
	var s scanner.Scanner
	s.Init(token.NewFileSet().AddFile("", -1, len(source)), source, nil, 0)
	held := ""      // a separator, written only before another element
	qualifier := "" // the previous identifier, unless it has a qualifier itself
	dot, ofC, pointer := false, false, false
	for {
		_, tok, text := s.Scan()
		switch {
		case tok == token.EOF:
			return
		case !tok.IsLiteral():
			text = tok.String()
		}
		switch tok {
		case token.SEMICOLON, token.COMMA:
			held, qualifier, dot, ofC, pointer = held+text, "", false, false, false
			continue
		case token.RBRACE, token.RPAREN, token.RBRACK:
			held = ""
		case token.PERIOD:
			if qualifier != "" {
				ofC = qualifier == "C" && w.cgo
				w.c = w.c || ofC
				w.word("<" + w.qualified(qualifier) + ">")
			}
		}
		w.word(held + text)
		held = ""
		qualifier = ""
		if tok == token.IDENT {
			w.refs = append(w.refs, text)
			switch {
			case !dot:
				qualifier = text
			case ofC && !pointer:
				w.used = append(w.used, text)
			}
		}
		if tok != token.PERIOD && qualifier != "C" {
			ofC, pointer = false, tok == token.MUL && !w.expression
		}
		dot = tok == token.PERIOD
	}
}

func (w *declarationWriter) function(d *ast.FuncDecl) {
	name := d.Name.Name
	if d.Recv != nil && len(d.Recv.List) == 1 {
		name = receiver(d.Recv.List[0].Type) + "." + name
	}
	w.add(name, func() {
		w.word("func")
		for _, list := range []*ast.FieldList{d.Recv, d.Type.TypeParams, d.Type.Params, d.Type.Results} {
			w.word("(")
			if list != nil {
				for _, field := range list.List {
					for i := range max(1, len(field.Names)) {
						if list == d.Type.TypeParams {
							w.source(field.Names[i]) // it has names, and they count
						}
						w.source(field.Type)
						w.word(",")
					}
				}
			}
			w.word(")")
		}
	})
}

// receiver returns the name of a method's receiver type.
func receiver(t ast.Expr) string {
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.ParenExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return "?"
		}
	}
}

func (w *declarationWriter) group(d *ast.GenDecl) {
	var implied *ast.ValueSpec // a constant without values repeats its values
	for i, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			w.add(spec.Name.Name, func() { w.typeSpec(spec) })
		case *ast.ValueSpec:
			from := spec
			if d.Tok == token.CONST {
				if spec.Type != nil || len(spec.Values) > 0 || implied == nil {
					implied = spec
				}
				from = implied
			}
			for j, name := range spec.Names {
				w.add(name.Name, func() { w.value(d.Tok, from, i, j) })
			}
		}
	}
}

// typeSpec ignores names of C in unexported fields, because users cannot reach such a field and
// its type is always comparable.
func (w *declarationWriter) typeSpec(spec *ast.TypeSpec) {
	w.word("type")
	s, ok := spec.Type.(*ast.StructType)
	if !ok {
		w.source(spec)
		return
	}
	w.source(spec.Name)
	if spec.TypeParams != nil {
		w.source(spec.TypeParams)
	}
	if spec.Assign.IsValid() {
		w.word("=")
	}
	w.word("struct {")
	for _, f := range s.Fields.List {
		c, used := w.c, w.used
		w.source(f)
		w.word(";")
		if len(f.Names) > 0 && !slices.ContainsFunc(f.Names, func(n *ast.Ident) bool { return n.IsExported() }) {
			w.c, w.used = c, used
		}
	}
	w.word("}")
}

func (w *declarationWriter) value(tok token.Token, spec *ast.ValueSpec, i, j int) {
	w.expression = true
	defer func() { w.expression = false }()
	w.word(tok.String())
	if spec.Type != nil {
		w.source(spec.Type)
		if tok == token.VAR {
			return
		}
	}
	w.word("=")
	switch {
	case j < len(spec.Values):
		w.source(spec.Values[j])
	case len(spec.Values) == 1:
		w.source(spec.Values[0])
		w.word(fmt.Sprint("#", j))
	}
	if slices.Contains(w.refs, "iota") {
		w.word(fmt.Sprint("iota is ", i))
	}
}
