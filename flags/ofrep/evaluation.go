package ofrep

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/flags"
)

// An evaluation is the protocol's evaluationSuccess or, with an error code, evaluationFailure. A
// missing value means the code's default.
type evaluation struct {
	Key          string                `json:"key"`
	Value        json.RawMessage       `json:"value,omitempty"`
	Reason       openfeature.Reason    `json:"reason,omitempty"`
	Variant      string                `json:"variant,omitempty"`
	ErrorCode    openfeature.ErrorCode `json:"errorCode,omitempty"`
	ErrorDetails string                `json:"errorDetails,omitempty"`
	Metadata     map[string]any        `json:"metadata,omitempty"`
}

// A bulkEvaluation is the protocol's bulkEvaluationSuccess.
type bulkEvaluation struct {
	Flags        []evaluation  `json:"flags"`
	EventStreams []eventStream `json:"eventStreams,omitempty"`
}

// A bulkFailure is the protocol's bulkEvaluationFailure.
type bulkFailure struct {
	ErrorCode    openfeature.ErrorCode `json:"errorCode"`
	ErrorDetails string                `json:"errorDetails"`
}

// A generalError is the protocol's generalErrorResponse.
type generalError struct {
	ErrorDetails string `json:"errorDetails"`
}

func (h *handler) single(w http.ResponseWriter, r *http.Request) {
	if !h.authorized(w, r) {
		return
	}
	key := r.PathValue("key")
	s, refused := h.read(w, r)
	if refused != nil {
		writeJSON(w, refused.status, evaluation{Key: key, ErrorCode: refused.code, ErrorDetails: refused.details})
		return
	}
	if !h.loaded() {
		writeNotLoaded(w)
		return
	}
	e := evaluation{Key: key, ErrorCode: openfeature.FlagNotFoundCode}
	if h.exposed(key) {
		e = h.evaluate(r, key, s)
	}
	switch e.ErrorCode {
	case "":
		writeJSON(w, http.StatusOK, e)
	case openfeature.FlagNotFoundCode:
		// The answer must not reveal whether a hidden flag exists.
		e.ErrorDetails = "there is no flag " + strconv.Quote(key)
		writeJSON(w, http.StatusNotFound, e)
	default:
		writeJSON(w, http.StatusBadRequest, e)
	}
}

func (h *handler) bulk(w http.ResponseWriter, r *http.Request) {
	if !h.authorized(w, r) {
		return
	}
	s, refused := h.read(w, r)
	if refused != nil {
		writeJSON(w, refused.status, bulkFailure{refused.code, refused.details})
		return
	}
	if !h.loaded() {
		// An empty list would empty the caches of clients.
		writeNotLoaded(w)
		return
	}
	var answer bulkEvaluation
	var revision string
	for range 3 { // all flags from one document, unless it changes three times in a row
		revision = h.provider.Revision()
		answer.Flags = h.evaluateAll(r, s)
		if revision == h.provider.Revision() {
			break
		}
	}
	if h.opts.MaxStreams > 0 {
		answer.EventStreams = eventStreams(h.opts.StreamURL(r), revision)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, generalError{"the flags cannot be written"})
		return
	}
	etag := entityTag(revision, s.claims, body)
	w.Header().Set("ETag", etag)
	if matches(r.Header.Values("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	write(w, http.StatusOK, body)
}

// loaded reports whether the provider has flags. After a shutdown its revision is empty, but it keeps
// its flags.
func (h *handler) loaded() bool {
	return h.provider.Revision() != "" || len(h.provider.Keys()) > 0
}

func (h *handler) exposed(key string) bool { return h.opts.Expose != nil && h.opts.Expose(key) }

func (h *handler) evaluateAll(r *http.Request, s *subject) []evaluation {
	evaluations := []evaluation{}
	for _, key := range h.provider.Keys() {
		if !h.exposed(key) {
			continue
		}
		if e := h.evaluate(r, key, s); e.ErrorCode != openfeature.FlagNotFoundCode {
			evaluations = append(evaluations, e)
		}
	}
	return evaluations
}

// evaluate evaluates one flag. Its errors are general, because the provider's own texts may quote the
// rule and file names.
func (h *handler) evaluate(r *http.Request, key string, s *subject) evaluation {
	ctx := r.Context()
	if h.opts.AllowAnonymous && s.attrs[openfeature.TargetingKey] == nil {
		ctx = flags.RequireTargetingKey(ctx)
	}
	d := h.provider.Evaluate(ctx, key, s.attrs)
	e := evaluation{Key: key, Metadata: public(d.FlagMetadata)}
	failed := func(code openfeature.ErrorCode, details string) evaluation {
		return evaluation{Key: key, ErrorCode: code, ErrorDetails: details, Metadata: e.Metadata}
	}
	switch d.ErrorCode {
	case "":
	case openfeature.FlagNotFoundCode:
		return evaluation{Key: key, ErrorCode: d.ErrorCode}
	case openfeature.ParseErrorCode:
		return failed(d.ErrorCode, "the flag is faulty")
	case openfeature.TargetingKeyMissingCode:
		return failed(d.ErrorCode, "the context has no targetingKey")
	case openfeature.InvalidContextCode:
		return failed(d.ErrorCode, "the flag cannot be evaluated for this context")
	default:
		return failed(openfeature.GeneralCode, "the flag could not be evaluated")
	}
	if d.Value != nil {
		value, err := json.Marshal(d.Value)
		if err != nil {
			return failed(openfeature.GeneralCode, "the flag's value cannot be written")
		}
		e.Value, e.Variant = value, d.Variant
	}
	switch e.Reason = d.Reason; d.Reason {
	case openfeature.StaticReason, openfeature.TargetingMatchReason, openfeature.SplitReason, openfeature.DisabledReason:
	default:
		e.Reason = openfeature.UnknownReason
	}
	return e
}

// public returns the metadata that clients may see and the protocol can carry.
func public(metadata openfeature.FlagMetadata) map[string]any {
	var m map[string]any
	for name, value := range metadata {
		switch name {
		case "owner", "kind", "expires":
			continue
		}
		switch value.(type) {
		case bool, string, float64:
		default:
			continue
		}
		if m == nil {
			m = map[string]any{}
		}
		m[name] = value
	}
	return m
}

// entityTag identifies an answer. The attributes of Options.Context count only through the answer. If
// they were hashed, a client that knows everything else could guess them.
func entityTag(revision string, claims, body []byte) string {
	hash := sha256.New()
	for _, part := range [][]byte{[]byte(revision), claims, body} {
		hash.Write(strconv.AppendInt(nil, int64(len(part)), 10))
		hash.Write([]byte{':'})
		hash.Write(part)
	}
	return `"` + base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:18]) + `"`
}

// matches reports whether a client has the answer already. The comparison is weak (RFC 9110, section
// 13.1.2), because a proxy that compresses marks tags as weak. It accepts tags without quotes, as in
// the protocol's own examples.
func matches(ifNoneMatch []string, etag string) bool {
	for _, field := range ifNoneMatch {
		for tag := range strings.SplitSeq(field, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag == etag || `"`+tag+`"` == etag {
				return true
			}
		}
	}
	return false
}

func writeNotLoaded(w http.ResponseWriter) {
	writeJSON(w, http.StatusInternalServerError, generalError{"the flags have not been loaded yet"})
}

// writeJSON writes one of the types above, whose encoding cannot fail.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(v)
	write(w, status, b.Bytes())
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
