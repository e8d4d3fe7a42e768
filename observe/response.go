package observe

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
)

// A bodyHead keeps the first bytes of a response for Options.Outcome.
type bodyHead struct {
	max  int
	mu   sync.Mutex
	data []byte
}

func (b *bodyHead) keep(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p[:min(len(p), b.max-len(b.data))]...)
}

// wants returns how many more bytes there is room for.
func (b *bodyHead) wants() int64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(b.max - len(b.data))
}

// visibleBody is the body that Options.Outcome sees. The ready ones read all of it, whoever
// has read before.
type visibleBody struct {
	bytes.Reader
	data []byte
}

func (*visibleBody) Close() error { return nil }

// visible returns what is to be seen of a response's body.
func visible(resp *http.Response) []byte {
	switch body := resp.Body.(type) {
	case nil:
		return nil
	case *visibleBody:
		return body.data
	}
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxOutcomeBody)) // a part is enough
	return data
}

// splitTrailer copies the header of a response without its trailers, and those. Handlers set
// trailers after they have announced them, or with http.TrailerPrefix.
func splitTrailer(h http.Header) (header, trailer http.Header) {
	header, trailer = h.Clone(), http.Header{}
	for _, line := range h["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if values, ok := header[name]; ok {
				trailer[name] = values
				delete(header, name)
			}
		}
	}
	for name, values := range h {
		if after, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			after = http.CanonicalHeaderKey(after)
			trailer[after] = append(trailer[after], values...)
			delete(header, name)
		}
	}
	return header, trailer
}
