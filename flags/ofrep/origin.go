package ofrep

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

func parseOrigins(origins []string) (map[string]bool, error) {
	set := make(map[string]bool, len(origins))
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin || origin != strings.ToLower(origin)) {
			return nil, fmt.Errorf("ofrep: Options.Origins: %q is no origin, want something like %q", origin, "https://shop.example")
		}
		set[origin] = true
	}
	return set, nil
}

// crossOrigin tells the browser what a page of another origin may do and reports
// whether that was all it asked (https://fetch.spec.whatwg.org/#http-cors-protocol).
// Without credentials "*" is good for every header but Authorization.
func (h *handler) crossOrigin(w http.ResponseWriter, r *http.Request) bool {
	if len(h.origins) == 0 {
		return false
	}
	header := w.Header()
	switch origin := r.Header.Get("Origin"); {
	case h.origins["*"]:
		header.Set("Access-Control-Allow-Origin", "*")
	default:
		header.Add("Vary", "Origin")
		if !h.origins[origin] {
			return false
		}
		header.Set("Access-Control-Allow-Origin", origin)
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		header.Set("Access-Control-Expose-Headers", "ETag, Retry-After")
		return false
	}
	header.Set("Access-Control-Allow-Methods", "GET, POST")
	header.Set("Access-Control-Allow-Headers", "*, Authorization")
	header.Set("Access-Control-Max-Age", "7200")
	w.WriteHeader(http.StatusNoContent)
	return true
}
