package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/module"
)

// fresh is the Cache-Control of files that may change.
const fresh = "no-cache"

type reader struct {
	catalog
	prefixes []string // of the modules that are served
	cached   string   // Cache-Control of files that never change
	vulns    *vulnCheck
}

func (g *reader) private(path string) bool {
	for _, prefix := range g.prefixes {
		if strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/') {
			return true
		}
	}
	return false
}

// folded is private without regard to the case of letters.
func (g *reader) folded(path string) bool {
	for _, prefix := range g.prefixes {
		if n := len(prefix); len(path) >= n && strings.EqualFold(path[:n], prefix) && (len(path) == n || path[n] == '/') {
			return true
		}
	}
	return false
}

func (g *reader) answerFile(r *request) *Refusal {
	at, ctx := &r.at, r.Context()
	var version string
	var err error
	switch at.kind {
	case kindList:
		data, err := readSmall(ctx, g.store, at.base+listFile)
		if err != nil {
			return g.withoutList(ctx, at, err)
		}
		if g.vulns != nil && g.vulns.find != nil {
			keep := g.vulns.keep(ctx, at)
			data = encodeList(slices.DeleteFunc(lines(data), func(v string) bool { return !keep(v) }))
		}
		return send(r, data, textType, fresh)
	case kindLatest:
		version, err = g.latest(ctx, at.base, g.vulns.keep(ctx, at))
		if errors.Is(err, fs.ErrNotExist) {
			// answerInfo refuses it if all versions are vulnerable. 404 would be wrong.
			version, err = g.latest(ctx, at.base, func(string) bool { return true })
		}
		if err != nil {
			return g.withoutList(ctx, at, err)
		}
		return g.answerInfo(r, version)
	case kindChannel:
		if version, err = g.channel(ctx, at); err != nil {
			return absent(err, at.module+"@"+at.channel)
		}
		return g.answerInfo(r, version)
	case kindInfo:
		return g.answerInfo(r, "")
	case kindMod:
		data, _, err := g.small(ctx, at, ".mod") // also of a blocked version, see the package comment
		if err != nil {
			return absent(err, at.module+"@"+at.version)
		}
		return send(r, data, textType, g.cached)
	}
	return g.answerZip(r)
}

// withoutList is the answer for a module whose list cannot be read. If the module has
// versions, the list is lost, and 404 would be wrong.
func (g *reader) withoutList(ctx context.Context, at *target, err error) *Refusal {
	if errors.Is(err, fs.ErrNotExist) {
		for _, pseudo := range []bool{false, true} {
			versions, err := g.listable(ctx, at.base, pseudo)
			if err != nil {
				return broken(err)
			}
			if has, err := g.has(ctx, at.base+listFile); len(versions) > 0 && !has && err == nil {
				return &Refusal{
					Status: http.StatusInternalServerError, Rule: ruleStore, Detail: "the list of " + at.module + " is lost in this registry; publishing any version again repairs it",
					cause: errors.New(at.base + listFile + " is lost"),
				}
			}
		}
	}
	return absent(err, at.module)
}

// answerInfo answers with the .info of the target, or of the given version.
func (g *reader) answerInfo(r *request, version string) *Refusal {
	at, cache := &r.at, g.cached
	if version != "" {
		escaped, err := module.EscapeVersion(version)
		if err != nil {
			return broken(err)
		}
		at.version, at.file, cache = version, at.base+escaped, fresh
	}
	data, pr, err := g.small(r.Context(), at, ".info")
	if err != nil {
		return absent(err, at.module+"@"+at.version)
	}
	if pr.blocked != "" {
		return blocked(at, pr)
	}
	if err := g.vulns.check(r.Context(), at); err != nil {
		return broken(err)
	}
	return send(r, data, jsonType, cache)
}

// answerZip answers with a zip. Its ETag is the h1: sum.
func (g *reader) answerZip(r *request) *Refusal {
	ctx, at := r.Context(), &r.at
	f, err := g.store.Open(ctx, at.file+".zip")
	if err != nil {
		if _, failed := g.prove(ctx, at); failed != nil {
			err = failed
		}
		return absent(err, at.module+"@"+at.version)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return broken(err)
	}
	pr, ok := g.proven.get(at.file)
	if st := stampOf(info); !ok || !pr.summed || pr.zip != st || !g.holds(ctx, at, pr, ".zip") {
		if pr, err = g.proveZip(ctx, at); err != nil {
			return absent(err, at.module+"@"+at.version)
		}
		if pr.zip != st && g.proven != nil {
			return refuse(http.StatusServiceUnavailable, ruleStore, at.module+"@"+at.version+" is being repaired: try again")
		}
	}
	if pr.blocked != "" {
		return blocked(at, pr)
	}
	if err := g.vulns.check(ctx, at); err != nil {
		return broken(err)
	}
	h := r.w.Header()
	h.Set("Etag", `"`+pr.sum+`"`)
	h.Set("Content-Type", zipType)
	h.Set("Cache-Control", g.cached)
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(r.w, r.Request, "", time.Time{}, f)
	return nil
}

func blocked(at *target, pr proof) *Refusal {
	return refuse(http.StatusForbidden, ruleBlocked, at.module+"@"+at.version+" is blocked: "+pr.blocked)
}

// absent is the answer to an error of the store, usually a missing file.
func absent(err error, what string) *Refusal {
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(http.StatusNotFound, ruleNotFound, what+" is not in this registry")
	}
	return broken(err)
}

// send answers with a small file. Its ETag is a sum of the content.
func send(r *request, data []byte, contentType, cache string) *Refusal {
	sum := sha256.Sum256(data)
	h := r.w.Header()
	h.Set("Etag", `"`+hex.EncodeToString(sum[:16])+`"`)
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", cache)
	if conditional(r.Request) {
		http.ServeContent(r.w, r.Request, "", time.Time{}, bytes.NewReader(data))
		return nil
	}
	// The go command sends no conditions. For those requests this does the same as
	// ServeContent in half the time.
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	r.w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		r.w.Write(data)
	}
	return nil
}

// conditional reports whether a request has a Range or a condition (RFC 9110 §13, §14).
func conditional(r *http.Request) bool {
	return slices.ContainsFunc([]string{"If-None-Match", "Range", "If-Match", "If-Range", "If-Modified-Since", "If-Unmodified-Since"}, func(name string) bool {
		return r.Header[name] != nil
	})
}
