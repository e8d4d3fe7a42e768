package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// Options configure a [Registry]. The functions are called by many goroutines at once.
type Options struct {
	// Private are the prefixes of the module paths that the registry is for, such as
	// "corp.example" or "corp.example/team": the path itself, and all below it. At
	// least one is required. Only there can modules be published, and only those are
	// served.
	Private []string

	// Authorize says whether a request may do what it wants to. It is asked before
	// anything is read, and must not read the body. An error that is
	// ErrUnauthenticated is answered with 401, every other one with 403. Nil: everyone
	// may read, and nobody may do anything else. See Basic, Bearer and Identify.
	Authorize func(*http.Request, Action) error

	// Gate judges a version before anyone can see it. Nil: every version passes whose
	// zip is sound.
	Gate Gate

	// Public is the URL of the module proxy to which whoever asks for a module that is
	// not private is redirected (302). With it, GOPROXY needs to name this registry
	// alone, and no other proxy is ever asked for a private module. Empty: 404, at
	// which the go command asks the next proxy of its list.
	Public string

	// MaxZip bounds a zip, in bytes. 0, and everything above: 500 MiB, which is where
	// the go command stops.
	MaxZip int64

	// MaxUploads bounds the uploads that are under way at once, and so the temporary
	// files; one more is answered with 503. 0: 64.
	MaxUploads int

	// UploadTimeout bounds the time in which a body must have arrived. 0: 15 minutes. For
	// an upload it takes the place of the http.Server's ReadTimeout and WriteTimeout, where
	// the server's writers let it.
	UploadTimeout time.Duration

	// TempDir is the folder for uploads, which may be as large as MaxZip each. Empty: a
	// folder inside of Dir, from which a zip needs no copying, or os.TempDir for other
	// stores. It should not be a file system in memory.
	TempDir string

	// Logger gets one record for each request, at Info, or at Error with its cause
	// where the registry has failed. Nil: slog.Default().
	Logger *slog.Logger
}

// A Registry serves the modules of a [Store] and takes new ones; the package comment
// gives its routes. It may be used by any number of goroutines, and several registries
// may serve one store. It keeps nothing in memory that is in the store.
type Registry struct {
	store   Store
	opts    Options
	log     *slog.Logger
	cached  string // Cache-Control of what never changes
	uploads chan struct{}
	checks  chan struct{}
	stats   counters
}

// At most this many zips have their directories in memory at once.
const maxChecks = 2

// New gives a registry. It does no I/O. The errors are a nil store, no private prefix
// or one that is no module path, a Public that is no http or https URL, and negative bounds.
func New(store Store, opts *Options) (*Registry, error) {
	if opts == nil {
		opts = &Options{}
	}
	g := &Registry{store: store, opts: *opts, log: opts.Logger, cached: "public, max-age=31536000, immutable"}
	g.opts.Private = slices.Clone(opts.Private)
	var errs []error
	if store == nil {
		errs = append(errs, errors.New("there is no store"))
	}
	if len(g.opts.Private) == 0 {
		errs = append(errs, errors.New("Options.Private: at least one prefix is required"))
	}
	for _, prefix := range g.opts.Private {
		if err := module.CheckPath(prefix); err != nil {
			errs = append(errs, fmt.Errorf("Options.Private: %w", err))
		}
	}
	if g.opts.Public != "" {
		u, err := url.Parse(g.opts.Public)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			errs = append(errs, fmt.Errorf("Options.Public: %q is no http or https URL of a proxy", g.opts.Public))
		}
		g.opts.Public = strings.TrimSuffix(g.opts.Public, "/")
	}
	if g.opts.MaxZip < 0 || g.opts.MaxUploads < 0 || g.opts.UploadTimeout < 0 {
		errs = append(errs, errors.New("Options: MaxZip, MaxUploads and UploadTimeout must not be negative"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if g.opts.MaxZip == 0 || g.opts.MaxZip > zip.MaxZipFile {
		g.opts.MaxZip = zip.MaxZipFile
	}
	if g.opts.MaxUploads == 0 {
		g.opts.MaxUploads = 64
	}
	if g.opts.UploadTimeout == 0 {
		g.opts.UploadTimeout = 15 * time.Minute
	}
	if g.log == nil {
		g.log = slog.Default()
	}
	if g.opts.Authorize != nil {
		g.cached = "private, max-age=31536000, immutable"
	}
	g.uploads = make(chan struct{}, g.opts.MaxUploads)
	g.checks = make(chan struct{}, maxChecks)
	return g, nil
}

// temp makes a temporary file for an upload.
func (g *Registry) temp() (*os.File, error) {
	if g.opts.TempDir != "" {
		return createTemp(g.opts.TempDir)
	}
	if d, ok := g.store.(*dir); ok {
		return d.temp()
	}
	return createTemp(os.TempDir())
}

// private says whether a module is the registry's.
func (g *Registry) private(path string) bool {
	for _, prefix := range g.opts.Private {
		if strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/') {
			return true
		}
	}
	return false
}

// A request is one that is being answered.
type request struct {
	*http.Request
	w   *recorder
	at  target
	op  Op
	who string

	received bool // all of the body
}

// ServeHTTP answers a request.
func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	req := request{Request: r, w: &recorder{ResponseWriter: w}}
	p := g.serve(&req)
	if p != nil {
		if r.ContentLength != 0 && !req.received {
			// Else the server waits for the rest, as long as a client likes.
			w.Header().Set("Connection", "close")
		}
		p.write(req.w, r)
	}
	g.stats.count(&req, p)
	g.access(&req, p, time.Since(start))
}

