package apicheck

import (
	"cmp"
	"go/token"
	"path"
	"slices"
	"strings"

	"golang.org/x/exp/apidiff"
)

// A difference is a declaration that the versions do not share.
type difference struct {
	dir, name string
	old, new  string // Empty means that this version does not declare it.
	c         bool   // it mentions what C declares
}

// packageName is the name of a difference in the name of the package, or in whether there is one.
const packageName = "package"

// exported reports whether the name, and for a method its type, is exported.
func (d difference) exported() bool {
	for part := range strings.SplitSeq(d.name, ".") {
		if !token.IsExported(part) {
			return false
		}
	}
	return true
}

// Differences are those between what a variant compiles of both versions. A difference that
// one variant has shown is not looked at again in another one.
type differences struct {
	old, new  *source
	excluded  func(pkg string) bool
	files     []string        // that differ, in folders where variants may differ; sorted
	public    map[string]bool // folders that others can import from, in either version
	all       map[variant][]difference
	judged    map[difference]bool
	failed    map[variant]bool           // or shown what they can show
	reachable map[string]map[string]bool // identifiers, by folder and the files that are compiled there
}

func differing(old, new *source, excluded func(pkg string) bool) *differences {
	d := &differences{old: old, new: new, excluded: excluded, public: map[string]bool{}, all: map[variant][]difference{}, judged: map[difference]bool{}, failed: map[variant]bool{}, reachable: map[string]map[string]bool{}}
	changed, vary := map[string]bool{}, map[string]bool{}
	for _, sides := range [][2]*source{{old, new}, {new, old}} {
		for name, f := range sides[0].files {
			dir := path.Dir(name)
			if f.out || excluded(path.Join(old.Path, dir)) {
				continue
			}
			if !isInternal(dir) {
				d.public[dir] = true
			}
			if other, ok := sides[1].files[name]; ok && other == f && (!f.cgo || old.headers.text == new.headers.text) {
				continue
			}
			changed[name] = true
			vary[dir] = vary[dir] || f.constrained || isInternal(dir)
		}
	}
	for _, name := range sortedKeys(changed) {
		if vary[path.Dir(name)] { // elsewhere the first platform shows all that there is
			d.files = append(d.files, name)
		}
	}
	return d
}

// variants are those in which the files may count, the given platforms first.
func (d *differences) variants(platforms []string) []variant {
	if len(d.files) == 0 {
		return []variant{{platform: platforms[0]}}
	}
	var files []file
	for _, name := range d.files {
		for _, s := range []*source{d.old, d.new} {
			if f, ok := s.files[name]; ok {
				files = append(files, f)
			}
		}
	}
	return variants(platforms, files)
}

// of are the differences in a variant that users may notice and that have not been judged.
func (d *differences) of(v variant) []difference {
	all, ok := d.all[v]
	if !ok {
		all = d.find(v)
		d.all[v] = all
	}
	return slices.DeleteFunc(slices.Clone(all), func(diff difference) bool { return d.judged[diff] })
}

func (d *differences) find(v variant) (all []difference) {
	found := map[[2]string]*difference{}
	for side, s := range []*source{d.old, d.new} {
		for _, name := range d.files {
			f, ok := s.files[name]
			if !ok || f.out || !v.compiles(name, f) {
				continue
			}
			for decl, text := range s.declarations(name) {
				key := [2]string{path.Dir(name), decl}
				diff := found[key]
				if diff == nil {
					diff = &difference{dir: key[0], name: decl}
					found[key] = diff
				}
				diff.c = diff.c || text.c
				if side == 0 {
					diff.old += text.text
				} else {
					diff.new += text.text
				}
			}
		}
	}
	for _, name := range d.files {
		dir := path.Dir(name)
		if key := [2]string{dir, packageName}; found[key] == nil && !isInternal(dir) {
			found[key] = &difference{dir: dir, name: packageName, old: d.old.packageName(v, dir), new: d.new.packageName(v, dir)}
		}
	}
	var imported map[string]bool
	for _, diff := range found {
		if diff.old == diff.new {
			continue
		}
		if isInternal(diff.dir) {
			if imported == nil {
				imported = d.imported(v)
			}
			if !imported[diff.dir] {
				continue
			}
		}
		if d.noticed(v, *diff) {
			all = append(all, *diff)
		}
	}
	slices.SortFunc(all, func(a, b difference) int {
		return cmp.Or(cmp.Compare(a.dir, b.dir), cmp.Compare(a.name, b.name), cmp.Compare(a.old, b.old), cmp.Compare(a.new, b.new))
	})
	return all
}

// noticed reports whether users may notice a difference: it is exported, or what is exported
// mentions it.
func (d *differences) noticed(v variant, diff difference) bool {
	if diff.name == "" || diff.name == packageName || diff.exported() {
		return true
	}
	names := d.reached(v, diff.dir)
	for part := range strings.SplitSeq(diff.name, ".") {
		if !token.IsExported(part) && !names[part] {
			return false
		}
	}
	return true
}

