package registry

import (
	"bytes"
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
func (g *Registry) publish(r *request) *problem {
	ctx, at := r.Context(), &r.at
	m := module.Version{Path: at.module, Version: at.version}
	override := ""
	if query := r.URL.Query(); query.Has("override") {
		if override = oneLine(query.Get("override"), maxReason); override == "" {
			return refuse(http.StatusUnprocessableEntity, ruleReason, "an override needs a reason, which is one line of text: ?override=…")
		}
		if p := g.may(r, Override); p != nil {
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
		if judgement.Verdict != Pass {
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
	g.published(r, http.StatusCreated, c, event.Judgement)
	return nil
}

func (g *Registry) published(r *request, status int, c *cargo, judgement *Judgement) {
	r.w.Header().Set("Cache-Control", "no-store")
	writeJSON(r.w, r.Request, status, jsonType, &Published{
		Path: r.at.module, Version: r.at.version, Sum: c.sum, GoModSum: c.goModSum,
		New: status == http.StatusCreated, Judgement: judgement,
	})
}

func (g *Registry) tooLarge() *problem {
	return refuse(http.StatusRequestEntityTooLarge, ruleSize, fmt.Sprintf("the zip is larger than %d bytes", g.opts.MaxZip))
}

// receive writes the body to a temporary file.
func (g *Registry) receive(r *request, f *os.File) *problem {
	if r.Header.Get("Content-Encoding") != "" {
		return refuse(http.StatusUnsupportedMediaType, ruleUpload, "the body is a zip, and has no Content-Encoding")
	}
	// A server that bounds requests as a whole does not have uploads in mind, nor what
	// a gate needs. Writers without deadlines are those of tests.
	control := http.NewResponseController(r.w)
	_ = control.SetReadDeadline(time.Now().Add(g.opts.UploadTimeout))
	_ = control.SetWriteDeadline(time.Time{})
	body := &source{Reader: r.Body}
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
		return &problem{Status: http.StatusBadRequest, Rule: ruleUpload, Detail: "the body ended before its end", cause: body.err}
	case err != nil:
		return broken(err)
	case n > g.opts.MaxZip:
		return g.tooLarge()
	}
	return nil
}

// A source keeps how reading ended, to tell its errors from those of writing.
type source struct {
	io.Reader
	ended bool
	err   error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF {
		s.ended = true
	} else if err != nil {
		s.err = err
	}
	return n, err
}

// check inspects an upload; few at once, for that takes memory and time.
func (g *Registry) check(ctx context.Context, m module.Version, f *os.File) (*cargo, error) {
	select {
	case g.checks <- struct{}{}:
		defer func() { <-g.checks }()
		return inspect(m, f)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// judge asks the gate. The answer is a judgement with which to go on, or a refusal.
func (g *Registry) judge(r *request, c *cargo, zip, override string) (*Judgement, *problem) {
	ctx, at := r.Context(), &r.at
	list, err := read(ctx, g.store, at.base+listFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, broken(err)
	}
	release := &Release{
		Path: at.module, Version: at.version, Sum: c.sum, GoMod: c.goMod, Zip: zip,
		Versions: lines(list), Proxy: g.preview(at, c, zip),
	}
	judgement, err := g.opts.Gate(ctx, release)
	if err != nil {
		judgement = Judgement{Verdict: Unknown, Reason: err.Error(), Details: judgement.Details}
	}
	judgement.Reason = shown(judgement.Reason)
	judgement.Details = grounds(judgement.Details)
	switch judgement.Verdict {
	case Pass:
		return &judgement, nil
	case Refuse:
		g.stats.gateRefused.Add(1)
	default:
		judgement.Verdict = Unknown
		g.stats.gateUnknown.Add(1)
	}
	if override != "" {
		return &judgement, nil
	}
	text := "the gate refuses " + at.version
	if judgement.Verdict == Unknown {
		text = "the gate cannot judge " + at.version
	}
	p := refuse(http.StatusUnprocessableEntity, ruleGate, text+": "+judgement.Reason)
	p.Verdict, p.Details = &judgement.Verdict, judgement.Details
	return nil, p
}

// grounds bounds the grounds of a judgement, which the record has to hold: a record that
// is too large to be read would be the end of its version.
func grounds(details []string) []string {
	const most, long = 1000, 4 << 10
	var all []string
	left := maxSmall / 16 // for all of them
	for i, d := range details {
		d = shownUpTo(d, long)
		if left -= len(d); i == most || left < 0 {
			return append(all, fmt.Sprintf("and %d more", len(details)-i))
		}
		all = append(all, d)
	}
	return all
}

// settle answers an upload of a version that there is already, after it has finished
// the publishing of that; done is false when there is none.
func (g *Registry) settle(r *request, c *cargo) (p *problem, done bool) {
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
	g.published(r, http.StatusOK, c, nil)
	return nil, true
}

// complete gives the record of a version whose zip is in the store, and sees to it that
// all else is there as well. c is the upload, perhaps of the same content.
func (g *Registry) complete(ctx context.Context, at *target, c *cargo) (*Record, error) {
	rec, err := readRecord(ctx, g.store, at.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if rec == nil || rec.Sum != c.sum {
		info, err := g.store.Open(ctx, at.file+".info")
		if err == nil {
			info.Close()
		}
		if rec != nil && err == nil {
			return rec, g.list(ctx, at.base, at.file, at.version)
		}
		if c, err = g.stored(ctx, at); err != nil {
			return nil, err
		}
	}
	if err := g.finish(ctx, at, c); err != nil {
		return nil, err
	}
	return readRecord(ctx, g.store, at.file)
}

// stored inspects a zip that is in the store, and has no record yet.
func (g *Registry) stored(ctx context.Context, at *target) (*cargo, error) {
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

// finish makes a version visible whose zip is in the store: its record, what the proxy
// protocol derives from the zip, and last of all the list. It leaves alone what is
// there already.
func (g *Registry) finish(ctx context.Context, at *target, c *cargo) error {
	published, err := g.confirm(ctx, at, c)
	if err != nil {
		return err
	}
	if module.IsPseudoVersion(at.version) {
		if published, err = module.PseudoVersionTime(at.version); err != nil {
			return err
		}
	}
	for _, file := range []struct {
		end  string
		data []byte
	}{
		{".mod", c.goMod},
		{".info", info{Version: at.version, Time: published.UTC().Truncate(time.Second)}.encode()}, // the last, for complete
	} {
		err := g.store.Create(ctx, at.file+file.end, bytes.NewReader(file.data))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return g.list(ctx, at.base, at.file, at.version)
}
