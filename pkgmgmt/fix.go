package pkgmgmt

import (
	"runtime/debug"
	"time"

	"golang.org/x/mod/semver"
)

// upgrade is the version that a module can be raised to: what its source calls the latest,
// if that is above the version that was built and the policy allows it. Empty means that
// none is known.
func (rs *rules) upgrade(dep *debug.Module, st Status, now time.Time) string {
	m := built(dep)
	if !behind(m.Version, st.Latest) {
		return ""
	}
	for rl := range rs.about(dep.Path) {
		if rl.denied || rl.minAge.d > 0 && now.Sub(st.LatestTime) < rl.minAge.d {
			return ""
		}
		if rl.required && m.Path == dep.Path {
			if ok, _ := rl.require.allows(st.Latest); !ok {
				return ""
			}
		}
	}
	return shown(st.Latest)
}

// raise says how to build with another version of a module: the one given, or else one that
// is as need says. It names no version that may be lower, or that the policy refuses.
func raise(dep *debug.Module, version, need string) string {
	m := built(dep)
	path := shown(m.Path)
	switch {
	case dep.Replace != nil && version != "":
		return "let the replace directive of " + shown(dep.Path) + " in go.mod name " + path + " " + version
	case dep.Replace != nil:
		return "let the replace directive of " + shown(dep.Path) + " in go.mod name a version of " + path + " " + need
	case version != "":
		return "go get " + path + "@" + version
	}
	return "require a version of " + path + " " + need
}

// unreplace says how to do without a replace directive.
func unreplace(dep *debug.Module) string {
	fix := "remove the replace directive of " + dep.Path + " from go.mod"
	if r := dep.Replace; r != nil && r.Path == dep.Path && semver.Compare(r.Version, dep.Version) > 0 {
		fix += ", and require " + shown(r.Version)
	}
	return fix
}
