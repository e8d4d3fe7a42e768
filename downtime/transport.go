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

// Transport returns a RoundTripper that turns a response 503 Service Unavailable with Retry-After, of a
// guard or of any other server, into an [*UnavailableError] with the host, the time to come back and, for
// a guard, its window. base sends the requests. Nil means http.DefaultTransport.
//
//	client := &http.Client{Transport: downtime.Transport(nil)}
//
// A RoundTripper should not interpret responses. This one does, so that callers do not have to check each
// response for maintenance. All other responses are returned unchanged, also a 503 without a valid
// Retry-After. At most 64 KiB of a refusal's body are read, for at most two seconds and within the
// request's context, and only a window's id, mode, message and end are kept.
//
// It waits and sends a request again only with [WithWait].
func Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{base}
}

// WithWait lets a [Transport] wait and send the requests of ctx again, each for up to most after it was
// first sent. It sends a refused request again at the time of Retry-After, at the earliest after a second,
// and up to a tenth later at random, but at most 10s. If the refusal lasts longer than most or than ctx's
// deadline, it is returned at once. Zero or less means that the Transport does not wait.
//
// Only idempotent requests are sent again (RFC 9110 §9.2.2): those with the methods GET, HEAD, OPTIONS,
// TRACE, QUERY, PROPFIND, REPORT, SEARCH, PUT and DELETE, and others with an Idempotency-Key. Requests with
// a body also need GetBody.
func WithWait(ctx context.Context, most time.Duration) context.Context {
	return context.WithValue(ctx, waitKey{}, most)
}

type waitKey struct{}

type transport struct{ base http.RoundTripper }

const (
	maxRefusal  = 64 << 10        // bytes of a refusal's body
	maxReason   = 2000            // bytes of a window's message, as in a document
	maxReading  = 2 * time.Second // for that body
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
		now = time.Now() // reading the body takes time
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

// CloseIdleConnections is called by [http.Client.CloseIdleConnections].
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

// retryAfter parses Retry-After (RFC 9110 §10.2.3): seconds, or a date by the server's clock, which the
// header Date shows.
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

// readRefusal returns the error of a refusal, which is hostile input, and closes the response.
func readRefusal(r *http.Request, resp *http.Response, now time.Time, after time.Duration) *UnavailableError {
	refused := &UnavailableError{
		Host: r.URL.Host, Mode: schedule.ModeClosed, Reason: "The service is not available.", Until: now.Add(after), RetryAfter: after,
	}
	// A body that is not read to its end only costs the connection. Reading is bounded, because the
	// caller may not have set a deadline.
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
		return refused // it is not a guard's
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
