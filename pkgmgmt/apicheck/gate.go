package apicheck

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// GateOptions are what a gate works with. Nil options are the defaults.
type GateOptions struct {
	// Options are those of the comparison.
	Options

	// Upstream is where dependencies come from that the registry does not have: URLs as
	// in [Module.Proxy]. Empty means that a module with such dependencies cannot be judged;
	// the answer then names them and this field.
	Upstream string

	// Private are prefixes of module paths, as in GOPRIVATE and in the registry's own
	// options: modules below them are never asked for upstream. They are required with
	// Upstream.
	Private []string

	// Concurrency bounds the comparisons at a time, each of which may take twice
	// Options.Memory. Zero: two. More wait, for as long as their uploads do.
	Concurrency int
}

// Gate makes the gate of a registry: it compares a release with the highest release below it,
// and refuses it when its version promises more than [Enough] allows. A yanked release counts
// as well, because it has users. Gate returns an error if the go command is missing.
//
// What cannot be judged is [registry.VerdictUnknown], which is no pass. Passed without a
// comparison are first releases, because nobody uses an older one, and pseudo-versions,
// which promise nothing.
//
// Who knows better overrides with a reason; that is asked for and recorded by the
// registry.
func Gate(opts *GateOptions) (registry.Gate, error) {
	var o GateOptions
	if opts != nil {
		o = *opts
	}
	checker, err := New(&o.Options)
	if err != nil {
		return nil, err
	}
	if o.Upstream != "" && len(o.Private) == 0 {
		return nil, errors.New("apicheck: Private: must be given with Upstream, or names of private modules would be told there")
	}
	if o.Concurrency < 0 {
		return nil, fmt.Errorf("apicheck: Concurrency: must not be negative, got %d", o.Concurrency)
	}
	if _, err := exec.LookPath(checker.opts.Go); err != nil {
		return nil, fmt.Errorf("apicheck: Go: %w", err)
	}
	g := &gate{places: make(chan struct{}, cmp.Or(o.Concurrency, 2)), checker: checker, upstream: o.Upstream, private: strings.Join(o.Private, ",")}
	if _, err := (Module{Path: "example.com", Version: "v0.0.0", Proxy: o.Upstream, Dir: "."}).checked(); err != nil {
		return nil, errors.New("apicheck: Upstream: must be URLs with http, https or file")
	}
	return g.judge, nil
}

type gate struct {
	places            chan struct{}
	checker           *Checker
	upstream, private string
}

func (g *gate) judge(ctx context.Context, r *registry.Release) (registry.Judgement, error) {
	pass := func(reason string) (registry.Judgement, error) {
		return registry.Judgement{Verdict: registry.VerdictPass, Reason: reason}, nil
	}
	if module.IsPseudoVersion(r.Version) {
		return pass("a pseudo-version promises nothing")
	}
	old := before(r.Versions, r.Version)
	if old == "" {
		return pass("there is no earlier release to compare with")
	}
	select {
	case g.places <- struct{}{}:
		defer func() { <-g.places }()
	case <-ctx.Done():
		return registry.Judgement{}, ctx.Err()
	}
	lost := &missing{names: map[string]bool{}}
	address, stop, err := g.serve(ctx, lost.watch(r.Proxy))
	if err != nil {
		return registry.Judgement{}, fmt.Errorf("apicheck: %w", err)
	}
	defer stop()
	proxy := address
	if g.upstream != "" {
		proxy += "," + g.upstream
	}
	v, err := g.checker.compare(ctx, Module{Path: r.Path, Version: old, Proxy: proxy}, Module{Path: r.Path, Version: r.Version, Proxy: proxy}, address)
	if err != nil {
		return registry.Judgement{}, err
	}
	j := judgement(r.Path, old, r.Version, v)
	if names := lost.list(); j.Verdict == registry.VerdictUnknown && g.upstream == "" && names != "" {
		j.Reason += "; the registry does not have " + names + ": if another one has, set GateOptions.Upstream to its address"
	}
	return j, nil
}

