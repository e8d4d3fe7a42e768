package observe

import (
	"net/http"
	"unsafe"
)

// Fingerprints is how many fingerprints the limiter knows.
func Fingerprints(o *Observer) int {
	o.limit.mu.Lock()
	defer o.limit.mu.Unlock()
	return len(o.limit.known)
}

// Held is how many bytes the recordings of running requests hold.
func Held(o *Observer) int64 { return o.captures.held.Load() }

// StateSize is what a request needs at least.
const StateSize = unsafe.Sizeof(state{})

// Forwarded is what is read of the headers of proxies.
func Forwarded(opts *Options, r *http.Request) (client string, port int, server string) {
	f := proxies(opts.TrustedProxies).forwarded(r)
	return f.client, f.port, f.host
}
