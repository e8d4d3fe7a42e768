package registry

import (
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

	// Authorize returns an error unless the request may do the action. who is the name of
	// the client, for the access log and the record of what the request does; of a name
	// that is not one line of text, only such a line is kept. Authorize is called before
	// anything is read, and must not read the body. An error that is ErrUnauthenticated is
	// answered with 401, every other one with 403. See Basic, Bearer and AnyOf.
	//
	// Nil means that everyone may read, and nobody may do anything else.
	Authorize func(*http.Request, Action) (who string, err error)

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
	reader
	opts    Options
	log     *slog.Logger
	uploads chan struct{}
	checks  chan struct{}
	stats   counters
}

// New gives a registry. It does no I/O. The errors are a nil store, no private prefix
// or one that is no module path, a Public that is no http or https URL, and negative bounds.
func New(store Store, opts *Options) (*Registry, error) {
	if opts == nil {
		opts = &Options{}
	}
	g := &Registry{opts: *opts, log: opts.Logger}
	g.reader = reader{catalog: catalog{store: store, proven: newProven()}, prefixes: slices.Clone(opts.Private), cached: "public, max-age=31536000, immutable"}
	var errs []error
	if store == nil {
		errs = append(errs, errors.New("there is no store"))
	}
	if len(g.prefixes) == 0 {
		errs = append(errs, errors.New("Options.Private: at least one prefix is required"))
	}
	for _, prefix := range g.prefixes {
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

func (g *Registry) temp() (*os.File, error) {
	if g.opts.TempDir != "" {
		return createTemp(g.opts.TempDir)
	}
	if d, ok := g.store.(*dir); ok {
		return d.temp()
	}
	return createTemp(os.TempDir())
}

type counters struct {
	requests, missing, denied, refused, failed atomic.Int64
	published, identical, conflicts            atomic.Int64
	gateRefused, gateUnknown, overridden       atomic.Int64
	sent, received                             atomic.Int64
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

func (g *Registry) may(r *request, op Op) *Refusal {
	if g.opts.Authorize == nil {
		if op == OpRead {
			return nil
		}
		return refuse(http.StatusForbidden, ruleAuthorize, "this registry is read only: it has no Options.Authorize")
	}
	who, err := g.opts.Authorize(r.Request, Action{Op: op, Module: r.at.module, Version: r.at.version, Channel: r.at.channel})
	if who = firstLine(who, 200); who != "" {
		r.who = who
	}
	if err != nil {
		return denied(err)
	}
	return nil
}
