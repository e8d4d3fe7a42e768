package apicheck

import (
	"fmt"
	"go/types"
	"slices"

	"golang.org/x/exp/apidiff"
)

// genericChanges returns the changes that apidiff ignores: in the type arguments of types of
// other packages, and in the unions of constraints. It treats types of other packages as equal if
// their names are equal; hiddenChanges compares those types.
func genericChanges(module string, before, after *surface, e *exposure) []apidiff.Change {
	g := &generics{module: module, exposure: e, told: map[string]bool{}}
	for _, old := range values(before.packages) {
		if new := after.packages[old.Path()]; new != nil {
			g.compare(old, new, func(o types.Object) bool { return o.Exported() })
		}
	}
	for _, old := range values(before.others) {
		if new := after.others[old.Path()]; new != nil && isInternalPackage(module, old.Path()) {
			g.compare(old, new, func(o types.Object) bool {
				_, isType := o.(*types.TypeName)
				return isType && e.either(old, new, o.Name())
			})
		}
	}
	return g.changes
}

type generics struct {
	*exposure
	module  string
	pkg     *types.Package // the old version of the compared package
	changes []apidiff.Change
	told    map[string]bool

	// State of the compared object.
	args       bool                // type arguments differ
	constraint map[string]relation // by the texts of both
	pairs      map[[2]types.Type]bool
}

type relation int

const (
	equal  relation = iota
	wider           // it allows more
	differ          // it allows less, or other types
)

func (g *generics) compare(old, new *types.Package, of func(types.Object) bool) {
	g.pkg = old
	for _, name := range old.Scope().Names() {
		was, is := old.Scope().Lookup(name), new.Scope().Lookup(name)
		if is == nil || !of(was) {
			continue
		}
		g.args, g.constraint, g.pairs = false, map[string]relation{}, map[[2]types.Type]bool{}
		g.same(was.Type(), is.Type())
		place := objectName(g.module, old, name)
		if g.args {
			from, to := typeText(old, was.Type()), typeText(new, is.Type())
			g.add(place+": changed "+fromTo(from, to), false)
		}
		for text, r := range g.constraint {
			g.add(place+": a type parameter's constraint changed "+text, r == wider)
		}
		if tn, ok := was.(*types.TypeName); ok && !tn.IsAlias() {
			g.named(place, tn, old, new, is)
		}
	}
}

func (g *generics) named(place string, was *types.TypeName, old, new *types.Package, is types.Object) {
	oi, ok := was.Type().Underlying().(*types.Interface)
	ni, ok2 := is.Type().Underlying().(*types.Interface)
	if !ok || !ok2 || oi.IsMethodSet() && ni.IsMethodSet() {
		return
	}
	if r := g.relate(oi, ni); r != equal {
		// If users can name it, their own type parameters must satisfy it.
		nameable := was.Exported() && !isInternalPackage(g.module, old.Path()) || g.alias[was]
		g.add(place+": type set changed "+fromTo(typeText(old, oi), typeText(new, ni)), g.interfaces(oi, ni) == wider && !nameable)
	}
}

func (g *generics) add(message string, compatible bool) {
	if !g.told[message] {
		g.told[message] = true
		g.changes = append(g.changes, apidiff.Change{Message: message, Compatible: compatible})
	}
}

