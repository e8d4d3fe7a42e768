package observe

import (
	"runtime/debug"
	"strings"
)

// ownVersion returns the version of this module in the program, as otel_scope_version shows
// it: "(devel)" if the program was built from a working copy.
func ownVersion() string {
	const module = "github.com/upkeep-go/upkeep"
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return "(devel)"
	}
	version := ""
	for _, m := range append(bi.Deps, &bi.Main) {
		if m.Path == module {
			if version = m.Version; m.Replace != nil {
				version = m.Replace.Version
			}
		}
	}
	if version == "" {
		return "(devel)"
	}
	return strings.TrimPrefix(version, "v")
}
