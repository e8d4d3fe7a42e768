package registry

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/upkeep-go/upkeep/pkgmgmt"
)

// An Upstream is a module proxy for public modules, with a cache on a local disk. The package
// comment describes how a registry uses it.
type Upstream struct {
	// URL is the http or https URL of the module proxy. A name and password in it are sent by
	// Basic authentication, to that host only. It is required.
	URL string

	// HTTP sends the requests. Nil means a client like http.DefaultClient. A redirect from
	// https to http is always refused.
	HTTP *http.Client

	// Dir is the folder of the cache. Its parent must exist. Several processes of one machine
	// may share it. Empty means the folder ".upstream" inside of [Dir]; other stores require it.
	Dir string

	// MaxBytes bounds the cache, in bytes. Above it the files that were not used for the
	// longest time are removed. The sums of removed versions stay. Zero means 10 GiB.
	MaxBytes int64

	// Fresh is how long lists, @latest and other answers that can change are used before they
	// are fetched again. Zero means one minute.
	Fresh time.Duration

	// MinAge is the minimum age of versions by pattern: a module path in which "..." matches
	// any text, as in {"...": 7 * 24 * time.Hour, "golang.org/x/...": 0}. The longest pattern
	// that matches a module counts. A younger version is refused. See the package comment.
	// Empty means none.
	MinAge map[string]time.Duration

	// Policy refuses versions by its rules allow, deny and require. Its other rules are ignored
	// here. Nil means none.
	Policy *pkgmgmt.Policy

	// Timeout bounds the fetch of a file. A zip may take ten times as long. Zero means 30s.
	Timeout time.Duration

	// SumDB is the checksum database that verifies fetched modules, in the form of
	// go env GOSUMDB: sum.golang.org, or a name with its key. The upstream must serve it below
	// /sumdb/. Empty means sum.golang.org if the upstream serves it, and otherwise no
	// verification. "off" means no verification.
	SumDB string
}

// maxFetches bounds the concurrent requests to the upstream.
const maxFetches = 64

// stalePause is how long a cached answer is used after a failed fetch before the next try.
const stalePause = 5 * time.Second

// An upstream serves public modules from its cache, and fetches what the cache lacks.
type upstream struct {
	base    *url.URL
	client  *http.Client
	timeout time.Duration
	fresh   time.Duration
	cache   *upstreamCache
	db      *checksums // nil means no verification
	vulns   *vulnCheck

	cooldowns []cooldown
	policy    *pkgmgmt.Policy

	flights flights
	places  chan struct{}
	checks  chan struct{} // as Registry.checks
	log     *slog.Logger
	stats   upstreamCounters
}

type upstreamCounters struct {
	fetches, failures, stale, unverified, received atomic.Int64
}

func newUpstream(o *Upstream, store Store, checks chan struct{}, vulns *vulnCheck, log *slog.Logger) (*upstream, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("Options.Upstream: URL: must be the http or https URL of a module proxy") // not quoted, because it may have a password
	}
	if o.MaxBytes < 0 || o.Fresh < 0 || o.Timeout < 0 {
		return nil, errors.New("Options.Upstream: MaxBytes, Fresh and Timeout must not be negative")
	}
	u := &upstream{
		base: base, client: boundedClient(o.HTTP), timeout: o.Timeout, fresh: o.Fresh,
		cache:  &upstreamCache{max: o.MaxBytes, uses: map[string]time.Time{}, until: map[string]time.Time{}, proofs: map[string]fileProof{}, old: map[string]struct{}{}},
		places: make(chan struct{}, maxFetches), checks: checks, log: log, policy: o.Policy, vulns: vulns,
	}
	if u.timeout == 0 {
		u.timeout = 30 * time.Second
	}
	if u.fresh == 0 {
		u.fresh = time.Minute
	}
	if u.cache.max == 0 {
		u.cache.max = 10 << 30
	}
	folder := o.Dir
	if d, ok := store.(*dir); ok && folder == "" {
		folder, u.cache.parent = filepath.Join(d.root, upstreamFolder), d
	}
	if folder == "" {
		return nil, errors.New("Options.Upstream: Dir: is required, because the store is not a Dir")
	}
	u.cache.dir = Dir(folder).(*dir)
	if u.cooldowns, err = newCooldowns(o.MinAge); err != nil {
		return nil, fmt.Errorf("Options.Upstream: %w", err)
	}
	if u.db, err = newChecksums(o.SumDB, u); err != nil {
		return nil, fmt.Errorf("Options.Upstream: SumDB: %w", err)
	}
	return u, nil
}