// same compares two types. It records differences in type arguments of types of other packages
// and in constraints. apidiff finds all other differences.
func (g *generics) same(old, new types.Type) bool {
	old, new = types.Unalias(old), types.Unalias(new)
	pair := [2]types.Type{old, new}
	if g.pairs[pair] {
		return true
	}
	g.pairs[pair] = true
	switch old := old.(type) {
	case *types.Basic:
		return types.Identical(old, new)
	case *types.TypeParam:
		other, ok := new.(*types.TypeParam)
		return ok && old.Index() == other.Index()
	case *types.Named:
		other, ok := new.(*types.Named)
		if !ok || typeName(old) != typeName(other) || old.TypeArgs().Len() != other.TypeArgs().Len() {
			return false
		}
		same := true
		for i := range old.TypeArgs().Len() {
			same = g.same(old.TypeArgs().At(i), other.TypeArgs().At(i)) && same
		}
		g.args = g.args || !same && old.Obj().Pkg() != g.pkg
		g.params(old.TypeParams(), other.TypeParams())
		if old.Obj().Pkg() == g.pkg && len(g.pairs) == 1 { // other types are compared as objects of their own
			g.same(old.Underlying(), other.Underlying())
			for m := range old.Methods() {
				if m.Exported() {
					if o, _, _ := types.LookupFieldOrMethod(other, true, other.Obj().Pkg(), m.Name()); o != nil {
						g.same(m.Type(), o.Type())
					}
				}
			}
		}
		return same
	case *types.Signature:
		other, ok := new.(*types.Signature)
		if !ok {
			return false
		}
		g.params(old.TypeParams(), other.TypeParams())
		return g.tuple(old.Params(), other.Params()) && g.tuple(old.Results(), other.Results()) && old.Variadic() == other.Variadic()
	case *types.Struct:
		other, ok := new.(*types.Struct)
		if !ok {
			return false
		}
		same := old.NumFields() == other.NumFields()
		fields := map[string]*types.Var{}
		for f := range other.Fields() {
			fields[f.Name()] = f
		}
		for f := range old.Fields() {
			if o := fields[f.Name()]; o == nil {
				same = false
			} else if f.Exported() || f.Embedded() {
				same = g.same(f.Type(), o.Type()) && same
			}
		}
		return same
	case *types.Interface:
		other, ok := new.(*types.Interface)
		if !ok {
			return false
		}
		same := old.NumMethods() == other.NumMethods()
		methods := map[string]*types.Func{}
		for m := range other.Methods() {
			methods[m.Name()] = m
		}
		for m := range old.Methods() {
			o := methods[m.Name()]
			same = o != nil && g.same(m.Type(), o.Type()) && same
		}
		return same && g.relate(old, other) == equal
	case *types.Map:
		other, ok := new.(*types.Map)
		return ok && g.same(old.Key(), other.Key()) && g.same(old.Elem(), other.Elem())
	case *types.Array:
		other, ok := new.(*types.Array)
		return ok && old.Len() == other.Len() && g.same(old.Elem(), other.Elem())
	case *types.Pointer:
		other, ok := new.(*types.Pointer)
		return ok && g.same(old.Elem(), other.Elem())
	case *types.Slice:
		other, ok := new.(*types.Slice)
		return ok && g.same(old.Elem(), other.Elem())
	case *types.Chan:
		other, ok := new.(*types.Chan)
		return ok && old.Dir() == other.Dir() && g.same(old.Elem(), other.Elem())
	}
	return types.Identical(old, new)
}

func (g *generics) tuple(old, new *types.Tuple) bool {
	same := old.Len() == new.Len()
	for i := range min(old.Len(), new.Len()) {
		same = g.same(old.At(i).Type(), new.At(i).Type()) && same
	}
	return same
}

func (g *generics) params(old, new *types.TypeParamList) {
	if old.Len() != new.Len() {
		return // apidiff finds it
	}
	for i := range old.Len() {
		oc, nc := old.At(i).Constraint(), new.At(i).Constraint()
		r, named := g.constraints(old.At(i), new.At(i))
		switch {
		case named:
			g.same(types.Unalias(oc), types.Unalias(nc)) // a named constraint is compared as an object of its own
		case r != equal:
			g.constraint[fromTo(typeText(old.At(i).Obj().Pkg(), oc), typeText(new.At(i).Obj().Pkg(), nc))] = r
		}
	}
}

