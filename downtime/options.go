package downtime

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/internal/document"
)

// Options of a [Guard]. Nil options are the defaults.
type Options struct {
	// Pass lists requests that are never counted and never refused, as patterns of net/http: a
	// path, with a method before it if that matters ("GET /healthz"). "/x" does not match a slash at
	// the end, "/x/{$}" does. A path with an unusual encoding does not match. Nil means
	// [DefaultPass]. Empty but not nil means none.
	Pass []string

	// Classify returns the effect of a request whose method does not show it, as in GraphQL, where
	// all requests are POST. It must not read the body that the handler needs. Nil means that GET, HEAD, OPTIONS,
	// TRACE, QUERY, PROPFIND, REPORT and SEARCH read, unless the request offers to switch
	// protocols, as WebSockets do, and all others write.
	Classify func(*http.Request) Effect

	// Stream reports whether a request is a stream, so that a window ends it: see [Guard.Handler].
	// It is called after the request was admitted. Nil means that only the response decides.
	Stream func(*http.Request) bool

	// Long reports whether a request takes long, so that it is refused from a window's cutoff on.
	// Nil means never.
	Long func(*http.Request) bool

	// Work declares the names of all work that this process enters or holds. A scope that lists
	// another name is a problem, because a misspelt name would leave the work running; with
	// Strict, such a document is refused. Nil means that all names are allowed.
	Work []string

	// Strict makes Open return an error when the document is faulty. Later, it refuses a document
	// with any fault, and one whose scopes list work that Work does not declare. False means that
	// Boot decides at the start, and that later a fault affects its own window only.
	Strict bool

	// Boot is what the guard does until it has read a document. Empty means BootWait.
	Boot Boot

	// BootTimeout is how long Open waits for a first document, and with BootClosed and
	// BootOpen for the first attempt. Zero means 10s.
	BootTimeout time.Duration

	// Poll is the time between loads of the document, varied by a tenth. Zero means 15s.
	Poll time.Duration

	// LastGood is a file for a copy of the last document without faults. It is used at a start when
	// the source fails or has a faulty document. Empty means none.
	LastGood string

	// Fallback is the document for a start without source and last good copy, usually an embedded
	// one. Empty means none.
	Fallback []byte

	// StaleAfter is how long the source may fail before the document counts as stale in Stats and on
	// the status page. It changes nothing else. Zero means never.
	StaleAfter time.Duration

	// RetryMax bounds Retry-After. Zero means 1h.
	RetryMax time.Duration

	// RetryJitter bounds the random time that is added to the time to a window's end, so that not
	// all clients return in the same second. It is at most a quarter of the window. Zero means 30s.
	// Negative means none.
	RetryJitter time.Duration

	// Service is the name of the service for users, a few words for the page of a refusal. Empty
	// means that the page only says "maintenance".
	Service string

	// CORS is the application's CORS middleware. The guard puts it around refusals, so that pages
	// of other origins can read them, and adds Retry-After to Access-Control-Expose-Headers. The
	// middleware also answers preflight requests in the scope of a window, which are then not
	// counted or refused. Nil means that refusals do not have CORS headers and that preflight
	// requests are refused like others.
	CORS func(http.Handler) http.Handler

	// StatusURL is the address of a status page for users, such as that of package status: an
	// http or https URL, or a path that begins with "/". Refusals, and responses to requests in
	// the scope of a window that is announced or in progress, have it as a Link with
	// rel="status" (RFC 8631), set before the handler is called; rehearsals do not. Keep the page
	// out of all scopes. Empty means none.
	StatusURL string

	// Reminders are the times before the start of a window at which [Guard.Events] yields a
	// reminder, if the window is announced by then. Nil means 24h, 1h and 10m. Empty but not nil
	// means none.
	Reminders []time.Duration

	// OverrunMax bounds how long after its planned end a window stays closed because its work is
	// unfinished, and how long a disagreement of the clocks keeps it closed. Zero means 1h.
	OverrunMax time.Duration

	// Quorum coordinates this guard with those of other replicas: see [Quorum]. The guard does not
	// close it. Nil means that this process decides alone.
	Quorum Quorum

	// Grace is how long requests and work in a window's scope may run after the window's start, or
	// after the edit of the document that brings them into scope. Then the guard cuts them: their
	// context ends with an [*UnavailableError] as its cause, reads of the body and writes of the
	// response fail with the same error, also those that wait for the client, and a hijacked
	// connection is closed. Requests that bypass a window are not cut. Work of [Guard.Enter],
	// [Guard.EnterWait] and [Guard.Hold] cannot be cut, because its context is not the guard's;
	// [Report].Uncut counts it. Zero means never.
	Grace time.Duration

	// StreamJitter bounds the random time after a window's start at which a stream is ended, so that
	// not all clients come back at once. It is at most a quarter of the window. Draining takes as
	// long. Zero means 5s. Negative means none.
	StreamJitter time.Duration

	// Bypass admits operators to closed windows. Nil means none.
	Bypass *Bypass

	// Logger gets one record for each change of phase and for each problem. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// Boot is what a guard does until it has read a document. The empty Boot means BootWait.
type Boot string

// The boot policies.
const (
	// BootWait makes Open wait up to BootTimeout for a document that is missing, empty or out of
	// reach. After that, the guard refuses writes until there is a document. Open does not wait if
	// the document is faulty.
	BootWait Boot = "wait"
	// BootClosed refuses all requests and work until there is a document.
	BootClosed Boot = "closed"
	// BootOpen admits all requests and work until there is a document.
	BootOpen Boot = "open"
)

func (o *Options) resolve() (Options, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"BootTimeout", opts.BootTimeout},
		{"Poll", opts.Poll},
		{"StaleAfter", opts.StaleAfter},
		{"RetryMax", opts.RetryMax},
		{"OverrunMax", opts.OverrunMax},
		{"Grace", opts.Grace},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("downtime: Options.%s must not be negative, got %v", d.name, d.value))
		}
	}
	opts.Boot = cmp.Or(opts.Boot, BootWait)
	if opts.Boot != BootWait && opts.Boot != BootClosed && opts.Boot != BootOpen {
		errs = append(errs, fmt.Errorf("downtime: Options.Boot must be one of the constants, got %q", opts.Boot))
	}
	if err := checkStatusURL(opts.StatusURL); err != nil {
		errs = append(errs, err)
	}
	opts.BootTimeout = cmp.Or(opts.BootTimeout, 10*time.Second)
	opts.RetryMax = max(time.Second, cmp.Or(opts.RetryMax, time.Hour))
	opts.RetryJitter = max(0, cmp.Or(opts.RetryJitter, 30*time.Second))
	opts.OverrunMax = cmp.Or(opts.OverrunMax, time.Hour)
	if opts.Reminders == nil {
		opts.Reminders = []time.Duration{24 * time.Hour, time.Hour, 10 * time.Minute}
	}
	for _, r := range opts.Reminders {
		if r <= 0 {
			errs = append(errs, fmt.Errorf("downtime: Options.Reminders must be positive, got %v", r))
		}
	}
	opts.Reminders = slices.Clone(opts.Reminders)
	slices.Sort(opts.Reminders)
	opts.StreamJitter = max(0, cmp.Or(opts.StreamJitter, 5*time.Second))
	opts.Logger = cmp.Or(opts.Logger, slog.Default())
	if opts.Pass == nil {
		opts.Pass = DefaultPass()
	}
	return opts, errors.Join(errs...)
}

