package compat

import "net/http"

// Expect holds the servers of a client to the policy, by the header X-Version or
// Rules.Header of each response, redirects too:
//
//	client.Transport = compat.Expect(policy)(version.Transport(info, nil))
//
// A server sends it by [version.Middleware] with MiddlewareOptions.Header; for a server
// without it Strict rules apply. A response that breaks a rule of [StageObserve] or
// [StageWarn] is counted and logged; one that breaks a rule of [StageEnforce] is closed,
// and the caller gets an [*UnfitError]. The server has done its work by then: ask its
// /version first where that matters.
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
