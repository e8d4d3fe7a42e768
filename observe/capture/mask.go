package capture

import (
	"bytes"
	"encoding/hex"
	"math/bits"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A mask makes pseudonyms with one key, for one bundle.
type mask struct {
	mac      *keyedHash
	seed     [32]byte
	message  []byte // of the MAC
	lower    []byte // the word in lower case
	source   *rand.ChaCha8
	words    *wordCache
	known    map[string]bool // is taken for a pseudonym already, or is no secret
	minKnown int             // the length of the shortest of them
	remember bool            // what is hidden, in hid
	hid      *wordSet        // words of others that were hidden, in lower case
	own      bool            // what is hidden now the service itself has written
	collect  bool            // nothing is replaced: what would be becomes known
	hides    int             // counts replacements
	tries    int             // how often a parser may still be called for the current body

	lastHost, lastPseudonym []byte
}

func newMask(key []byte) *mask {
	return &mask{mac: newKeyedHash(key), source: rand.NewChaCha8([32]byte{}), known: map[string]bool{}, tries: maxTries}
}

// maxTries bounds what parsers of the standard library may cost for one body. They are slow when they
// fail, and an IPv6 address may have a pseudonym that is ten times as long. What is above the bound is
// replaced word by word.
const (
	maxTries = 2048
	tryIPv6  = 1
	tryParse = 8 // a text that looks like a time, an address or a link and is none, or an unusual link
)

// try reports whether a parser may be called.
func (m *mask) try(cost int) bool {
	m.tries = max(m.tries-cost, 0)
	return m.tries > 0
}

// know makes s known.
func (m *mask) know(s string) {
	if len(m.known) == 0 || len(s) < m.minKnown {
		m.minKnown = len(s)
	}
	m.known[s] = true
}

func (m *mask) isKnown(s string) bool {
	return len(m.known) > 0 && len(s) >= m.minKnown && m.known[s]
}

// digest is keyed, so only the key's holder can try what gives it. The next call changes the
// result.
func digest[S string | []byte](m *mask, purpose string, s S) *[32]byte {
	m.message = append(append(append(m.message[:0], purpose...), 0), s...)
	m.mac.sum(&m.seed, m.message)
	return &m.seed
}

func (m *mask) hexDigest(purpose, s string, n int) string {
	return hex.EncodeToString(digest(m, purpose, s)[:n])
}

// random returns the generator of the pseudonym of s.
func random[S string | []byte](m *mask, purpose string, s S) draw {
	m.hides++
	m.source.Seed(*digest(m, purpose, s))
	return draw{m.source}
}

// appendOther appends the pseudonym of s, and sees that it is another text. pseudonym makes one.
func (m *mask) appendOther(dst []byte, purpose, s string, pseudonym func([]byte, draw) []byte) []byte {
	if m.collect {
		return append(dst, s...)
	}
	r := random(m, purpose, s)
	start := len(dst)
	dst = pseudonym(dst, r)
	for range maxSame {
		if !strings.EqualFold(string(dst[start:]), s) {
			break
		}
		dst = pseudonym(dst[:start], r)
	}
	return dst
}

// maxSame is how many pseudonyms may be the same as the text. Of one letter, one in 26 is.
const maxSame = 20

// A draw draws numbers as a rand.Rand of its source does, without calls of an interface.
type draw struct{ source *rand.ChaCha8 }

// IntN is as rand.Rand's.
func (d draw) IntN(n int) int {
	bound := uint64(n)
	if bound&(bound-1) == 0 {
		return int(d.source.Uint64() & (bound - 1))
	}
	high, low := bits.Mul64(d.source.Uint64(), bound)
	if low < bound {
		for threshold := -bound % bound; low < threshold; {
			high, low = bits.Mul64(d.source.Uint64(), bound)
		}
	}
	return int(high)
}

// text is s with each thing in it that can be told apart replaced by one of its
// kind: e-mail addresses, UUIDs, times, IP addresses and URLs, numbers and words.
// The same thing has the same pseudonym wherever it stands, also in other letter
// case. What is neither letter nor digit stays.
func (m *mask) text(s string) string { return string(m.appendText(nil, s)) }

func (m *mask) appendText(dst []byte, s string) []byte {
	if s == "" || m.keeps(s) {
		return append(dst, s...)
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "_")
		m.hides++
	}
	if dst, ok := m.appendWhole(dst, s); ok {
		return dst
	}
	return m.appendChunks(dst, s)
}

