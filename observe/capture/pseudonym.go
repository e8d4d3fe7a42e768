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
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A mask makes pseudonyms with one key, and remembers them, for one bundle.
type mask struct {
	mac   hash.Hash
	known map[string]bool   // is taken for a pseudonym already, or is no secret
	made  map[string]string // of words and the like, by what they stand for
	hid   map[string]bool   // words of others that were hidden, in lower case
	own   bool              // what is hidden now the service itself has written
}

func newMask(key []byte) *mask {
	return &mask{mac: hmac.New(sha256.New, key), known: map[string]bool{}, made: map[string]string{}, hid: map[string]bool{}}
}

// digest is keyed, so that who does not have the key cannot try what gives it.
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

// random is a stream that purpose and s determine, with the key.
func (m *mask) random(purpose, s string) *rand.Rand {
	return rand.New(rand.NewChaCha8(m.digest(purpose, s)))
}

// once makes the pseudonym of s, once for a bundle, and sees that it is another.
func (m *mask) once(purpose, s string, pseudonym func(*rand.Rand) string) string {
	at := purpose + "\x00" + s
	if p, ok := m.made[at]; ok {
		return p
	}
	r := m.random(purpose, s)
	p := pseudonym(r)
	for range 20 { // of one letter, one in 26 is the same
		if !strings.EqualFold(p, s) {
			break
		}
		p = pseudonym(r)
	}
	m.made[at] = p
	return p
}

// text is s with each thing in it that can be told apart replaced by one of its
// kind: e-mail addresses, UUIDs, times, IP addresses and URLs, numbers and words.
// The same thing has the same pseudonym wherever it stands, also in other letter
// case. What is neither letter nor digit stays.
func (m *mask) text(s string) string {
	if s == "" || m.known[s] {
		return s
	}
	s = strings.ToValidUTF8(s, "_")
	if p, ok := m.whole(s); ok {
		return p
	}
	return eachChunk(s, m.chunk)
}

// whole replaces what is one thing although there may be spaces and colons in it.
func (m *mask) whole(s string) (string, bool) {
	if layout, ok := timeOf(s); ok {
		t, _ := time.Parse(layout, s)
		return m.time(t, layout, s), true
	}
	if u, ok := urlOf(s); ok {
		return m.url(u, "", "", nil), true
	}
	return "", false
}

// timeOf returns the layout of a text that is a time.
func timeOf(s string) (layout string, ok bool) {
	if len(s) >= len(time.DateOnly) && len(s) <= 40 {
		for _, layout := range timeLayouts {
			if _, err := time.Parse(layout, s); err == nil {
				return layout, true
			}
		}
	}
	return "", false
}

// urlOf reads a text that is a URL with a host.
func urlOf(s string) (*url.URL, bool) {
	if len(s) > 4096 || !strings.Contains(s, "://") || strings.ContainsAny(s, " \t\r\n\"<>") {
		return nil, false
	}
	u, err := url.Parse(s)
	return u, err == nil && u.Host != ""
}

var timeLayouts = []string{time.RFC3339Nano, time.DateOnly, time.DateTime, http.TimeFormat}

