package compat

import "net/http"

// Expect checks the servers of a client. It reads X-Version, or Rules.Header, of each
// response, redirects too:
//
//	client.Transport = compat.Expect(policy)(version.Transport(info, nil))
//
// Servers send it with [version.Middleware] and MiddlewareOptions.Header. A server that does
// not send it breaks Strict rules. If a response breaks a rule of [StageObserve] or
// [StageWarn], it is counted and logged. If it breaks a rule of [StageEnforce], it is closed
// and the caller gets an [*UnfitError]. By then the server has handled the request. Ask its
// /version first if that matters.
//
// Nil base means http.DefaultTransport. Expect panics if the policy is nil.
func Expect(policy *Policy) func(base http.RoundTripper) http.RoundTripper {
	policy.current.Load() // so that it panics here and not at the first request
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
		_ = response.Body.Close() // the caller does not get the response
	}
	return nil, v.error()
}

// CloseIdleConnections closes those of the base, for http.Client.CloseIdleConnections.
func (t *transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}
