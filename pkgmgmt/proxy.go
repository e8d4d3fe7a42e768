package pkgmgmt

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/sumdb/dirhash"
	modzip "golang.org/x/mod/zip"

	"github.com/upkeep-go/upkeep/internal/modpattern"
)

// ProxyOptions configure a [Proxy]. Nil options are the defaults.
type ProxyOptions struct {
	// HTTP sends the requests. Its transport may add credentials. Nil means a client like
	// http.DefaultClient.
	HTTP *http.Client

	// Modules are patterns, as in a policy, of the modules that the proxy is asked for. Names
	// of other modules are not sent to it. Nil means all.
	Modules []string

	// Sums makes the proxy compute the sum of each version, for which it downloads the zip to
	// a temporary file. False means that sums are unknown.
	Sums bool

	// Timeout for each request with its body. A zip has ten times as long. Zero means 10s.
	Timeout time.Duration

	// Concurrency is how many requests run at once. Zero means 8.
	Concurrency int

	// Keep is how long a response is cached, of at most 10,000. Zero means 5m.
	Keep time.Duration
}

// A Proxy is a [ModuleSource] that reads the module proxy protocol
// (https://go.dev/ref/mod#goproxy-protocol), which private registries and the public
// proxies implement. It is safe for concurrent use.
//
// Like the go command it reads retractions and deprecations from the go.mod file of the latest
// version. Responses are bounded in size; a zip may have 500 MB.
type Proxy struct {
	base    *url.URL
	opts    ProxyOptions
	client  *http.Client
	only    []modpattern.Pattern
	places  chan struct{}
	mu      sync.Mutex
	modules map[string]kept[about]
	infos   map[string]kept[info]
}

type kept[T any] struct {
	until time.Time
	value T
	err   error // nil or fs.ErrNotExist
}

// about is what the proxy knows about a module.
type about struct {
	latest, latestIncompatible string
	deprecated                 string
	retract                    []*modfile.Retract
}

// info is the content of an .info file.
type info struct {
	Version string
	Time    time.Time
	sum     string
}

const maxKept = 10_000

// NewProxy returns a module source for the proxy at a URL with http or https. A user and a
// password in it are sent with each request and never appear in errors.
func NewProxy(rawURL string, opts *ProxyOptions) (*Proxy, error) {
	p := &Proxy{modules: map[string]kept[about]{}, infos: map[string]kept[info]{}}
	if opts != nil {
		p.opts = *opts
	}
	var err error
	if p.base, err = url.Parse(rawURL); err != nil || p.base.Scheme != "http" && p.base.Scheme != "https" || p.base.Host == "" {
		return nil, errors.New("pkgmgmt: the proxy must be a URL with http or https and a host")
	}
	for i, text := range p.opts.Modules {
		pat, err := modpattern.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("pkgmgmt: Modules[%d]: %w", i, err)
		}
		p.only = append(p.only, pat)
	}
	p.opts.Timeout = cmp.Or(p.opts.Timeout, 10*time.Second)
	p.opts.Keep = cmp.Or(p.opts.Keep, 5*time.Minute)
	p.opts.Concurrency = cmp.Or(p.opts.Concurrency, asking)
	if p.opts.Timeout < 0 || p.opts.Keep < 0 || p.opts.Concurrency < 0 {
		return nil, errors.New("pkgmgmt: Timeout, Keep and Concurrency must not be negative")
	}
	p.places = make(chan struct{}, p.opts.Concurrency)
	p.client = cmp.Or(p.opts.HTTP, &http.Client{})
	return p, nil
}

// Status implements [ModuleSource]. It asks the proxy unless the response is cached.
func (p *Proxy) Status(ctx context.Context, path, version string) (st Status, err error) {
	if p.opts.Modules != nil && !anyMatches(p.only, path) {
		return st, nil
	}
	if err := module.Check(path, version); err != nil {
		return st, fmt.Errorf("pkgmgmt: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("pkgmgmt: %s@%s: %w", path, version, err)
		}
	}()
	own, err := p.info(ctx, path, version)
	if err != nil {
		return st, err
	}
	st.Time, st.Sum = own.Time, own.sum
	mod, err := recall(p, p.modules, path, func() (about, error) { return p.module(ctx, path) })
	if err != nil {
		return st, err
	}
	st.Deprecated = mod.deprecated
	st.Retracted = retractedBy(mod.retract, version)
	st.Latest = mod.latest
	if mod.latestIncompatible != "" && (mod.latest == "" || strings.HasSuffix(version, "+incompatible")) {
		st.Latest = mod.latestIncompatible
	}
	if st.Latest == version {
		st.LatestTime = st.Time
	} else if st.Latest != "" {
		latest, err := p.info(ctx, path, st.Latest)
		if err != nil {
			return Status{}, fmt.Errorf("the latest version: %w", err)
		}
		st.LatestTime = latest.Time
	}
	return st, nil
}

// recall returns the cached value, or calls fetch and caches its result, which may be
// fs.ErrNotExist. Other errors are not cached.
func recall[T any](p *Proxy, keep map[string]kept[T], key string, fetch func() (T, error)) (T, error) {
	p.mu.Lock()
	k, ok := keep[key]
	p.mu.Unlock()
	if ok && time.Now().Before(k.until) {
		return k.value, k.err
	}
	value, err := fetch()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return value, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(keep) >= maxKept {
		clear(keep)
	}
	keep[key] = kept[T]{time.Now().Add(p.opts.Keep), value, err}
	return value, err
}

func (p *Proxy) info(ctx context.Context, path, version string) (info, error) {
	return recall(p, p.infos, path+"@"+version, func() (info, error) {
		data, err := p.version(ctx, path, version, ".info", maxInfo)
		if err != nil {
			return info{}, err
		}
		in, err := parseInfo(data)
		if err != nil {
			return info{}, err
		}
		if p.opts.Sums {
			in.sum, err = p.sum(ctx, path, version)
		}
		return in, err
	})
}