// answer answers a request for a public module.
func (u *upstream) answer(r *request, cached string) *Refusal {
	at, ctx := &r.at, r.Context()
	var data []byte
	var err error
	kind, cache := textType, fresh
	switch at.kind {
	case kindList:
		data, err = u.list(ctx, at)
	case kindLatest:
		kind = jsonType
		data, err = u.latest(ctx, at)
	case kindQuery:
		kind = jsonType
		if data, err = u.changing(ctx, at.file+".info", maxInfo, func(data []byte) ([]byte, error) { return data, checkInfo(at.module, "", data) }); err == nil {
			var info versionInfo
			if info, err = decodeInfo(data); err == nil {
				err = u.admit(ctx, at.at(info.Version))
			}
		}
	case kindInfo:
		kind, cache = jsonType, cached
		if err = u.admit(ctx, at); err == nil {
			data, err = u.fixed(ctx, at, ".info")
		}
	case kindMod: // also of a young version, because older builds have it in their graph
		cache = cached
		data, err = u.fixed(ctx, at, ".mod")
	default:
		if err = u.admit(ctx, at); err == nil {
			return u.answerZip(r, cached)
		}
	}
	if err != nil {
		return broken(err)
	}
	return send(r, data, kind, cache)
}

// changing returns a file that can change at the upstream. If the upstream fails, it returns
// the cached file.
func (u *upstream) changing(ctx context.Context, name string, most int64, check func([]byte) ([]byte, error)) ([]byte, error) {
	return u.changingAs(ctx, name, name, most, check)
}

// changingAs is changing for a file with another name at the upstream.
func (u *upstream) changingAs(ctx context.Context, name, remote string, most int64, check func([]byte) ([]byte, error)) ([]byte, error) {
	return u.cached(ctx, name, remote, most, func(ctx context.Context) (data []byte, usable, current bool) {
		data, err := u.cache.read(ctx, name)
		return data, err == nil, err == nil && u.cache.isFresh(name)
	}, check)
}

// cached returns a file from the cache if it is current, and fetches it otherwise. If the
// upstream fails, it returns the last answer in the cache if that is usable. The answer may be
// a 404.
func (u *upstream) cached(ctx context.Context, name, remote string, most int64, lookUp func(context.Context) (data []byte, usable, current bool), check func([]byte) ([]byte, error)) ([]byte, error) {
	if data, _, current := lookUp(ctx); current {
		return data, nil
	}
	missing := name + missingEnd
	if text, err := u.cache.read(ctx, missing); err == nil && u.cache.isFresh(missing) {
		return nil, refuse(http.StatusNotFound, ruleNotFound, string(text))
	}
	data, err := u.flights.do(ctx, name, func(ctx context.Context) ([]byte, error) {
		if data, _, current := lookUp(ctx); current {
			return data, nil // another request fetched it meanwhile
		}
		data, err := u.small(ctx, remote, most)
		if err == nil {
			data, err = check(data)
		}
		if refusal, ok := errors.AsType[*Refusal](err); ok && refusal.Status == http.StatusNotFound {
			u.save(ctx, missing, []byte(refusal.Detail))
			u.cache.remove(name)
		}
		if err != nil {
			return nil, err
		}
		u.save(ctx, name, data)
		return data, nil
	})
	if err == nil || isMissing(err) {
		return data, err
	}
	if data, usable, _ := lookUp(ctx); usable {
		u.stats.stale.Add(1)
		u.cache.keepFresh(name, min(u.fresh, stalePause))
		return data, nil
	}
	if text, failed := u.cache.read(ctx, missing); failed == nil {
		u.stats.stale.Add(1)
		u.cache.keepFresh(missing, min(u.fresh, stalePause))
		return nil, refuse(http.StatusNotFound, ruleNotFound, string(text))
	}
	return nil, err
}

