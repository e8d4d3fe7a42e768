package registry

import (
	"net/http"
	"path"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/tlog"
)

// publicRoute parses the path of a file of a public module. In contrast to route it allows
// every version and query of the go command.
func publicRoute(name string) (t target, err *Refusal) {
	t, err = route(name)
	if t.kind == kindList || t.kind == kindLatest {
		return t, err
	}
	file, ok := strings.CutPrefix(name, "/"+t.base)
	end := path.Ext(file)
	escaped := strings.TrimSuffix(file, end)
	if !ok || t.base == "" || len(escaped) > maxElement {
		return target{}, nothing()
	}
	version, failed := module.UnescapeVersion(escaped)
	if failed != nil {
		return target{}, refuse(http.StatusNotFound, ruleVersion, escapeAs(failed, escaped, module.EscapeVersion))
	}
	t = target{kind: kinds[end], protocol: true, module: t.module, base: t.base, file: t.base + escaped}
	if module.CanonicalVersion(version) == version && module.Check(t.module, version) == nil {
		t.version = version
	} else if t.kind == kindInfo {
		t.kind = kindQuery
	} else {
		t.kind = kindNone
	}
	if t.kind == kindNone || len(path.Base(t.file))+len(end) > maxFileName {
		return target{}, nothing()
	}
	return t, nil
}

// A sumPath is the parsed path of a file of a checksum database.
type sumPath struct {
	db     string // "sum.golang.org"
	file   string // "supported", "latest", "lookup/…" or "tile/…"
	module string // of a lookup
	tile   *tlog.Tile
}

func parseSumPath(name string) (s sumPath, ok bool) {
	rest, ok := strings.CutPrefix(name, "/sumdb/")
	if !ok || len(rest) > maxPath {
		return s, false
	}
	at := -1
	for _, part := range []string{"/lookup/", "/tile/"} {
		if i := strings.Index(rest, part); i > 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at < 0 {
		at = strings.LastIndexByte(rest, '/')
	}
	if at <= 0 {
		return s, false
	}
	s.db, s.file = rest[:at], rest[at+1:]
	if !isSumDB(s.db) {
		return s, false
	}
	switch {
	case s.file == "supported", s.file == "latest":
		return s, true
	case strings.HasPrefix(s.file, "tile/"):
		t, err := tlog.ParseTilePath(s.file)
		s.tile = &t
		return s, err == nil
	}
	lookup, ok := strings.CutPrefix(s.file, "lookup/")
	escaped, version, found := strings.Cut(lookup, "@")
	if !ok || !found {
		return s, false
	}
	var err error
	if s.module, err = module.UnescapePath(escaped); err != nil {
		return s, false
	}
	version, err = module.UnescapeVersion(version)
	return s, err == nil && module.CanonicalVersion(version) == version
}

// isSumDB reports whether a name can be that of a checksum database: a host, perhaps with a
// path.
func isSumDB(name string) bool {
	for element := range strings.SplitSeq(name, "/") {
		if element == "" || len(element) > maxElement || element[0] == '.' || element[len(element)-1] == '.' {
			return false
		}
		for i := range len(element) {
			if c := element[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
				return false
			}
		}
	}
	return name != ""
}
