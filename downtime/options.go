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
	// Pass lists what always passes, is never counted and never refused: paths, with a
	// method before them where one matters, as patterns of net/http ("GET /healthz").
	// In doubt a request does not pass. "/x" is without a slash at the end, "/x/{$}" with one.
	// Nil means [DefaultPass]. Empty but not nil means nothing.
	Pass []string

	// Classify says what a request does, where its method does not tell: GraphQL is all
	// POST. It must not read the body that the handler needs. Nil means that GET, HEAD, OPTIONS,
	// TRACE, QUERY, PROPFIND, REPORT and SEARCH read, unless the request offers to switch
	// protocols, as WebSockets do, and all others write.
	Classify func(*http.Request) Effect

	// Stream reports whether a request lasts until somebody ends it, so that a window ends it:
	// see [Guard.Handler]. It is asked after the request was admitted. Nil means that only what
	// the response declares is a stream.
	Stream func(*http.Request) bool

	// Long says whether a request takes long, and is therefore refused from a window's
	// cutoff on. Nil: none does.
	Long func(*http.Request) bool

	// Work declares the names of all work that this process enters or holds. A scope that lists
	// another name is a problem, because a misspelt name would leave the work running; with
	// Strict, such a document is refused. Nil means that any name is fine.
	Work []string

	// Strict makes Open return an error when the document is faulty. Later, it refuses a document
	// with any fault, and one whose scopes list work that Work does not declare. False means that
	// Boot decides at the start, and that later a fault affects its own window only.
	Strict bool

	// Boot is what to do as long as no document has ever been read. Empty means
	// BootWait.
	Boot Boot

	// BootTimeout is how long Open waits for a first document, and with BootClosed and
	// BootOpen for the first attempt. 0: 10 s.
	BootTimeout time.Duration

	// Poll is the time between loads of the document, varied by a tenth. 0: 15 s.
	Poll time.Duration

	// LastGood names a file in which the last document without faults is kept, for a start
	// without source or with a faulty document. Empty means none.
	LastGood string

	// Fallback is the document for a start with neither source nor last good copy,
	// usually an embedded one. Empty: none.
	Fallback []byte

	// StaleAfter is how long the source may be silent or failing before the document
	// counts as stale, in Stats and on the status page; nothing else changes. 0: never.
	StaleAfter time.Duration

	// RetryMax bounds Retry-After. 0: 1 h.
	RetryMax time.Duration

	// RetryJitter is what is at most added to the time to a window's end, each time at
	// random, so that not all return in the same second; and never more than a quarter of
	// the window. 0: 30 s. Negative: nothing.
	RetryJitter time.Duration

	// Service is what users call the service, a few words for the page that a refused browser
	// gets. Empty means that it says "maintenance" alone.
	Service string

	// CORS is the application's own CORS middleware, put around refusals, so that a page of
	// another origin can read them; Access-Control-Expose-Headers then has Retry-After
	// besides. It answers a preflight request in the scope of a window, which is neither
	// counted nor refused: else the page could not see the refusal. Nil: refusals carry no
	// such headers, and a preflight request is refused as any other.
	CORS func(http.Handler) http.Handler

	// StatusURL is the address of a status page for users, such as that of package status: an
	// http or https URL, or a path that begins with "/". Refusals, and responses to requests in
	// the scope of a window that is announced or in progress and no rehearsal, carry it as
	// Link with rel="status" (RFC 8631), set before the handler is called. Keep it out of all
	// scopes. Empty means none.
	StatusURL string

	// Reminders are how long before the start of a window [Guard.Events] reminds of it,
	// as far as it is announced by then. Nil: 24 h, 1 h and 10 min. Empty but not nil:
	// none.
	Reminders []time.Duration

	// OverrunMax is for how long after its planned end a window is held closed while its
	// work is unfinished, and for how long a disagreement of the clocks keeps it closed: see
	// [Guard]. Zero means 1 h.
	OverrunMax time.Duration

	// Quorum makes this guard one of many that are drained together: see [Quorum]. The
	// guard does not close it. Nil: this process decides alone.
	Quorum Quorum

	// Grace is how long what runs in a window's scope may go on after the window's start, or
	// after the edit of the document that brings it into scope. Then it is cut: its context ends
	// with an [*UnavailableError] as cause, reads of its body and writes of its response fail
	// with the same error, also those that wait for the client, and a connection that it has
	// taken over is closed. What bypasses a window is not cut. Work that [Guard.Enter],
	// [Guard.EnterWait] and [Guard.Hold] admit has no context of the guard's and cannot be cut;
	// [Report].Uncut counts it. Zero means never.
	Grace time.Duration

	// StreamJitter is how long after a window's start a stream is ended at most, at random, so
	// that not all come back at once; never more than a quarter of the window. Draining takes
	// at least as long. 0: 5 s. Negative: nothing.
	StreamJitter time.Duration

	// Bypass lets operators in all the same. Nil: nobody.
	Bypass *Bypass

	// Logger is told each change of phase once, and of trouble with the document. Nil:
	// slog.Default().
	Logger *slog.Logger
}

// Boot is what a guard does before it has ever read a document.
type Boot string

// The boot policies.
const (
	// BootWait makes Open wait up to BootTimeout for a document that is missing, empty
	// or out of reach, and after that refuses what writes until there is one. For a document
	// that is there and faulty it does not wait, for that will not mend itself.
	BootWait Boot = "wait"
	// BootClosed refuses everything until there is a document.
	BootClosed Boot = "closed"
	// BootOpen refuses nothing until there is a document.
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

// checkStatusURL keeps what would end a header field or a link.
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

// window is what stands in for a schedule while there is none, because of err; nil when
// nothing does.
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
