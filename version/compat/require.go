package compat

import (
	"net/http"
	"strconv"

	"github.com/upkeep-go/upkeep/internal/problem"
)

// RequiredHeader is the response header with the versions that a client needs, sent in
// StageWarn and StageEnforce: ">=1.4.0, not v1.4.3".
const RequiredHeader = "Version-Required"

// Require checks the clients of a server. A client that breaks a rule of
//
//   - [StageObserve] is served and counted;
//   - [StageWarn] is served, with the headers [RequiredHeader], Deprecation, Sunset and
//     Link, which the handler may still change;
//   - [StageEnforce] gets 400 as problem+json (RFC 9457) with the members peer, version,
//     required and link, and Cache-Control: no-store.
//
// Warnings and refusals name the checked header in Vary. A cache in front of this server
// responds without the policy. Checking a client again does not allocate. Require panics if
// the policy is nil.
func Require(policy *Policy) func(http.Handler) http.Handler {
	policy.current.Load() // so that it panics here and not at the first request
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

// warn makes new values for each request, because a handler may change them.
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
	_, _ = w.Write(v.body) // fails only if the client has gone
}
