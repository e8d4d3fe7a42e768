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
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A mask makes pseudonyms with one key, for one bundle.
type mask struct {
	mac     hash.Hash
	known   map[string]bool // is taken for a pseudonym already, or is no secret
	hid     map[string]bool // words of others that were hidden, in lower case
	own     bool            // what is hidden now the service itself has written
	collect bool            // nothing is replaced: what would be becomes known
}

func newMask(key []byte) *mask {
	return &mask{mac: hmac.New(sha256.New, key), known: map[string]bool{}, hid: map[string]bool{}}
}

// digest is keyed, so only the key's holder can try what gives it.
func (m *mask) digest(purpose, s string) [32]byte {
	m.mac.Reset()
	m.mac.Write([]byte(purpose))
	m.mac.Write([]byte{0})
	m.mac.Write([]byte(s))
	var sum [32]byte
	m.mac.Sum(sum[:0])
	return sum
}

func (m *mask) hexDigest(purpose, s string, n int) string {
	sum := m.digest(purpose, s)
	return hex.EncodeToString(sum[:n])
}

// other makes the pseudonym of s, and sees that it is another text.
func (m *mask) other(purpose, s string, pseudonym func(*rand.Rand) string) string {
	if m.collect {
		return s
	}
	r := rand.New(rand.NewChaCha8(m.digest(purpose, s)))
	p := pseudonym(r)
	for range 20 { // of one letter, one in 26 is the same
		if !strings.EqualFold(p, s) {
			break
		}
		p = pseudonym(r)
	}
	return p
}

// text is s with each thing in it that can be told apart replaced by one of its
// kind: e-mail addresses, UUIDs, times, IP addresses and URLs, numbers and words.
// The same thing has the same pseudonym wherever it stands, also in other letter
// case. What is neither letter nor digit stays.
func (m *mask) text(s string) string {
	if s == "" || m.keeps(s) {
		return s
	}
	s = strings.ToValidUTF8(s, "_")
	if p, ok := m.whole(s); ok {
		return p
	}
	return eachChunk(s, m.chunk)
}

// keeps reports whether s is not replaced because it is known. When the mask collects,
// s becomes known, and so do its parts, which the caller goes on to.
func (m *mask) keeps(s string) bool {
	if m.collect {
		m.known[s] = true
		return false
	}
	return m.known[s]
}

var timeLayouts = []string{time.RFC3339Nano, time.DateOnly, time.DateTime, http.TimeFormat}

// whole replaces what is one thing although there may be spaces and colons in it: a time,
// or a URL with a host.
func (m *mask) whole(s string) (string, bool) {
	if len(s) >= len(time.DateOnly) && len(s) <= 40 {
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
	return m.other("time", s, func(r *rand.Rand) string {
		nanos := 0
		if i := strings.IndexByte(s, '.'); i >= 0 && t.Nanosecond() != 0 {
			nanos = r.IntN(1e9)
		}
		p := time.Date(1970+r.IntN(50), time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), nanos, t.Location())
		if layout == time.RFC3339Nano && nanos == 0 {
			layout = time.RFC3339
		}
		return p.Format(layout)
	})
}

func (m *mask) chunk(s string) string {
	if m.keeps(s) {
		return s
	}
	switch {
	case isUUID(s):
		// The version and the variant are what makes it one.
		return likeCase(s, m.other("uuid", strings.ToLower(s), func(r *rand.Rand) string {
			p := []byte(strings.ToLower(s))
			for i, c := range p {
				if i != 14 && i != 19 && c != '-' {
					p[i] = like(rune(c), 6, r)
				}
			}
			return string(p)
		}))
	case isEmail(s):
		at := strings.LastIndexByte(s, '@')
		return m.words(s[:at]) + "@" + m.host(s[at+1:])
	}
	if strings.Count(s, ".") == 3 || strings.Count(s, ":") > 1 {
		if ip, err := netip.ParseAddr(s); err == nil {
			return m.ip(ip)
		}
	}
	if len(s) >= len("2006-01-02T15:04:05Z") || len(s) == len(time.DateOnly) {
		if p, ok := m.whole(s); ok {
			return p
		}
	}
	return m.words(s)
}