// keeps reports whether s is not replaced because it is known. When the mask collects,
// s becomes known, and so do its parts, which the caller goes on to.
func (m *mask) keeps(s string) bool {
	if m.collect {
		m.know(s)
		return false
	}
	return m.isKnown(s)
}

// appendWhole replaces what is one thing although there may be spaces and colons in it: a time,
// or a URL with a host.
func (m *mask) appendWhole(dst []byte, s string) ([]byte, bool) {
	if layout := timeLayout(s); layout != "" && m.try(tryParse) {
		if t, err := time.Parse(layout, s); err == nil {
			m.tries += tryParse
			return m.appendTime(dst, t, layout, s), true
		}
	}
	if len(s) <= 4096 && strings.Contains(s, "://") && !strings.ContainsAny(s, " \t\r\n\"<>") {
		if dst, ok := m.appendLink(dst, s); ok {
			return dst, true
		}
		if m.try(tryParse) {
			if u, err := url.Parse(s); err == nil && u.Host != "" {
				return append(dst, m.url(u, "", "", nil)...), true
			}
		}
	}
	return dst, false
}

// timeLayout is the only layout that s can have; empty means none. It need not have it.
func timeLayout(s string) string {
	if len(s) < len(time.DateOnly) || len(s) > 40 {
		return ""
	}
	if s[3] == ',' {
		if len(s) < len("Mon, 02 Jan 2006 3:04:05 GMT") || s[4] != ' ' || !strings.HasSuffix(s, " GMT") {
			return ""
		}
		return http.TimeFormat
	}
	if !isNumber(s[:4]) || s[4] != '-' || !isNumber(s[5:7]) || s[7] != '-' || !isNumber(s[8:10]) {
		return ""
	}
	number := func(s string) int { return int(s[0]-'0')*10 + int(s[1]-'0') }
	year, month, day := 100*number(s)+number(s[2:]), time.Month(number(s[5:])), number(s[8:])
	if t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC); t.Month() != month || t.Day() != day {
		return ""
	}
	switch {
	case len(s) == len(time.DateOnly):
		return time.DateOnly
	case s[10] == 'T':
		return time.RFC3339Nano
	case s[10] == ' ':
		return time.DateTime
	}
	return ""
}

// appendTime appends another time, between 1970 and 2019, written in the same way.
func (m *mask) appendTime(dst []byte, t time.Time, layout, s string) []byte {
	return m.appendOther(dst, "time", s, func(dst []byte, r draw) []byte {
		nanos := 0
		if i := strings.IndexByte(s, '.'); i >= 0 && t.Nanosecond() != 0 {
			nanos = r.IntN(1e9)
		}
		p := time.Date(1970+r.IntN(50), time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), nanos, t.Location())
		if layout == time.RFC3339Nano && nanos == 0 {
			layout = time.RFC3339
		}
		return p.AppendFormat(dst, layout)
	})
}

func (m *mask) appendChunk(dst []byte, s string) []byte {
	if m.keeps(s) {
		return append(dst, s...)
	}
	dots, colons, ats, dashes := 0, 0, 0, 0
	for i := range len(s) {
		switch s[i] {
		case '.':
			dots++
		case ':':
			colons++
		case '@':
			ats++
		case '-':
			dashes++
		}
	}
	if dots+colons+ats+dashes == 0 {
		return m.appendWords(dst, s, m.appendWord)
	}
	switch {
	case dashes == 4 && isUUID(s):
		start := len(dst)
		// The version and the variant are what makes it one.
		dst = m.appendOther(dst, "uuid", strings.ToLower(s), func(dst []byte, r draw) []byte {
			for i := range len(s) {
				c := s[i]
				if i == 14 || i == 19 || c == '-' {
					if isLetter(c) {
						c |= 0x20
					}
				} else {
					c = like(rune(c), 6, r)
				}
				dst = append(dst, c)
			}
			return dst
		})
		likeCase(s, dst[start:])
		return dst
	case ats > 0 && isEmail(s):
		at := strings.LastIndexByte(s, '@')
		dst = append(m.appendWords(dst, s[:at], m.appendWord), '@')
		return m.appendHost(dst, s[at+1:])
	}
	if dots == 3 || colons > 1 {
		if dst, ok := m.appendAddress(dst, s); ok {
			return dst
		}
	}
	if len(s) >= len("2006-01-02T15:04:05Z") || len(s) == len(time.DateOnly) {
		if dst, ok := m.appendWhole(dst, s); ok {
			return dst
		}
	}
	return m.appendWords(dst, s, m.appendWord)
}

