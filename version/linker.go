package version

import (
	"regexp"
	"strings"
	_ "unsafe" // for go:linkname
)

// The linker's -X sets only string variables without an initial value. linkedTime has the name
// time for the linker, because in Go that name would hide the package time.
var (
	version  string
	revision string

	//go:linkname linkedTime github.com/upkeep-go/upkeep/version.time
	linkedTime string
)

const linkerPrefix = "github.com/upkeep-go/upkeep/version."

type linked struct {
	version, revision, time string
}

// linkedHere works in programs that were built with -trimpath, too.
func linkedHere() linked {
	return linked{version: version, revision: revision, time: linkedTime}
}

func linkedBy(ldflags string) linked {
	var l linked
	// A value for certain packages starts with their pattern: all=-X …
	if !strings.HasPrefix(ldflags, "-") {
		if _, flags, ok := strings.Cut(ldflags, "=-"); ok {
			ldflags = "-" + flags
		}
	}
	fields := splitFlags(ldflags)
	for i := 0; i < len(fields); i++ {
		name, value, inline := strings.Cut(strings.TrimPrefix(fields[i], "-"), "=")
		if name != "-X" && name != "X" || !strings.HasPrefix(fields[i], "-") {
			continue
		}
		if !inline {
			if i++; i == len(fields) {
				break
			}
			value = fields[i]
		}
		variable, ours := strings.CutPrefix(value, linkerPrefix)
		if !ours {
			continue
		}
		variable, value, _ = strings.Cut(variable, "=")
		if field := map[string]*string{"version": &l.version, "revision": &l.revision, "time": &l.time}[variable]; field != nil {
			*field = value
		}
	}
	return l
}

var flagRegexp = regexp.MustCompile(`(?s)"([^"]*)"|'([^']*)'|["'].*|([^ \t\r\n"'][^ \t\r\n]*)`)

// splitFlags splits as the go command does: at blanks, with single or double quotes around a
// whole field and without escapes. An unterminated quote becomes an empty field.
func splitFlags(s string) (fields []string) {
	for _, m := range flagRegexp.FindAllStringSubmatch(s, -1) {
		fields = append(fields, m[1]+m[2]+m[3])
	}
	return fields
}
