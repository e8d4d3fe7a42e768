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
)

// ProxyOptions are what a [Proxy] works with. Nil options are the defaults.
type ProxyOptions struct {
	// HTTP sends the requests; its transport may add credentials. Nil: a client like
	// http.DefaultClient.
	HTTP *http.Client

	// Modules are patterns, as in a policy, of the modules that the proxy is asked about:
	// it never hears of others. Nil: all.
	Modules []string

	// Sums has each version's zip downloaded, to a temporary file, for its sum. Otherwise sums
	// are not known.
	Sums bool

	// Timeout is for each request, body included; for a zip it is ten times as long.
	// Zero: ten seconds.
	Timeout time.Duration

	// Concurrency bounds the requests at a time. Zero: eight.
	Concurrency int

	// Keep is how long an answer is kept. Zero: five minutes. At most 10,000 answers
	// are kept.
	Keep time.Duration
}

// A Proxy is a [ModuleSource] that reads the module proxy protocol
// (https://go.dev/ref/mod#goproxy-protocol), which private registries and the public
// proxies speak. It may be used by any number of goroutines.
//
// It knows retractions and deprecations as the go command does, from the go.mod file of
// the latest version. Answers are bounded in size; a zip is at most 500 MB.
type Proxy struct {
	base    *url.URL
	opts    ProxyOptions
	client  *http.Client
	only    []pattern
	places  chan struct{}
	mu      sync.Mutex
	modules map[string]kept[about]
	infos   map[string]kept[info]
}

type kept[T any] struct {
	until time.Time
	value T
	err   error // fs.ErrNotExist, or nil
}

// about is what is known of a module.
type about struct {
	latest, latestIncompatible string
	deprecated                 string
	retract                    []*modfile.Retract
}

// info is what is known of a version; it is the form of .info files.
type info struct {
	Version string
	Time    time.Time
	sum     string
}

const maxKept = 10_000

// NewProxy makes a registry of the proxy at a URL, http or https. A user and a password
// in it are sent with each request, and told in no error.
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
		pat, err := parsePattern(text)
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

// Status asks the proxy, or gives what it has said lately.
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

// recall gives what is kept, or what fetch says. That something is missing is kept, too;
// other errors are not.
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
		return in, errors.New("the .info file names no version")
	}
	return in, nil
}

const (
	maxInfo = 64 << 10
	maxList = 4 << 20
)

// module is about all versions, as the go command sees them: what the latest one says
// holds, also where it is retracted by itself.
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
	said := highest(versions, nil, false)
	if said == "" && highest(versions, nil, true) == "" {
		// A module without releases: its repository's last commit is the latest.
		data, err := p.get(ctx, escaped+"/@latest", maxInfo)
		if errors.Is(err, fs.ErrNotExist) {
			return about{}, nil // all that is known is the version that runs
		}
		if err != nil {
			return about{}, err
		}
		in, err := parseInfo(data)
		if err != nil {
			return about{}, err
		}
		said = in.Version
		versions = []string{said}
	}
	var mod about
	if said != "" {
		data, err := p.version(ctx, path, said, ".mod", modzip.MaxGoMod)
		if err != nil {
			return about{}, fmt.Errorf("%s: %w", said, err)
		}
		f, err := modfile.ParseLax("go.mod", data, nil)
		if err != nil {
			return about{}, fmt.Errorf("%s: %w", said, err)
		}
		if f.Module != nil {
			mod.deprecated = f.Module.Deprecated
		}
		mod.retract = f.Retract
	}
	mod.latest, mod.latestIncompatible = highest(versions, mod.retract, false), highest(versions, mod.retract, true)
	return mod, nil
}

// parseList reads the versions of a list, one a line; what follows a space is not one's.
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

// highest is the version that "latest" means: the highest release that is not retracted,
// or else the highest prerelease.
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

// retractedBy gives the reason, or the go command's words where the author gives none.
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

// stream reads a file of the proxy. The errors name no host: what stands there may be a
// secret.
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
		// Why a version is blocked stands there, for one; the go command prints it, too.
		if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "text/plain" {
			if said, _ := io.ReadAll(io.LimitReader(resp.Body, 600)); len(bytes.TrimSpace(said)) > 0 {
				err = fmt.Errorf("%w: %s", err, shown(string(said)))
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