// checkStatusURL refuses texts that would end a header field or a link.
func checkStatusURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	plain := !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("<>\"\\^`{|}", r) })
	if err == nil && plain &&
		((u.Scheme == "https" || u.Scheme == "http") && u.Host != "" || u.Scheme == "" && u.Host == "" && strings.HasPrefix(u.Path, "/")) {
		return nil
	}
	return fmt.Errorf(`downtime: Options.StatusURL must be an http or https URL, or a path that begins with "/", got %q`, cleantext.Clip(text, 80))
}

// String returns "wait", "closed" or "open".
func (b Boot) String() string { return string(cmp.Or(b, BootWait)) }

// window returns the window that replaces a schedule until there is one, because of err. It may be
// nil.
func (b Boot) window(err error) *schedule.Window {
	if b == BootOpen {
		return nil
	}
	w := &schedule.Window{Timezone: time.UTC, Mode: schedule.ModeReadOnly, Message: "The maintenance schedule has not been read yet."}
	var fault *schedule.Fault
	if errors.As(err, &fault) {
		w.Message = fmt.Sprintf("The maintenance schedule is faulty, at %s, and there is no earlier one.", document.Place(filepath.Base(fault.File), fault.Line, fault.Column))
	}
	if b == BootClosed {
		w.Mode = schedule.ModeClosed
	}
	return w
}
