// Package resource reads the attributes of the process that OpenTelemetry takes from the
// environment.
package resource

import (
	"net/url"
	"strings"
)

// Attributes reads OTEL_RESOURCE_ATTRIBUTES: key=value pairs separated by commas, the values
// percent-encoded (OpenTelemetry specification, Resource SDK). Faults are treated as the
// OpenTelemetry SDK for Go treats them, not by discarding the whole as the specification
// suggests: what is read here must be what the telemetry of the same process carries.
// malformed reports such faults. A nil getenv has no attributes.
func Attributes(getenv func(string) string) (attributes map[string]string, malformed bool) {
	attributes = map[string]string{}
	if getenv == nil {
		return attributes, false
	}
	for pair := range strings.SplitSeq(getenv("OTEL_RESOURCE_ATTRIBUTES"), ",") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			malformed = malformed || strings.TrimSpace(pair) != ""
			continue
		}
		value = strings.TrimSpace(value)
		if decoded, err := url.PathUnescape(value); err == nil {
			value = decoded
		} else {
			malformed = true
		}
		attributes[strings.TrimSpace(key)] = value
	}
	return attributes, malformed
}

// First returns the first of the values that is not blank, trimmed.
func First(values ...string) string {
	for _, v := range values {
		if v = strings.TrimSpace(v); v != "" {
			return v
		}
	}
	return ""
}
