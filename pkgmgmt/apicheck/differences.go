package apicheck

import (
	"cmp"
	"go/token"
	"path"
	"slices"
	"strings"

	"golang.org/x/exp/apidiff"
)

// A difference is a declaration that differs between the versions.
type difference struct {
	dir, name string
	old, new  string // Empty means that this version does not declare it.
	c         bool   // it uses a name of C
}

// packageName is the name of a difference in the package's name or existence.
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

// differences are the differences between the files of both versions, by variant. A difference
// is judged in one variant only.
type differences struct {
	old, new  *source
	excluded  func(pkg string) bool
	files     []string        // files that differ, in folders where variants may differ; sorted
	public    map[string]bool // folders that users can import, in either version
	all       map[variant][]difference
	judged    map[difference]bool
	failed    map[variant]bool           // they do not load, or were judged
	reachable map[string]map[string]bool // identifiers, by folder and its compiled files
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
		if vary[path.Dir(name)] { // otherwise the first platform shows all differences
			d.files = append(d.files, name)
		}
	}
	return d
}

// variants returns the variants that may compile the files, the given platforms first.
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

// of returns the differences in a variant that users may notice and that are not judged yet.
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

// noticed reports whether users may notice a difference: it is exported, or an exported
// declaration uses it.
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

// reached returns the identifiers in the exported declarations of a folder, and in the
// declarations that they use, of both versions.
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

// imported returns the folders of importable packages and of the packages that they import, in
// either version.
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

// next returns the index of the variant to load next: one of the first with differences, else
// the one with the most differences. It is negative if all are judged.
func (d *differences) next(variants []variant, first int) int {
	best, most := -1, 0
	for i, v := range variants {
		if !v.loads() || d.failed[v] || v.cgo && best >= 0 && !variants[best].cgo {
			continue
		}
		n := 0
		for _, diff := range d.of(v) {
			if !diff.c { // loading shows nothing of C
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

// tried records that a variant does not load.
func (d *differences) tried(v variant) { d.failed[v] = true }

// judge records that a variant was loaded and compared, except its differences of C.
func (d *differences) judge(v variant) {
	for _, diff := range d.of(v) {
		if !diff.c {
			d.judged[diff] = true
		}
	}
	d.tried(v)
}

// guess judges the differences of a variant that does not load, by their declarations only. A
// difference that it cannot judge is a problem.
func (d *differences) guess(v variant, free *freeConstants) (changes []apidiff.Change, problems []string) {
	all := d.of(v)
	uncertain := map[[2]string]bool{} // types whose methods may be promoted
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
			// Users can only notice it by a declaration that uses it, which has changed as well.
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

// unjudged returns the problem with what to do.
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
