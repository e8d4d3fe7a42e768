package apicheck

import (
	"go/types"
	"maps"
)

// A correspondence maps types and type parameters of the old API to those at the same place in
// the new API. It is found by walking both APIs from each exported name.
//
// apidiff compares types of other packages by their names. The compiler resolves aliases. So a
// type may move if an alias stays at its old place, and a type that users cannot name may be
// renamed.
type correspondence struct {
	before, after *surface
	module        string
	to, from      map[*types.TypeName]map[*types.TypeName]bool // nil is a type without a name
	params        map[[2]*types.TypeParam]bool
	seen          map[[2]types.Type]bool
}

func correspond(module string, before, after *surface) *correspondence {
	c := &correspondence{
		before: before, after: after, module: module,
		to: map[*types.TypeName]map[*types.TypeName]bool{}, from: map[*types.TypeName]map[*types.TypeName]bool{},
		params: map[[2]*types.TypeParam]bool{}, seen: map[[2]types.Type]bool{},
	}
	for _, old := range values(before.packages) {
		new := after.packages[old.Path()]
		if new == nil {
			continue
		}
		for _, name := range old.Scope().Names() {
			if was, is := old.Scope().Lookup(name), new.Scope().Lookup(name); was.Exported() && is != nil {
				c.walk(was.Type(), is.Type())
			}
		}
	}
	return c
}

// A typeID identifies a type for apidiff.
type typeID struct{ pkg, name string }

func idOf(o *types.TypeName) typeID {
	if o.Pkg() == nil {
		return typeID{"", o.Name()}
	}
	return typeID{o.Pkg().Path(), o.Name()}
}

// renamed returns the types of the new API that replace one type of the module, each with that
// type's name. Users can distinguish the two only by their fields and methods.
func (c *correspondence) renamed() map[*types.TypeName]typeID {
	all := map[*types.TypeName]typeID{}
	for old, news := range c.to {
		for new := range news {
			if len(news) != 1 || new == nil || len(c.from[new]) != 1 || idOf(old) == idOf(new) || !c.before.owns(c.module, old.Pkg()) {
				continue
			}
			if c.before.packages[old.Pkg().Path()] == old.Pkg() && old.Exported() {
				now := c.after.packages[old.Pkg().Path()]
				if now == nil || standsFor(now.Scope().Lookup(old.Name())) != new {
					continue // users could name it, and the name now has another type
				}
			}
			all[new] = idOf(old)
		}
	}
	return all
}

// standsFor returns the type that a name declares or is an alias of.
func standsFor(o types.Object) *types.TypeName {
	tn, ok := o.(*types.TypeName)
	if !ok {
		return nil
	}
	named, ok := types.Unalias(tn.Type()).(*types.Named)
	if !ok {
		return nil
	}
	if alias, ok := tn.Type().(*types.Alias); ok && named.TypeArgs().Len() > 0 {
		// As in type T[P any] = moved.T[P].
		if alias.TypeParams().Len() != named.TypeArgs().Len() {
			return nil
		}
		for i := range named.TypeArgs().Len() {
			if named.TypeArgs().At(i) != alias.TypeParams().At(i) {
				return nil
			}
		}
	}
	return named.Origin().Obj()
}

// owns reports whether a package belongs to the module and is compared.
func (s *surface) owns(module string, pkg *types.Package) bool {
	if pkg == nil {
		return false
	}
	return s.packages[pkg.Path()] == pkg || s.others[pkg.Path()] == pkg && isInternalPackage(module, pkg.Path())
}

func (c *correspondence) pair(old, new *types.TypeName) {
	for _, set := range []struct {
		m    map[*types.TypeName]map[*types.TypeName]bool
		a, b *types.TypeName
	}{{c.to, old, new}, {c.from, new, old}} {
		if set.a == nil {
			continue
		}
		if set.m[set.a] == nil {
			set.m[set.a] = map[*types.TypeName]bool{}
		}
		set.m[set.a][set.b] = true
	}
}

