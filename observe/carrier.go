package observe

import (
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// headerTraceResponse is the header of W3C's Trace Context Level 2, section 4, as Go spells it.
const headerTraceResponse = "Traceresponse"

// A carrier is propagation.HeaderCarrier. It reads the headers of W3C without spelling their names
// as Go does, which takes an allocation for each.
type carrier struct{ propagation.HeaderCarrier }

func (c carrier) Get(key string) string {
	if values := c.Values(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Values makes a carrier a propagation.ValuesGetter.
func (c carrier) Values(key string) []string {
	switch key {
	case "traceparent":
		return c.HeaderCarrier["Traceparent"]
	case "tracestate":
		return c.HeaderCarrier["Tracestate"]
	case "baggage":
		return c.HeaderCarrier["Baggage"]
	}
	return c.HeaderCarrier.Values(key)
}

// traceResponse is the value of a traceresponse header.
func traceResponse(sc trace.SpanContext) string {
	id, span := sc.TraceID(), sc.SpanID()
	out := [55]byte{0: '0', 1: '0', 2: '-', 35: '-', 52: '-'}
	putHex(out[3:35], id[:])
	putHex(out[36:52], span[:])
	putHex(out[53:], []byte{byte(sc.TraceFlags())})
	return string(out[:])
}

// putHex is hex.Encode in half the time.
func putHex(out, b []byte) {
	const hex = "0123456789abcdef"
	for i, c := range b {
		out[2*i], out[2*i+1] = hex[c>>4], hex[c&15]
	}
}
