package observe

import (
	"strings"

	"go.opentelemetry.io/otel/metric"
)

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

// How a stream ended, as upkeep.stream.end.
const (
	streamDone   = "done"
	streamGone   = "client_gone"
	streamFailed = "failed"
)

func (out *outcome) streamEnd() string {
	switch {
	case out.gone:
		return streamGone
	case out.why >= failed || out.aborted != nil:
		return streamFailed
	}
	return streamDone
}

// measureStream counts how a stream ended.
func (st *state) measureStream(out *outcome) {
	o := st.obs
	switch out.streamEnd() {
	case streamGone:
		o.counts.streamsGone.Add(1)
	case streamFailed:
		o.counts.streamsFailed.Add(1)
	}
	key := streamKey{route: out.name, end: out.streamEnd(), status: out.status, method: st.method}
	if option, ok := o.metrics.streamSeries.options(key, &o.counts.seriesFolded)[0].(metric.AddOption); ok {
		o.metrics.streams.Add(st.ctx, 1, option)
	}
}