func (m *mask) wordsOf(s string) string { return string(m.appendWords(nil, s, m.appendWord)) }

func (m *mask) appendWord(dst []byte, s string) []byte {
	if isNumber(s) {
		return m.appendDigits(dst, s)
	}
	if m.collect {
		m.collected(strings.ToLower(s)) // a pseudonym has one for all cases
		return append(dst, s...)
	}
	if m.words == nil {
		m.words = new(wordCache)
	}
	hash := hashOf(s)
	entry, cached := m.words.find(s, hash, m.own)
	if cached {
		m.hides++
		return append(dst, entry.pseudonym[:entry.length]...)
	}
	form := m.lowered(s)
	lower := m.lower
	if m.isKnown(s) || form != formLower && m.isKnown(string(lower)) || string(lower) == "true" || string(lower) == "false" || string(lower) == "null" {
		return append(dst, s...)
	}
	if form != formLower {
		hash = hashOf(lower)
	}
	m.hide(hash)
	letters := 26
	if isHex(lower) {
		letters = 6
	}
	r := random(m, "word", lower)
	start := len(dst)
	for range 1 + maxSame {
		dst = dst[:start]
		for _, c := range string(lower) {
			dst = append(dst, like(c, letters, r))
		}
		// Of the letters beyond ASCII only the long s is the same as another one in lower case.
		if string(dst[start:]) != string(lower) && (form != formOther || !strings.ContainsRune(s, 'ſ') || !strings.EqualFold(string(dst[start:]), string(lower))) {
			break
		}
	}
	if form != formLower {
		likeCase(s, dst[start:])
	}
	entry.keep(s, dst[start:], m.own)
	return dst
}

// A form is how a word is written.
type form uint8

const (
	formLower form = iota // in ASCII
	formUpper             // in ASCII, with capitals
	formOther
)

// lowered sets m.lower to a word in lower case.
func (m *mask) lowered(s string) form {
	m.lower = append(m.lower[:0], s...)
	f := formLower
	for i, c := range m.lower {
		switch {
		case c >= utf8.RuneSelf:
			m.lower = append(m.lower[:0], strings.ToLower(s)...)
			return formOther
		case isUpper(c):
			m.lower[i] = c | 0x20
			f = formUpper
		}
	}
	return f
}

func (m *mask) collected(word string) {
	m.know(word)
	m.hide(hashOf(word))
}

// hide remembers the hash of a word that prose must not show either. What the service writes is
// made of its own words and of those that it was given.
func (m *mask) hide(hash uint64) {
	if !m.remember || m.own && !m.collect {
		return
	}
	if m.hid == nil {
		m.hid = new(wordSet)
	}
	m.hid.add(hash)
}

// appendDigits appends another number of as many digits that fits where the first one did: it
// begins with 1 when it has ten digits or more, with 0 when that does, and it has a
// right check digit (Luhn's, of cards) when that has. Zero stays zero.
func (m *mask) appendDigits(dst []byte, s string) []byte {
	if m.collect {
		m.collected(s)
		return append(dst, s...)
	}
	if m.isKnown(s) || isZero(s) {
		return append(dst, s...)
	}
	if m.words == nil {
		m.words = new(wordCache)
	}
	hash := hashOf(s)
	entry, cached := m.words.find(s, hash, m.own)
	if cached {
		m.hides++
		return append(dst, entry.pseudonym[:entry.length]...)
	}
	m.hide(hash)
	card := len(s) >= 13 && len(s) <= 19 && luhn(s) == 0
	r := random(m, "digits", s)
	start := len(dst)
	for range 1 + maxSame {
		dst = appendNumberLike(dst[:start], s, card, r)
		if string(dst[start:]) != s {
			break
		}
	}
	entry.keep(s, dst[start:], m.own)
	return dst
}

