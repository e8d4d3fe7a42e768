package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

func isURL(target string) bool {
	return strings.HasPrefix(target, "https://") || strings.HasPrefix(target, "http://")
}

// A window is what status.json has of a window.
type window struct {
	ID       string         `json:"id"`
	Phase    schedule.Phase `json:"phase"`
	Start    time.Time      `json:"start"`
	End      time.Time      `json:"end"`
	Revision string         `json:"revision"`
}

// An answer is the answer to a command.
type answer struct {
	Command string         `json:"command"`
	Window  string         `json:"window"`
	Phase   schedule.Phase `json:"phase"`
	Start   time.Time      `json:"start"`
	End     time.Time      `json:"end"`
	Report  struct {
		Quiet      bool           `json:"quiet"`
		Busy       int            `json:"busy"`
		Oldest     float64        `json:"oldest_seconds"`
		Work       map[string]int `json:"work"`
		Local      bool           `json:"local"`
		Unfinished bool           `json:"unfinished"`
	} `json:"report"`
}

// order posts a command to the page of a running service.
func (c *command) order(ctx context.Context, page, name, id string, until func(end time.Time) time.Time) error {
	e := endpoint{page: page, token: c.env("DOWNTIME_TOKEN")}
	w, err := e.find(ctx, id)
	if err != nil {
		return err
	}
	form := url.Values{"command": {name}, "window": {id}, "revision": {w.Revision}}
	if until != nil {
		form.Set("until", until(w.End).UTC().Format(time.RFC3339))
	}
	a, err := e.post(ctx, form)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s: %s, %s to %s\n", a.Window, a.Phase, a.Start.Format(time.RFC3339), a.End.Format(time.RFC3339))
	if a.Report.Local {
		text += "This changed one process only: the service has no editor of its document.\n"
	}
	return c.print(a, text)
}

// An endpoint is the operators' page of one process.
type endpoint struct {
	page  string
	token string
}

const (
	maxBody = 16 << 20
	timeout = 30 * time.Second // of one request
)

