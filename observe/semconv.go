package observe

import "go.opentelemetry.io/otel/attribute"

// The names of OpenTelemetry's semantic conventions v1.43.0 that this package
// uses, and its own under "upkeep.". They are written out here so that the
// package needs only OpenTelemetry's API.
const (
	scopeName = "github.com/upkeep-go/upkeep/observe"
	schemaURL = "https://opentelemetry.io/schemas/1.43.0"

	keyErrorType       = attribute.Key("error.type")
	keyExceptionType   = attribute.Key("exception.type")
	keyExceptionText   = attribute.Key("exception.message")
	keyExceptionStack  = attribute.Key("exception.stacktrace")
	keyMethod          = attribute.Key("http.request.method")
	keyMethodOriginal  = attribute.Key("http.request.method_original")
	keyStatus          = attribute.Key("http.response.status_code")
	keyResponseSize    = attribute.Key("http.response.body.size")
	keyRoute           = attribute.Key("http.route")
	keyProtocolVersion = attribute.Key("network.protocol.version")
	keyPeerAddress     = attribute.Key("network.peer.address")
	keyPeerPort        = attribute.Key("network.peer.port")
	keyClientAddress   = attribute.Key("client.address")
	keyClientPort      = attribute.Key("client.port")
	keyResendCount     = attribute.Key("http.request.resend_count")
	keyServerAddress   = attribute.Key("server.address")
	keyServerPort      = attribute.Key("server.port")
	keyScheme          = attribute.Key("url.scheme")
	keyPath            = attribute.Key("url.path")
	keyURL             = attribute.Key("url.full")
	keyUserAgent       = attribute.Key("user_agent.original")

	keyFlag         = attribute.Key("feature_flag.key")
	keyFlagProvider = attribute.Key("feature_flag.provider.name")
	keyFlagVariant  = attribute.Key("feature_flag.result.variant")
	keyFlagValue    = attribute.Key("feature_flag.result.value")
	keyFlagReason   = attribute.Key("feature_flag.result.reason")
	keyFlagError    = attribute.Key("feature_flag.error.message")
	keyFlagSet      = attribute.Key("feature_flag.set.id")
	keyFlagVersion  = attribute.Key("feature_flag.version")

	keyOldFlagError = attribute.Key("error.message") // until semconv v1.39
	prefixFlag      = "upkeep.flag."
	keyStatusClass  = attribute.Key("upkeep.response.status_class")

	keyRequestID = attribute.Key("upkeep.request.id")
	keyJobName   = attribute.Key("upkeep.job.name")

	keyDebugBy      = attribute.Key("upkeep.debug.by")
	keyDebugHolder  = attribute.Key("upkeep.debug.holder")
	keyDebugRefused = attribute.Key("upkeep.debug.refused")

	headerDebug  = "Upkeep-Debug"
	debugPurpose = "upkeep-debug"

	keyWhat      = attribute.Key("upkeep.observe.what")
	keyStreamEnd = attribute.Key("upkeep.stream.end")

	metricServerDuration = "http.server.request.duration"
	metricServerActive   = "http.server.active_requests"
	metricStreams        = "upkeep.http.server.streams"
	metricStreamsActive  = "upkeep.http.server.active_streams"
	metricClientDuration = "http.client.request.duration"
	metricDropped        = "upkeep.observe.dropped"
	metricFailed         = "upkeep.observe.failed"
	metricQueued         = "upkeep.observe.queued"
	metricJobDuration    = "upkeep.job.duration"
	metricFlagDuration   = "upkeep.flag.request.duration"

	eventFlag             = "feature_flag.evaluation"
	eventRequestException = "http.server.request.exception"
	eventJobException     = "upkeep.job.exception"

	other = "_OTHER"
)

// requestBuckets are semconv's for the HTTP durations, in seconds.
var requestBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// jobBuckets reach to an hour, because jobs do.
var jobBuckets = []float64{0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 1800, 3600}

// protocolVersion is network.protocol.version; one not known is not reported.
func protocolVersion(major, minor int) string {
	switch {
	case major == 1 && minor == 1:
		return "1.1"
	case major == 2 && minor == 0:
		return "2"
	case major == 1 && minor == 0:
		return "1.0"
	case major == 3 && minor == 0:
		return "3"
	}
	return ""
}

func scheme(secure bool) string {
	if secure {
		return "https"
	}
	return "http"
}
