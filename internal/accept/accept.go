// Package accept chooses the media type of an answer by the Accept header of its request
// (RFC 9110 section 12.5.1).
package accept

import (
	"strconv"
	"strings"
)

// maxHeader bounds what is read of a header, in bytes over all its lines.
const maxHeader = 4096

// Choose returns the offer that the client likes best: the one of the highest quality;
// among equals the one that it names most exactly; then the one that it names first; then the
// first of offers. Without an Accept header that is the first offer. Choose returns "" when
// the client accepts none of them.
//
// Offers are media types in lower case, without parameters.
func Choose(header []string, offers ...string) string {
	if len(header) == 0 || len(header) == 1 && (header[0] == "" || header[0] == "*/*" || header[0] == offers[0]) {
		return offers[0]
	}
	type wish struct{ quality, exact, position int }
	wishes := make([]wish, len(offers))
	position, left := 0, maxHeader
	for _, line := range header {
		line = line[:min(len(line), left)]
		left -= len(line)
		for item := range strings.SplitSeq(line, ",") {
			position++
			name, parameters, _ := strings.Cut(item, ";")
			name = strings.ToLower(strings.Trim(name, " \t"))
			q := quality(parameters)
			for i, offer := range offers {
				// The most exact range decides about an offer, whatever its quality.
				if exact := match(name, offer); exact > wishes[i].exact {
					wishes[i] = wish{q, exact, position}
				}
			}
		}
	}
	best := -1
	for i, w := range wishes {
		if w.quality == 0 {
			continue
		}
		if best < 0 || better(w.quality-wishes[best].quality, w.exact-wishes[best].exact, wishes[best].position-w.position) {
			best = i
		}
	}
	if best < 0 {
		return ""
	}
	return offers[best]
}

// match returns how exactly a media range names a type: 0 not at all, 3 in full.
func match(name, offer string) int {
	switch {
	case name == offer:
		return 3
	case name == offer[:strings.IndexByte(offer, '/')]+"/*":
		return 2
	case name == "*/*":
		return 1
	}
	return 0
}

// better reports whether the first difference is positive.
func better(differences ...int) bool {
	for _, d := range differences {
		if d != 0 {
			return d > 0
		}
	}
	return false
}

// quality reads the parameter q in thousandths: 1000 when missing, 0 when malformed.
func quality(parameters string) int {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.Trim(name, " \t"), "q") {
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
