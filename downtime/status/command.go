package status

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/internal/page"
	"github.com/upkeep-go/upkeep/internal/problem"
)

const (
	maxForm   = 16 << 10        // bytes of a command's form
	drainWait = time.Second     // how long a drain command waits for quiet
	editWait  = 5 * time.Second // how long a command waits until this guard has read its edit
)

// A command is one POST of an operator.
type command struct {
	name     string // "begin", "complete", "extend", "cancel" or "drain"
	window   string
	revision string // that the operator's form showed, see commandRevision
	until    time.Time
}

// commandRevision identifies the state that a form for a command shows: the document, and the times
// of the window in this process.
func commandRevision(document string, start, end time.Time) string {
	hash := fnv.New32a()
	fmt.Fprint(hash, start.UnixNano(), end.UnixNano())
	return document + "." + hex.EncodeToString(hash.Sum(nil))
}

// A rejection is a command that was not carried out.
type rejection struct {
	status int
	err    error
}

func (r *rejection) Error() string { return r.err.Error() }

func (r *rejection) Unwrap() error { return r.err }

func reject(status int, format string, args ...any) error {
	return &rejection{status, fmt.Errorf(format, args...)}
}

// serveCommand carries out a POST, and logs who asked for what and what became of it.
func (h *handler) serveCommand(w http.ResponseWriter, r *http.Request, redirect bool) {
	var c command
	who, err := h.authorize(r)
	if origin := http.NewCrossOriginProtection().Check(r); origin != nil {
		err = &rejection{http.StatusForbidden, errors.New("a command must come from a page of this origin")}
	} else if err != nil {
		err = &rejection{http.StatusForbidden, errors.New("commands are for operators")}
	}
	if err == nil && redirect {
		page.Redirect(w, r) // the client repeats its POST
		return
	}
	if err == nil {
		c, err = readCommand(w, r)
	}
	var rep downtime.Report
	if err == nil {
		rep, err = h.command(r.Context(), c)
	}
	attrs := []any{
		"command", cleantext.Clip(c.name, 20), "window", cleantext.Clip(c.window, 100), "who", cleantext.Clip(who, 200),
		"remote", r.RemoteAddr,
	}
	if !c.until.IsZero() {
		attrs = append(attrs, "until", c.until.UTC().Format(time.RFC3339))
	}
	if err != nil {
		status := http.StatusInternalServerError
		var refused *rejection
		if errors.As(err, &refused) {
			status = refused.status
		}
		h.opts.Logger.Warn("maintenance command refused", append(attrs, "status", status, "err", err)...)
		problem.Write(w, r, problem.Problem{Status: status, Detail: err.Error()})
		return
	}
	h.opts.Logger.Info("maintenance command", append(attrs, "report", rep.String())...)
	problem.Guard(w.Header())
	if problem.Negotiate(r.Header["Accept"]) == problem.HTML {
		w.Header().Set("Location", ".") // the page itself, under any prefix
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	now := time.Now()
	body, err := indented(answer{Command: c.name, Window: c.window, Phase: rep.Phase, Start: rep.Start, End: rep.End, Report: newReport(rep), Now: now})
	if err != nil {
		problem.Write(w, r, problem.Problem{Status: http.StatusInternalServerError})
		return
	}
	w.Header().Set("Content-Type", typeJSON)
	_, _ = w.Write(body) // the client may have gone
}

// answer is the JSON answer to a command, with the window's state in this process.
type answer struct {
	Command string         `json:"command"`
	Window  string         `json:"window"`
	Phase   schedule.Phase `json:"phase"`
	Start   time.Time      `json:"start"`
	End     time.Time      `json:"end"`
	Report  *report        `json:"report"`
	Now     time.Time      `json:"now"`
}

func readCommand(w http.ResponseWriter, r *http.Request) (c command, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return c, reject(http.StatusBadRequest, "the form cannot be read")
	}
	c = command{name: r.PostForm.Get("command"), window: r.PostForm.Get("window"), revision: r.PostForm.Get("revision")}
	switch c.name {
	case "begin", "complete", "cancel", "drain":
	case "extend":
		if c.until, err = time.Parse(time.RFC3339, r.PostForm.Get("until")); err != nil {
			return c, reject(http.StatusBadRequest, "until: must be a time such as 2026-12-06T02:00:00Z")
		}
	default:
		return c, reject(http.StatusBadRequest, "command: must be begin, complete, extend, cancel or drain, got %q", cleantext.Clip(c.name, 20))
	}
	if c.revision == "" {
		return c, reject(http.StatusPreconditionRequired, "revision: is required, as the page and status.json show it")
	}
	return c, nil
}

var errStale = &rejection{http.StatusPreconditionFailed, errors.New("the window or its document has changed since the page was loaded: load it again")}

