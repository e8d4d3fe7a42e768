package downtime

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// Transport makes a client understand the refusals of others, of guards and of whatever
// else answers 503 Service Unavailable with Retry-After: they become an
// [*UnavailableError], with the host that refuses and the time to come back and, where it
// is a guard that refuses, its window. base does the requests; nil is
// http.DefaultTransport.
//
//	client := &http.Client{Transport: downtime.Transport(nil)}
//
// That is more than an [http.RoundTripper] should do, which leaves responses to its
// caller; but nobody who has to handle maintenance wants to look at each response for it. Any
// other response is handed on unchanged, a 503 without a valid Retry-After too, which
// says nothing of when. At most 64 KiB of a refusal's body are read, for two seconds and
// in the request's context, and none of it is kept but a window's id, mode, message and
// end.
//
// It waits and tries again only when the request's context says so: see [WithWait].
func Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{base}
}

// WithWait lets a [Transport] wait with the requests of ctx, each for up to most from when
// it was first sent: told to come back later, it does, after a second at least. It comes later
// than told by up to a tenth, at random and at most 10 s, lest all come at once. It waits
// neither beyond most nor beyond ctx's deadline: a refusal that would have to be waited for
// longer is returned at once, as an [*UnavailableError]. Zero or less: it does not wait.
//
// Only what may be sent twice is sent again (RFC 9110 §9.2.2): requests with the
// methods GET, HEAD, OPTIONS, TRACE, QUERY, PROPFIND, REPORT, SEARCH, PUT and DELETE, and others that
// carry an Idempotency-Key; and of those with a body the ones that have GetBody, as http.NewRequest gives it to
// readers of memory.
func WithWait(ctx context.Context, most time.Duration) context.Context {
	return context.WithValue(ctx, waitKey{}, most)
}

type waitKey struct{}

type transport struct{ base http.RoundTripper }

const (
	maxRefusal  = 64 << 10        // bytes of a refusal's body
	maxReason   = 2000            // bytes of a window's message, as in a document
	maxReading  = 2 * time.Second // of that body
	minWait     = time.Second
	maxLateness = 10 * time.Second
)

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	most, _ := ctx.Value(waitKey{}).(time.Duration)
	began := time.Now()
	for again := r; ; {
		resp, err := t.base.RoundTrip(again)
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
			return resp, err
		}
		now := time.Now()
		after, ok := retryAfter(resp.Header, now)
		if !ok {
			return resp, nil
		}
		refused := readRefusal(r, resp, now, after)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		wait := max(minWait, after)
		wait += rand.N(min(wait/10, maxLateness) + 1)
		now = time.Now() // the body may have taken its time
		if now.Add(wait).Sub(began) > most || !replayable(r) {
			return nil, refused
		}
		if deadline, has := ctx.Deadline(); has && !now.Add(wait).Before(deadline) {
			return nil, refused
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
		if again, err = replay(r); err != nil {
			return nil, err
		}
	}
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] looks for.
func (t *transport) CloseIdleConnections() {
	if closer, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// replayable says whether the request may be sent twice, and can be.
func replayable(r *http.Request) bool {
	if r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		return false
	}
	return isSafe(r.Method) || r.Method == http.MethodPut || r.Method == http.MethodDelete || r.Header.Get("Idempotency-Key") != ""
}

// replay is the request once more.
func replay(r *http.Request) (*http.Request, error) {
	again := *r
	if r.GetBody != nil && r.Body != nil && r.Body != http.NoBody {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		again.Body = body
	}
	return &again, nil
}

// retryAfter reads Retry-After (RFC 9110 §10.2.3): seconds, or a date, which is one
// by the clock of who sends it: Date says how that goes.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	values := h["Retry-After"]
	if len(values) != 1 {
		return 0, false
	}
	text := strings.Trim(values[0], " \t")
	if text != "" && strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds > int64(schedule.MaxDuration/time.Second) {
			return schedule.MaxDuration, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if sent, err := http.ParseTime(h.Get("Date")); err == nil {
		now = sent
	}
	return min(schedule.MaxDuration, max(0, date.Sub(now))), true
}

// readRefusal makes an error of a refusal, and ends the response.
func readRefusal(r *http.Request, resp *http.Response, now time.Time, after time.Duration) *UnavailableError {
	host := r.URL.Host
	refused := &UnavailableError{
		Host: host, Mode: schedule.ModeClosed, Reason: "The service is not available.", Until: now.Add(after), RetryAfter: after,
	}
	// What is left unread costs the connection, no more. Who trickles it is not waited for:
	// the caller may have set no deadline.
	late := time.AfterFunc(maxReading, func() { _ = resp.Body.Close() })
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	late.Stop()
	_ = resp.Body.Close()
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || media != "application/problem+json" {
		return refused
	}
	readProblem(body, refused, now)
	return refused
}

// readProblem reads the body of another guard's refusal, which is hostile as any. What is
// not as a guard writes it leaves the error as it is.
func readProblem(body []byte, to *UnavailableError, now time.Time) {
	var p struct {
		Detail string        `json:"detail"`
		Window string        `json:"window"`
		Mode   schedule.Mode `json:"mode"`
		End    time.Time     `json:"end"`
	}
	if json.Unmarshal(body, &p) != nil {
		return
	}
	if !p.Mode.Closes() || p.Mode == "" {
		return // no guard's
	}
	to.Mode = p.Mode
	if schedule.ValidID(p.Window) {
		to.Window = p.Window
	}
	if p.Detail != "" && len(p.Detail) <= maxReason {
		to.Reason = strings.Map(func(r rune) rune {
			if r != '\n' && !unicode.IsGraphic(r) {
				return -1
			}
			return r
		}, p.Detail)
	}
	if p.End.After(now) {
		to.Until = p.End
	}
}
