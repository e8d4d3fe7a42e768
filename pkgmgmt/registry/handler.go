package registry

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ServeHTTP answers a request.
func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	req := request{Request: r, w: &recorder{ResponseWriter: w}}
	p := g.serve(&req)
	if p != nil {
		if r.ContentLength != 0 && !req.received {
			// The server would wait for the rest of the body without a bound.
			w.Header().Set("Connection", "close")
		}
		p.write(req.w, r)
	}
	g.stats.count(&req, p)
	g.access(&req, p, time.Since(start))
}

// changes are the operations on published versions and on channels.
var changes = map[kind]Op{kindChannel: OpSetChannel, kindYank: OpYank, kindBlock: OpBlock, kindAllow: OpAllow}

func (g *Registry) serve(r *request) *Refusal {
	at, p := route(r.URL.Path)
	r.at = at
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	private := g.private(at.module)
	switch {
	case reads && strings.HasPrefix(r.URL.Path, "/sumdb/"):
		return g.sums(r)
	case reads && at.protocol && !private:
		return g.elsewhere(r) // also for versions that only others allow, such as +incompatible
	case p != nil && reads:
		return refuse(http.StatusNotFound, ruleNotFound, p.Detail)
	case p != nil:
		return p
	case at.kind == kindAllow || at.kind == kindAllowed:
		public := g.upstream != nil && !g.folded(at.module)
		if !public && !(private && g.opts.Vulns != nil) {
			return nothing()
		}
	case !private:
		return refuse(http.StatusNotFound, rulePrivate, at.module+" is outside the private prefixes of this registry")
	}

	var do func(*request) *Refusal
	allow := "GET, HEAD"
	switch {
	case reads && at.protocol:
		r.op, do = OpRead, g.answerFile
	case reads && at.kind == kindChannels:
		r.op, do = OpInspect, g.answerChannels
	case reads && at.kind == kindAllowed:
		r.op, do = OpInspect, g.answerAllowances
	case reads && at.kind == kindRecord:
		r.op, do = OpInspect, g.answerRecord
	case at.kind == kindZip:
		allow = "GET, HEAD, PUT"
		if r.Method == http.MethodPut {
			r.op, do = OpPublish, g.publish
		}
	case !at.protocol && changes[at.kind] != "":
		allow = "PUT, DELETE"
		if r.Method == http.MethodPut || r.Method == http.MethodDelete {
			r.op, do = changes[at.kind], g.answerMark
			switch r.op {
			case OpSetChannel:
				do = g.answerChannel
			case OpAllow:
				do = g.answerAllow
			}
		}
	}
	if do == nil {
		r.w.Header().Set("Allow", allow)
		return refuse(http.StatusMethodNotAllowed, ruleNotFound, "the allowed methods are "+allow)
	}
	if r.op == OpSetChannel && r.Method == http.MethodPut {
		query, p := r.query()
		if p == nil {
			p = r.at.destination(query.Get("version"))
		}
		if p != nil {
			return p
		}
	}
	if p := g.may(r, r.op); p != nil {
		return p
	}
	return do(r)
}

// elsewhere answers a read of a module that is not private. It never sends a name to the
// upstream that differs from a private one only in the case of letters.
func (g *Registry) elsewhere(r *request) *Refusal {
	if g.upstream == nil || g.folded(r.at.module) {
		return refuse(http.StatusNotFound, rulePrivate, r.at.module+" is outside the private prefixes of this registry")
	}
	at, p := publicRoute(r.URL.Path)
	if p != nil {
		return refuse(http.StatusNotFound, ruleNotFound, p.Detail)
	}
	r.at, r.op = at, OpRead
	if p := g.may(r, OpRead); p != nil {
		return p
	}
	return g.upstream.answer(r, g.cached)
}

