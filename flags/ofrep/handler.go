package ofrep

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/flags"
)

// The paths, of which the first two are the protocol's.
const (
	bulkPath   = "/ofrep/v1/evaluate/flags"
	singlePath = bulkPath + "/"
	streamPath = "/ofrep/v1/events"
)

// Options configure a handler. Nil options are the defaults, which expose nothing.
// The functions are called by many goroutines at once and must not read the body.
type Options struct {
	// Expose says which flags clients may see. To them the others do not exist. Nil
	// exposes nothing.
	Expose func(key string) bool

	// Authorize is asked before anything is read, for the event stream too. An error
	// is answered with 401, with 403 if it is ErrForbidden, with 429 if it is a
	// *RateLimitError; its text is not sent. The name of the client is not used here. Nil
	// admits everyone: what Expose allows may be read by the public.
	Authorize func(*http.Request) (who string, err error)

	// Context gives the attributes that the server knows better than the client: who
	// is logged in, with which plan, from where. They overwrite what the client sent,
	// key by key; a nil value takes the client's away. Nil: the client is believed.
	Context func(*http.Request) flags.Attributes

	// AllowAnonymous answers requests whose context has no targetingKey, as flagd's server
	// does. Only a flag whose rule buckets by the key, in a fractional operation without a
	// bucketing value of its own, is TARGETING_KEY_MISSING then. False refuses such requests.
	AllowAnonymous bool

	// MaxBody bounds the body of a request, in bytes. 0: 65,536.
	MaxBody int64

	// Origins are the origins, such as "https://shop.example", whose pages may ask
	// from other origins than the handler's own (CORS); "*" stands for all. They get no
	// credentials: cookies are for pages of the handler's own origin. Nil: none.
	Origins []string

	// MaxStreams bounds the event streams that are open at once; one more is answered
	// with 503. 0: 1,000. Negative: there are no event streams, and clients see a
	// change when they ask again.
	MaxStreams int

	// StreamURL gives the address of the event stream for the client that sent r, a
	// bulk request: an absolute URL, or a path on the origin that the client asks at.
	// It is for handlers behind a prefix, and for clients that authorize by header:
	// browsers cannot send one to an event stream, so that Authorize has to find a
	// token in the query, which is to be short-lived and for this one purpose. Empty: no
	// stream for this client. Nil: "/ofrep/v1/events".
	StreamURL func(r *http.Request) string

	// Heartbeat is the time between two comments that keep an idle event stream from
	// being cut by proxies and find out whether its client has gone. 0: 20 seconds.
	Heartbeat time.Duration

	// Repeat is when the event of a change is sent a second time, for clients whose
	// first answer came from a replica that had not seen the change yet. It should be
	// the time within which all replicas see a change. An answer that is the same
	// costs such a client a 304. 0: 30 seconds. Negative: never.
	Repeat time.Duration

	// Done ends all event streams when it is closed. http.Server.Shutdown waits for
	// requests and so for streams: give it the Done of the context that is canceled
	// before. Nil: streams end with their requests.
	Done <-chan struct{}
}

type handler struct {
	provider *flags.Provider
	opts     Options
	origins  map[string]bool
	mux      *http.ServeMux
	streams  atomic.Int64 // open now
}

// NewHandler makes a handler that serves the flags of provider, which it neither
// starts nor closes. It refuses a nil provider, negative limits and times, and origins
// that are none. It starts no goroutine.
//
// The handler expects the protocol's paths from the root on: behind a prefix use
// [http.StripPrefix] and Options.StreamURL.
func NewHandler(provider *flags.Provider, opts *Options) (http.Handler, error) {
	if opts == nil {
		opts = &Options{}
	}
	h := &handler{provider: provider, opts: *opts}
	switch {
	case provider == nil:
		return nil, errors.New("ofrep: the provider is nil")
	case h.opts.MaxBody < 0:
		return nil, fmt.Errorf("ofrep: Options.MaxBody must not be negative, got %d", h.opts.MaxBody)
	case h.opts.Heartbeat < 0:
		return nil, fmt.Errorf("ofrep: Options.Heartbeat must not be negative, got %v", h.opts.Heartbeat)
	}
	if h.opts.MaxBody == 0 {
		h.opts.MaxBody = 64 << 10
	}
	if h.opts.MaxStreams == 0 {
		h.opts.MaxStreams = 1000
	}
	if h.opts.StreamURL == nil {
		h.opts.StreamURL = func(*http.Request) string { return streamPath }
	}
	if h.opts.Heartbeat == 0 {
		h.opts.Heartbeat = 20 * time.Second
	}
	if h.opts.Repeat == 0 {
		h.opts.Repeat = 30 * time.Second
	}
	var err error
	if h.origins, err = parseOrigins(h.opts.Origins); err != nil {
		return nil, err
	}
	h.mux = http.NewServeMux()
	h.mux.HandleFunc("POST "+bulkPath, h.bulk)
	h.mux.HandleFunc("POST "+singlePath+"{key...}", h.single)
	if h.opts.MaxStreams > 0 {
		h.mux.HandleFunc("GET "+streamPath, h.stream)
	}
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if h.crossOrigin(w, r) {
		return
	}
	h.mux.ServeHTTP(w, r)
}

// authorized answers a client that may not go on.
func (h *handler) authorized(w http.ResponseWriter, r *http.Request) bool {
	if h.opts.Authorize == nil {
		return true
	}
	_, err := h.opts.Authorize(r)
	var limit *RateLimitError
	switch {
	case err == nil:
		return true
	case errors.As(err, &limit):
		if limit.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(limit.RetryAfter.Seconds()))))
		}
		writeJSON(w, http.StatusTooManyRequests, generalError{"too many requests"})
	case errors.Is(err, ErrForbidden):
		writeJSON(w, http.StatusForbidden, generalError{"not allowed"})
	default:
		// RFC 9110, section 15.5.2, asks for a challenge.
		w.Header().Set("WWW-Authenticate", "Bearer")
		writeJSON(w, http.StatusUnauthorized, generalError{"not authorized"})
	}
	return false
}

// ErrForbidden is for Options.Authorize to return, wrapped or not: the client is known
// and may not. It is answered with 403.
var ErrForbidden = errors.New("forbidden")

// A RateLimitError is for Options.Authorize to return, wrapped or not: the client asks
// too often. It is answered with 429.
type RateLimitError struct {
	RetryAfter time.Duration // sent in whole seconds, rounded up; 0: not sent
}

func (e *RateLimitError) Error() string {
	return fmt.Sprintf("too many requests, retry after %v", e.RetryAfter)
}

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
