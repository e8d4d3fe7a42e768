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

// Handler answers GET and HEAD with the bill of a program, as [Write] writes it, with an
// ETag. Without a bill, see [ErrNoModules], it answers 404; other methods get 405;
// both as problem details (RFC 9457). It answers at every path.
//
// Mount it where operators reach it and the public does not.
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
