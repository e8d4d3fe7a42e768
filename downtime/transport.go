package downtime

import (
	"context"
	"encoding/json"
	"errors"
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

// Transport makes a client understand the refusals of guards and of whatever else answers 503
// Service Unavailable with Retry-After: they become an [*UnavailableError], with the host that
// refuses, the time to come back and, where it is a guard that refuses, its window. base does
// the requests; nil is http.DefaultTransport.
//
//	client := &http.Client{Transport: downtime.Transport(nil)}
//
// An [http.RoundTripper] should leave responses to its caller; this one does not, because else
// each caller would look for maintenance in each response. Any other response is handed on
// unchanged, also a 503 without a valid Retry-After. At most 64 KiB of a refusal's body are
// read, for two seconds and in the request's context, and only a window's id, mode, message
// and end are kept.
//
// It waits and tries again only when the request's context says so: see [WithWait].
func Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{base}
}

// WithWait lets a [Transport] wait with the requests of ctx, each for up to most from when it
// was first sent. It sends a refused one again at the time it was given, after a second at
// least, and up to a tenth later, at random and at most 10 s. A refusal that lasts longer than
// most or than ctx's deadline is returned at once. Zero or less means that it does not wait.
//
// Only what may be sent twice is sent again (RFC 9110 §9.2.2): requests with the methods GET,
// HEAD, OPTIONS, TRACE, QUERY, PROPFIND, REPORT, SEARCH, PUT and DELETE, and others that carry
// an Idempotency-Key; of those with a body the ones that have GetBody.
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
		select {
		case <-time.After(wait):
		case <-ctx.Done():
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

func replayable(r *http.Request) bool {
	return (!hasBody(r) || r.GetBody != nil) &&
		(isSafe(r.Method) || r.Method == http.MethodPut || r.Method == http.MethodDelete || r.Header.Get("Idempotency-Key") != "")
}

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

func replay(r *http.Request) (_ *http.Request, err error) {
	again := *r
	if hasBody(r) {
		again.Body, err = r.GetBody()
	}
	return &again, err
}

// retryAfter reads Retry-After (RFC 9110 §10.2.3): seconds, or a date, which is one
// by the clock of who sends it: Date says how that goes.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	values := h["Retry-After"]
	if len(values) != 1 {
		return 0, false
	}
	text := strings.Trim(values[0], " \t")
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(schedule.MaxDuration/time.Second))) * time.Second, true
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

// readRefusal makes an error of a refusal, which is hostile as any, and ends the response.
func readRefusal(r *http.Request, resp *http.Response, now time.Time, after time.Duration) *UnavailableError {
	refused := &UnavailableError{
		Host: r.URL.Host, Mode: schedule.ModeClosed, Reason: "The service is not available.", Until: now.Add(after), RetryAfter: after,
	}
	// What is left unread costs the connection, no more. Who trickles it is not waited for:
	// the caller may have set no deadline.
	late := time.AfterFunc(maxReading, func() { _ = resp.Body.Close() })
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	late.Stop()
	_ = resp.Body.Close()
	var p struct {
		Detail string        `json:"detail"`
		Window string        `json:"window"`
		Mode   schedule.Mode `json:"mode"`
		End    time.Time     `json:"end"`
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || media != "application/problem+json" || json.Unmarshal(body, &p) != nil || p.Mode == "" || !p.Mode.Closes() {
		return refused // no guard's
	}
	refused.Mode = p.Mode
	if schedule.ValidID(p.Window) {
		refused.Window = p.Window
	}
	if p.Detail != "" && len(p.Detail) <= maxReason {
		refused.Reason = strings.Map(func(r rune) rune {
			if r != '\n' && !unicode.IsGraphic(r) {
				return -1
			}
			return r
		}, p.Detail)
	}
	if p.End.After(now) {
		refused.Until = p.End
	}
	return refused
}
