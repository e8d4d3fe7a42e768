package replay

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/observe/capture"
)

// Run serves the request of a bundle to the handler that build returns, and judges the answer:
//
//   - The request failed when it was recorded (a status of 500 or more without a 503's
//     Retry-After, a panic, or observe.Fail), and fails again: the test fails, and says
//     whether it is the same failure.
//   - It failed then and does not now: the test passes, if the request got as far as it did
//     then. It fails when the answer is 401, 403 or 407, or another 3xx or 4xx before any of
//     the recorded calls and Values was asked for: redaction has taken the credentials, and
//     Options.Prepare puts others in their place. Options.Status accepts such an answer.
//   - It did not fail then: the test fails when the answer differs from the recorded one.
//     Options.AsRecorded demands that in any case.
//
// Run the test before the fix to see it fail. A pass means only that the redacted request
// does not fail; the test's log says which of the recorded calls and Values were not asked
// for, and where pseudonyms were read.
//
// build returns the application's handler. It does not need the Handler of an observe.Observer,
// unless Options.AsRecorded compares the answer to a panic: then build wraps the handler in that of
// an Observer without Captures.
//
// The test also fails for a call by [Case.HTTPClient] that is not in the bundle. A bundle that
// cannot be read is fatal. Tests with Run may be parallel.
func Run(t testing.TB, path string, build func(*Case) http.Handler) {
	t.Helper()
	Options{}.Run(t, path, build)
}