func (m *mask) words(s string) string { return eachWord(s, m.word) }

func (m *mask) word(s string) string {
	lower := strings.ToLower(s)
	if m.collect {
		m.known[lower] = true // a pseudonym has one for all cases
		m.hid[lower] = true
		return s
	}
	if m.known[s] || m.known[lower] || lower == "true" || lower == "false" || lower == "null" {
		return s
	}
	if isNumber(s) {
		return m.digits(s)
	}
	m.hide(lower)
	return likeCase(s, m.other("word", lower, func(r *rand.Rand) string {
		letters := 26
		if isHex(lower) {
			letters = 6
		}
		var p []byte
		for _, c := range lower {
			p = append(p, like(c, letters, r))
		}
		return string(p)
	}))
}

// hide remembers a word that prose must not show either. What the service writes is
// made of its own words and of those that it was given.
func (m *mask) hide(word string) {
	if !m.own {
		m.hid[word] = true
	}
}

// digits is another number of as many digits that fits where the first one did: it
// begins with 1 when it has ten digits or more, with 0 when that does, and it has a
// right check digit (Luhn's, of cards) when that has. Zero stays zero.
func (m *mask) digits(s string) string {
	if strings.Trim(s, "0") == "" {
		return s
	}
	m.hide(s)
	return m.other("digits", s, func(r *rand.Rand) string {
		p := []byte(s)
		card := len(s) >= 13 && len(s) <= 19 && luhn(s) == 0
		for i := range p {
			p[i] = byte('0' + r.IntN(10))
		}
		switch {
		case s[0] == '0', card:
			p[0] = s[0]
		case len(s) >= 10:
			p[0] = '1'
		default:
			p[0] = byte('1' + r.IntN(9))
		}
		if strings.Trim(string(p), "0") == "" {
			p[len(p)-1] = '1' // zero is not a pseudonym
		}
		if card {
			last := &p[len(p)-1]
			*last = '0'
			*last = byte('0' + (10-luhn(string(p)))%10)
		}
		return string(p)
	})
}

func (m *mask) number(s string) string {
	if m.collect {
		return m.text(s)
	}
	if m.known[s] {
		return s
	}
	mantissa, exponent := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if mantissa, exponent = s[:i], s[i:]; len(exponent) > 4 {
			exponent = exponent[:1] + "9"
		}
	}
	return m.words(mantissa) + exponent
}

// ip is a private address of the same version; those of this machine stay.
func (m *mask) ip(ip netip.Addr) string {
	if ip.IsLoopback() || ip.IsUnspecified() {
		return ip.WithZone("").String()
	}
	ip = ip.WithZone("").Unmap()
	m.hide(ip.String())
	return m.other("ip", ip.String(), func(r *rand.Rand) string {
		if ip.Is4() {
			return netip.AddrFrom4([4]byte{10, byte(r.IntN(256)), byte(r.IntN(256)), byte(1 + r.IntN(254))}).String()
		}
		b := [16]byte{0xfd}
		for i := 1; i < len(b); i++ {
			b[i] = byte(r.IntN(256))
		}
		return netip.AddrFrom16(b).String()
	})
}

var noLabel = regexp.MustCompile(`[^a-zA-Z0-9_-]`) // what url.Parse does not take in any place

// host is a name as long in labels, below "example" (RFC 2606); this machine's
// stays.
func (m *mask) host(s string) string {
	if s == "" || strings.EqualFold(s, "localhost") || m.keeps(s) {
		return s
	}
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		p := m.ip(ip)
		if strings.Contains(p, ":") {
			p = "[" + p + "]"
		}
		return p
	}
	labels := strings.Split(strings.ToLower(strings.ToValidUTF8(s, "_")), ".")
	for i, label := range labels {
		if i > 0 && i == len(labels)-1 {
			labels[i] = "example"
		} else {
			labels[i] = noLabel.ReplaceAllString(m.words(label), "-")
		}
	}
	return strings.Join(labels, ".")
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
			name, value = m.name(name), m.text(value)
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
