package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/module"
)

// fresh is the Cache-Control of what may change at any moment.
const fresh = "no-cache"

// A reader answers what the go command asks for.
type reader struct {
	catalog
	prefixes []string // of the modules that are served
	cached   string   // Cache-Control of what never changes
}

// private reports whether a module is the registry's.
func (g *reader) private(path string) bool {
	for _, prefix := range g.prefixes {
		if strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/') {
			return true
		}
	}
	return false
}

// answerFile answers a request whose target is one of the proxy protocol.
func (g *reader) answerFile(r *request) *Refusal {
	at, ctx := &r.at, r.Context()
	var version string
	var err error
	switch at.kind {
	case kindList:
		data, err := readSmall(ctx, g.store, at.base+listFile)
		if err != nil {
			return absent(err, at.module)
		}
		return send(r, data, textType, fresh)
	case kindLatest:
		if version, err = g.latest(ctx, at.base); err != nil {
			return absent(err, at.module)
		}
		return g.sendInfo(r, version)
	case kindChannel:
		if version, err = g.channel(ctx, at); err != nil {
			return absent(err, at.module+"@"+at.channel)
		}
		return g.sendInfo(r, version)
	case kindZip:
		return g.sendZip(r)
	}
	end, contentType := ".info", jsonType
	if at.kind == kindMod {
		end, contentType = ".mod", textType
	}
	data, err := readSmall(ctx, g.store, at.file+end)
	if err != nil {
		return absent(err, at.module+"@"+at.version)
	}
	if at.kind == kindInfo { // and not for go.mod, as the package comment says
		if p := g.blocked(ctx, at.file, at.module, at.version); p != nil {
			return p
		}
	}
	return send(r, data, contentType, g.cached)
}

// sendInfo answers with the .info of a version under another name.
func (g *reader) sendInfo(r *request, version string) *Refusal {
	escaped, err := module.EscapeVersion(version)
	if err != nil {
		return broken(err)
	}
	r.at.version = version
	data, err := readSmall(r.Context(), g.store, r.at.base+escaped+".info")
	if err != nil {
		return absent(err, r.at.module+"@"+version)
	}
	if p := g.blocked(r.Context(), r.at.base+escaped, r.at.module, version); p != nil {
		return p
	}
	return send(r, data, jsonType, fresh)
}

// sendZip answers with a zip, whose tag is its h1: sum.
func (g *reader) sendZip(r *request) *Refusal {
	ctx, at := r.Context(), &r.at
	f, err := g.store.Open(ctx, at.file+".zip")
	if err != nil {
		return absent(err, at.module+"@"+at.version)
	}
	defer f.Close()
	rec, err := g.readRecord(ctx, at.file)
	if err != nil {
		// A zip without its record is one that is just being published, or whose publishing
		// was cut off: it will be visible once the record is there.
		return absent(err, at.module+"@"+at.version)
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

// absent is the answer to an error of the store, most often that there is no such
// file.
func absent(err error, what string) *Refusal {
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(http.StatusNotFound, ruleNotFound, what+" is not in this registry")
	}
	return broken(err)
}

// send answers with a small file, whose tag is a sum of it.
func send(r *request, data []byte, contentType, cache string) *Refusal {
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
