package downtime

import (
	"fmt"
	"net/http"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// Work is what does not come through a Handler: a job, a consumer's message, a run of
// cron.
type Work struct {
	// Name is what a scope's work list and reports call it, the same for all work of the kind:
	// "import", not "import-4711". Required. A report names a thousand kinds, and then "other".
	Name string

	// Effect is what the work does. The zero value is EffectWrite.
	Effect Effect

	// Long work is refused from a window's cutoff on, so that it is not in the way when
	// the window begins.
	Long bool

	// Request is the request that is the work, where no Handler stands in front of it: a call
	// of gRPC, for instance. Scopes match it as they match requests, and not by Name. The
	// guard's Classify, Long and Pass are not asked. Nil: the work is not a request.
	Request *http.Request

	// Stream work lasts until somebody ends it, as a subscription does. The context that
	// [Guard.EnterContext] gives it is ended by the window; nothing else asks.
	Stream bool
}

// An Effect says whether a request or work changes anything. The zero value is
// EffectWrite, because undeclared work may write.
type Effect uint8

// The effects.
const (
	EffectWrite Effect = iota // may change something: refused by closed and read-only windows
	EffectRead                // changes nothing: refused by closed windows only
)

// String returns "write" or "read".
func (e Effect) String() string {
	switch e {
	case EffectWrite:
		return "write"
	case EffectRead:
		return "read"
	}
	return fmt.Sprintf("Effect(%d)", uint8(e))
}

// isSafe reports whether a method is safe (RFC 9110 §9.2.1; PROPFIND: RFC 4918 §9.1; REPORT:
// RFC 3253 §3.6; SEARCH: RFC 5323 §2; QUERY: draft-ietf-httpbis-safe-method-w-body).
func isSafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "",
		"QUERY", "PROPFIND", "REPORT", "SEARCH":
		return true
	}
	return false
}

// refuses reports whether a window of that mode, in progress, refuses the effect. For a
// rehearsal it reports what a closed window would refuse.
func refuses(m schedule.Mode, e Effect) bool {
	switch m {
	case schedule.ModeAnnounce:
		return false
	case schedule.ModeReadOnly:
		return e != EffectRead
	}
	return true
}
