// Package resource reads OpenTelemetry's resource attributes from the environment.
package resource

import (
	"net/url"
	"strings"
)

// Attributes reads OTEL_RESOURCE_ATTRIBUTES: key=value pairs separated by commas, the values
// percent-encoded (OpenTelemetry specification, Resource SDK). The specification suggests to
// discard everything if one pair is faulty. This function keeps the other pairs, as the
// OpenTelemetry SDK for Go does, so that the result is the same as in the telemetry of the
// process. malformed reports whether a pair was faulty. Nil getenv means no attributes.
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
