package layers_test

import (
	"bytes"
	"go/ast"
	"go/doc"
	"go/printer"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestShapes checks that the same thing has the same shape in each package.
func TestShapes(t *testing.T) {
	t.Parallel()
	var faults []string
	for dir := range arrows {
		if within(dir, "internal") || strings.Contains(dir, "/internal/") {
			continue
		}
		p, fset := load(t, dir)
		s := shapes{p: p, fset: fset}
		for _, f := range functions(p) {
			s.function(f)
		}
		for _, typ := range p.Types {
			s.typ(typ)
		}
		for _, fault := range s.faults {
			faults = append(faults, dir+"."+fault)
		}
	}
	slices.Sort(faults)
	require.Empty(t, faults)
}

type shapes struct {
	p      *doc.Package
	fset   *token.FileSet
	faults []string
}

func (s *shapes) fault(text string) { s.faults = append(s.faults, text) }

func (s *shapes) text(node ast.Node) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, s.fset, node); err != nil {
		panic(err) // what the parser has read
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// methods are the results of methods that many types have.
var methods = map[string]string{
	"Close":    "func() error",
	"Revision": "func() string",
	"Problems": "func() []error",
	"Stats":    "func() map[string]float64",
}

func (s *shapes) function(f *doc.Func) {
	name := f.Name
	if f.Recv != "" {
		name = strings.TrimPrefix(f.Recv, "*") + "." + name
	}
	if want, ok := methods[f.Name]; ok && f.Recv != "" {
		if got := s.text(f.Decl.Type); got != want {
			s.fault(name + ": must be " + want + ", is " + got)
		}
		if f.Name == "Close" && !strings.Contains(f.Doc, "twice") && !strings.Contains(f.Doc, "more than once") {
			s.fault(name + ": does not say that it may be called twice")
		}
	}
	for i, param := range f.Decl.Type.Params.List {
		last := i == len(f.Decl.Type.Params.List)-1
		typ := s.text(param.Type)
		if strings.HasPrefix(typ, "...") && strings.HasSuffix(typ, "Option") {
			s.fault(name + ": variadic options")
		}
		if strings.HasPrefix(typ, "*") && strings.HasSuffix(typ, "Options") && !last && !isVariadic(f.Decl.Type) && f.Recv == "" {
			s.fault(name + ": options must come last")
		}
		if i == 0 && f.Recv == "" && strings.HasPrefix(name, "Open") && typ != "context.Context" && typ != "testing.TB" {
			s.fault(name + ": Open loads, so it takes a context or a test first")
		}
	}
}

func isVariadic(f *ast.FuncType) bool {
	_, ok := f.Params.List[len(f.Params.List)-1].Type.(*ast.Ellipsis)
	return ok
}

var authorize = regexp.MustCompile(`^func\((r )?\*http\.Request(, (\w+ )?\w+)?\) \(who string, err error\)$`)

func (s *shapes) typ(typ *doc.Type) {
	for _, spec := range typ.Decl.Specs {
		spec, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		switch under := spec.Type.(type) {
		case *ast.StructType:
			s.fields(typ.Name, under)
		case *ast.Ident:
			s.enum(typ, under.Name)
		case *ast.SelectorExpr:
			if spec.Assign.IsValid() && strings.HasSuffix(typ.Name, "Fault") {
				s.fault(typ.Name + ": is an alias")
			}
		}
	}
}

// place are the fields of each Fault besides its subject.
var place = []string{"File", "Line", "Column", "Field", "Severity", "Err"}

func (s *shapes) fields(name string, typ *ast.StructType) {
	var names []string
	for _, field := range typ.Fields.List {
		for _, id := range field.Names {
			names = append(names, id.Name)
			if got := s.text(field.Type); id.Name == "Authorize" && !authorize.MatchString(got) {
				s.fault(name + ".Authorize: is " + got)
			}
		}
	}
	if name == "Fault" {
		for _, want := range place {
			if !slices.Contains(names, want) {
				s.fault(name + ": has no field " + want)
			}
		}
	}
}

// enum checks a type of integers or strings that has constants.
func (s *shapes) enum(typ *doc.Type, under string) {
	small := strings.HasPrefix(under, "int") || strings.HasPrefix(under, "uint")
	if !small && under != "string" || len(typ.Consts) == 0 {
		return
	}
	for _, group := range typ.Consts {
		for _, name := range group.Names {
			if prefix := strings.TrimSuffix(typ.Name, "Kind"); ast.IsExported(name) && !strings.HasPrefix(name, prefix) {
				s.fault(name + ": must begin with " + prefix)
			}
		}
	}
	hasString := slices.ContainsFunc(typ.Methods, func(m *doc.Func) bool { return m.Name == "String" })
	if small && !hasString {
		s.fault(typ.Name + ": has no String")
	}
}