func (e *endpoint) do(ctx context.Context, method, resource string, form url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	base, err := url.Parse(e.page)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(base.Path, "/") {
		base.Path += "/"
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, base.JoinPath(resource).String(), body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if e.token != "" {
		r.Header.Set("Authorization", "Bearer "+e.token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		failed := &statusError{page: base.Redacted(), code: resp.StatusCode}
		if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "application/problem+json" {
			var problem struct{ Detail string }
			if json.Unmarshal(data, &problem) == nil {
				failed.detail = problem.Detail
			}
		}
		return nil, failed
	}
	return data, nil
}

// A statusError is a response that is not a success.
type statusError struct {
	page   string
	code   int
	detail string
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("%s: %d %s", e.page, e.code, http.StatusText(e.code))
	if e.detail != "" {
		text += fmt.Sprintf(": %q", e.detail)
	}
	return text
}

// find returns the state of a window.
func (e *endpoint) find(ctx context.Context, id string) (window, error) {
	data, err := e.do(ctx, http.MethodGet, "status.json", nil)
	if err != nil {
		return window{}, err
	}
	var body struct{ Windows []window }
	if err := json.Unmarshal(data, &body); err != nil {
		return window{}, fmt.Errorf("%s: not the JSON of an operators' page: %w", e.page, err)
	}
	for _, w := range body.Windows {
		if w.ID == id && w.Revision != "" {
			return w, nil
		}
	}
	return window{}, fmt.Errorf("%s: %w %q", e.page, errMissing, id)
}

var errMissing = errors.New("does not show a window")

func (e *endpoint) post(ctx context.Context, form url.Values) (a answer, err error) {
	data, err := e.do(ctx, http.MethodPost, "", form)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return a, fmt.Errorf("%s: not the answer to a command: %w", e.page, err)
	}
	return a, nil
}

// A drained is the result of drain for one process.
type drained struct {
	URL   string         `json:"url"`
	Quiet bool           `json:"quiet"`
	Busy  int            `json:"busy"`
	Work  map[string]int `json:"work,omitempty"`
	Error string         `json:"error,omitempty"`
}

func (d drained) String() string {
	switch {
	case d.Error != "":
		return d.URL + ": " + d.Error
	case d.Quiet:
		return d.URL + ": quiet"
	}
	kinds := make([]string, 0, len(d.Work))
	for kind, n := range d.Work {
		kinds = append(kinds, fmt.Sprintf("%q %d", kind, n))
	}
	slices.Sort(kinds)
	return fmt.Sprintf("%s: %d busy (%s)", d.URL, d.Busy, strings.Join(kinds, ", "))
}

const drainPause = 500 * time.Millisecond // between two attempts

func (c *command) drain(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("drain", flag.ContinueOnError)
	limit := flags.Duration("timeout", 0, "")
	rest, err := c.parse(flags, args, 2, math.MaxInt)
	if err != nil {
		return err
	}
	id, pages := rest[0], rest[1:]
	for _, page := range pages {
		if !isURL(page) {
			return usagef("drain needs http or https URLs, got %q", page)
		}
	}
	if *limit < 0 {
		return usagef("-timeout must not be negative, got %v", *limit)
	}
	if *limit > 0 {
		bounded, cancel := context.WithTimeout(ctx, *limit)
		defer cancel()
		ctx = bounded
	}
	results := make([]drained, len(pages))
	var mu sync.Mutex // guards output and results
	var all sync.WaitGroup
	for i, page := range pages {
		all.Go(func() {
			e := endpoint{page: page, token: c.env("DOWNTIME_TOKEN")}
			e.drain(ctx, id, func(d drained) {
				mu.Lock()
				defer mu.Unlock()
				if before := results[i].String(); before != d.String() && !c.json {
					fmt.Fprintln(c.out, d)
				}
				results[i] = d
			})
		})
	}
	all.Wait()
	quiet := !slices.ContainsFunc(results, func(d drained) bool { return !d.Quiet })
	if c.json {
		if err := c.print(map[string]any{"window": id, "quiet": quiet, "endpoints": results}, ""); err != nil {
			return err
		}
	}
	if !quiet {
		return fmt.Errorf("%s is not quiet in all processes", id)
	}
	return nil
}

// drain posts drain until the process is quiet, cannot become quiet, or ctx ends. It reports each
// state.
func (e *endpoint) drain(ctx context.Context, id string, report func(drained)) {
	for {
		d, final := e.drainOnce(ctx, id)
		if ctx.Err() != nil && !d.Quiet {
			return // the state before says what is in the way
		}
		report(d)
		if final {
			return
		}
		timer := time.NewTimer(drainPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// drainOnce posts drain once. final means that the result cannot change.
func (e *endpoint) drainOnce(ctx context.Context, id string) (d drained, final bool) {
	d.URL = e.page
	fail := func(err error, final bool) (drained, bool) {
		d.Error = err.Error()
		return d, final
	}
	w, err := e.find(ctx, id)
	var refused *statusError
	switch {
	case errors.Is(err, errMissing):
		return fail(err, true)
	case errors.As(err, &refused) && refused.code/100 == 4:
		return fail(err, true)
	case err != nil:
		return fail(err, false)
	case w.Phase.Before(schedule.PhaseDraining):
		return fail(fmt.Errorf("begins at %s", w.Start.Format(time.RFC3339)), false)
	case w.Phase == schedule.PhaseCompleted:
		return fail(fmt.Errorf("ended at %s", w.End.Format(time.RFC3339)), true)
	}
	a, err := e.post(ctx, url.Values{"command": {"drain"}, "window": {id}, "revision": {w.Revision}})
	if err != nil {
		stale := errors.As(err, &refused) && refused.code/100 == 4 && refused.code != http.StatusPreconditionFailed
		return fail(err, stale)
	}
	d.Quiet, d.Busy, d.Work = a.Report.Quiet, a.Report.Busy, a.Report.Work
	return d, d.Quiet
}
