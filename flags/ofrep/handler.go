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

// bulkPath and singlePath are the protocol's; streamPath is ours.
const (
	bulkPath   = "/ofrep/v1/evaluate/flags"
	singlePath = bulkPath + "/"
	streamPath = "/ofrep/v1/events"
)

// Options configure a handler. Nil options are the defaults, which expose nothing. The functions are
// called by many goroutines at once and must not read the body.
type Options struct {
	// Expose decides which flags clients may see. For clients, the others do not exist. Nil means
	// that no flag is exposed.
	Expose func(key string) bool

	// Authorize is called before anything is read, for the event stream too. An error is answered
	// with 403 if it is ErrForbidden, with 429 if it is a *RateLimitError, and else with 401. Its
	// text is not sent. The result who is ignored. Nil means that everyone may read what Expose
	// allows.
	Authorize func(*http.Request) (who string, err error)

	// Context returns the attributes that the server knows better than the client, such as the
	// user, the plan and the country. They overwrite the client's attributes, key by key. A nil
	// value removes the client's. Nil means that all claims of the client count.
	Context func(*http.Request) flags.Attributes

	// AllowAnonymous serves requests whose context lacks a targetingKey, as flagd's server does.
	// Then only a flag that needs the key answers TARGETING_KEY_MISSING: its rule reaches a
	// fractional operation without a bucketing value. False refuses such requests.
	AllowAnonymous bool

	// MaxBody bounds the body of a request, in bytes. Zero means 65,536.
	MaxBody int64

	// Origins are origins, such as "https://shop.example", whose pages may call a handler of
	// another origin (CORS). "*" means all origins. Their requests carry no credentials: cookies
	// are only for pages of the handler's own origin. Nil means none.
	Origins []string

	// MaxStreams bounds the number of open event streams. One more is answered with 503. Zero
	// means 1,000. Negative turns event streams off: clients must poll.
	MaxStreams int

	// StreamURL returns the address of the event stream for the client that sent r, a bulk
	// request: an absolute URL, or a path on the origin of the request. It is needed behind a
	// prefix, and for clients that authorize by header: a browser sends no such header to an
	// event stream, so Authorize must find a token in the query. That token should be short-lived
	// and for this purpose only. An empty result means no stream for this client. Nil means
	// "/ofrep/v1/events".
	StreamURL func(r *http.Request) string

	// Heartbeat is the time between two comments on an idle event stream. They keep proxies from
	// closing it, and find clients that have gone. Zero means 20s.
	Heartbeat time.Duration

	// Repeat is the time after which the event of a change is sent again, for clients that fetched
	// from a replica that had not seen the change yet. It should be the time within which all
	// replicas see a change. A client whose flags are the same gets a 304. Zero means 30s.
	// Negative means never.
	Repeat time.Duration

	// Done ends all event streams when it is closed. http.Server.Shutdown waits for requests, and
	// so for streams: use the Done channel of a context that is canceled before Shutdown. Nil
	// means that streams end with their requests.
	Done <-chan struct{}
}

type handler struct {
	provider *flags.Provider
	opts     Options
	origins  map[string]bool
	mux      *http.ServeMux
	streams  atomic.Int64 // open now
}

// NewHandler makes a handler that serves the flags of provider. It does not start or close the
// provider, and starts no goroutine. It returns an error for a nil provider, negative limits and
// times, and invalid origins. Nil options are the defaults.
//
// The handler expects the protocol's paths from the root. Behind a prefix use [http.StripPrefix] and
// Options.StreamURL.
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

// authorized writes the answer if it returns false.
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

// ErrForbidden is for Options.Authorize to return, wrapped or not: the client is known but may not
// read flags. The answer is 403.
var ErrForbidden = errors.New("forbidden")

// A RateLimitError is for Options.Authorize to return, wrapped or not: the client sends too many
// requests. The answer is 429.
type RateLimitError struct {
	RetryAfter time.Duration // sent in whole seconds, rounded up; zero means not sent
}

func (e *RateLimitError) Error() string {
	return fmt.Sprintf("too many requests, retry after %v", e.RetryAfter)
}

func parseOrigins(origins []string) (map[string]bool, error) {
	set := make(map[string]bool, len(origins))
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin || origin != strings.ToLower(origin)) {
			return nil, fmt.Errorf("ofrep: Options.Origins: %q is not an origin such as %q", origin, "https://shop.example")
		}
		set[origin] = true
	}
	return set, nil
}

// crossOrigin writes the CORS headers (https://fetch.spec.whatwg.org/#http-cors-protocol). It returns
// true if the request was only a preflight. Without credentials "*" covers every header except
// Authorization.
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
