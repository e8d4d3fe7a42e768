package version

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

const maxToken = 128

// UserAgent returns the product token shop/v1.4.2 (RFC 9110 section 10.1.5), or shop alone
// when the version is unknown. Each run of other characters becomes one "-".
func (i Info) UserAgent() string {
	name := orUnknown(token(i.Name))
	if v := token(i.Version); v != "" {
		return name + "/" + v
	}
	return name
}

var notToken = regexp.MustCompile("[^-!#$%&'*+.^_`|~0-9A-Za-z]+")

// token keeps the characters of a token (RFC 9110 section 5.6.2).
func token(s string) string {
	parts := slices.DeleteFunc(notToken.Split(s, -1), func(part string) bool { return part == "" })
	s = strings.Join(parts, "-")
	return s[:min(len(s), maxToken)]
}

// Transport sends [Info.UserAgent] with each request without a User-Agent of its own. A
// nil base is http.DefaultTransport.
func Transport(info Info, base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{base: base, agent: info.UserAgent()}
}

type transport struct {
	base  http.RoundTripper
	agent string
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, set := r.Header["User-Agent"]; set {
		return t.base.RoundTrip(r)
	}
	// A round tripper must not modify the request; its body may be shared.
	told := new(http.Request)
	*told = *r
	told.Header = http.Header{}
	maps.Copy(told.Header, r.Header)
	told.Header.Set("User-Agent", t.agent)
	return t.base.RoundTrip(told)
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the base.
func (t *transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}