func parseInfo(data []byte) (info, error) {
	var in info
	if err := json.Unmarshal(data, &in); err != nil {
		return in, fmt.Errorf("the .info file: %w", err)
	}
	if !semver.IsValid(in.Version) {
		return in, errors.New("the .info file has no version")
	}
	return in, nil
}

const (
	maxInfo = 64 << 10
	maxList = 4 << 20
)

// module returns what the latest version says about all versions, as the go command does,
// even if that version retracts itself.
func (p *Proxy) module(ctx context.Context, path string) (about, error) {
	escaped, err := module.EscapePath(path)
	if err != nil {
		return about{}, err
	}
	data, err := p.get(ctx, escaped+"/@v/list", maxList)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return about{}, err
	}
	versions := parseList(data)
	newest := highest(versions, nil, false)
	if newest == "" && highest(versions, nil, true) == "" {
		// In a module without releases the last commit of the repository is the latest
		// version.
		data, err := p.get(ctx, escaped+"/@latest", maxInfo)
		if errors.Is(err, fs.ErrNotExist) {
			return about{}, nil // the registry only has the version of the build
		}
		if err != nil {
			return about{}, err
		}
		in, err := parseInfo(data)
		if err != nil {
			return about{}, err
		}
		newest = in.Version
		versions = []string{newest}
	}
	var mod about
	if newest != "" {
		data, err := p.version(ctx, path, newest, ".mod", modzip.MaxGoMod)
		if err != nil {
			return about{}, fmt.Errorf("%s: %w", newest, err)
		}
		f, err := modfile.ParseLax("go.mod", data, nil)
		if err != nil {
			return about{}, fmt.Errorf("%s: %w", newest, err)
		}
		if f.Module != nil {
			mod.deprecated = f.Module.Deprecated
		}
		mod.retract = f.Retract
	}
	mod.latest, mod.latestIncompatible = highest(versions, mod.retract, false), highest(versions, mod.retract, true)
	return mod, nil
}

// parseList reads a list with one version on each line. Text after a space is ignored.
func parseList(data []byte) []string {
	var all []string
	for line := range bytes.Lines(data) {
		if fields := bytes.Fields(line); len(fields) > 0 {
			if v := string(fields[0]); semver.IsValid(v) && module.CanonicalVersion(v) == v {
				all = append(all, v)
			}
		}
	}
	return all
}

// highest returns the version that "latest" means: the highest release that is not retracted,
// else the highest prerelease.
func highest(versions []string, retract []*modfile.Retract, incompatible bool) string {
	best, isRelease := "", false
	for _, v := range versions {
		if strings.HasSuffix(v, "+incompatible") != incompatible || retractedBy(retract, v) != "" {
			continue
		}
		release := semver.Prerelease(v) == ""
		if best == "" || release && !isRelease || release == isRelease && semver.Compare(v, best) > 0 {
			best, isRelease = v, release
		}
	}
	return best
}

// retractedBy returns the author's reason, or the go command's text without one.
func retractedBy(retract []*modfile.Retract, version string) string {
	for _, r := range retract {
		if semver.Compare(r.Low, version) <= 0 && semver.Compare(version, r.High) <= 0 {
			return cmp.Or(r.Rationale, "retracted by module author")
		}
	}
	return ""
}

func (p *Proxy) sum(ctx context.Context, path, version string) (sum string, err error) {
	f, err := os.CreateTemp("", "pkgmgmt-*.zip")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	name, err := filePath(path, version, ".zip")
	if err == nil {
		err = p.stream(ctx, name, modzip.MaxZipFile, 10*p.opts.Timeout, f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return dirhash.HashZip(f.Name(), dirhash.Hash1)
}

func filePath(path, version, suffix string) (string, error) {
	escapedPath, err := module.EscapePath(path)
	if err != nil {
		return "", err
	}
	escapedVersion, err := module.EscapeVersion(version)
	if err != nil {
		return "", err
	}
	return escapedPath + "/@v/" + escapedVersion + suffix, nil
}

func (p *Proxy) version(ctx context.Context, path, version, suffix string, limit int64) ([]byte, error) {
	name, err := filePath(path, version, suffix)
	if err != nil {
		return nil, err
	}
	return p.get(ctx, name, limit)
}

func (p *Proxy) get(ctx context.Context, name string, limit int64) ([]byte, error) {
	var b bytes.Buffer
	err := p.stream(ctx, name, limit, p.opts.Timeout, &b)
	return b.Bytes(), err
}

// stream reads a file of the proxy. Its errors have no host, because that may be a secret.
func (p *Proxy) stream(ctx context.Context, name string, limit int64, timeout time.Duration, to io.Writer) error {
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base.JoinPath(name).String(), nil)
	if err != nil {
		return withoutURL(err)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return fs.ErrNotExist
	default:
		err := fmt.Errorf("the registry answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
		// The body has the reason, for example for a blocked version. The go command prints it
		// as well.
		if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "text/plain" {
			if text, _ := io.ReadAll(io.LimitReader(resp.Body, 600)); len(bytes.TrimSpace(text)) > 0 {
				err = fmt.Errorf("%w: %s", err, shown(string(text)))
			}
		}
		return err
	}
	n, err := io.Copy(to, io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return withoutURL(err)
	}
	if n > limit {
		return fmt.Errorf("the registry's answer is larger than %d bytes", limit)
	}
	return nil
}

func withoutURL(err error) error {
	if fault, ok := errors.AsType[*url.Error](err); ok {
		return fault.Err
	}
	return err
}
