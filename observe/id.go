package observe

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// headerRequestID is the header that carries the request's id both ways.
const headerRequestID = "X-Request-Id"

const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
)

// maxID is the longest id taken from a client, in bytes.
const maxID = 128

// validID reports whether s can be taken as a request's id: 1 to 128 ASCII
// letters, digits, '-', '_' and '.', the first a letter or digit. Such a string
// is safe without escaping in a log line, a header, HTML or a file name.
func validID(s string) bool {
	return s != "" && len(s) <= maxID && strings.Contains(letters+digits, s[:1]) && strings.Trim(s, letters+digits+"-_.") == ""
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
	const base32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	var b [26]byte
	put := func(part []byte, v uint64) {
		for i := len(part) - 1; i >= 0; i-- {
			part[i] = base32[v&31]
			v >>= 5
		}
	}
	put(b[:10], uint64(now.UnixMilli()))
	put(b[10:18], rand.Uint64())
	put(b[18:], rand.Uint64())
	return string(b[:])
}
