package compat

import (
	"net/http"
	"strconv"

	"github.com/upkeep-go/upkeep/internal/problem"
)

// RequiredHeader is the response header that names the versions that a client needs, in
// StageWarn and StageEnforce: ">=1.4.0, not v1.4.3".
const RequiredHeader = "Version-Required"

// Require holds the clients of a server to the policy. A client that breaks a rule of
//
//   - [StageObserve] is served and counted;
//   - [StageWarn] is served, with the headers [RequiredHeader], Deprecation, Sunset and
//     Link, which the handler may still change;
//   - [StageEnforce] gets 400 as problem+json (RFC 9457) with the members peer, version,
//     required and link, and Cache-Control: no-store.
//
// Warnings and refusals have a Vary for the header that was judged. A cache in front of
// this server answers without asking the policy. A client seen before costs no allocation.
// Require panics when the policy is nil.
func Require(policy *Policy) func(http.Handler) http.Handler {
	policy.current.Load() // not at the first request
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v, header := policy.look(r.Context(), r.Header, clients)
			switch v.outcome {
			case outcomeRefused:
				v.refuse(w, header)
				return
			case outcomeWarned:
				v.warn(w.Header(), header)
			}
			next.ServeHTTP(w, r)
		})
	}
}

// warn shares no values between requests, because a handler may change them.
func (v *verdict) warn(h http.Header, judged string) {
	h.Add("Vary", judged)
	h.Set(RequiredHeader, v.unfit.Required)
	if v.deprecation != "" {
		h.Set("Deprecation", v.deprecation)
	}
	if v.sunset != "" {
		h.Set("Sunset", v.sunset)
	}
	if v.link != "" {
		h.Add("Link", v.link)
	}
}

func (v *verdict) refuse(w http.ResponseWriter, judged string) {
	h := w.Header()
	v.warn(h, judged)
	problem.Guard(h)
	h.Set("Content-Type", problem.MediaType)
	h.Set("Content-Length", strconv.Itoa(len(v.body)))
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write(v.body) // the client went away: there is nobody to tell
}
