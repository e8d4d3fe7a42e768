package observe

import (
	"net/http"
	"strings"
	"sync/atomic"
)

// envMethods overrides the known methods, as semconv asks for.
const envMethods = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"

// A method is a known method, or the one that represents all others.
type method struct {
	name   string
	other  bool
	active [2]activeCount // of http and https
}

// knownMethods returns the methods that semconv knows, or those in list, which are separated
// by commas. The first represents all others.
func knownMethods(list string) []*method {
	names := []string{
		http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodHead,
		http.MethodOptions, http.MethodConnect, http.MethodTrace, "QUERY",
	}
	if strings.Trim(list, ", \t") != "" {
		names = strings.Split(list, ",")
	}
	methods := []*method{{name: other, other: true}}
	for _, name := range names {
		if name = strings.TrimSpace(name); name != "" && len(name) <= maxMethod && len(methods) <= maxMethods {
			methods = append(methods, &method{name: name})
		}
	}
	return methods
}

// spanName is the method's part of a span's name.
func (m *method) spanName() string {
	if m.other {
		return "HTTP"
	}
	return m.name
}

// activeCount is read when metrics are collected, so that a request pays one
// atomic addition for http.server.active_requests and not two measurements.
type activeCount struct {
	n    atomic.Int64
	seen atomic.Bool
}

func (c *activeCount) begin() {
	c.n.Add(1)
	if !c.seen.Load() {
		c.seen.Store(true)
	}
}
