package version

import (
	"strconv"
	"strings"
)

// format is a media type that Handler answers in, in its own order of
// preference.
type format int

const (
	formatJSON format = iota
	formatText
	formatBuildInfo
	formats
)

// mediaTypes are the names of the formats, as a client asks for them.
var mediaTypes = [formats]string{"application/json", "text/plain", "text/x-go-buildinfo"}

func (f format) contentType() string {
	switch f {
	case formatText:
		return "text/plain; charset=utf-8"
	case formatBuildInfo:
		return "text/x-go-buildinfo; charset=utf-8"
	}
	return "application/json"
}

// negotiate chooses the format by RFC 9110 section 12.5.1: the one with the
// highest weight; among equals the one named exactly, then the one named
// first, then ours. Without Accept it is JSON. It is false when the client
// accepts none.
func negotiate(accept []string, level Level) (format, bool) {
	if len(accept) == 0 || len(accept) == 1 && (accept[0] == "" || accept[0] == "*/*" || accept[0] == mediaTypes[formatJSON]) {
		return formatJSON, true
	}
	// What the most exact range for each format says.
	type wish struct {
		exact, weight, position int
	}
	var wishes [formats]wish
	position := 0
	for _, header := range accept {
		for item := range strings.SplitSeq(header, ",") {
			position++
			name, parameters, _ := strings.Cut(item, ";")
			name = strings.ToLower(strings.Trim(name, " \t"))
			weight := weightOf(parameters)
			for f := range formats {
				exact := 0
				switch {
				case name == mediaTypes[f]:
					exact = 3
				case name == mediaTypes[f][:strings.IndexByte(mediaTypes[f], '/')]+"/*":
					exact = 2
				case name == "*/*":
					exact = 1
				}
				if exact > wishes[f].exact {
					wishes[f] = wish{exact, weight, position}
				}
			}
		}
	}
	best := formats
	for f := range formats {
		if wishes[f].weight == 0 || f == formatBuildInfo && level < LevelFull {
			continue
		}
		if best == formats || better(wishes[f].weight-wishes[best].weight, wishes[f].exact-wishes[best].exact, wishes[best].position-wishes[f].position) {
			best = f
		}
	}
	return best, best < formats
}

// better is true when the first difference is an advantage.
func better(differences ...int) bool {
	for _, d := range differences {
		if d != 0 {
			return d > 0
		}
	}
	return false
}

// weightOf reads the q parameter in thousandths: 1000 when it is missing, 0
// when it is nonsense.
func weightOf(parameters string) int {
	for p := range strings.SplitSeq(parameters, ";") {
		key, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.Trim(key, " \t"), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.Trim(value, " \t"), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return int(q*1000 + 0.5)
	}
	return 1000
}
