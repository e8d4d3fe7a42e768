package registry

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"syscall"
)

// The rules that a refusal may name; the package comment lists them.
const (
	ruleAuthorize = "authorize"
	ruleBlocked   = "blocked"
	ruleChannel   = "channel"
	ruleGate      = "gate"
	ruleGoMod     = "go.mod"
	ruleImmutable = "immutable"
	ruleMajor     = "major-version"
	ruleNotFound  = "not-found"
	rulePath      = "module-path"
	rulePrivate   = "private"
	ruleReason    = "reason"
	ruleReplace   = "replace"
	ruleSize      = "size"
	ruleStore     = "store"
	ruleUpload    = "upload"
	ruleVersion   = "version"
	ruleZip       = "zip"
)

// A problem is a refusal, in the form of RFC 9457, and the error that means it.
type problem struct {
	Title   string   `json:"title"`
	Status  int      `json:"status"`
	Detail  string   `json:"detail"`
	Rule    string   `json:"rule"`
	Verdict *Verdict `json:"verdict,omitempty"` // of the gate
	Details []string `json:"details,omitempty"`

	cause error // for the log alone
}

func (p *problem) Error() string { return p.Detail }

func refuse(status int, rule, detail string) *problem {
	return &problem{Status: status, Rule: rule, Detail: detail}
}

// denied is the answer to an error of Options.Authorize.
func denied(err error) *problem {
	switch {
	case errors.Is(err, ErrUnauthenticated):
		return refuse(http.StatusUnauthorized, ruleAuthorize, err.Error())
	case errors.Is(err, ErrForbidden):
		return refuse(http.StatusForbidden, ruleAuthorize, err.Error())
	default:
		return &problem{Status: http.StatusForbidden, Rule: ruleAuthorize, Detail: "not allowed", cause: err}
	}
}

// broken is the answer to an error of the store or of a temporary file, whose text is
// not for clients.
func broken(err error) *problem {
	var p *problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return &problem{Status: http.StatusInsufficientStorage, Rule: ruleStore, Detail: "the registry has no room left", cause: err}
	default:
		return &problem{Status: http.StatusInternalServerError, Rule: ruleStore, Detail: "the registry's store has failed", cause: err}
	}
}

// write sends a problem: as text to those who read modules, since that is what the go
// command prints of a refusal, else as JSON.
func (p *problem) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	switch p.Status {
	case http.StatusUnauthorized:
		h["Www-Authenticate"] = []string{`Basic realm="modules", charset="UTF-8"`, `Bearer realm="modules"`}
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "10")
	}
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && !strings.Contains(r.Header.Get("Accept"), "json") {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(p.Status)
		if r.Method != http.MethodHead {
			w.Write([]byte(p.Detail + "\n"))
		}
		return
	}
	p.Title = http.StatusText(p.Status)
	writeJSON(w, r, p.Status, "application/problem+json", p)
}

func writeJSON(w http.ResponseWriter, r *http.Request, status int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil { // of types of this package alone, which can all be written
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(append(body, '\n'))
	}
}
