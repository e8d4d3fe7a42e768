// Package accept chooses the media type of an answer by the Accept header of its request
// (RFC 9110 section 12.5.1).
package accept

import (
	"cmp"
	"net/textproto"
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
		for more := true; more; position++ {
			var item string
			item, line, more = strings.Cut(line, ",")
			name, parameters, _ := strings.Cut(item, ";")
			name = strings.ToLower(textproto.TrimString(name))
			q := quality(parameters)
			for i, offer := range offers {
				// The most exact range decides about an offer, whatever its quality.
				if exact := match(name, offer); exact > wishes[i].exact {
					wishes[i] = wish{q, exact, -position}
				}
			}
		}
	}
	best, chosen := wish{}, ""
	for i, w := range wishes {
		order := cmp.Or(w.quality-best.quality, w.exact-best.exact, w.position-best.position)
		if w.quality > 0 && (chosen == "" || order > 0) {
			best, chosen = w, offers[i]
		}
	}
	return chosen
}

func match(name, offer string) (exact int) {
	switch {
	case name == offer:
		return 3
	case name == "*/*":
		return 1
	case strings.HasSuffix(name, "/*") && strings.HasPrefix(offer, strings.TrimSuffix(name, "*")):
		return 2
	}
	return 0
}

// quality reads the parameter q in thousandths: 1000 when missing, 0 when malformed.
func quality(parameters string) int {
	for parameters != "" {
		var p string
		p, parameters, _ = strings.Cut(parameters, ";")
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(textproto.TrimString(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(textproto.TrimString(value), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return int(q*1000 + 0.5)
	}
	return 1000
}