func (g *Registry) serve(r *request) *problem {
	at, p := route(r.URL.Path)
	r.at = at
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case p != nil && reads && at.read && !g.private(at.module):
		return g.elsewhere(r) // where there are other versions, +incompatible for one
	case p != nil && reads:
		return refuse(http.StatusNotFound, ruleNotFound, p.Detail)
	case p != nil:
		return p
	case !g.private(at.module):
		if reads && at.read {
			return g.elsewhere(r)
		}
		return refuse(http.StatusNotFound, rulePrivate, at.module+" is not below a private prefix of this registry")
	}

	var do func(*request) *problem
	allow := "GET, HEAD"
	switch {
	case reads && at.read:
		r.op, do = Read, g.read
	case reads && at.kind == kindChannels:
		r.op, do = Inspect, g.channels
	case reads && at.kind == kindRecord:
		r.op, do = Inspect, g.record
	case at.kind == kindZip:
		allow = "GET, HEAD, PUT"
		if r.Method == http.MethodPut {
			r.op, do = Publish, g.publish
		}
	case !at.read && (at.kind == kindChannel || at.kind == kindYank || at.kind == kindBlock):
		allow = "PUT, DELETE"
		if r.Method == http.MethodPut || r.Method == http.MethodDelete {
			switch at.kind {
			case kindChannel:
				r.op, do = Move, g.move
			case kindYank:
				r.op, do = Yank, g.mark
			default:
				r.op, do = Block, g.mark
			}
		}
	}
	if do == nil {
		r.w.Header().Set("Allow", allow)
		return refuse(http.StatusMethodNotAllowed, ruleNotFound, "the methods here are "+allow)
	}
	if r.op == Move && r.Method == http.MethodPut {
		if p := r.at.destination(r.URL.Query().Get("version")); p != nil {
			return p
		}
	}
	if p := g.may(r, r.op); p != nil {
		return p
	}
	return do(r)
}

// may asks Options.Authorize.
func (g *Registry) may(r *request, op Op) *problem {
	who, p := g.authorize(r.Request, Action{Op: op, Module: r.at.module, Version: r.at.version, Channel: r.at.channel})
	if who != "" {
		r.who = who
	}
	return p
}

// elsewhere is the answer for modules that are not private.
func (g *Registry) elsewhere(r *request) *problem {
	if g.opts.Public == "" {
		return refuse(http.StatusNotFound, rulePrivate, r.at.module+" is not below a private prefix of this registry")
	}
	r.w.Header().Set("Location", g.opts.Public+(&url.URL{Path: r.URL.Path, RawPath: r.URL.Path}).EscapedPath())
	r.w.Header().Set("Cache-Control", "no-store")
	r.w.WriteHeader(http.StatusFound)
	return nil
}

// access writes the access log. Of the request's path only a valid module path and
// version are written.
func (g *Registry) access(r *request, p *problem, took time.Duration) {
	level := slog.LevelInfo
	if r.w.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	ctx := r.Context()
	if !g.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs,
		slog.String("method", method(r.Method)), slog.Int("status", r.w.status),
		slog.Int64("bytes", r.w.bytes), slog.Duration("took", took))
	for _, a := range []slog.Attr{
		slog.String("op", string(r.op)), slog.String("module", r.at.module), slog.String("version", r.at.version),
		slog.String("channel", r.at.channel), slog.String("user", r.who),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if p != nil {
		attrs = append(attrs, slog.String("rule", p.Rule))
		if p.cause != nil {
			attrs = append(attrs, slog.String("cause", p.cause.Error()))
		}
	}
	g.log.LogAttrs(context.WithoutCancel(ctx), level, "registry", attrs...)
}

func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodPatch, http.MethodOptions:
		return name
	}
	return "_OTHER"
}

// counters are what Stats gives.
type counters struct {
	requests, missing, denied, refused, failed atomic.Int64
	published, identical, conflicts            atomic.Int64
	gateRefused, gateUnknown, overridden       atomic.Int64
	sent, received                             atomic.Int64
}

func (c *counters) count(r *request, p *problem) {
	c.requests.Add(1)
	c.sent.Add(r.w.bytes)
	switch {
	case p == nil:
	case p.Status == http.StatusNotFound:
		c.missing.Add(1)
	case p.Status == http.StatusUnauthorized, p.Status == http.StatusForbidden:
		c.denied.Add(1)
	case p.Status >= http.StatusInternalServerError:
		c.failed.Add(1)
	case p.Status == http.StatusConflict:
		c.conflicts.Add(1)
	default:
		c.refused.Add(1)
	}
}

// Stats gives figures since the start, and what is under way:
//
//	requests        all requests
//	missing         of them, answered with 404
//	denied          with 401 or 403
//	conflicts       with 409: another content is published
//	refused         with another 4xx: an upload that is not sound, or the gate's no
//	failed          with 5xx
//	published       versions that were published
//	identical       uploads of what was published before
//	gate_refused    judgements of the gate that were no
//	gate_unknown    judgements that could not be made
//	overridden      versions that were published all the same
//	uploads         uploads under way
//	bytes_sent      bytes of all answers
//	bytes_received  bytes of all uploads
func (g *Registry) Stats() map[string]float64 {
	c := &g.stats
	return map[string]float64{
		"requests": float64(c.requests.Load()), "missing": float64(c.missing.Load()), "denied": float64(c.denied.Load()),
		"conflicts": float64(c.conflicts.Load()), "refused": float64(c.refused.Load()), "failed": float64(c.failed.Load()),
		"published": float64(c.published.Load()), "identical": float64(c.identical.Load()),
		"gate_refused": float64(c.gateRefused.Load()), "gate_unknown": float64(c.gateUnknown.Load()),
		"overridden": float64(c.overridden.Load()), "uploads": float64(len(g.uploads)),
		"bytes_sent": float64(c.sent.Load()), "bytes_received": float64(c.received.Load()),
	}
}