// time is another time, between 1970 and 2019, written in the same way.
func (m *mask) time(t time.Time, layout, s string) string {
	return m.once("time", s, func(r *rand.Rand) string {
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

// chunk replaces what stands between spaces, quotes, brackets and the like.
func (m *mask) chunk(s string) string {
	if m.known[s] {
		return s
	}
	switch {
	case isUUID(s):
		// The version and the variant are what makes it one.
		return likeCase(s, m.once("uuid", strings.ToLower(s), func(r *rand.Rand) string {
			p := []byte(strings.ToLower(s))
			for i, c := range p {
				if i != 14 && i != 19 {
					p[i] = hexLike(c, r)
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

// words replaces each run of letters and digits.
func (m *mask) words(s string) string { return eachWord(s, m.word) }

func (m *mask) word(s string) string {
	lower := strings.ToLower(s)
	if m.known[s] || m.known[lower] || lower == "true" || lower == "false" || lower == "null" {
		return s
	}
	if isNumber(s) {
		return m.digits(s)
	}
	m.hide(lower)
	return likeCase(s, m.once("word", lower, func(r *rand.Rand) string {
		hexa := isHex(lower)
		var p strings.Builder
		for _, c := range lower {
			switch {
			case c < utf8.RuneSelf && isDigit(byte(c)):
				p.WriteByte(byte('0' + r.IntN(10)))
			case hexa:
				p.WriteByte(byte('a' + r.IntN(6)))
			case unicode.IsDigit(c):
				p.WriteByte(byte('0' + r.IntN(10)))
			default:
				p.WriteByte(byte('a' + r.IntN(26)))
			}
		}
		return p.String()
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
	return m.once("digits", s, func(r *rand.Rand) string {
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

// number is a JSON number of the same sign and as many digits.
func (m *mask) number(s string) string {
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
	return m.once("ip", ip.String(), func(r *rand.Rand) string {
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

// host is a name as long in labels, below "example" (RFC 2606); this machine's
// stays.
func (m *mask) host(s string) string {
	if s == "" || m.known[s] || strings.EqualFold(s, "localhost") {
		return s
	}
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		if p := m.ip(ip); strings.Contains(p, ":") {
			return "[" + p + "]"
		} else {
			return p
		}
	}
	labels := strings.Split(strings.ToLower(strings.ToValidUTF8(s, "_")), ".")
	for i, label := range labels {
		if i > 0 && i == len(labels)-1 {
			labels[i] = "example"
		} else {
			labels[i] = hostLabel(m.words(label))
		}
	}
	return strings.Join(labels, ".")
}

// hostLabel leaves of a label what url.Parse takes in any place.
func hostLabel(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (isAlnum(byte(r)) || r == '-' || r == '_') {
			return r
		}
		return '-'
	}, s)
}

// eachChunk calls fn for what stands between delimiters, without the full stop and
// the like that end a sentence.
func eachChunk(s string, fn func(string) string) string {
	var out strings.Builder
	out.Grow(len(s))
	for len(s) > 0 {
		i := strings.IndexFunc(s, isDelimiter)
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			chunk := strings.TrimRight(s[:i], ".:!-/")
			if chunk != "" {
				out.WriteString(fn(chunk))
			}
			out.WriteString(s[len(chunk):i])
			s = s[i:]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		writeMark(&out, r)
		s = s[n:]
	}
	return out.String()
}

// eachWord calls fn for each run of letters and digits.
func eachWord(s string, fn func(string) string) string {
	var out strings.Builder
	out.Grow(len(s))
	for len(s) > 0 {
		i := strings.IndexFunc(s, func(r rune) bool { return !isWord(r) })
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			out.WriteString(fn(s[:i]))
			s = s[i:]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		writeMark(&out, r)
		s = s[n:]
	}
	return out.String()
}

// writeMark writes what is neither letter nor digit; of signs beyond ASCII, and of
// what is not printed, it tells only that there is one.
func writeMark(out *strings.Builder, r rune) {
	if r < utf8.RuneSelf && (r >= ' ' && r != 0x7f || r == '\n' || r == '\t' || r == '\r') {
		out.WriteRune(r)
	} else {
		out.WriteByte('_')
	}
}

func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return isAlnum(byte(r))
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

func isDelimiter(r rune) bool {
	return r <= ' ' || r > unicode.MaxASCII && !isWord(r) || strings.ContainsRune("\"'()<>[]{},;=|&?`\\", r)
}

func isAlnum(c byte) bool { return isLetter(c) || isDigit(c) }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isNumber(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

// isHex is for what nobody takes for a word: six digits or more, of both kinds.
func isHex(s string) bool {
	digits := 0
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c):
			digits++
		case c < 'a' || c > 'f':
			return false
		}
	}
	return len(s) >= 6 && digits > 0 && digits < len(s)
}

// hexLike is a letter for a letter and a digit for a digit, others stay.
func hexLike(c byte, r *rand.Rand) byte {
	switch {
	case isDigit(c):
		return byte('0' + r.IntN(10))
	case isLetter(c):
		return byte('a' + r.IntN(6))
	}
	return c
}

// likeCase gives p, which is in lower case, the capitals of s.
func likeCase(s, p string) string {
	if s == strings.ToLower(s) {
		return p
	}
	var out strings.Builder
	i := 0
	for _, c := range s {
		if i == len(p) {
			break
		}
		b := p[i]
		if unicode.IsUpper(c) && 'a' <= b && b <= 'z' {
			b -= 'a' - 'A'
		}
		out.WriteByte(b)
		i++
	}
	out.WriteString(p[i:])
	return out.String()
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return false
			}
		}
	}
	return true
}

// isEmail takes what people use, not all of RFC 5321.
func isEmail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || len(s) > 254 || !strings.Contains(domain, ".") {
		return false
	}
	for i := range len(local) {
		if c := local[i]; !isAlnum(c) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", rune(c)) {
			return false
		}
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !isAlnum(c) && c != '-' {
				return false
			}
		}
	}
	return true
}

// luhn is the remainder of the check sum by ISO/IEC 7812; 0 is right.
func luhn(s string) int {
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum % 10
}