func (c *correspondence) walk(old, new types.Type) {
	old, new = types.Unalias(old), types.Unalias(new)
	if pair := [2]types.Type{old, new}; old == nil || new == nil || c.seen[pair] {
		return
	} else {
		c.seen[pair] = true
	}
	switch old := old.(type) {
	case *types.Named:
		origin := old.Origin()
		other, ok := new.(*types.Named)
		if !ok {
			c.pair(origin.Obj(), nil)
			return
		}
		c.pair(origin.Obj(), other.Origin().Obj())
		for i := range min(old.TypeArgs().Len(), other.TypeArgs().Len()) {
			c.walk(old.TypeArgs().At(i), other.TypeArgs().At(i))
		}
		if !c.before.owns(c.module, origin.Obj().Pkg()) {
			return
		}
		other = other.Origin()
		c.typeParams(origin.TypeParams(), other.TypeParams())
		c.walk(origin.Underlying(), other.Underlying())
		methods := map[string]*types.Func{}
		for m := range other.Methods() {
			methods[m.Name()] = m
		}
		for m := range origin.Methods() {
			if o := methods[m.Name()]; o != nil && m.Exported() {
				c.walk(m.Type(), o.Type())
			}
		}
	case *types.Signature:
		if other, ok := new.(*types.Signature); ok {
			c.typeParams(old.TypeParams(), other.TypeParams())
			c.tuple(old.Params(), other.Params())
			c.tuple(old.Results(), other.Results())
		}
	case *types.Struct:
		if other, ok := new.(*types.Struct); ok {
			fields := map[string]*types.Var{}
			for f := range other.Fields() {
				fields[f.Name()] = f
			}
			for f := range old.Fields() {
				if o := fields[f.Name()]; o != nil && (f.Exported() || f.Embedded()) {
					c.walk(f.Type(), o.Type())
				}
			}
		}
	case *types.Interface:
		if other, ok := new.(*types.Interface); ok {
			methods := map[string]*types.Func{}
			for m := range other.Methods() {
				methods[m.Name()] = m
			}
			for m := range old.Methods() {
				if o := methods[m.Name()]; o != nil {
					c.walk(m.Type(), o.Type())
				}
			}
			if old.NumEmbeddeds() == other.NumEmbeddeds() {
				for i := range old.NumEmbeddeds() {
					c.walk(old.EmbeddedType(i), other.EmbeddedType(i))
				}
			}
		}
	case *types.Union:
		if other, ok := new.(*types.Union); ok && old.Len() == other.Len() {
			for i := range old.Len() {
				c.walk(old.Term(i).Type(), other.Term(i).Type())
			}
		}
	case *types.Map:
		if other, ok := new.(*types.Map); ok {
			c.walk(old.Key(), other.Key())
			c.walk(old.Elem(), other.Elem())
		}
	case *types.Pointer:
		if other, ok := new.(*types.Pointer); ok {
			c.walk(old.Elem(), other.Elem())
		}
	case *types.Slice:
		if other, ok := new.(*types.Slice); ok {
			c.walk(old.Elem(), other.Elem())
		}
	case *types.Array:
		if other, ok := new.(*types.Array); ok {
			c.walk(old.Elem(), other.Elem())
		}
	case *types.Chan:
		if other, ok := new.(*types.Chan); ok {
			c.walk(old.Elem(), other.Elem())
		}
	}
}

func (c *correspondence) tuple(old, new *types.Tuple) {
	for i := range min(old.Len(), new.Len()) {
		c.walk(old.At(i).Type(), new.At(i).Type())
	}
}

func (c *correspondence) typeParams(old, new *types.TypeParamList) {
	if old.Len() != new.Len() {
		return
	}
	for i := range old.Len() {
		c.params[[2]*types.TypeParam{old.At(i), new.At(i)}] = true
		c.walk(old.At(i).Constraint(), new.At(i).Constraint())
	}
}

// relaxed returns the type parameters of both APIs whose constraints have another text and allow
// the same types or more.
func (c *correspondence) relaxed() map[*types.TypeParam]bool {
	all, strict := map[*types.TypeParam]bool{}, map[*types.TypeParam]bool{}
	for pair := range c.params {
		if types.TypeString(pair[0].Constraint(), nil) == types.TypeString(pair[1].Constraint(), nil) {
			continue
		}
		r, named := (&generics{module: c.module}).constraints(pair[0], pair[1])
		into := all
		if named || r == differ {
			into = strict
		}
		into[pair[0]], into[pair[1]] = true, true
	}
	maps.DeleteFunc(all, func(p *types.TypeParam, _ bool) bool { return strict[p] })
	return all
}
