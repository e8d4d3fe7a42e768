package downtime

import (
	"fmt"
	"net/http"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// Work is a unit of work that does not pass a Handler: a job, a consumer's message, a cron run.
type Work struct {
	// Name is the kind of work in scopes and reports: "import", not "import-4711". Required. A report
	// has up to a thousand kinds, and counts further ones as "other".
	Name string

	// Effect is whether the work writes. The zero value is EffectWrite.
	Effect Effect

	// Long work is refused from a window's cutoff on, so that it does not delay the window.
	Long bool

	// Request is the request that the work consists of, if it did not pass a Handler, as in a gRPC
	// call. Scopes then match the request instead of Name. Options.Classify, Long and Pass do not
	// apply. Nil means that the work is not a request.
	Request *http.Request

	// Stream work lasts until somebody ends it, like a subscription. A window ends the context that
	// [Guard.EnterContext] returns for it. Other methods ignore Stream.
	Stream bool
}

// An Effect is whether a request or work may change anything. The zero value is EffectWrite, because
// undeclared work may write.
type Effect uint8

// The effects.
const (
	EffectWrite Effect = iota // may change something: refused by closed and read-only windows
	EffectRead                // only reads: refused by closed windows
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

// refuses reports whether a window in progress with that mode refuses the effect. For a rehearsal it is
// what a closed window would refuse.
func refuses(m schedule.Mode, e Effect) bool {
	switch m {
	case schedule.ModeAnnounce:
		return false
	case schedule.ModeReadOnly:
		return e != EffectRead
	}
	return true
}
