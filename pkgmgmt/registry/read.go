package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// maxSmall bounds the files that are read into memory: all but zips. A list of
// 10,000 versions has 100 KB.
const maxSmall = 16 << 20

const (
	textType = "text/plain; charset=utf-8"
	jsonType = "application/json"
	zipType  = "application/zip"
)

// fresh is the Cache-Control of what may change at any moment.
const fresh = "no-cache"

// read answers what the go command asks for.
func (g *Registry) read(r *request) *problem {
	at, ctx := &r.at, r.Context()
	switch at.kind {
	case kindList:
		data, err := read(ctx, g.store, at.base+listFile)
		if err != nil {
			return g.absent(err, at.module)
		}
		return g.send(r, data, textType, fresh)
	case kindLatest:
		version, err := g.latest(ctx, at.base)
		if err != nil {
			return g.absent(err, at.module)
		}
		return g.sendInfo(r, version, fresh)
	case kindChannel:
		version, p := g.channel(ctx, at)
		if p != nil {
			return p
		}
		return g.sendInfo(r, version, fresh)
	}

	if at.kind == kindZip {
		return g.sendZip(r)
	}
	end, contentType := ".info", jsonType
	if at.kind == kindMod {
		end, contentType = ".mod", textType
	}
	data, err := read(ctx, g.store, at.file+end)
	if err != nil {
		return g.absent(err, at.module+"@"+at.version)
	}
	if at.kind == kindInfo { // and not for go.mod, as the package comment says
		if p := g.blocked(ctx, at.file, at.module, at.version); p != nil {
			return p
		}
	}
	return g.send(r, data, contentType, g.cached)
}

// absent is the answer to an error of the store, most often that there is no such
// file.
func (g *Registry) absent(err error, what string) *problem {
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(http.StatusNotFound, ruleNotFound, what+" is not in this registry")
	}
	return broken(err)
}

// blocked is the answer for a blocked version. Blocked are those with a file that says
// why. Another file of the version has been read before.
func (g *Registry) blocked(ctx context.Context, file, path, version string) *problem {
	var reason []byte
	var err error
	if d, ok := g.store.(*dir); ok {
		reason, err = d.beside(file + blockedEnd)
	} else {
		reason, err = read(ctx, g.store, file+blockedEnd)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil: // rather than to serve what might be blocked
		return broken(err)
	case len(reason) == 0:
		return nil
	}
	return refuse(http.StatusForbidden, ruleBlocked, fmt.Sprintf("%s@%s is blocked: %s", path, version, reason))
}

// refused is blocked for those who have the record. Where that says more than the file,
// whoever blocked the version has died in between.
func (g *Registry) refused(ctx context.Context, at *target, rec *Record) *problem {
	p := g.blocked(ctx, at.file, at.module, at.version)
	if p == nil && rec.Blocked {
		p = refuse(http.StatusForbidden, ruleBlocked, at.module+"@"+at.version+" is blocked")
	}
	return p
}

// latest is the version of @latest: the highest release, else the highest prerelease,
// else the latest pseudo-version. Retracted versions count: the go command looks at
// retractions itself.
func (g *Registry) latest(ctx context.Context, base string) (string, error) {
	data, err := read(ctx, g.store, base+listFile)
	if err != nil {
		return "", err
	}
	if v := highest(lines(data)); v != "" {
		return v, nil
	}
	if data, err = read(ctx, g.store, base+pseudoFile); err != nil {
		return "", err
	}
	if v := highest(lines(data)); v != "" {
		return v, nil
	}
	return "", fs.ErrNotExist
}

// highest is the highest release of an ascending list, or the highest version if there
// is no release.
func highest(ascending []string) string {
	for i := len(ascending) - 1; i >= 0; i-- {
		if semver.Prerelease(ascending[i]) == "" {
			return ascending[i]
		}
	}
	if n := len(ascending); n > 0 {
		return ascending[n-1]
	}
	return ""
}

// sendInfo answers with the .info of a version under another name.
func (g *Registry) sendInfo(r *request, version, cache string) *problem {
	escaped, err := module.EscapeVersion(version)
	if err != nil {
		return broken(err)
	}
	r.at.version = version
	data, err := read(r.Context(), g.store, r.at.base+escaped+".info")
	if err != nil {
		return g.absent(err, r.at.module+"@"+version)
	}
	if p := g.blocked(r.Context(), r.at.base+escaped, r.at.module, version); p != nil {
		return p
	}
	return g.send(r, data, jsonType, cache)
}

// send answers with a small file, whose tag is a sum of it.
func (g *Registry) send(r *request, data []byte, contentType, cache string) *problem {
	sum := sha256.Sum256(data)
	var tag [2 + 32]byte
	tag[0], tag[33] = '"', '"'
	hex.Encode(tag[1:33], sum[:16])
	h := r.w.Header()
	values := &[...]string{string(tag[:]), contentType, cache, "bytes", strconv.Itoa(len(data))}
	h["Etag"], h["Content-Type"], h["Cache-Control"] = values[0:1:1], values[1:2:2], values[2:3:3]
	if conditional(r.Request) {
		http.ServeContent(r.w, r.Request, "", time.Time{}, bytes.NewReader(data))
		return nil
	}
	// What the go command sends has no conditions, and then ServeContent does no more
	// than this, in twice the time.
	h["Accept-Ranges"], h["Content-Length"] = values[3:4:4], values[4:5:5]
	r.w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		r.w.Write(data)
	}
	return nil
}

// conditional says whether a request is about a part of a file, or depends on what the
// client has already (RFC 9110 §13, §14).
func conditional(r *http.Request) bool {
	for _, name := range [...]string{"If-None-Match", "Range", "If-Match", "If-Range", "If-Modified-Since", "If-Unmodified-Since"} {
		if r.Header[name] != nil {
			return true
		}
	}
	return false
}

// sendZip answers with a zip, whose tag is its h1: sum.
func (g *Registry) sendZip(r *request) *problem {
	ctx, at := r.Context(), &r.at
	f, err := g.store.Open(ctx, at.file+".zip")
	if err != nil {
		return g.absent(err, at.module+"@"+at.version)
	}
	defer f.Close()
	rec, err := readRecord(ctx, g.store, at.file)
	if err != nil {
		// A zip without its record is one that is just being published, or whose publishing
		// was cut off: it will be visible once the record is there.
		return g.absent(err, at.module+"@"+at.version)
	}
	if p := g.refused(ctx, at, rec); p != nil {
		return p
	}
	h := r.w.Header()
	h["Etag"] = []string{`"` + rec.Sum + `"`}
	h["Content-Type"] = []string{zipType}
	h["Cache-Control"] = []string{g.cached}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	http.ServeContent(r.w, r.Request, "", time.Time{}, f)
	return nil
}

// The files of a module besides those of the proxy protocol: versions that list does
// not show, channels, and of a version why it is blocked, and its record.
const (
	listFile     = "list"
	pseudoFile   = "pseudo"
	channelsFile = "channels"
	blockedEnd   = ".blocked"
	recordEnd    = ".record"
)

func lines(data []byte) []string {
	return strings.Fields(string(data))
}

// An info is the content of an .info file.
type info struct {
	Version string
	Time    time.Time
}

func (i info) encode() []byte {
	data, _ := json.Marshal(i) // a text and a time can be written
	return append(data, '\n')
}
