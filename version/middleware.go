package version

import (
	"cmp"
	"net/http"

	"go.opentelemetry.io/otel/trace"
)

// MiddlewareOptions say what [Middleware] does beyond the span.
type MiddlewareOptions struct {
	// Header names a response header that carries the version, such as X-Version. Empty
	// means none, because a version shows an attacker which weaknesses to try. None is
	// sent when the version is unknown or the name is not valid.
	Header string
}

// Middleware sets [Info.Attributes] on the span of each request, so it goes inside of the
// middleware that starts the span. Without a recorded span it does not allocate. Nil
// options are the defaults.
func Middleware(info Info, opts *MiddlewareOptions) func(http.Handler) http.Handler {
	o := *cmp.Or(opts, new(MiddlewareOptions))
	attrs := info.Attributes()
	value := token(info.Version)
	header := ""
	if value != "" && o.Header != "" && token(o.Header) == o.Header {
		header = http.CanonicalHeaderKey(o.Header)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
				span.SetAttributes(attrs...)
			}
			if header != "" {
				w.Header()[header] = []string{value}
			}
			next.ServeHTTP(w, r)
		})
	}
}
