package apicheck

import (
	"go/types"
	"strings"

	"golang.org/x/exp/apidiff"
)

// innerChanges are the changes of types of internal packages that the API shows: by an
// alias, or in the type of what is exported. apidiff takes types of other packages to be
// the same when their names are.
func innerChanges(module string, before, after *surface) []apidiff.Change {
	shown := map[*types.Package]map[string]bool{}
	seen := map[types.Type]bool{}
	for _, s := range []*surface{before, after} {
		for _, pkg := range values(s.packages) {
			for _, name := range pkg.Scope().Names() {
				if o := pkg.Scope().Lookup(name); o.Exported() {
					reach(o.Type(), s, shown, seen)
				}
			}
		}
	}
	var all []apidiff.Change
	for _, old := range values(before.internal) {
		new := after.internal[old.Path()]
		if new == nil || shown[old] == nil && shown[new] == nil {
			continue
		}
		for _, c := range apidiff.Changes(old, new).Changes {
			name := strings.TrimLeft(c.Message, "(*")
			if i := strings.IndexFunc(name, func(r rune) bool { return strings.ContainsRune(".:,)[ ", r) }); i >= 0 {
				name = name[:i]
			}
			if shown[old][name] || shown[new][name] {
				c.Message = "./" + strings.TrimPrefix(strings.TrimPrefix(old.Path(), module), "/") + "." + c.Message
				all = append(all, c)
			}
		}
	}
	return all
}

// reach walks what a user of a type can get at.
func reach(t types.Type, s *surface, shown map[*types.Package]map[string]bool, seen map[types.Type]bool) {
	if t == nil || seen[t] {
		return
	}
	seen[t] = true
	visit := func(t types.Type) { reach(t, s, shown, seen) }
	switch t := t.(type) {
	case *types.Alias:
		visit(types.Unalias(t))
	case *types.Named:
		if pkg := t.Obj().Pkg(); pkg != nil && s.internal[pkg.Path()] == pkg && t.Obj().Exported() {
			if shown[pkg] == nil {
				shown[pkg] = map[string]bool{}
			}
			shown[pkg][t.Obj().Name()] = true
		} else if pkg != nil && s.packages[pkg.Path()] != pkg && s.internal[pkg.Path()] != pkg {
			return // of another module
		}
		for arg := range t.TypeArgs().Types() {
			visit(arg)
		}
		for m := range t.Methods() {
			if m.Exported() {
				visit(m.Type())
			}
		}
		visit(t.Underlying())
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() || f.Embedded() {
				visit(f.Type())
			}
		}
	case *types.Signature:
		for _, tuple := range []*types.Tuple{t.Params(), t.Results()} {
			for v := range tuple.Variables() {
				visit(v.Type())
			}
		}
	case *types.Interface:
		for m := range t.Methods() {
			visit(m.Type())
		}
	case *types.Map:
		visit(t.Key())
		visit(t.Elem())
	case interface{ Elem() types.Type }: // pointers, slices, arrays, channels
		visit(t.Elem())
	}
}