func appendNumberLike(dst []byte, s string, card bool, r draw) []byte {
	start := len(dst)
	for range len(s) {
		dst = append(dst, byte('0'+r.IntN(10)))
	}
	p := dst[start:]
	switch {
	case s[0] == '0', card:
		p[0] = s[0]
	case len(s) == 20 && p[1] > '7': // above the largest uint64
		p[0], p[1] = '1', p[1]-3
	case len(s) >= 10:
		p[0] = '1'
	default:
		p[0] = byte('1' + r.IntN(9))
	}
	if isZero(p) {
		p[len(p)-1] = '1' // zero is not a pseudonym
	}
	if card {
		last := &p[len(p)-1]
		*last = '0'
		*last = byte('0' + (10-luhn(p))%10)
	}
	return dst
}

func isZero[S string | []byte](s S) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}

// appendNumber appends another JSON number.
func (m *mask) appendNumber(dst []byte, s string) []byte {
	if m.collect {
		return m.appendText(dst, s)
	}
	if m.isKnown(s) {
		return append(dst, s...)
	}
	if isNumber(s) {
		return m.appendDigits(dst, s)
	}
	mantissa, exponent := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if mantissa, exponent = s[:i], s[i:]; len(exponent) > 4 {
			exponent = exponent[:1] + "9"
		}
	}
	start := len(dst)
	dst = append(m.appendWords(dst, mantissa, m.appendWord), exponent...)
	if exponent == "" {
		return dst
	}
	if _, err := strconv.ParseFloat(s, 64); err != nil {
		return dst
	}
	if _, err := strconv.ParseFloat(string(dst[start:]), 64); err != nil { // the pseudonym is too large
		dst = append(append(append(dst[:start], s[:len(s)-len(strings.TrimPrefix(s, "-"))]...), '1'), exponent...)
	}
	return dst
}

// appendAddress replaces an IP address, a prefix of one, or an address with a port.
func (m *mask) appendAddress(dst []byte, s string) ([]byte, bool) {
	address, _, hasPrefix := strings.Cut(s, "/")
	port, hasPort := "", false
	if strings.Count(address, ":") == 1 {
		address, port, hasPort = strings.Cut(address, ":")
	}
	ip, ok := parseIPv4(address)
	switch {
	case ok && !hasPrefix && !hasPort:
		return m.appendIP(dst, ip), true
	case !ok && (hasPort || !mayBeIPv6(address)) || hasPrefix && hasPort || !m.try(tryParse):
		return dst, false
	case hasPort:
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || !isNumber(port) {
			return dst, false
		}
		m.tries += tryParse
		return strconv.AppendUint(append(m.appendIP(dst, ip), ':'), n, 10), true
	case hasPrefix && !strings.Contains(address, "%"):
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			return dst, false
		}
		m.tries += tryParse - tryIPv6
		return strconv.AppendInt(append(m.appendIP(dst, prefix.Addr()), '/'), int64(prefix.Bits()), 10), true
	}
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return dst, false
	}
	m.tries += tryParse - tryIPv6
	return m.appendIP(dst, ip), true
}

// parseIPv4 accepts what netip.ParseAddr accepts of version 4. It allocates no error.
func parseIPv4(s string) (netip.Addr, bool) {
	var b [4]byte
	field, digits, value := 0, 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c):
			if value = value*10 + int(c-'0'); value > 255 || digits == 1 && s[i-1] == '0' {
				return netip.Addr{}, false
			}
			digits++
		case c == '.' && digits > 0 && field < 3:
			b[field] = byte(value)
			field, digits, value = field+1, 0, 0
		default:
			return netip.Addr{}, false
		}
	}
	b[3] = byte(value)
	return netip.AddrFrom4(b), field == 3 && digits > 0
}