// command carries out a command, and reports on the window afterwards.
func (h *handler) command(ctx context.Context, c command) (downtime.Report, error) {
	document, _, _ := strings.Cut(c.revision, ".")
	rep, err := h.guard.Report(c.window)
	if errors.Is(err, downtime.ErrUnknownWindow) {
		return rep, &rejection{http.StatusNotFound, err}
	}
	if c.revision != commandRevision(h.guard.Document().Revision, rep.Start, rep.End) {
		return rep, errStale
	}
	if c.name == "drain" {
		bounded, cancel := context.WithTimeout(ctx, drainWait)
		defer cancel()
		rep, err = h.guard.Drain(bounded, c.window)
		if err != nil && bounded.Err() != nil && !rep.Phase.Before(schedule.PhaseDraining) {
			return rep, nil // the report says what is in the way
		}
		return rep, conflict(err)
	}
	if h.opts.Editor == nil {
		return h.local(c)
	}
	now := time.Now()
	var edited string
	err = h.opts.Editor.Edit(ctx, func(old []byte) ([]byte, error) {
		if revisionOf(old) != document {
			return nil, errStale
		}
		changed, err := c.edit(old, now)
		edited = revisionOf(changed)
		return changed, conflict(err)
	})
	var refused *rejection
	switch {
	case errors.As(err, &refused):
		return rep, refused
	case err != nil:
		return rep, fmt.Errorf("the document cannot be edited: %w", err)
	}
	h.awaitRevision(ctx, edited)
	rep, err = h.guard.Report(c.window)
	return rep, err
}

// edit returns the document with the command.
func (c *command) edit(old []byte, now time.Time) ([]byte, error) {
	const name = "document"
	switch c.name {
	case "begin":
		return schedule.Begin(name, old, c.window, now)
	case "complete":
		return schedule.Complete(name, old, c.window, now)
	case "extend":
		return schedule.Extend(name, old, c.window, c.until, now)
	}
	return schedule.Cancel(name, old, c.window, now)
}

// local carries out a command in this process only.
func (h *handler) local(c command) (rep downtime.Report, err error) {
	switch c.name {
	case "begin":
		rep, err = h.guard.Begin(c.window)
	case "complete":
		rep, err = h.guard.Complete(c.window)
	case "extend":
		rep, err = h.guard.Extend(c.window, c.until)
	default:
		return rep, reject(http.StatusNotImplemented, "cancel: needs Options.Editor, because one process cannot cancel a window")
	}
	return rep, conflict(err)
}

// conflict makes a rejection of an error that depends on the window's state.
func conflict(err error) error {
	if err == nil {
		return nil
	}
	return &rejection{http.StatusConflict, err}
}

// awaitRevision waits until the guard uses a document, so that the next page shows it. A guard that
// needs longer is not an error.
func (h *handler) awaitRevision(ctx context.Context, revision string) {
	ctx, cancel := context.WithTimeout(ctx, editWait)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for h.guard.Document().Revision != revision {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// revisionOf returns the revision that a guard gives to a document.
func revisionOf(document []byte) string {
	sum := sha256.Sum256(document)
	return hex.EncodeToString(sum[:8])
}

// An action is a form on the operators' page.
type action struct {
	Command, Label string
	Window         string // its id
	Revision       string
	Until          []choice // of extend
}

type choice struct {
	At    string
	Label string
}

// isCancelled reports whether the window was ended before its start.
func (w *window) isCancelled() bool { return !w.Start.Before(w.End) }

// actions returns the forms for a window.
func (w *window) actions(now time.Time, edits bool) (forms []action) {
	if w.Revision == "" || w.isCancelled() {
		return nil
	}
	add := func(command, label string) *action {
		forms = append(forms, action{Command: command, Label: label, Window: w.ID, Revision: w.Revision})
		return &forms[len(forms)-1]
	}
	switch stageOf(w.Phase) {
	case stageUpcoming:
		if w.Phase != schedule.PhaseOpen || w.Start.Sub(now) <= 24*time.Hour {
			add("begin", "Begin now")
		}
		if edits {
			add("cancel", "Cancel")
		}
	case stageActive:
		add("complete", "Complete")
		if w.Mode.Closes() && w.Phase != schedule.PhaseOverrun {
			add("drain", "Drain")
		}
		extend := add("extend", "Extend")
		from := w.End
		if from.Before(now) {
			from = now.Truncate(time.Minute).Add(time.Minute)
		}
		for _, by := range [...]time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour} {
			at := from.Add(by)
			label := at.In(w.End.Location()).Format("15:04, Mon 2 Jan") + ", " + strings.TrimSuffix(strings.TrimSuffix(by.String(), "0s"), "0m") + " later"
			extend.Until = append(extend.Until, choice{at.UTC().Format(time.RFC3339), label})
		}
	}
	return forms
}
