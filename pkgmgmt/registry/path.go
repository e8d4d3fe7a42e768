package registry

import (
	"fmt"
	"net/http"
	"path"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

type kind int

const (
	kindNone     kind = iota
	kindList          // <module>/@v/list
	kindLatest        // <module>/@latest
	kindInfo          // <module>/@v/<version>.info
	kindMod           // <module>/@v/<version>.mod
	kindZip           // <module>/@v/<version>.zip
	kindChannel       // <module>/@v/<channel>.info, and <module>/@channel/<channel>
	kindChannels      // <module>/@channels
	kindYank          // <module>/@yank/<version>
	kindBlock         // <module>/@block/<version>
	kindRecord        // <module>/@record/<version>
	kindAllow         // <module>/@allow/<version>
	kindAllowed       // <module>/@allowed
	kindQuery         // <module>/@v/<query>.info of a public module
)

// kinds are the kinds of paths that end in a version, by the file's extension or the route.
var kinds = map[string]kind{".info": kindInfo, ".mod": kindMod, ".zip": kindZip, "@yank": kindYank, "@block": kindBlock, "@record": kindRecord, "@allow": kindAllow}

// A target is the parsed path of a request.
type target struct {
	kind     kind
	protocol bool // the path belongs to the proxy protocol, perhaps with a version that is invalid here
	module   string
	version  string // canonical
	channel  string
	base     string // the module's folder in the store: "corp.example/!lib/@v/"
	file     string // the version's files without their extensions: "corp.example/!lib/@v/v1.0.0"
}

// The longest names that are accepted, in bytes. File systems allow 255 for a file name.
const (
	maxElement  = 200
	maxName     = 64
	maxPath     = 1000
	maxFileName = 255
)

// route parses a path. Its error is the answer to a write; the answer to a read is 404.
func route(name string) (t target, err *Refusal) {
	path, rooted := strings.CutPrefix(name, "/")
	escaped, rest, ok := strings.Cut(path, "/@")
	if !rooted || !ok || len(path) > maxPath {
		return t, nothing()
	}
	for element := range strings.SplitSeq(escaped, "/") {
		if len(element) > maxElement {
			return t, unsound(rulePath, "an element of the module path is longer than %d bytes", maxElement)
		}
	}
	var failed error
	if t.module, failed = module.UnescapePath(escaped); failed != nil {
		return t, refuse(http.StatusUnprocessableEntity, rulePath, escapeAs(failed, escaped, module.EscapePath))
	}
	if strings.HasPrefix(rest, "v/") {
		t.base = path[:len(escaped)+len("/@v/")]
	} else {
		t.base = escaped + "/@v/"
	}
	switch rest {
	case "latest":
		t.kind, t.protocol = kindLatest, true
		return t, nil
	case "v/list":
		t.kind, t.protocol = kindList, true
		return t, nil
	case "channels":
		t.kind = kindChannels
		return t, nil
	case "allowed":
		t.kind = kindAllowed
		return t, nil
	}
	place, name, _ := strings.Cut(rest, "/")
	switch place {
	case "v":
		return t, t.versioned(name)
	case "channel":
		t.kind, t.channel = kindChannel, name
		if reason := badChannel(name); reason != "" {
			return t, unsound(ruleChannel, "the channel's name %s", reason)
		}
		return t, nil
	}
	switch t.kind = kinds["@"+place]; t.kind {
	case kindNone:
		return t, nothing()
	case kindAllow:
		public, err := publicRoute("/" + t.base + name + ".mod")
		if err != nil {
			return t, unsound(ruleVersion, "invalid version %q: write vX.Y.Z, as in v1.2.3", shown(name))
		}
		t.version, t.file = public.version, public.file
		return t, nil
	}
	return t, t.setVersion(name)
}

func nothing() *Refusal {
	return refuse(http.StatusNotFound, ruleNotFound, "this path does not exist")
}

func (t *target) versioned(name string) *Refusal {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return nothing()
	}
	name, end := name[:dot], name[dot:]
	if _, err := module.UnescapeVersion(name); err != nil {
		return refuse(http.StatusUnprocessableEntity, ruleVersion, escapeAs(err, name, module.EscapeVersion))
	}
	if t.kind = kinds[end]; t.kind == kindNone {
		return nothing()
	}
	t.protocol = true
	if t.kind == kindInfo && !semver.IsValid(name) && badChannel(name) == "" {
		t.kind, t.channel = kindChannel, name
		return nil
	}
	return t.setVersion(name)
}

func (t *target) setVersion(escaped string) *Refusal {
	version, err := module.UnescapeVersion(escaped)
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, ruleVersion, escapeAs(err, escaped, module.EscapeVersion))
	}
	switch canonical := module.CanonicalVersion(version); {
	case len(escaped) > maxElement:
		return unsound(ruleVersion, "the version is longer than %d bytes", maxElement)
	case len(path.Base(strings.TrimSuffix(t.base, "/@v/")))+len("@")+len(escaped) > maxFileName:
		return unsound(ruleVersion, "the last element of the module path and the version together are longer than %d bytes: the go command cannot unpack them", maxFileName)
	case canonical == "":
		return unsound(ruleVersion, "invalid version %q: write vX.Y.Z, as in v1.2.3 or v1.2.3-rc.1", version)
	case canonical != version:
		return unsound(ruleVersion, "version %q is not canonical: write %q", version, canonical)
	case strings.HasSuffix(version, "+incompatible"):
		return refuse(http.StatusUnprocessableEntity, ruleMajor, "+incompatible is for modules without go.mod: add the major version to the module path, as in example.com/lib/v2")
	}
	if err := module.Check(t.module, version); err != nil {
		return refuse(http.StatusUnprocessableEntity, ruleMajor, err.Error())
	}
	if module.IsPseudoVersion(version) {
		if _, err := module.PseudoVersionTime(version); err != nil {
			return refuse(http.StatusUnprocessableEntity, ruleVersion, err.Error())
		}
	}
	t.version = version
	t.file = t.base + escaped
	return nil
}

// escapeAs returns the text of an error about a name in a path. If only the escaping of
// upper-case letters is missing, the text has the escaped name.
func escapeAs(err error, name string, escape func(string) (string, error)) string {
	escaped, failed := escape(name)
	if failed != nil || escaped == name {
		return err.Error()
	}
	return fmt.Sprintf("%v: write %s as %s", err, name, escaped)
}

// badChannel returns what is wrong with the name of a channel. A name is valid only if the
// go command requests it as it is: not a version, a prefix of one, or a query of its own.
func badChannel(name string) string {
	switch {
	case name == "":
		return "is missing"
	case len(name) > maxName:
		return fmt.Sprintf("is longer than %d bytes", maxName)
	case name == "latest", name == "upgrade", name == "patch", name == "none", name == "list":
		return "is a query of the go command"
	case len(name) > 1 && name[0] == 'v' && '0' <= name[1] && name[1] <= '9':
		return "looks like a version"
	}
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || i == len(name)-1 || c != '-' && c != '_' && c != '.') {
			return "may only have lower-case letters and digits, and '-', '_' and '.' between them"
		}
	}
	return ""
}

func (t *target) destination(version string) *Refusal {
	escaped, err := module.EscapeVersion(version)
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, ruleVersion, "?version=…: "+err.Error())
	}
	return t.setVersion(escaped)
}
