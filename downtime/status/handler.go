package status

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/page"
	"github.com/upkeep-go/upkeep/internal/problem"
)

// Options of [Handler] and [PublicHandler]. Nil options are the defaults.
type Options struct {
	// Authorize admits operators and returns an error to others. A POST is a command, and all
	// other requests only read. Each command is logged with who. Nil denies everyone.
	// PublicHandler does not use it.
	Authorize func(*http.Request) (who string, err error)

	// Service is the service's name for users, on pages and in calendars. Empty means that they
	// show only "maintenance".
	Service string

	// URL is the http or https URL of the page that users read, for calendars and for
	// programs. Empty means none.
	URL string

	// Components are the parts of the service that users know by name, for programs that
	// read Statuspage. A window affects the components whose scope it meets. Empty means none.
	Components []Component

	// Editor changes the guard's document, so that the commands of [Handler] reach all replicas.
	// It must edit the document that the guard's source loads: [downtime.FileEditor] for
	// [downtime.File]. Nil means that commands act on this process only.
	Editor downtime.Editor

	// Logger logs each command with its operator, and errors of rendering. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// A Component is a part of the service.
type Component struct {
	Name  string         // the name for users: "Checkout". Required and unique.
	Scope schedule.Scope // what belongs to it; paths as in a document of windows
}

func (o *Options) resolve(g *downtime.Guard) (Options, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	if g == nil {
		return opts, errors.New("status: the guard is nil")
	}
	if opts.URL != "" {
		if u, err := url.Parse(opts.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			return opts, fmt.Errorf("status: Options.URL must be an http or https URL, got %q", opts.URL)
		}
	}
	names := map[string]bool{}
	for i, c := range opts.Components {
		if c.Name == "" || names[c.Name] {
			return opts, fmt.Errorf("status: Options.Components[%d].Name must not be empty or used twice, got %q", i, c.Name)
		}
		names[c.Name] = true
	}
	opts.Components = slices.Clone(opts.Components)
	opts.Logger = cmp.Or(opts.Logger, slog.Default())
	return opts, nil
}

// Handler serves the state of this process's guard to operators, and takes their commands. Its
// responses forbid caches. A request that Options.Authorize refuses gets 403.
//
// Commands are POSTs of the page's forms: see the package comment. Each is logged, also if it is
// refused.
//
// Handler returns an error if the guard is nil or an option is invalid.
func Handler(g *downtime.Guard, opts *Options) (http.Handler, error) {
	h, err := newHandler(g, opts)
	if err != nil {
		return nil, err
	}
	h.operators = true
	h.routes[statusJSON] = route{contentType: typeJSON, render: func(now time.Time) ([]byte, error) {
		return indented(newView(g, now, true))
	}}
	h.edits = h.opts.Editor != nil
	return h, nil
}

// PublicHandler serves the announced windows to users. It answers GET and HEAD from any origin,
// with an ETag. Responses may be cached for 30 seconds, the page for 5 seconds. Without a
// schedule it answers 503, because an empty feed would clear the calendars that subscribe.
//
// PublicHandler returns the same errors as [Handler].
func PublicHandler(g *downtime.Guard, opts *Options) (http.Handler, error) {
	h, err := newHandler(g, opts)
	if err != nil {
		return nil, err
	}
	return h, nil
}

const (
	maxAge     = "30" // seconds for which a public response may be cached
	maxPageAge = "5"  // seconds for the page, which shows the time
	retryAfter = "10" // seconds until the next attempt, without a schedule

	statusJSON   = "status.json"
	typeJSON     = "application/json"
	typeHTML     = "text/html; charset=utf-8"
	typeCalendar = "text/calendar; charset=utf-8"
)

type handler struct {
	guard     *downtime.Guard
	opts      Options
	operators bool
	edits     bool             // commands edit the document
	routes    map[string]route // by path below the handler
}

type route struct {
	contentType string
	render      func(now time.Time) ([]byte, error)
	last        *rendering
}

func newHandler(g *downtime.Guard, o *Options) (*handler, error) {
	opts, err := o.resolve(g)
	if err != nil {
		return nil, err
	}
	h := &handler{guard: g, opts: opts, routes: map[string]route{}}
	add := func(contentType string, render func(time.Time) ([]byte, error), paths ...string) {
		last := &rendering{}
		for _, path := range paths {
			h.routes[path] = route{contentType, render, last}
		}
	}
	add(typeHTML, h.page, "")
	shaped := func(of func(*view) *statuspage, paths ...string) {
		add(typeJSON, func(now time.Time) ([]byte, error) { return indented(of(newView(g, now, false))) }, paths...)
	}
	scheduled := func(of ...stage) func(v *view) *statuspage {
		return func(v *view) *statuspage { return v.scheduled(&h.opts, of...) }
	}
	shaped(scheduled(stageUpcoming), "upcoming.json", "api/v2/scheduled-maintenances/upcoming.json")
	shaped(scheduled(stageActive), "active.json", "api/v2/scheduled-maintenances/active.json")
	shaped(func(v *view) *statuspage { return v.recent(&h.opts) }, "scheduled-maintenances.json", "api/v2/scheduled-maintenances.json")
	shaped(func(v *view) *statuspage { return v.summary(&h.opts) }, "summary.json", "api/v2/summary.json")
	shaped(func(v *view) *statuspage { return v.status(&h.opts) }, "api/v2/status.json")
	add(typeCalendar, h.calendar, "calendar.ics")
	return h, nil
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	path, redirect, ok := page.Route(r, slices.Collect(maps.Keys(h.routes))...)
	isCommand := ok && path == "" && r.Method == http.MethodPost && h.operators
	switch {
	case !h.operators:
		header.Set("Access-Control-Allow-Origin", "*")
	case isCommand:
		h.serveCommand(w, r, redirect)
		return
	default:
		if _, err := h.authorize(r); err != nil {
			problem.Write(w, r, problem.Problem{Status: http.StatusForbidden, Detail: "the maintenance status is for operators"})
			return
		}
	}
	if !ok {
		problem.Write(w, r, problem.Problem{Status: http.StatusNotFound})
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		allow := "GET, HEAD"
		if h.operators && path == "" {
			allow += ", POST"
		}
		header.Set("Allow", allow)
		problem.Write(w, r, problem.Problem{Status: http.StatusMethodNotAllowed, Detail: "the status is for " + strings.ReplaceAll(allow, ", ", " and ")})
		return
	}
	if path == "" && h.operators {
		header.Add("Vary", "Accept")
		if problem.Negotiate(r.Header["Accept"]) != problem.HTML {
			path, redirect = statusJSON, false
		}
	}
	if redirect {
		page.Redirect(w, r)
		return
	}
	// Without a schedule, the operators' page and their JSON show the boot policy.
	h.serve(w, r, h.routes[path], !h.operators || path != "" && path != statusJSON)
}

func (h *handler) authorize(r *http.Request) (who string, err error) {
	if h.opts.Authorize == nil {
		return "", errors.New("status: Options.Authorize is nil")
	}
	return h.opts.Authorize(r)
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request, route route, needsSchedule bool) {
	header := w.Header()
	s := h.guard.Document().Schedule
	missing := needsSchedule && s == nil
	if missing {
		header.Set("Retry-After", retryAfter)
	}
	isPage := route.contentType == typeHTML
	if missing && !isPage { // the page says so itself
		problem.Write(w, r, problem.Problem{Status: http.StatusServiceUnavailable, Detail: "the maintenance schedule has not been read yet"})
		return
	}
	var body []byte
	var tag string
	var err error
	if missing || h.operators {
		body, err = route.render(time.Now())
	} else {
		body, tag, err = route.last.get(s, route.render)
	}
	if err != nil {
		h.opts.Logger.Error("maintenance status cannot be written", "err", err)
		problem.Write(w, r, problem.Problem{Status: http.StatusInternalServerError, Detail: "the status cannot be written"})
		return
	}
	problem.Guard(header)
	header.Set("Content-Type", route.contentType)
	if isPage {
		forms := "'none'"
		if h.operators {
			forms = "'self'"
		}
		header.Set("Content-Security-Policy", page.Policy(forms))
	}
	if missing {
		w.WriteHeader(http.StatusServiceUnavailable)
		if r.Method != http.MethodHead {
			_, _ = w.Write(body) // the client may have gone
		}
		return
	}
	if !h.operators {
		header.Set("Cache-Control", "public, max-age="+maxAge)
		if isPage {
			header.Set("Cache-Control", "public, max-age="+maxPageAge)
		}
		header.Set("ETag", tag)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// A rendering caches the last response to users. It is made again when a second has passed or the
// schedule has changed.
type rendering struct {
	mu   sync.Mutex
	of   *schedule.Schedule
	at   int64
	body []byte
	tag  string
}

func (l *rendering) get(of *schedule.Schedule, render func(time.Time) ([]byte, error)) (body []byte, tag string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.of != of || l.at != now.Unix() {
		body, err := render(now)
		if err != nil {
			return nil, "", err
		}
		sum := sha256.Sum256(body)
		l.of, l.at, l.body, l.tag = of, now.Unix(), body, fmt.Sprintf(`"%x"`, sum[:16])
	}
	return l.body, l.tag, nil
}

func (h *handler) page(now time.Time) ([]byte, error) {
	return newView(h.guard, now, h.operators).page(h.opts.Service, h.operators, h.edits)
}

func (h *handler) calendar(now time.Time) ([]byte, error) {
	document := h.guard.Document()
	opts := &CalendarOptions{URL: h.opts.URL, Operators: h.operators, Revised: document.Since}
	if h.opts.Service != "" {
		opts.Name = h.opts.Service + " maintenance"
	}
	return Calendar(document.Schedule, now, opts), nil
}

func indented(v any) ([]byte, error) {
	body, err := json.MarshalIndent(v, "", "  ")
	return append(body, '\n'), err
}
