package capture

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A mask makes pseudonyms with one key, for one bundle.
type mask struct {
	mac      hash.Hash
	seed     [32]byte
	message  []byte // of the MAC
	source   *rand.ChaCha8
	random   *rand.Rand // of source
	words    *wordCache
	known    map[string]bool // is taken for a pseudonym already, or is no secret
	minKnown int             // the length of the shortest of them
	remember bool            // what is hidden, in hid
	hid      *wordSet        // words of others that were hidden, in lower case
	own      bool            // what is hidden now the service itself has written
	collect  bool            // nothing is replaced: what would be becomes known
	hides    int             // counts replacements

	lastHost, lastPseudonym string
}

func newMask(key []byte) *mask {
	source := rand.NewChaCha8([32]byte{})
	return &mask{mac: hmac.New(sha256.New, key), source: source, random: rand.New(source), known: map[string]bool{}}
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
func (m *mask) digest(purpose, s string) *[32]byte {
	m.message = append(append(append(m.message[:0], purpose...), 0), s...)
	m.mac.Reset()
	m.mac.Write(m.message)
	m.mac.Sum(m.seed[:0])
	return &m.seed
}

func (m *mask) hexDigest(purpose, s string, n int) string {
	return hex.EncodeToString(m.digest(purpose, s)[:n])
}

// appendOther appends the pseudonym of s, and sees that it is another text.
func (m *mask) appendOther(dst []byte, purpose, s string, pseudonym func([]byte, *rand.Rand) []byte) []byte {
	if m.collect {
		return append(dst, s...)
	}
	m.hides++
	m.source.Seed(*m.digest(purpose, s))
	start := len(dst)
	dst = pseudonym(dst, m.random)
	for range 20 { // of one letter, one in 26 is the same
		if !strings.EqualFold(string(dst[start:]), s) {
			break
		}
		dst = pseudonym(dst[:start], m.random)
	}
	return dst
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
	if p, ok := m.whole(s); ok {
		return append(dst, p...)
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

var timeLayouts = []string{time.RFC3339Nano, time.DateOnly, time.DateTime, http.TimeFormat}

// whole replaces what is one thing although there may be spaces and colons in it: a time,
// or a URL with a host.
func (m *mask) whole(s string) (string, bool) {
	if len(s) >= len(time.DateOnly) && len(s) <= 40 && (s[4] == '-' && s[7] == '-' || s[3] == ',') {
		for _, layout := range timeLayouts {
			if t, err := time.Parse(layout, s); err == nil {
				return m.time(t, layout, s), true
			}
		}
	}
	if len(s) <= 4096 && strings.Contains(s, "://") && !strings.ContainsAny(s, " \t\r\n\"<>") {
		if u, err := url.Parse(s); err == nil && u.Host != "" {
			return m.url(u, "", "", nil), true
		}
	}
	return "", false
}

// time is another time, between 1970 and 2019, written in the same way.
func (m *mask) time(t time.Time, layout, s string) string {
	var room [48]byte
	return string(m.appendOther(room[:0], "time", s, func(dst []byte, r *rand.Rand) []byte {
		nanos := 0
		if i := strings.IndexByte(s, '.'); i >= 0 && t.Nanosecond() != 0 {
			nanos = r.IntN(1e9)
		}
		p := time.Date(1970+r.IntN(50), time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), nanos, t.Location())
		if layout == time.RFC3339Nano && nanos == 0 {
			layout = time.RFC3339
		}
		return p.AppendFormat(dst, layout)
	}))
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
		dst = m.appendOther(dst, "uuid", strings.ToLower(s), func(dst []byte, r *rand.Rand) []byte {
			for i, c := range strings.ToLower(s) {
				if i != 14 && i != 19 && c != '-' {
					c = rune(like(c, 6, r))
				}
				dst = append(dst, byte(c))
			}
			return dst
		})
		likeCase(s, dst[start:])
		return dst
	case ats > 0 && isEmail(s):
		at := strings.LastIndexByte(s, '@')
		dst = m.appendWords(dst, s[:at], m.appendWord)
		return append(append(dst, '@'), m.host(s[at+1:])...)
	}
	if dots == 3 || colons > 1 {
		if ip, err := netip.ParseAddr(s); err == nil {
			return append(dst, m.ip(ip)...)
		}
		if prefix, err := netip.ParsePrefix(s); err == nil {
			return strconv.AppendInt(append(append(dst, m.ip(prefix.Addr())...), '/'), int64(prefix.Bits()), 10)
		}
		if pair, err := netip.ParseAddrPort(s); err == nil {
			if ip, err := netip.ParseAddr(m.ip(pair.Addr())); err == nil {
				return netip.AddrPortFrom(ip, pair.Port()).AppendTo(dst)
			}
		}
	}
	if len(s) >= len("2006-01-02T15:04:05Z") || len(s) == len(time.DateOnly) {
		if p, ok := m.whole(s); ok {
			return append(dst, p...)
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
	entry, cached := m.words.find(s, m.own)
	if cached {
		m.hides++
		return append(dst, entry.pseudonym[:entry.length]...)
	}
	lower := strings.ToLower(s)
	if m.isKnown(s) || m.isKnown(lower) || lower == "true" || lower == "false" || lower == "null" {
		return append(dst, s...)
	}
	m.hide(lower)
	letters := 26
	if isHex(lower) {
		letters = 6
	}
	start := len(dst)
	dst = m.appendOther(dst, "word", lower, func(dst []byte, r *rand.Rand) []byte {
		for _, c := range lower {
			dst = append(dst, like(c, letters, r))
		}
		return dst
	})
	if s != lower {
		likeCase(s, dst[start:])
	}
	entry.keep(s, dst[start:], m.own)
	return dst
}

func (m *mask) collected(word string) {
	m.know(word)
	m.hide(word)
}

// hide remembers a word that prose must not show either. What the service writes is
// made of its own words and of those that it was given.
func (m *mask) hide(word string) {
	if !m.remember || m.own && !m.collect {
		return
	}
	if m.hid == nil {
		m.hid = new(wordSet)
	}
	m.hid.add(word)
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
	entry, cached := m.words.find(s, m.own)
	if cached {
		m.hides++
		return append(dst, entry.pseudonym[:entry.length]...)
	}
	m.hide(s)
	card := len(s) >= 13 && len(s) <= 19 && luhn(s) == 0
	start := len(dst)
	dst = m.appendOther(dst, "digits", s, func(dst []byte, r *rand.Rand) []byte {
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
		if isZero(string(p)) {
			p[len(p)-1] = '1' // zero is not a pseudonym
		}
		if card {
			last := &p[len(p)-1]
			*last = '0'
			*last = byte('0' + (10-luhn(string(p)))%10)
		}
		return dst
	})
	entry.keep(s, dst[start:], m.own)
	return dst
}

func isZero(s string) bool {
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

// ip is a private address of the same version; those of this machine stay.
func (m *mask) ip(ip netip.Addr) string {
	if ip.IsLoopback() || ip.IsUnspecified() {
		return ip.WithZone("").String()
	}
	ip = ip.WithZone("").Unmap()
	text := ip.String()
	m.hide(text)
	var room [48]byte
	return string(m.appendOther(room[:0], "ip", text, func(dst []byte, r *rand.Rand) []byte {
		if ip.Is4() {
			return netip.AddrFrom4([4]byte{10, byte(r.IntN(256)), byte(r.IntN(256)), byte(1 + r.IntN(254))}).AppendTo(dst)
		}
		b := [16]byte{0xfd}
		for i := 1; i < len(b); i++ {
			b[i] = byte(r.IntN(256))
		}
		return netip.AddrFrom16(b).AppendTo(dst)
	}))
}

// nobodys are names of hosts that say nothing about anybody (RFC 2606, section 3).
var nobodys = set([]string{"localhost", "example.com", "example.net", "example.org"})

// host is a name as long in labels, below "example" (RFC 2606); this machine's
// stays, and the names for examples.
func (m *mask) host(s string) string {
	if s == "" || nobodys[strings.ToLower(s)] || m.keeps(s) {
		return s
	}
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		p := m.ip(ip)
		if strings.Contains(p, ":") {
			p = "[" + p + "]"
		}
		return p
	}
	if !m.collect && s == m.lastHost { // of many addresses in one body
		m.hides++
		return m.lastPseudonym
	}
	lower := strings.ToLower(strings.ToValidUTF8(s, "_"))
	var out []byte
	for first := true; ; first = false {
		label, rest, more := strings.Cut(lower, ".")
		if !first {
			out = append(out, '.')
		}
		if !first && !more {
			out = append(out, "example"...)
		} else {
			start := len(out)
			out = m.appendWords(out, label, m.appendWord)
			for i := start; i < len(out); i++ {
				if !isAlnum(out[i]) && out[i] != '_' {
					out[i] = '-' // url.Parse does not take others in any place
				}
			}
		}
		if lower = rest; !more {
			break
		}
	}
	pseudonym := string(out)
	if !m.own { // or hide would not see it later
		m.lastHost, m.lastPseudonym = strings.Clone(s), pseudonym
	}
	return pseudonym
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
	if before.Path != after.Path || before.Opaque != after.Opaque || before.Fragment != after.Fragment {
		hidden = append(hidden, "path")
	}
	then, now := params(before.RawQuery), params(after.RawQuery)
	for i := range now {
		if len(hidden) < maxHidden && (len(then) != len(now) || then[i].Name != now[i].Name || then[i].Value != now[i].Value) {
			hidden = append(hidden, "query "+now[i].Name)
		}
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

// query replaces the values of a raw query, and names that are none. What has no "=" is
// more often a value, as in a link that is good for once.
func (m *mask) query(raw string, c *rules) string {
	if raw == "" {
		return ""
	}
	pairs := strings.Split(raw, "&")
	for i, pair := range pairs {
		name, value, has := strings.Cut(pair, "=")
		name, value = unescape(name), unescape(value)
		switch {
		case c.field(name):
		case has:
			var document []byte
			isDocument := false
			if name == "query" {
				document, isDocument = m.appendGraphQL(nil, value)
			}
			if !isDocument {
				document = m.appendText(nil, value)
			}
			name, value = m.name(name), string(document)
		default:
			name = m.text(name)
		}
		if pairs[i] = url.QueryEscape(name); has {
			pairs[i] += "=" + url.QueryEscape(value)
		}
	}
	return strings.Join(pairs, "&")
}

func (m *mask) name(s string) string {
	if isName(s) {
		return s
	}
	return m.text(s)
}
