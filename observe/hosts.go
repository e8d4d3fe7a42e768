package observe

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// A hostSet holds names of hosts, and of domains with a leading dot.
type hostSet map[string]bool

func newHostSet(option string, names []string) (hostSet, error) {
	hosts := make(hostSet, len(names))
	var errs []error
	for i, host := range names {
		if strings.Trim(host, ".") == "" || strings.ContainsAny(host, "/:*@ ") {
			errs = append(errs, fmt.Errorf("observe: Options.%s[%d]: %q is neither a host name nor a domain with a leading dot", option, i, host))
		}
		hosts[strings.ToLower(host)] = true
	}
	return hosts, errors.Join(errs...)
}

// has reports whether host is in the set, or below a domain in it.
func (hosts hostSet) has(host string) bool {
	if len(hosts) == 0 {
		return false
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if hosts[host] {
		return true
	}
	for i := range len(host) {
		if host[i] == '.' && i > 0 && hosts[host[i:]] {
			return true
		}
	}
	return false
}

// splitHost splits a host from a port. It accepts any text; a missing port is 0.
func splitHost(s string) (host string, port int) {
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		if n, err := strconv.ParseUint(s[i+1:], 10, 16); err == nil {
			s, port = s[:i], int(n)
		}
	}
	if len(s) > 1 && s[0] == '[' && s[len(s)-1] == ']' {
		s = s[1 : len(s)-1]
	}
	return s, port
}

func port(u *url.URL) int {
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		return int(n)
	}
	return map[string]int{"http": 80, "https": 443}[u.Scheme]
}
