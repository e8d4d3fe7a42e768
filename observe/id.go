package observe

import (
	"math/rand/v2"
	"net/http"
	"time"
)

// headerRequestID is the header that carries the request's id both ways.
const headerRequestID = "X-Request-Id"

// maxID is the longest id taken from a client, in bytes.
const maxID = 128

// validID reports whether s can be taken as a request's id: 1 to 128 ASCII
// letters, digits, '-', '_' and '.', the first a letter or digit. Such a string
// needs no escaping in a log line, a header, HTML or a file name.
func validID(s string) bool {
	if len(s) == 0 || len(s) > maxID {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case (c == '-' || c == '_' || c == '.') && i > 0:
		default:
			return false
		}
	}
	return true
}

// requestID takes the id that the client sent or makes one. replaced says that
// the client sent one that was refused; several are as bad as a malformed one,
// because another party may pick another.
func requestID(h http.Header, now time.Time) (id string, replaced bool) {
	sent := h[headerRequestID]
	if len(sent) == 1 && validID(sent[0]) {
		return sent[0], false
	}
	return newID(now), len(sent) > 0
}

// newID makes an id in the form of a ULID: 48 bits of the time in milliseconds
// and 80 random bits, so that ids sort by time and never need coordination.
func newID(now time.Time) string {
	const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	var b [26]byte
	put := func(part []byte, v uint64) {
		for i := len(part) - 1; i >= 0; i-- {
			part[i] = digits[v&31]
			v >>= 5
		}
	}
	put(b[:10], uint64(now.UnixMilli()))
	put(b[10:18], rand.Uint64())
	put(b[18:], rand.Uint64())
	return string(b[:])
}