// save writes a fetched file to the cache. A failure is logged, because the file can be served
// without the cache.
func (u *upstream) save(ctx context.Context, name string, data []byte) {
	if err := u.cache.write(ctx, name, data); err != nil {
		u.log.LogAttrs(ctx, slog.LevelError, "the upstream cache cannot be written", slog.String("cause", err.Error()))
		return
	}
	u.cache.keepFresh(name, u.fresh)
}

// fixed returns the .info or .mod of a version.
func (u *upstream) fixed(ctx context.Context, at *target, end string) ([]byte, error) {
	name := at.file + end
	most := int64(maxInfo)
	check := func(data []byte) ([]byte, error) { return data, checkInfo(at.module, at.version, data) }
	if end == ".mod" {
		most = maxPublic
		check = func(data []byte) ([]byte, error) {
			if err := checkMod(data); err != nil {
				return nil, err
			}
			return data, u.pin(context.WithoutCancel(ctx), at, modSumEnd, sumOfGoMod(data))
		}
	}
	return u.cached(ctx, name, name, most, func(ctx context.Context) (data []byte, usable, current bool) {
		data, st, err := u.cache.load(ctx, name)
		current = err == nil && u.intact(ctx, at, end, data, st)
		return data, current, current
	}, check)
}

// intact reports whether a cached .info or .mod is undamaged.
func (u *upstream) intact(ctx context.Context, at *target, end string, data []byte, st stamp) bool {
	if end == ".info" {
		return checkInfo(at.module, at.version, data) == nil
	}
	name := at.file + end
	if _, ok := u.cache.proof(name, st); ok {
		return true
	}
	sum, err := u.cache.read(ctx, at.file+modSumEnd)
	if err != nil || string(sum) != sumOfGoMod(data) {
		return false
	}
	u.cache.prove(name, st, string(sum))
	return true
}

func (u *upstream) answerZip(r *request, cached string) *Refusal {
	ctx, at := r.Context(), &r.at
	what := at.module + "@" + at.version
	for range 2 {
		f, sum, err := u.openZip(ctx, at)
		if err == nil {
			defer f.Close()
			h := r.w.Header()
			h.Set("Etag", `"`+sum+`"`)
			h.Set("Content-Type", zipType)
			h.Set("Cache-Control", cached)
			h.Set("X-Content-Type-Options", "nosniff")
			http.ServeContent(r.w, r.Request, "", time.Time{}, f)
			return nil
		}
		if ctx.Err() != nil {
			return broken(err)
		}
		_, err = u.flights.do(ctx, at.file+".zip", func(ctx context.Context) ([]byte, error) {
			if f, _, err := u.openZip(ctx, at); err == nil {
				return nil, f.Close() // another request fetched it meanwhile
			}
			return nil, u.fetchZip(ctx, at)
		})
		if err != nil {
			return broken(err)
		}
	}
	return refuse(http.StatusServiceUnavailable, ruleUpstream, what+" was removed from a full cache: raise Upstream.MaxBytes")
}

// openZip opens a cached zip. It removes a damaged one and returns fs.ErrNotExist.
func (u *upstream) openZip(ctx context.Context, at *target) (File, string, error) {
	name := at.file + ".zip"
	f, err := u.cache.open(ctx, name)
	if err != nil {
		return nil, "", err
	}
	sum, err := u.sumOf(ctx, at, f)
	if err != nil {
		f.Close()
		return nil, "", err
	}
	return f, sum, nil
}

