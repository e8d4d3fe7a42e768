package observe

import "strings"

// declaredStream reports whether a Content-Type says that the response is a stream.
func declaredStream(contentType []string) bool {
	if len(contentType) == 0 {
		return false
	}
	media, _, _ := strings.Cut(contentType[0], ";")
	media = strings.TrimSpace(media)
	if len(media) < len("a/jsonl") || len(media) > 40 {
		return false
	}
	switch strings.ToLower(media) {
	case "text/event-stream", "multipart/x-mixed-replace",
		"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/json-seq", "application/stream+json",
		"application/connect+proto", "application/connect+json":
		return true
	}
	return false
}

// isStream asks Options.Stream.
func (st *state) isStream() (is bool) {
	if st.obs.opts.Stream == nil {
		return false
	}
	defer st.obs.counts.shield()
	return st.obs.opts.Stream(st.request)
}