// sums answers a read of a checksum database.
func (g *Registry) sums(r *request) *Refusal {
	s, ok := parseSumPath(r.URL.Path)
	if g.upstream == nil || !ok || g.folded(s.db) {
		return nothing()
	}
	r.at, r.op = target{module: s.module}, OpRead
	if p := g.may(r, OpRead); p != nil {
		return p
	}
	return g.upstream.answerSumDB(r, s, g.folded)
}

// access writes the access log. It writes only valid module paths and versions, never the
// path of the request.
func (g *Registry) access(r *request, p *Refusal, took time.Duration) {
	level := slog.LevelInfo
	if r.w.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	ctx := r.Context()
	if !g.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs,
		slog.String("method", method(r.Method)), slog.Int("status", r.w.status),
		slog.Int64("bytes", r.w.bytes), slog.Duration("took", took))
	for _, a := range []slog.Attr{
		slog.String("op", string(r.op)), slog.String("module", r.at.module), slog.String("version", r.at.version),
		slog.String("channel", r.at.channel), slog.String("user", r.who),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if p != nil {
		attrs = append(attrs, slog.String("rule", p.Rule))
		if p.cause != nil {
			attrs = append(attrs, slog.String("cause", p.cause.Error()))
		}
	}
	g.log.LogAttrs(context.WithoutCancel(ctx), level, "registry", attrs...)
}

func method(name string) string {
	if slices.Contains([]string{"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"}, name) {
		return name
	}
	return "_OTHER"
}

func (c *counters) count(r *request, p *Refusal) {
	c.requests.Add(1)
	c.sent.Add(r.w.bytes)
	switch {
	case p == nil:
	case p.Status == http.StatusNotFound:
		c.missing.Add(1)
	case p.Status == http.StatusUnauthorized, p.Status == http.StatusForbidden:
		c.denied.Add(1)
	case p.Status >= http.StatusInternalServerError:
		c.failed.Add(1)
	case p.Status == http.StatusConflict:
		c.conflicts.Add(1)
	default:
		c.refused.Add(1)
	}
}

func (r *request) reason() (string, *Refusal) {
	query, p := r.query()
	if p != nil {
		return "", p
	}
	text := firstLine(query.Get("reason"), maxReason)
	if text == "" {
		return "", refuse(http.StatusUnprocessableEntity, ruleReason, "a reason is required: add one line of text to the query, ?reason=…")
	}
	return text, nil
}

func (g *Registry) answerMark(r *request) *Refusal {
	why, p := r.reason()
	if p != nil {
		return p
	}
	after, err := g.markVersion(r.Context(), &r.at, r.Method == http.MethodPut, r.who, why)
	if err != nil {
		return absent(err, r.at.module+"@"+r.at.version)
	}
	return r.answer(http.StatusOK, after)
}

// answerChannel sets a channel (PUT) or removes it (DELETE).
func (g *Registry) answerChannel(r *request) *Refusal {
	why, p := r.reason()
	if p != nil {
		return p
	}
	after, err := g.setChannel(r.Context(), &r.at, r.who, why)
	if err != nil {
		what := r.at.version
		if what == "" || after != nil {
			what = r.at.channel
		}
		return absent(err, r.at.module+"@"+what)
	}
	return r.answer(http.StatusOK, after)
}

func (g *Registry) answerChannels(r *request) *Refusal {
	channels, err := g.channels(r.Context(), &r.at)
	if errors.Is(err, fs.ErrNotExist) {
		// A module without channels is not a missing module.
		channels = map[string]*Channel{}
		_, err = readSmall(r.Context(), g.store, r.at.base+listFile)
	}
	if err != nil {
		return absent(err, r.at.module)
	}
	return r.answer(http.StatusOK, channels)
}

func (g *Registry) answerRecord(r *request) *Refusal {
	rec, err := g.readRecord(r.Context(), &r.at)
	if err != nil {
		return absent(err, r.at.module+"@"+r.at.version)
	}
	return r.answer(http.StatusOK, rec)
}
