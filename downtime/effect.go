package downtime

import (
	"fmt"
	"net/http"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

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

// methodEffect is the effect that RFC 9110 §9.2.1 gives a method: the safe ones read.
func methodEffect(method string) Effect {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "":
		return EffectRead
	}
	return EffectWrite
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
