package version

import (
	"strings"
	_ "unsafe" // for go:linkname
)

// The linker sets them by -X only if they are strings without an initial value. linkedTime
// is called time for the linker; in Go that name would hide the package time.
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

// linkedHere is what was linked into the running program. Unlike the recorded
// -ldflags it is also there in a program built with -trimpath.
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

// splitFlags splits as the go command does: at blanks, with single or double
// quotes around a whole field and no escapes inside. The rest of an
// unterminated quote is no field.
func splitFlags(s string) []string {
	var fields []string
	for {
		s = strings.TrimLeft(s, " \t\r\n")
		if s == "" {
			return fields
		}
		if q := s[0]; q == '"' || q == '\'' {
			end := strings.IndexByte(s[1:], q)
			if end < 0 {
				return fields
			}
			fields = append(fields, s[1:1+end])
			s = s[end+2:]
			continue
		}
		end := strings.IndexAny(s, " \t\r\n")
		if end < 0 {
			end = len(s)
		}
		fields = append(fields, s[:end])
		s = s[end:]
	}
}