// Missing are the versions of modules that the go command has asked a registry for, and that
// it does not have.
type missing struct {
	mu    sync.Mutex
	names map[string]bool
}

func (m *missing) watch(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&watcher{ResponseWriter: w, note: func() {
			name, file, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/@v/")
			dot := strings.LastIndexByte(file, '.')
			if dot < 0 {
				return // of a list: the go command looks for modules there that need not exist
			}
			path, err := module.UnescapePath(name)
			version, err2 := module.UnescapeVersion(file[:dot])
			if err == nil && err2 == nil {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.names[path+"@"+version] = true
			}
		}}, r)
	})
}

// list gives the first few.
func (m *missing) list() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	const most = 5
	names := sortedKeys(m.names)
	if len(names) > most {
		names = append(slices.Clip(names[:most]), fmt.Sprintf("%d more", len(names)-most))
	}
	return strings.Join(names, ", ")
}

// A watcher notes answers that a file is missing.
type watcher struct {
	http.ResponseWriter
	note func()
}

func (w *watcher) WriteHeader(status int) {
	if status == http.StatusNotFound || status == http.StatusGone {
		w.note()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *watcher) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func judgement(path, old, version string, v Verdict) registry.Judgement {
	j := registry.Judgement{Verdict: registry.VerdictRefuse}
	ok, advice := Enough(path, old, version, v.Bump)
	incompatible := v.Incompatible()
	switch {
	case ok:
		j.Verdict = registry.VerdictPass
		j.Reason = fmt.Sprintf("since %s there are %d incompatible and %d compatible changes", old, len(incompatible), len(v.Changes)-len(incompatible))
	case v.Bump == BumpMajor:
		j.Reason = fmt.Sprintf("%s is not enough for %d incompatible changes since %s; %s", version, len(incompatible), old, advice)
	case v.Bump == BumpMinor:
		j.Reason = fmt.Sprintf("%s is not enough for what has been added since %s; %s", version, old, advice)
	default:
		j.Verdict = registry.VerdictUnknown
		j.Reason = "whether the API has changed since " + old + " cannot be judged; " + advice
	}
	j.Details = append(j.Details, v.Problems...)
	for _, c := range v.Changes {
		// What is added breaks no one; it is a ground only where it is the only one.
		if !c.Compatible || !ok && v.Bump == BumpMinor {
			j.Details = append(j.Details, c.String())
		}
	}
	return j
}

// before is the highest release below a version; prereleases and pseudo-versions
// promise nothing that could be broken.
func before(versions []string, version string) string {
	best := ""
	for _, v := range versions {
		if semver.Prerelease(v) == "" && semver.Compare(v, version) < 0 && (best == "" || semver.Compare(v, best) > 0) {
			best = v
		}
	}
	return best
}

// serve lets the go command of a worker read the registry, at an address on loopback
// that others cannot guess.
func (g *gate) serve(ctx context.Context, h http.Handler) (url string, stop func(), err error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	secret := "/" + rand.Text()
	base, cancel := context.WithCancel(ctx)
	server := &http.Server{
		Handler:           http.StripPrefix(secret, g.keep(h)),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // the comparison tells when it cannot read
	}()
	return "http://" + l.Addr().String() + secret, func() {
		cancel()
		_ = server.Close()
		<-done
	}, nil
}

// keep answers 403 for private modules that are not there. At 404 the go command would ask
// upstream, and so tell their names.
func (g *gate) keep(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/@")
		path, err := module.UnescapePath(name)
		if err != nil || module.MatchPrefixPatterns(g.private, path) {
			w = &keeper{ResponseWriter: w}
		}
		h.ServeHTTP(w, r)
	})
}

type keeper struct{ http.ResponseWriter }

func (k *keeper) WriteHeader(status int) {
	if status == http.StatusNotFound || status == http.StatusGone {
		status = http.StatusForbidden
	}
	k.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (k *keeper) Unwrap() http.ResponseWriter { return k.ResponseWriter }
