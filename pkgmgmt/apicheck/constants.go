package apicheck

import (
	"cmp"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/exp/apidiff"
)

// freeConstants are constants that may change in any version: those of exclusions, and untyped
// constants whose name ends in Version, which may change their value.
type freeConstants struct {
	exclude []Exclusion
	used    []Exclusion // each has one constant
}

// by returns the exclusion of a constant.
func (f *freeConstants) by(pkg, name string) (e Exclusion, ok bool) {
	for _, e := range f.exclude {
		if e.matches(pkg) && slices.Contains(e.Constants, name) {
			return e, true
		}
	}
	return e, false
}

// use records that an exclusion has excluded a change.
func (f *freeConstants) use(e Exclusion, pkg, name string) {
	for i, used := range f.used {
		if used.Packages == pkg && used.Reason == e.Reason {
			if !slices.Contains(used.Constants, name) {
				f.used[i].Constants = append(used.Constants, name)
			}
			return
		}
	}
	f.used = append(f.used, Exclusion{Packages: pkg, Constants: []string{name}, Reason: e.Reason})
}

// excluded returns the exclusions that were used, sorted.
func (f *freeConstants) excluded() []Exclusion {
	for _, e := range f.used {
		slices.Sort(e.Constants)
	}
	slices.SortFunc(f.used, func(a, b Exclusion) int {
		return cmp.Or(cmp.Compare(a.Packages, b.Packages), cmp.Compare(a.Reason, b.Reason))
	})
	return f.used
}

// without removes the changes of these constants, except their removal.
func (f *freeConstants) without(module string, before, after *surface, changes []apidiff.Change) []apidiff.Change {
	type constant struct{ pkg, name string }
	versions, all := map[string]constant{}, map[string]constant{}
	for _, old := range values(before.packages) {
		new := after.packages[old.Path()]
		if new == nil {
			continue
		}
		for _, name := range old.Scope().Names() {
			was, ok := old.Scope().Lookup(name).(*types.Const)
			is, ok2 := new.Scope().Lookup(name).(*types.Const)
			if !ok || !ok2 || !was.Exported() {
				continue
			}
			c, place := constant{old.Path(), name}, objectName(module, old, name)
			if _, ok := f.by(c.pkg, name); ok {
				all[place] = c
			}
			if isVersion(name) && isUntyped(was) && isUntyped(is) {
				versions[place] = c
			}
		}
	}
	return slices.DeleteFunc(changes, func(change apidiff.Change) bool {
		place, what, _ := strings.Cut(change.Message, ": ")
		if c, ok := all[place]; ok {
			e, _ := f.by(c.pkg, c.name)
			f.use(e, c.pkg, c.name)
			return true
		}
		_, ok := versions[place]
		return ok && strings.HasPrefix(what, "value changed ")
	})
}

// text reports whether a changed declaration is one of such a constant.
func (f *freeConstants) text(pkg, name, old, new string) bool {
	if !strings.HasPrefix(old, "const ") || !strings.HasPrefix(new, "const ") {
		return false
	}
	if e, ok := f.by(pkg, name); ok {
		f.use(e, pkg, name)
		return true
	}
	kind := func(text string) string { // the kind of a literal value
		value, ok := strings.CutPrefix(text, "const = ")
		switch value = strings.TrimSpace(value); {
		case !ok || strings.Contains(value, " "):
			return ""
		case strings.Trim(value, "0123456789") == "":
			return "number"
		case strings.HasPrefix(value, "\"") || strings.HasPrefix(value, "`"):
			return "string"
		}
		return ""
	}
	return isVersion(name) && kind(old) != "" && kind(old) == kind(new)
}

func isVersion(name string) bool { return strings.HasSuffix(name, "Version") }

func isUntyped(c *types.Const) bool {
	b, ok := c.Type().(*types.Basic)
	return ok && b.Info()&types.IsUntyped != 0
}
