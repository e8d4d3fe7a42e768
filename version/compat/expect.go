package compat

import "net/http"

// Expect holds the servers of a client to the policy, by what each of their
// responses says in the header X-Version or Rules.Header:
//
//	client.Transport = compat.Expect(policy)(version.Transport(info, nil))
//
// The server sends it when its [version.Middleware] is given that header in
// MiddlewareOptions.Header; to a server that sends none, Strict rules apply.
// Each response is judged, redirects too. One that breaks a rule of [StageObserve] or [StageWarn] is counted
// and logged; one that breaks a rule of [StageEnforce] is closed, and the
// caller gets an [*UnfitError] in its place.
//
// The server has done its work by then. A call that must not be made to the
// wrong server at all needs a question first, such as a HEAD of its /version.
//
// A nil base is http.DefaultTransport. Expect panics when the policy is nil.
func Expect(policy *Policy) func(base http.RoundTripper) http.RoundTripper {
	policy.current.Load() // not at the first request
	return func(base http.RoundTripper) http.RoundTripper {
		if base == nil {
			base = http.DefaultTransport
		}
		return &transport{base, policy}
	}
}

type transport struct {
	base   http.RoundTripper
	policy *Policy
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.base.RoundTrip(r)
	if err != nil || response == nil {
		return response, err
	}
	v, _ := t.policy.look(r.Context(), response.Header, servers)
	if v.outcome != outcomeRefused {
		return response, nil
	}
	if response.Body != nil {
		_ = response.Body.Close() // of a response that is not wanted
	}
	return nil, v.error()
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the base.
func (t *transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}
