package registry

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/internal/problem"
)

// The values of Refusal.Rule; the package comment explains them.
const (
	ruleAuthorize  = "authorize"
	ruleBlocked    = "blocked"
	ruleChannel    = "channel"
	ruleChecksum   = "checksum"
	ruleCooldown   = "cooldown"
	ruleGate       = "gate"
	ruleGoMod      = "go.mod"
	ruleImmutable  = "immutable"
	ruleMajor      = "major-version"
	ruleNotFound   = "not-found"
	rulePolicy     = "policy"
	rulePath       = "module-path"
	rulePrivate    = "private"
	ruleReason     = "reason"
	ruleReplace    = "replace"
	ruleSize       = "size"
	ruleStore      = "store"
	ruleUpload     = "upload"
	ruleUpstream   = "upstream"
	ruleVersion    = "version"
	ruleVulnerable = "vulnerable"
	ruleZip        = "zip"
)

// A Refusal is an answer of a registry other than success. [Client] returns it as an error.
type Refusal struct {
	Status  int      `json:"status"`            // HTTP status
	Rule    string   `json:"rule"`              // the broken rule; the package comment lists them
	Detail  string   `json:"detail"`            // the reason, for people
	Verdict Verdict  `json:"verdict,omitempty"` // of the gate, if the rule is "gate"
	Details []string `json:"details,omitempty"` // one line for each file of the zip or incompatible change

	cause error // for the registry's log only
}

func (r *Refusal) Error() string {
	text := fmt.Sprintf("%d %s: %s", r.Status, http.StatusText(r.Status), r.Detail)
	for _, d := range r.Details {
		text += "\n\t" + d
	}
	return text
}

func refuse(status int, rule, detail string) *Refusal {
	return &Refusal{Status: status, Rule: rule, Detail: detail}
}

func unsound(rule, format string, args ...any) *Refusal {
	return refuse(http.StatusUnprocessableEntity, rule, fmt.Sprintf(format, args...))
}

// denied is the answer to an error of Options.Authorize.
func denied(err error) *Refusal {
	switch {
	case errors.Is(err, ErrUnauthenticated):
		return refuse(http.StatusUnauthorized, ruleAuthorize, err.Error())
	case errors.Is(err, ErrForbidden):
		return refuse(http.StatusForbidden, ruleAuthorize, err.Error())
	default:
		return &Refusal{Status: http.StatusForbidden, Rule: ruleAuthorize, Detail: "not allowed", cause: err}
	}
}

// broken is the answer to an error of the store or of a temporary file. The error's text
// is logged and never sent.
func broken(err error) *Refusal {
	var p *Refusal
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return &Refusal{Status: http.StatusInsufficientStorage, Rule: ruleStore, Detail: "the registry's disk is full", cause: err}
	default:
		return &Refusal{Status: http.StatusInternalServerError, Rule: ruleStore, Detail: "the registry's store failed", cause: err}
	}
}

// write sends a refusal: as plain text for reads, because the go command prints it, and as
// JSON for writes.
func (r *Refusal) write(w http.ResponseWriter, req *http.Request) {
	switch r.Status {
	case http.StatusUnauthorized:
		w.Header()["Www-Authenticate"] = []string{`Basic realm="modules", charset="UTF-8"`, `Bearer realm="modules"`}
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "10")
	}
	members := map[string]any{"rule": r.Rule}
	if r.Verdict != "" {
		members["verdict"] = r.Verdict
	}
	if len(r.Details) > 0 {
		members["details"] = r.Details
	}
	problem.Write(w, req, problem.Problem{
		Status: r.Status, Detail: r.Detail, Members: members,
		PlainFirst: req.Method == http.MethodGet || req.Method == http.MethodHead,
	})
}

// maxReason bounds stored reasons and quoted texts, in bytes. The go command prints about
// 600 bytes of an answer.
const maxReason = 500

// shown makes a text of an upload safe to quote in an answer.
func shown(text string) string { return cleantext.Flat(text, maxReason) }

// firstLine returns a text up to its first unprintable character, at most that many bytes.
func firstLine(text string, most int) string {
	text = strings.TrimSpace(text)
	if i := strings.IndexFunc(text, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }); i >= 0 {
		text = text[:i]
	}
	return strings.TrimSpace(cleantext.Cut(text, most))
}
