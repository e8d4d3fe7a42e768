package version

import (
	"cmp"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// MiddlewareOptions configure [Middleware]. Nil options are the defaults.
type MiddlewareOptions struct {
	// Header is the name of a response header for the version, such as X-Version. It is not
	// sent if the version is unknown or the name is invalid. Empty means none, because a
	// version shows attackers which weaknesses to try.
	Header string
}

// Middleware sets [Info.Attributes] on the span of each request. Put it inside of the
// middleware that starts the span. It does not allocate if the span is not recorded.
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

// Attribute names of the OpenTelemetry semantic conventions v1.43.0.
const (
	serviceName    = attribute.Key("service.name")
	serviceVersion = attribute.Key("service.version")
	headRevision   = attribute.Key("vcs.ref.head.revision")
	environmentKey = attribute.Key("deployment.environment.name")
)

// Attributes returns the known ones of service.name, service.version, vcs.ref.head.revision
// and deployment.environment.name. In a resource put resource.WithFromEnv after them, so that
// the environment overrides them:
//
//	resource.New(ctx, resource.WithAttributes(info.Attributes()...), resource.WithFromEnv())
func (i Info) Attributes() []attribute.KeyValue {
	attrs := make([]attribute.KeyValue, 0, 4)
	add := func(key attribute.Key, value string) {
		if value = cleantext.Line(value, maxValue); value != "" {
			attrs = append(attrs, key.String(value))
		}
	}
	add(serviceName, i.Name)
	add(serviceVersion, i.Version)
	add(headRevision, i.Revision)
	add(environmentKey, i.Environment)
	return attrs
}
