package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/upkeep-go/upkeep/pkgmgmt"
)

// Options configure a [Registry]. Their functions must be safe for concurrent use.
type Options struct {
	// Private are the prefixes of the modules that the registry serves and accepts, such as
	// "corp.example" or "corp.example/team". A prefix matches the path itself and all paths
	// below it. At least one is required.
	Private []string

	// Authorize returns an error unless the request may do the action. who is the client's
	// name for the access log and for records; only its first line is kept. Authorize is
	// called before the body is read and must not read it. ErrUnauthenticated, also wrapped,
	// is answered with 401, every other error with 403. See Basic, Bearer and AnyOf.
	//
	// Nil means that everyone may read and all other actions are forbidden.
	Authorize func(*http.Request, Action) (who string, err error)

	// Gate judges a version before it becomes visible. Nil means that every version with a
	// valid zip passes.
	Gate Gate

	// Upstream is a module proxy for the modules that are not private. Nil means that those
	// are answered with 404, and the go command asks the next proxy of its list.
	Upstream *Upstream

	// Vulns finds the known vulnerabilities of a module version: the method Find of
	// [pkgmgmt.Vulns], or a function that calls the Find of the latest database. A version with
	// vulnerabilities is absent from list and @latest, and refused by name, unless it is
	// allowed by [Client.Allow]. Its go.mod is served. Nil means none.
	Vulns func(path, version string) []pkgmgmt.Vuln

	// FlagVulns serves versions with known vulnerabilities. Each download is logged as a
	// warning.
	FlagVulns bool

	// MaxZip bounds a zip, in bytes. Zero means 500 MiB, the limit of the go command, and so
	// does every larger value.
	MaxZip int64

	// MaxUploads bounds concurrent uploads and thereby the temporary files. Further uploads
	// are answered with 503. Zero means 64.
	MaxUploads int

	// UploadTimeout bounds the time for receiving a body. Zero means 15 minutes. For uploads
	// it replaces ReadTimeout and WriteTimeout of the http.Server, if the server's
	// ResponseWriter supports deadlines.
	UploadTimeout time.Duration

	// TempDir is the folder for uploads of up to MaxZip each. It should not be a file system
	// in memory. Empty means a folder inside of Dir, so that zips are linked and not copied,
	// or os.TempDir for other stores.
	TempDir string

	// Logger gets one record for each request: at Info, or at Error with the cause for a 5xx.
	// Nil means slog.Default().
	Logger *slog.Logger
}

// A Registry serves the modules of a [Store] and accepts new versions; the package comment
// lists its routes. It is safe for concurrent use. Several registries may serve one store,
// because a registry keeps no content of the store in memory.
type Registry struct {
	reader
	opts    Options
	log     *slog.Logger
	uploads chan struct{}
	checks  chan struct{}
	stats   counters

	upstream *upstream // nil without Options.Upstream
}

// New returns a registry. It does no I/O. It returns an error if store is nil, if a private
// prefix is missing or not a module path, if Upstream is invalid, or if a bound is negative.
func New(store Store, opts *Options) (*Registry, error) {
	if opts == nil {
		opts = &Options{}
	}
	g := &Registry{opts: *opts, log: opts.Logger}
	g.reader = reader{catalog: catalog{store: store, proven: newProven()}, prefixes: slices.Clone(opts.Private), cached: "public, max-age=31536000, immutable"}
	var errs []error
	if store == nil {
		errs = append(errs, errors.New("the store is nil"))
	}
	if len(g.prefixes) == 0 {
		errs = append(errs, errors.New("Options.Private: at least one prefix is required"))
	}
	for _, prefix := range g.prefixes {
		if err := module.CheckPath(prefix); err != nil {
			errs = append(errs, fmt.Errorf("Options.Private: %w", err))
		}
	}
	if g.opts.MaxZip < 0 || g.opts.MaxUploads < 0 || g.opts.UploadTimeout < 0 {
		errs = append(errs, errors.New("Options: MaxZip, MaxUploads and UploadTimeout must not be negative"))
	}
	if g.log == nil {
		g.log = slog.Default()
	}
	g.checks = make(chan struct{}, maxChecks)
	g.vulns = &vulnCheck{find: opts.Vulns, flag: opts.FlagVulns, store: store, log: g.log}
	if opts.Upstream != nil {
		var err error
		if g.upstream, err = newUpstream(opts.Upstream, store, g.checks, g.vulns, g.log); err != nil {
			errs = append(errs, err)
		}
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
	if g.opts.Authorize != nil {
		g.cached = "private, max-age=31536000, immutable"
	}
	g.uploads = make(chan struct{}, g.opts.MaxUploads)
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

// Stats returns counts since New, and the number of uploads that run now:
//
//	requests        all requests
//	missing         requests answered with 404
//	denied          requests answered with 401 or 403
//	conflicts       requests answered with 409: the version has other content
//	refused         requests answered with another 4xx: invalid uploads, or refused by the gate
//	failed          requests answered with 5xx
//	published       versions published
//	identical       uploads of versions that were published with the same content
//	gate_refused    versions that the gate refused
//	gate_unknown    versions that the gate could not judge
//	overridden      versions published against the gate, with a reason
//	uploads         uploads that run now
//	bytes_sent      bytes of all answers
//	bytes_received  bytes of all uploads
//	vulnerable      downloads of versions with known vulnerabilities, which are allowed or flagged
//
// With Options.Upstream there are also:
//
//	upstream_fetches      requests to the upstream
//	upstream_failures     requests that failed, except for 404
//	upstream_stale        answers from the cache because the upstream failed
//	upstream_unverified   files that no checksum database verified
//	upstream_bytes        bytes received from the upstream
//	upstream_cache_bytes  bytes in the cache, 0 before the first fetch
func (g *Registry) Stats() map[string]float64 {
	c := &g.stats
	stats := map[string]float64{
		"requests": float64(c.requests.Load()), "missing": float64(c.missing.Load()), "denied": float64(c.denied.Load()),
		"conflicts": float64(c.conflicts.Load()), "refused": float64(c.refused.Load()), "failed": float64(c.failed.Load()),
		"published": float64(c.published.Load()), "identical": float64(c.identical.Load()),
		"gate_refused": float64(c.gateRefused.Load()), "gate_unknown": float64(c.gateUnknown.Load()),
		"overridden": float64(c.overridden.Load()), "uploads": float64(len(g.uploads)),
		"bytes_sent": float64(c.sent.Load()), "bytes_received": float64(c.received.Load()),
		"vulnerable": float64(g.vulns.served.Load()),
	}
	if u := g.upstream; u != nil {
		stats["upstream_fetches"] = float64(u.stats.fetches.Load())
		stats["upstream_failures"] = float64(u.stats.failures.Load())
		stats["upstream_stale"] = float64(u.stats.stale.Load())
		stats["upstream_unverified"] = float64(u.stats.unverified.Load())
		stats["upstream_bytes"] = float64(u.stats.received.Load())
		stats["upstream_cache_bytes"] = float64(u.cache.size())
	}
	return stats
}

func (g *Registry) may(r *request, op Op) *Refusal {
	if g.opts.Authorize == nil {
		if op == OpRead {
			return nil
		}
		return refuse(http.StatusForbidden, ruleAuthorize, "this registry is read-only, because Options.Authorize is not set")
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
