package version

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

const maxToken = 128

// UserAgent returns the product token shop/v1.4.2 (RFC 9110 section 10.1.5), or only shop if
// the version is unknown. Characters that a token cannot have become "-", one for each run.
func (i Info) UserAgent() string {
	name := orUnknown(token(i.Name))
	if v := token(i.Version); v != "" {
		return name + "/" + v
	}
	return name
}

var notToken = regexp.MustCompile("[^-!#$%&'*+.^_`|~0-9A-Za-z]+")

// token replaces the characters that a token cannot have (RFC 9110 section 5.6.2).
func token(s string) string {
	parts := slices.DeleteFunc(notToken.Split(s, -1), func(part string) bool { return part == "" })
	s = strings.Join(parts, "-")
	return s[:min(len(s), maxToken)]
}

// Transport adds [Info.UserAgent] to requests without a User-Agent. Nil base means
// http.DefaultTransport.
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

// CloseIdleConnections closes those of the base, for http.Client.CloseIdleConnections.
func (t *transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}
