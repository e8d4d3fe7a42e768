package apicheck

import (
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/exp/apidiff"
)

// An exposure has the types in the API that users cannot import from the module: types of
// internal packages and of other modules.
type exposure struct {
	names map[*types.Package]map[string]bool // of types, by package
	alias map[*types.TypeName]bool           // has a name in the API
	seen  map[types.Type]bool
}

func exposed(before, after *surface) *exposure {
	e := &exposure{names: map[*types.Package]map[string]bool{}, alias: map[*types.TypeName]bool{}, seen: map[types.Type]bool{}}
	for _, s := range []*surface{before, after} {
		for _, pkg := range values(s.packages) {
			for _, name := range pkg.Scope().Names() {
				o := pkg.Scope().Lookup(name)
				if !o.Exported() {
					continue
				}
				if tn, ok := o.(*types.TypeName); ok && tn.IsAlias() {
					if named, ok := types.Unalias(tn.Type()).(*types.Named); ok {
						e.alias[named.Origin().Obj()] = true
					}
				}
				e.reach(o.Type(), s)
			}
		}
	}
	return e
}

func (e *exposure) either(old, new *types.Package, name string) bool {
	return e.names[old][name] || e.names[new][name]
}

// reach walks everything that a user of a type can reach.
func (e *exposure) reach(t types.Type, s *surface) {
	if t == nil || e.seen[t] {
		return
	}
	e.seen[t] = true
	visit := func(t types.Type) { e.reach(t, s) }
	params := func(list *types.TypeParamList) {
		for p := range list.TypeParams() {
			visit(p.Constraint())
		}
	}
	switch t := t.(type) {
	case *types.Alias:
		params(t.TypeParams())
		for arg := range t.TypeArgs().Types() {
			visit(arg)
		}
		visit(types.Unalias(t))
	case *types.Named:
		params(t.TypeParams())
		for arg := range t.TypeArgs().Types() {
			visit(arg)
		}
		pkg := t.Obj().Pkg()
		if pkg == nil {
			return // error, comparable
		}
		if s.hidden(pkg) {
			if e.names[pkg] == nil {
				e.names[pkg] = map[string]bool{}
			}
			e.names[pkg][t.Obj().Name()] = true
		} else if s.packages[pkg.Path()] != pkg {
			return // a type of the standard library
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
		params(t.TypeParams())
		for _, tuple := range []*types.Tuple{t.Params(), t.Results()} {
			for v := range tuple.Variables() {
				visit(v.Type())
			}
		}
	case *types.Interface:
		for m := range t.Methods() {
			visit(m.Type())
		}
		for embedded := range t.EmbeddedTypes() {
			visit(embedded)
		}
	case *types.Union:
		for term := range t.Terms() {
			visit(term.Type())
		}
	case *types.Map:
		visit(t.Key())
		visit(t.Elem())
	case interface{ Elem() types.Type }: // pointers, slices, arrays, channels
		visit(t.Elem())
	}
}

// hiddenChanges returns the changes of types that the API exposes but users cannot import: by an
// alias, or in the type of an exported name. apidiff treats types of other packages as equal if
// their names are equal. Types of other modules change with the required version, which needs at
// least a minor version and is not a break of this module.
func hiddenChanges(module string, before, after *surface, e *exposure) []apidiff.Change {
	var all []apidiff.Change
	for _, old := range values(before.others) {
		new := after.others[old.Path()]
		if new == nil || e.names[old] == nil && e.names[new] == nil {
			continue
		}
		internal := isInternalPackage(module, old.Path())
		if !internal && before.modules[old] == after.modules[new] {
			continue // the same version
		}
		for _, c := range apidiff.Changes(old, new).Changes {
			name := strings.TrimLeft(c.Message, "(*")
			if i := strings.IndexFunc(name, func(r rune) bool { return strings.ContainsRune(".:,)[ ", r) }); i >= 0 {
				name = name[:i]
			}
			switch {
			case token.IsIdentifier(name) && !e.either(old, new, name): // not the method of a type literal
			case internal:
				c.Message = objectName(module, old, c.Message)
				all = append(all, c)
			case !c.Compatible:
				c.Message = old.Path() + "." + c.Message + ", by the dependency " + before.modules[old] + ", now " + after.modules[new]
				c.Compatible = true
				all = append(all, c)
			}
		}
	}
	return all
}

func objectName(module string, pkg *types.Package, name string) string {
	return objectPlace(module, pkg.Path(), name)
}

func objectPlace(module, pkg, name string) string {
	if pkg == module {
		return name
	}
	if rest, ok := strings.CutPrefix(pkg, module+"/"); ok {
		return "./" + rest + "." + name
	}
	return pkg + "." + name
}

func packageNameChanges(before, after *surface) []apidiff.Change {
	var all []apidiff.Change
	for _, old := range values(before.packages) {
		if new := after.packages[old.Path()]; new != nil && new.Name() != old.Name() {
			all = append(all, apidiff.Change{Message: "package " + old.Path() + ": name changed from " + old.Name() + " to " + new.Name()})
		}
	}
	return all
}