// mayBeIPv6 rejects most texts that are not an address, such as "12:30:15" and "std::vector".
func mayBeIPv6(s string) bool {
	s, _, _ = strings.Cut(s, "%")
	colons := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == ':':
			colons++
		case isDigit(c), c == '.':
		case c|0x20 < 'a' || c|0x20 > 'f':
			return false
		}
	}
	short := strings.Count(s, "::")
	return colons >= 2 && (short == 1 || short == 0 && (colons == 7 || colons == 6))
}

// appendIP appends a private address of the same version; those of this machine stay.
func (m *mask) appendIP(dst []byte, ip netip.Addr) []byte {
	if ip.IsLoopback() || ip.IsUnspecified() {
		return ip.WithZone("").AppendTo(dst)
	}
	ip = ip.WithZone("").Unmap()
	text := ip.String()
	m.hide(hashOf(text))
	return m.appendOther(dst, "ip", text, func(dst []byte, r draw) []byte {
		if ip.Is4() {
			return netip.AddrFrom4([4]byte{10, byte(r.IntN(256)), byte(r.IntN(256)), byte(1 + r.IntN(254))}).AppendTo(dst)
		}
		b := [16]byte{0xfd}
		for i := 1; i < len(b); i++ {
			b[i] = byte(r.IntN(256))
		}
		return netip.AddrFrom16(b).AppendTo(dst)
	})
}

// nobodys are names of hosts that say nothing about anybody (RFC 2606, section 3).
var nobodys = set([]string{"localhost", "example.com", "example.net", "example.org"})

func (m *mask) host(s string) string { return string(m.appendHost(nil, s)) }

// appendHost appends a name as long in labels, below "example" (RFC 2606); this machine's
// stays, and the names for examples.
func (m *mask) appendHost(dst []byte, s string) []byte {
	if s == "" || nobodys[strings.ToLower(s)] || m.keeps(s) {
		return append(dst, s...)
	}
	address := strings.Trim(s, "[]")
	ip, ok := parseIPv4(address)
	if !ok && mayBeIPv6(address) && m.try(tryParse) {
		var err error
		if ip, err = netip.ParseAddr(address); err == nil {
			ok = true
			m.tries += tryParse - tryIPv6
		}
	}
	if ok {
		from := len(dst)
		if dst = m.appendIP(dst, ip); bytes.IndexByte(dst[from:], ':') >= 0 {
			dst = append(slices.Insert(dst, from, '['), ']')
		}
		return dst
	}
	if !m.collect && s == string(m.lastHost) { // of many addresses in one body
		m.hides++
		return append(dst, m.lastPseudonym...)
	}
	from := len(dst)
	lower := strings.ToLower(strings.ToValidUTF8(s, "_"))
	for first := true; ; first = false {
		label, rest, more := strings.Cut(lower, ".")
		if !first {
			dst = append(dst, '.')
		}
		if !first && !more {
			dst = append(dst, "example"...)
		} else {
			start := len(dst)
			dst = m.appendWords(dst, label, m.appendWord)
			for i := start; i < len(dst); i++ {
				if !isAlnum(dst[i]) && dst[i] != '_' {
					dst[i] = '-' // url.Parse does not take others in any place
				}
			}
		}
		if lower = rest; !more {
			break
		}
	}
	if !m.own { // or hide would not see it later
		m.lastHost, m.lastPseudonym = append(m.lastHost[:0], s...), append(m.lastPseudonym[:0], dst[from:]...)
	}
	return dst
}