// constraints compares the constraints of two type parameters. named means that both have the
// same name.
func (g *generics) constraints(old, new *types.TypeParam) (r relation, named bool) {
	on, ok := types.Unalias(old.Constraint()).(*types.Named)
	nn, ok2 := types.Unalias(new.Constraint()).(*types.Named)
	if ok && ok2 && typeName(on) == typeName(nn) {
		return equal, true
	}
	oi, ok := old.Constraint().Underlying().(*types.Interface)
	ni, ok2 := new.Constraint().Underlying().(*types.Interface)
	if !ok || !ok2 {
		return differ, false
	}
	return g.interfaces(oi, ni), false
}

// interfaces compares constraints with their methods.
func (g *generics) interfaces(old, new *types.Interface) relation {
	methods := map[string]*types.Func{}
	for m := range old.Methods() {
		methods[m.Name()] = m
	}
	for m := range new.Methods() {
		if o := methods[m.Name()]; o == nil || !g.identical(o.Type(), m.Type()) {
			return differ
		}
	}
	r := g.relate(old, new)
	if r == equal && old.NumMethods() > new.NumMethods() {
		return wider
	}
	return r
}

// relate compares the type sets of two constraints without their methods, which apidiff compares.
func (g *generics) relate(old, new *types.Interface) relation {
	was, is := unions(old), unions(new)
	more := func(a, b []*types.Union) bool { // each union of b allows all types of some union of a
		return !slices.ContainsFunc(b, func(u *types.Union) bool {
			return !slices.ContainsFunc(a, func(v *types.Union) bool { return g.allows(u, v) })
		})
	}
	widens, narrows := more(was, is), more(is, was)
	if old.IsComparable() != new.IsComparable() {
		widens, narrows = widens && old.IsComparable(), narrows && new.IsComparable()
	}
	switch {
	case widens && narrows:
		return equal
	case widens:
		return wider
	}
	return differ
}

func (g *generics) allows(u, v *types.Union) bool {
	for term := range v.Terms() {
		found := false
		for mine := range u.Terms() {
			if (mine.Tilde() || !term.Tilde()) && g.identical(term.Type(), mine.Type()) {
				found = true
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// identical compares two types and records nothing.
func (g *generics) identical(old, new types.Type) bool {
	inner := &generics{module: g.module, exposure: g.exposure, constraint: map[string]relation{}, pairs: map[[2]types.Type]bool{{}: true}}
	return inner.same(old, new)
}

// unions returns the unions of an interface and of its embedded interfaces. A type must be in
// each of them.
func unions(t *types.Interface) (all []*types.Union) {
	for embedded := range t.EmbeddedTypes() {
		switch u := types.Unalias(embedded).(type) {
		case *types.Union:
			if flat := flatten(u); flat != nil {
				all = append(all, flat)
			}
		default:
			if i, ok := u.Underlying().(*types.Interface); ok {
				all = append(all, unions(i)...)
			} else {
				all = append(all, types.NewUnion([]*types.Term{types.NewTerm(false, u)}))
			}
		}
	}
	return all
}

// flatten replaces the constraints in a union by their terms. Nil means that one of them allows
// all types.
func flatten(u *types.Union) *types.Union {
	var terms []*types.Term
	for term := range u.Terms() {
		i, ok := term.Type().Underlying().(*types.Interface)
		if !ok {
			terms = append(terms, term)
			continue
		}
		inner := unions(i)
		if len(inner) == 0 {
			return nil
		}
		terms = slices.AppendSeq(terms, inner[0].Terms())
	}
	return types.NewUnion(terms)
}

func typeName(t *types.Named) string {
	if t.Obj().Pkg() == nil {
		return t.Obj().Name()
	}
	return t.Obj().Pkg().Path() + "." + t.Obj().Name()
}

func typeText(pkg *types.Package, t types.Type) string {
	return types.TypeString(types.Unalias(t), types.RelativeTo(pkg))
}

// fromTo describes a change of a text. Different types may have the same text.
func fromTo(from, to string) string {
	if from == to {
		return "although its text is still " + from
	}
	return fmt.Sprintf("from %s to %s", from, to)
}
