package version

import (
	"net/url"
	"strings"
)

// environment is what the process environment says.
type environment struct {
	name        string // OTEL_SERVICE_NAME, else service.name
	version     string // SERVICE_VERSION, else service.version
	revision    string // vcs.ref.head.revision
	environment string // deployment.environment.name, else deployment.environment
	malformed   bool   // OTEL_RESOURCE_ATTRIBUTES does not keep its format
}

// readEnvironment reads through getenv; a nil getenv knows nothing.
//
// OTEL_RESOURCE_ATTRIBUTES is key=value pairs separated by commas, the values
// percent-encoded (OpenTelemetry specification, Resource SDK). Faults are
// treated as the OpenTelemetry SDK for Go treats them, not by discarding the
// whole as the specification suggests: the name told here must be the one that
// the telemetry of the same process carries.
func readEnvironment(getenv func(string) string) environment {
	var e environment
	if getenv == nil {
		return e
	}
	attributes := make(map[string]string)
	for pair := range strings.SplitSeq(getenv("OTEL_RESOURCE_ATTRIBUTES"), ",") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			e.malformed = e.malformed || strings.TrimSpace(pair) != ""
			continue
		}
		value = strings.TrimSpace(value)
		if decoded, err := url.PathUnescape(value); err == nil {
			value = decoded
		} else {
			e.malformed = true
		}
		attributes[strings.TrimSpace(key)] = value
	}
	first := func(values ...string) string {
		for _, v := range values {
			if v = strings.TrimSpace(v); v != "" {
				return v
			}
		}
		return ""
	}
	e.name = first(getenv("OTEL_SERVICE_NAME"), attributes["service.name"])
	e.version = first(getenv("SERVICE_VERSION"), attributes["service.version"])
	e.revision = first(attributes["vcs.ref.head.revision"])
	e.environment = first(attributes["deployment.environment.name"], attributes["deployment.environment"])
	return e
}
