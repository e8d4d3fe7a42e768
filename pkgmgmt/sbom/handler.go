package sbom

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"runtime/debug"
	"time"
)

// Handler answers GET and HEAD with the bill of a program, as [Write] writes it, with an
// ETag. Without a bill, see [ErrNoModules], it answers 404; other methods get 405;
// both as problem+json (RFC 9457).
//
// Mount it where operators reach it and the public does not.
func Handler(bi *debug.BuildInfo, opts *Options) http.Handler {
	var b bytes.Buffer
	if err := Write(&b, bi, opts); err != nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, err.Error()) })
	}
	sum := sha256.Sum256(b.Bytes())
	etag := `"` + hex.EncodeToString(sum[:16]) + `"`
	body := b.Bytes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			refuse(w, http.StatusMethodNotAllowed, "sbom answers GET and HEAD")
			return
		}
		h := w.Header()
		h.Set("Content-Type", MediaType)
		h.Set("Cache-Control", "private, no-cache")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("ETag", etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}

func refuse(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail})
	if err != nil {
		panic("sbom: " + err.Error()) // texts and a number only
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