// url is u with its path, query, fragment and host replaced, and without its user.
// Of the path the literal parts of the route stay if it matches, or else those of that of
// the rules' patterns that has the most; and the host, if one that matches has it.
func (m *mask) url(u *url.URL, method, route string, c *rules) string {
	out := url.URL{Scheme: strings.ToLower(u.Scheme), RawQuery: m.query(u.RawQuery, c), Fragment: m.text(u.Fragment)}
	switch out.Scheme {
	case "", "http", "https", "ws", "wss":
	default:
		out.Scheme = "other"
	}
	if u.Opaque != "" {
		out.Opaque = url.PathEscape(m.text(u.Opaque))
		return out.String()
	}
	segments := strings.Split(u.EscapedPath(), "/")
	parts, hostStays := c.fit(u, segments, method, route)
	path, host := m.path(segments, parts, c), u.Hostname()
	if !hostStays {
		host = m.host(host)
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil && host != "" {
		host += ":" + strconv.FormatUint(n, 10)
	}
	out.Host = host
	if out.Scheme == "" && out.Host == "" && strings.HasPrefix(path, "//") {
		path = "/" + strings.TrimLeft(path, "/") // or what follows would be read as a host
	}
	if p, err := url.PathUnescape(path); err == nil {
		out.Path, out.RawPath = p, path // both, so that what is escaped stays so
	}
	return out.String()
}

// hiddenParts lists the parts of a URL that m.url changed.
func hiddenParts(before *url.URL, redacted string) (hidden []string) {
	after, err := url.Parse(redacted)
	if err != nil {
		return []string{"path"}
	}
	if !strings.EqualFold(before.Host, after.Host) || !strings.EqualFold(before.Scheme, after.Scheme) {
		hidden = append(hidden, "host")
	}
	if before.User != nil {
		hidden = append(hidden, "user")
	}
	if before.EscapedPath() != after.EscapedPath() || before.Opaque != after.Opaque || before.Fragment != after.Fragment {
		hidden = append(hidden, "path")
	}
	then, now := params(before.RawQuery), params(after.RawQuery)
	for i := range now {
		if len(hidden) < maxHidden && (len(then) != len(now) || then[i].Name != now[i].Name || then[i].Value != now[i].Value) {
			hidden = append(hidden, "query "+now[i].Name)
		}
	}
	if before.RawQuery != after.RawQuery && slices.Equal(then, now) {
		hidden = append(hidden, "query") // its escapes
	}
	return hidden
}

func (m *mask) path(segments []string, parts []pathPart, c *rules) string {
	for i, segment := range segments {
		if parts != nil && parts[i].stays(c) {
			continue
		}
		decoded, err := url.PathUnescape(segment)
		if err != nil {
			decoded = segment
		}
		segments[i] = url.PathEscape(m.text(decoded))
	}
	return strings.Join(segments, "/")
}

func (m *mask) query(raw string, c *rules) string { return string(m.appendQuery(nil, raw, c)) }

// appendQuery appends a raw query. It replaces values, and names that are none. What has no "=" is
// more often a value, as in a link that is good for once.
func (m *mask) appendQuery(dst []byte, raw string, c *rules) []byte {
	for more := raw != ""; more; {
		var pair string
		pair, raw, more = strings.Cut(raw, "&")
		name, value, has := strings.Cut(pair, "=")
		name, value = unescape(name), unescape(value)
		from := len(dst)
		stays := c.field(name)
		if stays && isGraphic(pair) { // with its escapes
			dst = append(dst, pair...)
			if more {
				dst = append(dst, '&')
			}
			continue
		}
		if stays || has && isName(name) {
			dst = append(dst, name...)
		} else {
			dst = m.appendText(dst, name)
		}
		dst = escapeFrom(dst, from, "", url.QueryEscape)
		if has {
			dst = append(dst, '=')
			from, isDocument := len(dst), false
			if !stays && name == "query" {
				dst, isDocument = m.appendGraphQL(dst, value)
			}
			switch {
			case stays:
				dst = append(dst, value...)
			case !isDocument:
				dst = m.appendText(dst, value)
			}
			dst = escapeFrom(dst, from, "", url.QueryEscape)
		}
		if more {
			dst = append(dst, '&')
		}
	}
	return dst
}

// escapeFrom escapes what was appended from there on. Letters, digits, "-", ".", "_", "~" and what
// is in plain need no escape.
func escapeFrom(dst []byte, from int, plain string, escape func(string) string) []byte {
	if isPlain(dst[from:], plain) {
		return dst
	}
	return append(dst[:from], escape(string(dst[from:]))...)
}

func isPlain[S string | []byte](s S, others string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '-' && c != '.' && c != '_' && c != '~' && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}

func (m *mask) name(s string) string {
	if isName(s) {
		return s
	}
	return m.text(s)
}
