package replay

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"

	"github.com/upkeep-go/upkeep/observe/capture"
)

const maxInflated = 64 << 20 // bytes of an answer

// asSent is the text of a body in the bundle with what redaction took away from its form.
func asSent(b *capture.Body, text string) string {
	text = b.SpaceBefore + text + b.SpaceAfter
	if b.Inflated {
		return deflated(text)
	}
	return text
}

// deflated is s as it was sent, with Content-Encoding gzip.
func deflated(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s) // a buffer takes all
	_ = w.Close()
	return b.String()
}

// inflated is what was sent with a Content-Encoding, or s itself when that is not gzip.
func inflated(s, encoding string) (string, error) {
	if e := strings.ToLower(encoding); e != "gzip" && e != "x-gzip" {
		return s, nil
	}
	r, err := gzip.NewReader(strings.NewReader(s))
	if err != nil {
		return "", err
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxInflated+1))
	if err == nil && len(plain) > maxInflated {
		err = errors.New("too large")
	}
	return string(plain), err
}
