package apicheck

import (
	"go/types"
	"strings"

	"golang.org/x/exp/apidiff"
)

// hiddenChanges are the changes of types that the API exposes and that users cannot import:
// by an alias, or in the type of what is exported. apidiff takes types of other packages to
// be the same when their names are. Types of other modules change with the version that the
// module requires: that is no break of the module's own, and at least a minor version.
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
			case !e.either(old, new, name):
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

// objectName is how changes name what is in a package.
func objectName(module string, pkg *types.Package, name string) string {
	if pkg.Path() == module {
		return name
	}
	if rest, ok := strings.CutPrefix(pkg.Path(), module+"/"); ok {
		return "./" + rest + "." + name
	}
	return pkg.Path() + "." + name
}

// packageNameChanges are the packages of one path that have another name.
func packageNameChanges(before, after *surface) []apidiff.Change {
	var all []apidiff.Change
	for _, old := range values(before.packages) {
		if new := after.packages[old.Path()]; new != nil && new.Name() != old.Name() {
			all = append(all, apidiff.Change{Message: "package " + old.Path() + ": name changed from " + old.Name() + " to " + new.Name()})
		}
	}
	return all
}