// sumOf returns the sum of an open zip of the cache. It reads the zip unless that was done
// since its last change.
func (u *upstream) sumOf(ctx context.Context, at *target, f File) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	name, st := at.file+".zip", stampOf(info)
	if sum, ok := u.cache.proof(name, st); ok {
		return sum, nil
	}
	sum, err := u.cache.read(ctx, at.file+zipSumEnd)
	if err != nil {
		return "", err
	}
	if err := u.prove(ctx, at, string(sum)); err != nil {
		return "", err
	}
	u.cache.prove(name, st, string(sum))
	return string(sum), nil
}

// prove compares the content of a cached zip with its sum.
func (u *upstream) prove(ctx context.Context, at *target, sum string) error {
	select {
	case u.checks <- struct{}{}:
		defer func() { <-u.checks }()
	case <-ctx.Done():
		return ctx.Err()
	}
	got, err := catalog{store: u.cache.dir}.sumOfZip(ctx, at)
	if err == nil && got == sum {
		return nil
	}
	if _, failed := errors.AsType[*fs.PathError](err); failed {
		return err
	}
	u.log.LogAttrs(ctx, slog.LevelError, "a zip in the upstream cache is damaged and is fetched again",
		slog.String("module", at.module), slog.String("version", at.version))
	u.cache.remove(at.file + ".zip")
	return &fs.PathError{Op: "open", Path: at.file, Err: fs.ErrNotExist}
}

func (u *upstream) fetchZip(ctx context.Context, at *target) error {
	f, err := u.cache.temp()
	if err != nil {
		return err
	}
	defer discard(f)
	if err := u.get(ctx, at.file+".zip", 10*u.timeout, zip.MaxZipFile, f); err != nil {
		return err
	}
	sum, err := u.checkZip(ctx, module.Version{Path: at.module, Version: at.version}, f)
	if err != nil {
		return err
	}
	if err := u.pin(ctx, at, zipSumEnd, sum); err != nil {
		return err
	}
	return u.cache.put(at.file+".zip", f)
}

// pin verifies the sum of fetched content and records it. Without a checksum database later
// content of the version must have the same sum, also after the content was removed from the
// cache.
func (u *upstream) pin(ctx context.Context, at *target, end, sum string) error {
	old, err := u.cache.read(ctx, at.file+end)
	if err == nil && string(old) == sum {
		return nil
	}
	what := at.module + "@" + at.version
	if end == modSumEnd {
		what += "/go.mod"
	}
	want, failed := u.db.sum(ctx, at, end == modSumEnd)
	switch {
	case failed != nil:
		return failed
	case want == "" && err == nil && isSum(string(old)):
		return u.tampered(ctx, what, sum, "this registry fetched", string(old))
	case want == "":
		u.stats.unverified.Add(1)
	case want != sum:
		return u.tampered(ctx, what, sum, u.db.name+" has", want)
	}
	return u.cache.write(ctx, at.file+end, []byte(sum))
}

// isSum reports whether a text is an h1: sum. A damaged file may not have one.
func isSum(text string) bool {
	sum, ok := strings.CutPrefix(text, "h1:")
	data, err := base64.StdEncoding.DecodeString(sum)
	return ok && err == nil && len(data) == sha256.Size
}

// tampered logs and returns a checksum mismatch.
func (u *upstream) tampered(ctx context.Context, what, sum, source, want string) *Refusal {
	u.log.LogAttrs(ctx, slog.LevelError, "checksum mismatch of the upstream", slog.String("file", what), slog.String("sum", sum), slog.String("want", want))
	return refuse(http.StatusBadGateway, ruleChecksum, fmt.Sprintf("%s: checksum mismatch: the upstream's content has %s, but %s %s: it was changed after its release", what, sum, source, want))
}
