package sbom

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/upkeep-go/upkeep/internal/problem"
)

// Handler serves the bill of a program for GET and HEAD, at every path, as [Write] writes it
// and with an ETag. The status is 404 for [ErrNoModules] and 405 for other methods, both with
// problem details (RFC 9457).
//
// Mount it where operators can reach it and the public cannot.
func Handler(bi *debug.BuildInfo, opts *Options) http.Handler {
	var b bytes.Buffer
	if err := Write(&b, bi, opts); err != nil {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			problem.Write(w, r, problem.Problem{Status: http.StatusNotFound, Detail: err.Error()})
		})
	}
	sum := sha256.Sum256(b.Bytes())
	etag := `"` + hex.EncodeToString(sum[:16]) + `"`
	body := b.Bytes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			problem.Write(w, r, problem.Problem{Status: http.StatusMethodNotAllowed, Detail: "sbom answers GET and HEAD"})
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
