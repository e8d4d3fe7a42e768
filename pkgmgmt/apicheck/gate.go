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

// GateOptions configure a gate. Nil means the defaults.
type GateOptions struct {
	// Options configure the comparison.
	Options

	// Upstream has the dependencies that the registry lacks: URLs as in [Module.Proxy]. Empty
	// means that a module with such dependencies cannot be judged; the judgement then names
	// them and this field.
	Upstream string

	// Private are prefixes of module paths, as in registry.Options. Modules below them are
	// never requested from Upstream. They are required with Upstream.
	Private []string

	// Concurrency bounds concurrent comparisons. Each may use twice Options.Memory. Further
	// comparisons wait until their upload ends. Zero means two.
	Concurrency int
}

// Gate returns a gate for a registry. The gate compares a release with the highest release below
// it, also if that one is yanked, and refuses it unless its version is [Enough]. First releases
// and pseudo-versions pass without a comparison. A release that cannot be judged gets
// [registry.VerdictUnknown] and is not published. The registry accepts an override with a reason.
//
// Gate returns an error if the go command is missing or an option is invalid.
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
		return nil, errors.New("apicheck: Private: is required with Upstream, because names of private modules must not be sent there")
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

// missing are the module versions that the go command requested and the registry lacks.
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
				return // a list: the go command also requests lists of modules that may not exist
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

// list returns the first few.
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

// A watcher records 404 answers.
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

// Unwrap is used by http.ResponseController.
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
		j.Reason = "cannot judge whether the API has changed since " + old + "; " + advice
	}
	j.Details = append(j.Details, v.Problems...)
	for _, c := range v.Changes {
		// An addition is a reason only if the version's bump is too small for additions.
		if !c.Compatible || !ok && v.Bump == BumpMinor {
			j.Details = append(j.Details, c.String())
		}
	}
	return j
}

// before returns the highest release below a version. Prereleases and pseudo-versions are
// skipped, because they promise no compatibility.
func before(versions []string, version string) string {
	best := ""
	for _, v := range versions {
		if semver.Prerelease(v) == "" && semver.Compare(v, version) < 0 && (best == "" || semver.Compare(v, best) > 0) {
			best = v
		}
	}
	return best
}

// serve serves the registry to a worker's go command, at a secret path on loopback.
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
		_ = server.Serve(l) // if it fails, the comparison fails
	}()
	return "http://" + l.Addr().String() + secret, func() {
		cancel()
		_ = server.Close()
		<-done
	}, nil
}

// keep answers 403 for missing private modules. At 404 the go command would send their names to
// Upstream.
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

// Unwrap is used by http.ResponseController.
func (k *keeper) Unwrap() http.ResponseWriter { return k.ResponseWriter }
