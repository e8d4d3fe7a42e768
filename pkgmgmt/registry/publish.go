package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"time"

	"golang.org/x/mod/module"
)

// A Published is the answer to a publish. Its fields have the values that
// go mod download -json prints for the version.
type Published struct {
	Path     string
	Version  string
	Sum      string // of the zip, for go.sum: "h1:…"
	GoModSum string // of go.mod, for go.sum

	// New is false if the version was published before with the same content.
	New bool

	// Judgement is the gate's judgement of a new version. Nil means that the version is not
	// new, or that Options.Gate is nil.
	Judgement *Judgement `json:",omitempty"`
}

func (g *Registry) publish(r *request) *Refusal {
	ctx, at := r.Context(), &r.at
	m := module.Version{Path: at.module, Version: at.version}
	override := ""
	query, p := r.query()
	if p != nil {
		return p
	}
	if query.Has("override") {
		if override = firstLine(query.Get("override"), maxReason); override == "" {
			return refuse(http.StatusUnprocessableEntity, ruleReason, "an override needs a reason: one line of text, ?override=…")
		}
		if p := g.may(r, OpOverride); p != nil {
			return p
		}
	}
	if r.ContentLength > g.opts.MaxZip {
		return g.tooLarge()
	}
	select {
	case g.uploads <- struct{}{}:
		defer func() { <-g.uploads }()
	default:
		return refuse(http.StatusServiceUnavailable, ruleUpload, "too many uploads at once: try again later")
	}

	f, err := g.temp()
	if err != nil {
		return broken(err)
	}
	defer discard(f)
	if p := g.receive(r, f); p != nil {
		return p
	}
	c, err := g.check(ctx, m, f)
	if err != nil {
		return broken(err)
	}

	event := Event{What: "published", By: r.who, Time: now()}
	switch e, p, done := g.settle(r, c, f); {
	case done:
		return p
	case e != nil:
		event = *e // of an earlier publisher that died after the gate
	case g.opts.Gate != nil:
		judgement, p := g.judge(r, c, f.Name(), override)
		if p != nil {
			return p
		}
		event.Judgement, event.Time = judgement, now()
		if judgement.Verdict != VerdictPass {
			event.Reason = override
		}
	}
	for range 3 {
		settled, existed, err := g.commit(ctx, at, c, f, event)
		switch {
		case errors.Is(err, errSuperseded):
			continue
		case err != nil:
			return broken(err)
		case settled:
			if _, p, done := g.settle(r, c, f); done {
				return p
			}
			continue
		case existed:
			g.stats.identical.Add(1)
			return r.answerPublished(http.StatusOK, c, nil)
		}
		if event.Reason != "" {
			g.stats.overridden.Add(1)
		}
		g.stats.published.Add(1)
		return r.answerPublished(http.StatusCreated, c, event.Judgement)
	}
	return refuse(http.StatusServiceUnavailable, ruleUpload, "others publish this version at the same time: try again")
}

func (r *request) answerPublished(status int, c *contents, judgement *Judgement) *Refusal {
	return r.answer(status, &Published{
		Path: r.at.module, Version: r.at.version, Sum: c.sum, GoModSum: c.goModSum,
		New: status == http.StatusCreated, Judgement: judgement,
	})
}

func (g *Registry) tooLarge() *Refusal {
	return refuse(http.StatusRequestEntityTooLarge, ruleSize, fmt.Sprintf("the zip is larger than %d bytes", g.opts.MaxZip))
}

