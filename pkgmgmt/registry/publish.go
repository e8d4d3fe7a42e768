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

// A Published is the answer to a publish: what go mod download -json says of the
// version.
type Published struct {
	Path     string
	Version  string
	Sum      string // of the zip, for go.sum: "h1:…"
	GoModSum string // of go.mod, for go.sum

	// New says that the version was not there before; false: the same content was.
	New bool

	// Judgement is what the gate said of a new version; nil: there is no gate.
	Judgement *Judgement `json:",omitempty"`
}

// publish takes a version.
//
// What decides is the creation of the zip, which succeeds once: from then on the
// version has this content and no other, whether or not its publisher lives to see
// it. All that follows is derived from the zip, and can be done twice. Whoever uploads the
// version again, with whatever content, first finishes what was begun.
func (g *Registry) publish(r *request) *Refusal {
	ctx, at := r.Context(), &r.at
	m := module.Version{Path: at.module, Version: at.version}
	override := ""
	if query := r.URL.Query(); query.Has("override") {
		if override = firstLine(query.Get("override"), maxReason); override == "" {
			return refuse(http.StatusUnprocessableEntity, ruleReason, "an override needs a reason, which is one line of text: ?override=…")
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
		return refuse(http.StatusServiceUnavailable, ruleUpload, "too many uploads at once")
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

	if p, done := g.settle(r, c); done {
		return p
	}
	event := Event{What: "published", By: r.who}
	if g.opts.Gate != nil {
		judgement, p := g.judge(r, c, f.Name(), override)
		if p != nil {
			return p
		}
		event.Judgement = judgement
		if judgement.Verdict != VerdictPass {
			event.Reason = override
		}
	}
	event.Time = now()
	if err := g.intend(ctx, at.file, c.sum, event); err != nil {
		return broken(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return broken(err)
	}
	err = g.store.Create(ctx, at.file+".zip", f)
	if errors.Is(err, fs.ErrExist) {
		if p, done := g.settle(r, c); done {
			return p
		}
	}
	if err == nil {
		err = g.finish(ctx, at, c)
	}
	if err != nil {
		return broken(err)
	}
	if event.Reason != "" {
		g.stats.overridden.Add(1)
	}
	g.stats.published.Add(1)
	return r.answerPublished(http.StatusCreated, c, event.Judgement)
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

// receive writes the body to a temporary file.
func (g *Registry) receive(r *request, f *os.File) *Refusal {
	if r.Header.Get("Content-Encoding") != "" {
		return refuse(http.StatusUnsupportedMediaType, ruleUpload, "the body is a zip, and has no Content-Encoding")
	}
	// A server that bounds requests as a whole does not have uploads in mind, nor what
	// a gate needs. Writers without deadlines are those of tests.
	control := http.NewResponseController(r.w)
	_ = control.SetReadDeadline(time.Now().Add(g.opts.UploadTimeout))
	_ = control.SetWriteDeadline(time.Time{})
	body := &uploadBody{Reader: r.Body}
	n, err := io.Copy(f, io.LimitReader(body, g.opts.MaxZip+1))
	g.stats.received.Add(n)
	if body.ended {
		// The gate may take longer, and a client that goes away is noticed by reading.
		r.received = true
		_ = control.SetReadDeadline(time.Time{})
	}
	switch {
	case errors.Is(body.err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, ruleUpload, fmt.Sprintf("the body did not arrive within %v", g.opts.UploadTimeout))
	case body.err != nil:
		return &Refusal{Status: http.StatusBadRequest, Rule: ruleUpload, Detail: "the body ended before its end", cause: body.err}
	case err != nil:
		return broken(err)
	case n > g.opts.MaxZip:
		return g.tooLarge()
	}
	return nil
}

// An uploadBody keeps how reading ended, to tell its errors from those of writing.
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

// check inspects an upload; few at once, for that takes memory and time.
func (g *Registry) check(ctx context.Context, m module.Version, f *os.File) (*contents, error) {
	select {
	case g.checks <- struct{}{}:
		defer func() { <-g.checks }()
		return inspect(m, f)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// judge asks the gate. The answer is a judgement with which to go on, or a refusal.
func (g *Registry) judge(r *request, c *contents, zip, override string) (*Judgement, *Refusal) {
	ctx, at := r.Context(), &r.at
	list, err := readSmall(ctx, g.store, at.base+listFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, broken(err)
	}
	release := &Release{
		Path: at.module, Version: at.version, Sum: c.sum, GoMod: c.goMod, Zip: zip,
		Versions: lines(list), Proxy: g.preview(at, c, zip),
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

// settle answers an upload of a version that there is already, after it has finished
// the publishing of that; done is false when there is none.
func (g *Registry) settle(r *request, c *contents) (p *Refusal, done bool) {
	rec, err := g.complete(r.Context(), &r.at, c)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false
	case err != nil:
		return broken(err), true
	case rec.Sum != c.sum:
		return refuse(http.StatusConflict, ruleImmutable, fmt.Sprintf(
			"%s@%s is published with the sum %s, and what never changes cannot be published with the sum %s: take the next version", r.at.module, r.at.version, rec.Sum, c.sum)), true
	case rec.Blocked:
		return g.refused(r.Context(), &r.at, rec), true
	}
	g.stats.identical.Add(1)
	return r.answerPublished(http.StatusOK, c, nil), true
}

// complete gives the record of a version whose zip is in the store, and sees to it that
// all else is there as well. c is the upload, perhaps of the same content.
func (g *Registry) complete(ctx context.Context, at *target, c *contents) (*Record, error) {
	rec, err := g.readRecord(ctx, at.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if rec == nil || rec.Sum != c.sum {
		if there, err := g.has(ctx, at.file+".info"); rec != nil && there && err == nil {
			return rec, g.relist(ctx, at)
		}
		if c, err = g.stored(ctx, at); err != nil {
			return nil, err
		}
	}
	if err := g.finish(ctx, at, c); err != nil {
		return nil, err
	}
	return g.readRecord(ctx, at.file)
}

// stored inspects a zip that is in the store, and has no record yet.
func (g *Registry) stored(ctx context.Context, at *target) (*contents, error) {
	zip, err := g.store.Open(ctx, at.file+".zip")
	if err != nil {
		return nil, err
	}
	defer zip.Close()
	f, err := g.temp()
	if err != nil {
		return nil, err
	}
	defer discard(f)
	if _, err := io.Copy(f, zip); err != nil {
		return nil, err
	}
	return g.check(ctx, module.Version{Path: at.module, Version: at.version}, f)
}
