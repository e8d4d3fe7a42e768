package version

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// Attribute names of the OpenTelemetry semantic conventions v1.43.0, as text,
// so that no release of the package semconv is needed for four names.
const (
	serviceName    = attribute.Key("service.name")
	serviceVersion = attribute.Key("service.version")
	headRevision   = attribute.Key("vcs.ref.head.revision")
	environmentKey = attribute.Key("deployment.environment.name")
)

// Attributes returns service.name, service.version, vcs.ref.head.revision and
// deployment.environment.name, as far as known. For a resource, put resource.WithFromEnv
// after them, so that the environment has the last word:
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