func (g *Registry) receive(r *request, f *os.File) *Refusal {
	if r.Header.Get("Content-Encoding") != "" {
		return refuse(http.StatusUnsupportedMediaType, ruleUpload, "the body must be a zip without Content-Encoding")
	}
	// The deadlines of the http.Server may be too short for an upload and for the gate.
	// Writers without deadlines occur in tests only.
	control := http.NewResponseController(r.w)
	_ = control.SetReadDeadline(time.Now().Add(g.opts.UploadTimeout))
	_ = control.SetWriteDeadline(time.Time{})
	body := &uploadBody{Reader: r.Body}
	n, err := io.Copy(f, io.LimitReader(body, g.opts.MaxZip+1))
	g.stats.received.Add(n)
	if body.ended {
		// The gate may take longer. The server notices by reading that a client goes away.
		r.received = true
		_ = control.SetReadDeadline(time.Time{})
	}
	switch {
	case errors.Is(body.err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, ruleUpload, fmt.Sprintf("the body did not arrive within %v", g.opts.UploadTimeout))
	case body.err != nil:
		return &Refusal{Status: http.StatusBadRequest, Rule: ruleUpload, Detail: "the body is incomplete", cause: body.err}
	case err != nil:
		return broken(err)
	case n > g.opts.MaxZip:
		return g.tooLarge()
	}
	return nil
}

// An uploadBody keeps the result of reading, because io.Copy does not distinguish errors of
// reading and of writing.
type uploadBody struct {
	io.Reader
	ended bool
	err   error
}

func (b *uploadBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.ended = true
	} else if err != nil {
		b.err = err
	}
	return n, err
}

// check inspects an upload. It bounds concurrent inspections, because they need memory.
func (g *Registry) check(ctx context.Context, m module.Version, f *os.File) (*contents, error) {
	select {
	case g.checks <- struct{}{}:
		defer func() { <-g.checks }()
		return inspect(m, f)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// judge calls the gate. It returns a judgement to publish with, or a refusal.
func (g *Registry) judge(r *request, c *contents, zip, override string) (*Judgement, *Refusal) {
	ctx, at := r.Context(), &r.at
	versions, err := g.released(ctx, at.base)
	if err != nil {
		return nil, broken(err)
	}
	release := &Release{
		Path: at.module, Version: at.version, Sum: c.sum, GoMod: c.goMod, Zip: zip,
		Versions: versions, Proxy: g.preview(at, c, zip),
	}
	judgement, err := g.opts.Gate(ctx, release)
	if err != nil {
		judgement = Judgement{Verdict: VerdictUnknown, Reason: err.Error(), Details: judgement.Details}
	}
	judgement = judgement.bounded()
	switch judgement.Verdict {
	case VerdictPass:
		return &judgement, nil
	case VerdictRefuse:
		g.stats.gateRefused.Add(1)
	default:
		judgement.Verdict = VerdictUnknown
		g.stats.gateUnknown.Add(1)
	}
	if override != "" {
		return &judgement, nil
	}
	text := "the gate refuses " + at.version
	if judgement.Verdict == VerdictUnknown {
		text = "the gate cannot judge " + at.version
	}
	p := refuse(http.StatusUnprocessableEntity, ruleGate, text+": "+judgement.Reason)
	p.Verdict, p.Details = judgement.Verdict, judgement.Details
	return nil, p
}

// settle answers an upload of a version that is acknowledged. If the upload has the same
// content, it first repairs what is damaged. If the version is not acknowledged, done is
// false, and the event is that of an earlier publisher of this content, or nil.
func (g *Registry) settle(r *request, c *contents, f *os.File) (e *Event, p *Refusal, done bool) {
	ctx, at := r.Context(), &r.at
	j, _, err := g.readJournal(ctx, at.file)
	if errors.Is(err, fs.ErrNotExist) {
		j, err = g.lostJournal(ctx, at, c)
	}
	if err != nil {
		return nil, broken(err), true
	}
	acknowledged, err := g.acknowledged(ctx, at, j)
	switch {
	case err != nil:
		return nil, broken(err), true
	case !acknowledged:
		if event, known := j.intended(c.sum); known {
			return &event, nil, false
		}
		return nil, nil, false
	case j.Sum != c.sum:
		return nil, refuse(http.StatusConflict, ruleImmutable, fmt.Sprintf(
			"%s@%s is published with the sum %s and cannot change to the sum %s: publish a new version", at.module, at.version, j.Sum, c.sum)), true
	}
	if err := g.mend(ctx, at, j, c, f); err != nil {
		return nil, broken(err), true
	}
	if j.Blocked {
		return nil, blocked(at, proof{blocked: j.blockedFor()}), true
	}
	g.stats.identical.Add(1)
	return nil, r.answerPublished(http.StatusOK, c, nil), true
}
