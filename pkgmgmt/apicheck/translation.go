package apicheck

import "go/types"

// A translation copies an API. Some types get other names and some type parameters lose their
// constraint. Types of other modules are copied only if they get another name.
type translation struct {
	owns    func(*types.Package) bool
	names   map[*types.TypeName]typeID
	taken   map[typeID]bool           // the new names
	relaxed map[*types.TypeParam]bool // the type parameters that lose their constraint

	// nameLiterals gives the methods of interface literals a receiver with a name.
	nameLiterals bool

	packages   map[string]*types.Package
	origins    map[*types.Named]*types.Named
	params     map[*types.TypeParam]*types.TypeParam
	interfaces []*types.Interface
}

// translated returns a translation of a surface.
func (s *surface) translated(module string, names map[*types.TypeName]typeID, relaxed map[*types.TypeParam]bool, nameLiterals bool) *surface {
	t := &translation{
		nameLiterals: nameLiterals,
		owns:         func(pkg *types.Package) bool { return s.owns(module, pkg) },
		names:        names, taken: map[typeID]bool{}, relaxed: relaxed, packages: map[string]*types.Package{},
		origins: map[*types.Named]*types.Named{}, params: map[*types.TypeParam]*types.TypeParam{},
	}
	for _, id := range names {
		t.taken[id] = true
	}
	out := &surface{packages: map[string]*types.Package{}, others: map[string]*types.Package{}, modules: s.modules}
	for path, pkg := range s.packages {
		out.packages[path] = t.pkg(pkg)
	}
	for path, pkg := range s.others {
		if out.others[path] = pkg; t.owns(pkg) {
			out.others[path] = t.pkg(pkg)
		}
	}
	for _, pkgs := range []map[string]*types.Package{s.packages, s.others} {
		for _, pkg := range values(pkgs) {
			if t.owns(pkg) {
				t.objects(pkg)
			}
		}
	}
	for name, id := range names {
		if named, ok := name.Type().(*types.Named); ok {
			n := t.origin(named)
			n.Obj().Pkg().Scope().Insert(n.Obj()) // Insert keeps an existing object
		}
		if isInternalPackage(module, id.pkg) {
			out.others[id.pkg] = t.packages[id.pkg]
		}
	}
	for _, i := range t.interfaces {
		i.Complete()
	}
	return out
}

// pkg returns the copy of a package, or the package itself if it is not copied.
func (t *translation) pkg(pkg *types.Package) *types.Package {
	if pkg == nil || !t.owns(pkg) {
		return pkg
	}
	return t.at(pkg.Path(), pkg.Name())
}

func (t *translation) at(path, name string) *types.Package {
	if t.packages[path] == nil {
		t.packages[path] = types.NewPackage(path, name)
	}
	return t.packages[path]
}

func (t *translation) objects(pkg *types.Package) {
	to := t.pkg(pkg)
	for _, name := range pkg.Scope().Names() {
		switch o := pkg.Scope().Lookup(name).(type) {
		case *types.Const:
			to.Scope().Insert(types.NewConst(o.Pos(), to, name, t.typ(o.Type()), o.Val()))
		case *types.Var:
			to.Scope().Insert(types.NewVar(o.Pos(), to, name, t.typ(o.Type())))
		case *types.Func:
			to.Scope().Insert(types.NewFunc(o.Pos(), to, name, t.signature(o.Signature())))
		case *types.TypeName:
			t.typeName(to, o)
		}
	}
}

func (t *translation) typeName(to *types.Package, o *types.TypeName) {
	if of := standsFor(o); of != nil && (of == o || t.names[of] == typeID{to.Path(), o.Name()}) {
		named := t.origin(of.Type().(*types.Named))
		if idOf(named.Obj()) == (typeID{to.Path(), o.Name()}) {
			to.Scope().Insert(named.Obj())
			return
		}
	}
	if t.taken[typeID{to.Path(), o.Name()}] {
		return
	}
	name := types.NewTypeName(o.Pos(), to, o.Name(), nil)
	if alias, ok := o.Type().(*types.Alias); ok && alias.TypeParams().Len() > 0 {
		params := t.typeParams(alias.TypeParams())
		types.NewAlias(name, t.typ(alias.Rhs())).SetTypeParams(params)
	} else {
		types.NewAlias(name, t.typ(types.Unalias(o.Type())))
	}
	to.Scope().Insert(name)
}

// origin returns the copy of a type that is not an instance.
func (t *translation) origin(named *types.Named) *types.Named {
	if n, ok := t.origins[named]; ok {
		return n
	}
	o := named.Obj()
	id, renamed := t.names[o]
	if !renamed {
		id = idOf(o)
		if t.taken[id] {
			id.name += "′" // the old API has another type with this name
		}
	}
	pkg := t.at(id.pkg, o.Pkg().Name())
	n := types.NewNamed(types.NewTypeName(o.Pos(), pkg, id.name, nil), nil, nil)
	t.origins[named] = n
	if named.TypeParams().Len() > 0 {
		params := t.newTypeParams(named.TypeParams())
		n.SetTypeParams(params)
		t.constrain(named.TypeParams())
	}
	n.SetUnderlying(t.typ(named.Underlying()))
	for m := range named.Methods() {
		sig := m.Signature()
		var receiverParams []*types.TypeParam
		receiver := types.Type(n)
		if sig.RecvTypeParams().Len() > 0 {
			receiverParams = t.newTypeParams(sig.RecvTypeParams())
			t.constrain(sig.RecvTypeParams())
			args := make([]types.Type, len(receiverParams))
			for i, p := range receiverParams {
				args[i] = p
			}
			receiver = instantiate(n, args)
		}
		if _, ok := types.Unalias(sig.Recv().Type()).(*types.Pointer); ok {
			receiver = types.NewPointer(receiver)
		}
		recv := types.NewVar(sig.Recv().Pos(), pkg, sig.Recv().Name(), receiver)
		params := t.typeParams(sig.TypeParams())
		n.AddMethod(types.NewFunc(m.Pos(), pkg, m.Name(), types.NewSignatureType(recv, receiverParams, params, t.tuple(sig.Params()), t.tuple(sig.Results()), sig.Variadic())))
	}
	return n
}