// Run is as the function [Run], with options.
func (o Options) Run(t testing.TB, path string, build func(*Case) http.Handler) {
	t.Helper()
	c, err := o.load(path)
	if err != nil {
		t.Fatal(err)
	}
	h := build(c)
	if h == nil {
		t.Fatalf("replay: %s: there is no handler to replay with", path)
	}
	got := c.serve(t.Context(), h)
	verdict, passes := c.judge(got)

	d := &c.Bundle.Log.Details
	switch {
	case o.Build != "" && o.Build != d.Build:
		t.Logf("replay: the bundle is from build %q, this is %q", d.Build, o.Build)
	case o.Build == "" && d.Build != "":
		t.Logf("replay: the bundle is from build %q", d.Build)
	}
	if d.Go != "" && d.Go != runtime.Version() {
		t.Logf("replay: the bundle is from %s, this is %s", d.Go, runtime.Version())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, remark := range c.remarks {
		t.Logf("replay: %s", remark)
	}
	for _, problem := range c.problems {
		t.Errorf("%s", problem)
	}
	if passes {
		t.Logf("replay: %s: %s", path, verdict)
	} else {
		t.Errorf("replay: %s: %s", path, verdict)
	}
}

func (c *Case) serve(ctx context.Context, h http.Handler) outcome {
	e := c.entry()
	switch b := e.Exchange.RequestBody; {
	case b == nil:
	case b.Kind == capture.KindBinary || b.Kind == capture.KindMultipart:
		c.remark("the request's body was %s and is not in the bundle", b.Kind)
	case b.Truncated:
		c.remark("the bundle has only the beginning of the request's body, which had %d bytes", b.Bytes)
	case b.Unread:
		c.remark("the bundle has of the request's body only the %d bytes that were read then", b.Bytes)
	}
	r := c.Request().WithContext(c.Context(ctx))
	if c.opts.Prepare != nil {
		c.opts.Prepare(r)
	}
	w := &recorder{ResponseRecorder: httptest.NewRecorder()}
	func() {
		defer func() {
			switch value := recover(); value {
			case nil:
			case http.ErrAbortHandler:
				c.mu.Lock()
				c.outcome.aborted = true
				c.mu.Unlock()
			default:
				(*rerunning)(c).Panicked(value, debug.Stack())
			}
		}()
		h.ServeHTTP(w, r)
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.outcome
	resp := w.Result()
	got.status, got.header, got.body, got.untyped = resp.StatusCode, resp.Header, w.Body.String(), w.untyped
	if got.untyped { // package http finds out
		got.header.Del("Content-Type")
		if got.body != "" {
			got.header.Set("Content-Type", http.DetectContentType([]byte(got.body)))
		}
	}
	if got.panicked && w.Body.Len() == 0 && got.status < 500 {
		got.status = http.StatusInternalServerError // what observe.Handler, or nothing, would have sent
	}
	return got
}

// A recorder also notes whether a body is sent without a Content-Type.
type recorder struct {
	*httptest.ResponseRecorder
	begun, untyped bool
}

func (w *recorder) begin() {
	if !w.begun {
		_, typed := w.Header()["Content-Type"]
		w.begun, w.untyped = true, !typed
	}
}

func (w *recorder) WriteHeader(status int) {
	if status >= 200 {
		w.begin()
	}
	w.ResponseRecorder.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseRecorder.Write(p)
}

func (w *recorder) WriteString(s string) (int, error) {
	w.begin()
	return w.ResponseRecorder.WriteString(s)
}

func (w *recorder) Flush() {
	w.begin()
	w.ResponseRecorder.Flush()
}

func (o *outcome) failed() bool {
	return o.panicked || o.failure != nil || o.aborted || isFailure(o.status, o.header.Get("Retry-After"))
}

func isFailure(status int, retryAfter string) bool {
	return status >= 500 && (status != http.StatusServiceUnavailable || retryAfter == "")
}

func (c *Case) failed() bool {
	d, e := &c.Bundle.Log.Details, c.entry()
	return d.Panic != nil || d.Error != nil || isFailure(e.Response.Status, headersOf(e.Response.Headers).Get("Retry-After")) || d.Schema > 0 && d.Reason == capture.ReasonFailed
}

func (c *Case) judge(got outcome) (verdict string, passes bool) {
	far := c.reach()
	if c.opts.Strict && far.leftCalls > 0 {
		c.problem("replay: calls that were not made, by Options.Strict:\n\t%s", strings.Join(far.left[:far.leftCalls], "\n\t"))
	}
	name, then, now := c.name(), c.thenText(), c.nowText(&got)
	if c.opts.AsRecorded || !c.failed() {
		differences := c.compare(&got)
		if c.samePanic(&got) || !got.panicked && c.Bundle.Log.Details.Panic == nil {
			if len(differences) == 0 {
				far.hidden = nil // then and now are compared with the same pseudonyms
				c.remarkReach(&far)
				return name + " is answered as it was: " + now, true
			}
		} else {
			differences = append([]string{"recorded " + then + "\n\tnow      " + now}, differences...)
		}
		if got.panicked && got.body == "" && c.Bundle.Log.Details.Panic != nil {
			differences = append(differences, "An observe.Observer's Handler answers a panic, and there is none around the handler.")
		}
		return name + " is not answered as it was:\n\t" + strings.Join(differences, "\n\t"), false
	}
	switch {
	case !got.failed():
		return c.judgeFix(&got, &far, name, then+" then, "+now+" now")
	case c.sameFailure(&got):
		return name + " fails as it did then: " + now + panicPlace(c.normal(&got).Log.Details.Panic), false
	}
	text := name + " fails, but not as it did then:\n\trecorded " + then + panicPlace(c.Bundle.Log.Details.Panic) + "\n\tnow      " + now + panicPlace(c.normal(&got).Log.Details.Panic)
	for _, d := range c.compare(&got) {
		text += "\n\t" + d
	}
	return text, false
}

func (c *Case) judgeFix(got *outcome, far *reach, name, change string) (verdict string, passes bool) {
	switch want := c.opts.Status; {
	case want != 0 && want != got.status:
		return name + " is not answered with status " + strconv.Itoa(want) + ", by Options.Status: " + change, false
	case want == 0 && far.isRefused(got.status):
		text := name + " did not get as far as it did then: " + change
		if len(far.left) > 0 {
			text += ", without asking for" + indented(far.left)
		}
		return text + "\n\tOptions.Prepare puts back credentials that redaction has taken. If this is the right answer, Options.Status says so.", false
	}
	c.remarkReach(far)
	return name + " does not fail any more: " + change, true
}

// name says what the request is and where it comes from.
func (c *Case) name() string {
	d, q := &c.Bundle.Log.Details, &c.entry().Request
	s := q.Method + " " + cmp.Or(d.Route, q.URL) + " of " + c.Time().UTC().Format(time.RFC3339)
	if d.RequestID != "" {
		s += ", request " + d.RequestID + ","
	}
	return s
}

// thenText says how the request ended when it was recorded.
func (c *Case) thenText() string {
	d := &c.Bundle.Log.Details
	return endText(c.entry().Response.Status, d.Panic, d.Error)
}

func (c *Case) nowText(got *outcome) string {
	if got.aborted {
		return "aborted (http.ErrAbortHandler)"
	}
	d := c.details(got) // as it is: this is the desk
	return endText(got.status, d.Panic, d.Error)
}

func endText(status int, p *capture.Panic, e *capture.Error) string {
	s := "status " + strconv.Itoa(status)
	switch {
	case p != nil:
		s += ", panic: " + p.Text + " (" + p.Type + ")"
	case e != nil && len(e.Texts) > 0:
		s += ", error: " + e.Texts[0] + " (" + e.Type + ")"
	}
	return s
}

// panicPlace is where a panic came from, as far as it is of the application.
func panicPlace(p *capture.Panic) string {
	out, shown := "", 0
	for function, place := range frames(p) {
		plumbing := slices.ContainsFunc(everyPanicPasses, func(prefix string) bool { return strings.HasPrefix(function, prefix) })
		if !plumbing && shown < 4 {
			out += "\n\t\t" + function + "\n\t\t\t" + strings.TrimSpace(place)
			shown++
		}
	}
	return out
}

var everyPanicPasses = []string{"panic", "runtime.", "runtime/", "net/http.", "testing.", "created by ", "github.com/upkeep-go/upkeep/observe.", "github.com/upkeep-go/upkeep/observe/replay."}

// frames are the functions of a stack with their places, the innermost first.
func frames(p *capture.Panic) iter.Seq2[string, string] {
	return func(yield func(function, place string) bool) {
		if p == nil {
			return
		}
		last := ""
		for line := range strings.SplitSeq(p.Stack, "\n") {
			if strings.HasPrefix(line, "\t") && !yield(last, line) {
				return
			}
			last = line
		}
	}
}

// top is the function of the application that panicked.
func top(p *capture.Panic) string {
	below := false
	for function := range frames(p) {
		if strings.HasPrefix(function, "panic") || strings.HasPrefix(function, "runtime.") {
			below = true
		} else if below {
			return function
		}
	}
	return ""
}

func (c *Case) sameFailure(got *outcome) bool {
	d := &c.Bundle.Log.Details
	if d.Panic != nil || got.panicked {
		return c.samePanic(got)
	}
	if (d.Error != nil) != (got.failure != nil) || got.status != c.entry().Response.Status {
		return false
	}
	// An error that was recorded has lost its type.
	var lost *recorded
	return d.Error == nil || d.Error.Type == c.details(got).Error.Type || errors.As(got.failure, &lost)
}

// samePanic reports whether two panics are of the same type and from the same function;
// their texts may have numbers in them that are others.
func (c *Case) samePanic(got *outcome) bool {
	then, now := c.Bundle.Log.Details.Panic, c.normal(got).Log.Details.Panic
	return then != nil && now != nil && then.Type == now.Type && sameFunction(top(then), top(now))
}

// sameFunction takes package main for any other: in a test it has its own path.
func sameFunction(a, b string) bool {
	split := func(s string) (pkg, name string) {
		i := strings.LastIndexByte(s, '/') + 1
		pkg, name, _ = strings.Cut(s[i:], ".")
		return s[:i] + pkg, name
	}
	pkgA, nameA := split(a)
	pkgB, nameB := split(b)
	return nameA == nameB && (pkgA == pkgB || pkgA == "main" || pkgB == "main")
}