// reached are the identifiers in exported declarations of a folder, and in those that they
// mention, of either version.
func (d *differences) reached(v variant, dir string) map[string]bool {
	key := dir
	type decl struct {
		name string
		refs []string
	}
	var all []decl
	for _, s := range []*source{d.old, d.new} {
		for _, name := range s.folders[dir] {
			if f := s.files[name]; !f.out && v.compiles(name, f) {
				key += "\x00" + name + string(f.hash[:])
			}
		}
	}
	if names, ok := d.reachable[key]; ok {
		return names
	}
	for _, s := range []*source{d.old, d.new} {
		for _, name := range s.folders[dir] {
			if f := s.files[name]; !f.out && v.compiles(name, f) {
				for name, text := range s.declarations(name) {
					all = append(all, decl{name, text.refs})
				}
			}
		}
	}
	names := map[string]bool{}
	for grown := true; grown; {
		grown = false
		all = slices.DeleteFunc(all, func(x decl) bool {
			for part := range strings.SplitSeq(x.name, ".") {
				if !token.IsExported(part) && !names[part] {
					return false
				}
			}
			for _, ref := range x.refs {
				names[ref] = true
			}
			grown = true
			return true
		})
	}
	d.reachable[key] = names
	return names
}

// imported are the folders that packages which others can import are made of, in either version.
func (d *differences) imported(v variant) map[string]bool {
	all := map[string]bool{}
	for _, s := range []*source{d.old, d.new} {
		seen := map[string]bool{}
		var visit func(dir string)
		visit = func(dir string) {
			if seen[dir] {
				return
			}
			seen[dir], all[dir] = true, true
			for _, name := range s.folders[dir] {
				if f := s.files[name]; !f.out && v.compiles(name, f) {
					for _, to := range s.imports[name] {
						visit(to)
					}
				}
			}
		}
		for dir := range d.public {
			visit(dir)
		}
	}
	return all
}

// next is the variant to load next: of the first ones any with differences, else the one with
// the most. It is negative when there is none.
func (d *differences) next(variants []variant, first int) int {
	best, most := -1, 0
	for i, v := range variants {
		if !v.loads() || d.failed[v] || v.cgo && best >= 0 && !variants[best].cgo {
			continue
		}
		n := 0
		for _, diff := range d.of(v) {
			if !diff.c { // to load it shows nothing of C
				n++
			}
		}
		if n > most {
			best, most = i, n
			if i < first {
				break
			}
		}
	}
	return best
}

// tried notes that a variant does not load.
func (d *differences) tried(v variant) { d.failed[v] = true }

// judge notes that a variant has loaded and shown its differences, except those of C.
func (d *differences) judge(v variant) {
	for _, diff := range d.of(v) {
		if !diff.c {
			d.judged[diff] = true
		}
	}
	d.tried(v)
}

// guess judges what is left by its declarations alone, because the variant does not load here.
// What it cannot judge is a problem.
func (d *differences) guess(v variant, free *freeConstants) (changes []apidiff.Change, problems []string) {
	all := d.of(v)
	uncertain := map[[2]string]bool{} // types, of which methods may be promoted
	for _, diff := range all {
		uncertain[[2]string{diff.dir, diff.name}] = diff.old != "" && diff.new != ""
	}
	for _, diff := range all {
		owner, _, _ := strings.Cut(diff.name, ".")
		place := objectPlace(d.old.Path, path.Join(d.old.Path, diff.dir), diff.name)
		pkg := "package " + path.Join(d.old.Path, diff.dir)
		switch {
		case diff.name == packageName && diff.old == "":
			changes = append(changes, apidiff.Change{Message: pkg + ": added", Compatible: true})
		case diff.name == packageName && diff.new == "":
			changes = append(changes, apidiff.Change{Message: pkg + ": removed"})
		case diff.name == packageName:
			changes = append(changes, apidiff.Change{Message: pkg + ": name changed from " + diff.old + " to " + diff.new})
		case diff.old != "" && diff.new != "" && free.text(path.Join(d.old.Path, diff.dir), diff.name, diff.old, diff.new):
		case diff.old == "" && (!diff.exported() || isInternal(diff.dir)):
			// Only a declaration that mentions it can show it, and that has changed as well.
		case diff.old == "" && diff.name != "":
			changes = append(changes, apidiff.Change{Message: place + ": added", Compatible: true})
		case diff.new == "" && diff.exported() && !isInternal(diff.dir) && !uncertain[[2]string{diff.dir, owner}]:
			changes = append(changes, apidiff.Change{Message: place + ": removed"})
		default:
			problems = append(problems, d.unjudged(v, diff, place))
		}
		d.judged[diff] = true
	}
	return changes, problems
}

// unjudged says what would help.
func (d *differences) unjudged(v variant, diff difference, place string) string {
	what := place + " has changed"
	if diff.name == "" {
		what = path.Join(diff.dir, "a file") + " has changed that is not Go"
	}
	why := "and no build for " + v.String() + " loads here"
	help := "compile its users there"
	switch {
	case diff.c:
		why = "and its type or value is that of C"
		help = "compile its users with cgo"
	case v.loads():
		why = "and the module does not load for " + v.String()
		help = "make it load there"
	}
	return what + ", " + why + ": " + help + ", then override with a reason, or leave the package out with Options.Exclude"
}