func instantiate(origin types.Type, args []types.Type) types.Type {
	t, err := types.Instantiate(nil, origin, args, false)
	if err != nil {
		return origin // Instantiate only fails on validation
	}
	return t
}

func (t *translation) typeParams(list *types.TypeParamList) []*types.TypeParam {
	params := t.newTypeParams(list)
	t.constrain(list)
	return params
}

func (t *translation) newTypeParams(list *types.TypeParamList) (all []*types.TypeParam) {
	for p := range list.TypeParams() {
		n := types.NewTypeParam(types.NewTypeName(p.Obj().Pos(), t.pkg(p.Obj().Pkg()), p.Obj().Name(), nil), nil)
		t.params[p] = n
		all = append(all, n)
	}
	return all
}

func (t *translation) constrain(list *types.TypeParamList) {
	for p := range list.TypeParams() {
		if t.relaxed[p] {
			t.params[p].SetConstraint(types.Universe.Lookup("any").Type())
		} else {
			t.params[p].SetConstraint(t.typ(p.Constraint()))
		}
	}
}

func (t *translation) typ(of types.Type) types.Type {
	switch of := of.(type) {
	case *types.Alias:
		if o := of.Obj(); o.Pkg() == nil || !t.owns(o.Pkg()) && of.TypeArgs().Len() == 0 && t.names[standsFor(o)] == (typeID{}) {
			return of
		}
		return t.typ(types.Unalias(of))
	case *types.Named:
		origin := of.Origin()
		var to types.Type = origin
		if _, ok := t.names[origin.Obj()]; ok || t.owns(origin.Obj().Pkg()) {
			to = t.origin(origin)
		}
		if of.TypeArgs().Len() == 0 {
			return to
		}
		var args []types.Type
		for arg := range of.TypeArgs().Types() {
			args = append(args, t.typ(arg))
		}
		return instantiate(to, args)
	case *types.TypeParam:
		if p, ok := t.params[of]; ok {
			return p
		}
	case *types.Pointer:
		return types.NewPointer(t.typ(of.Elem()))
	case *types.Slice:
		return types.NewSlice(t.typ(of.Elem()))
	case *types.Array:
		return types.NewArray(t.typ(of.Elem()), of.Len())
	case *types.Map:
		return types.NewMap(t.typ(of.Key()), t.typ(of.Elem()))
	case *types.Chan:
		return types.NewChan(of.Dir(), t.typ(of.Elem()))
	case *types.Tuple:
		return t.tuple(of)
	case *types.Signature:
		return t.signature(of)
	case *types.Struct:
		var fields []*types.Var
		var tags []string
		for i := range of.NumFields() {
			f := of.Field(i)
			fields, tags = append(fields, types.NewField(f.Pos(), t.pkg(f.Pkg()), f.Name(), t.typ(f.Type()), f.Embedded())), append(tags, of.Tag(i))
		}
		return types.NewStruct(fields, tags)
	case *types.Interface:
		var methods []*types.Func
		for m := range of.ExplicitMethods() {
			methods = append(methods, t.method(m))
		}
		var embedded []types.Type
		for e := range of.EmbeddedTypes() {
			embedded = append(embedded, t.typ(e))
		}
		i := types.NewInterfaceType(methods, embedded)
		if of.IsImplicit() {
			i.MarkImplicit()
		}
		t.interfaces = append(t.interfaces, i)
		return i
	case *types.Union:
		var terms []*types.Term
		for term := range of.Terms() {
			terms = append(terms, types.NewTerm(term.Tilde(), t.typ(term.Type())))
		}
		return types.NewUnion(terms)
	}
	return of
}

func (t *translation) tuple(of *types.Tuple) *types.Tuple {
	var all []*types.Var
	for v := range of.Variables() {
		all = append(all, types.NewParam(v.Pos(), t.pkg(v.Pkg()), v.Name(), t.typ(v.Type())))
	}
	return types.NewTuple(all...)
}

// method returns the copy of an interface's method, with the package and receiver of the type
// that declares it.
func (t *translation) method(m *types.Func) *types.Func {
	s, pkg := t.signature(m.Signature()), t.pkg(m.Pkg())
	recv := m.Signature().Recv()
	if recv == nil {
		return types.NewFunc(m.Pos(), pkg, m.Name(), s)
	}
	named, ok := recv.Type().(*types.Named)
	switch {
	case ok:
		named, ok = t.typ(named).(*types.Named)
	case t.nameLiterals && pkg != nil:
		text := types.TypeString(recv.Type(), types.RelativeTo(m.Pkg()))
		named, ok = types.NewNamed(types.NewTypeName(recv.Pos(), pkg, text, nil), types.NewStruct(nil, nil), nil), true
	}
	if ok {
		pkg = named.Obj().Pkg()
		s = types.NewSignatureType(types.NewVar(recv.Pos(), pkg, recv.Name(), named), nil, nil, s.Params(), s.Results(), s.Variadic())
	}
	return types.NewFunc(m.Pos(), pkg, m.Name(), s)
}

func (t *translation) signature(of *types.Signature) *types.Signature {
	params := t.typeParams(of.TypeParams())
	return types.NewSignatureType(nil, nil, params, t.tuple(of.Params()), t.tuple(of.Results()), of.Variadic())
}
