package replay

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/observe/capture"
)

// Run serves the request of a bundle to the handler that build returns, and judges the outcome.
// A request fails by a status of 500 or more (except a 503 with Retry-After), a panic, or
// observe.Fail; see Options.Outcome for failures that only the response shows. For a request that
// failed when it was recorded, the verdict is:
//
//   - reproduced, and the test fails: the request fails again, in the same way.
//   - fixed, and the test passes: the request does not fail, and that is proved by (a) or (b).
//     (a) Redaction hid or cut nothing that the request carried and nothing that the handler got
//     in its place: answers of other services, results of observe.Value, flags. A hidden body
//     that nobody reads does not count.
//     (b) This bundle was reproduced before, with the same parts of the request hidden. Run notes
//     that in a file beside the bundle, with the bundle's name and ".red" at its end. So run the
//     test once before the fix, and keep the file with the bundle.
//   - inconclusive, and the test fails: anything else. The message says what is missing and what
//     to do. A failure that became a 3xx, a 4xx or a refusal (503 with Retry-After) is
//     inconclusive, because a hidden value or a missing credential can have that effect too:
//     name the right status in Options.Status. So is another failure than the recorded one, and
//     so is a result of observe.Value that does not fit its type.
//
// Nobody can know what the request took from elsewhere: memory and files of the process, the
// clock and random numbers without observe.Value, the client's address and certificate. A
// failure that depends on those may be gone by chance, so see the test red before the fix.
//
// For a request that did not fail when it was recorded, the answer must be the recorded one, as
// far as it is readable; Options.AsRecorded demands that of the others, too. The verdict is then
// reproduced, and the test passes, or inconclusive.
//
// build returns the application's handler. It does not need the Handler of an observe.Observer,
// unless Options.AsRecorded compares the answer to a panic: then build wraps the handler in that of
// an Observer without Captures.
//
// The test also fails for a call by [Case.HTTPClient] that is not in the bundle. A bundle that
// cannot be read is fatal. Tests with Run may be parallel.
func Run(t testing.TB, path string, build func(*Case) http.Handler) Verdict {
	t.Helper()
	return Options{}.Run(t, path, build)
}

// Run is as the function [Run], with options.
func (o Options) Run(t testing.TB, path string, build func(*Case) http.Handler) Verdict {
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
	j := c.judge(&got)
	if j.verdict == VerdictReproduced && !j.passes {
		if err := j.red.write(path + redSuffix); err != nil {
			c.remark("it is not noted that the failure was reproduced, so a fix may stay inconclusive: %v", err)
		}
	}

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
	report := t.Errorf
	if j.passes {
		report = t.Logf
	}
	report("replay: %s: %s\n\tverdict: %s", path, j.text, j.verdict)
	return j.verdict
}

func (c *Case) serve(ctx context.Context, h http.Handler) outcome {
	q := c.entry().Request
	hasText := q.PostData != nil && q.PostData.Text != ""
	switch b := c.entry().Exchange.RequestBody; {
	case b == nil:
	case b.Kind == capture.KindBinary || b.Kind == capture.KindMultipart && !hasText:
		c.remark("the request's body was %s and is not in the bundle", b.Kind)
	case b.Truncated:
		c.remark("the bundle has only the beginning of the request's body, which had %d bytes", b.Bytes)
	case b.Unread:
		c.remark("the bundle has of the request's body only the %d bytes that were read then", b.Bytes)
	}
	r := c.Request().WithContext(c.Context(ctx))
	recorded := r.Clone(r.Context())
	if c.opts.Prepare != nil {
		c.opts.Prepare(r)
	}
	c.hiddenParts = c.hiddenFrom(recorded, r)
	w := newRecorder(c, r)
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
		h.ServeHTTP(w.asServer(), r)
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.outcome
	w.fill(&got)
	if c.opts.Outcome != nil && !got.panicked && got.failure == nil && got.status < 500 {
		got.failure = c.opts.Outcome(r, &http.Response{
			Status: http.StatusText(got.status), StatusCode: got.status, Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
			Header: got.header, Trailer: w.Result().Trailer, Body: io.NopCloser(strings.NewReader(got.body)), ContentLength: int64(len(got.body)), Request: r,
		})
	}
	return got
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

// A judgment is a verdict and its reasons.
type judgment struct {
	verdict Verdict
	passes  bool
	text    string
	red     red // what is noted when the failure is reproduced
}

func (c *Case) judge(got *outcome) (j judgment) {
	far := c.reach()
	if c.opts.Strict && far.leftCalls > 0 {
		c.problem("replay: calls that were not made, by Options.Strict:\n\t%s", strings.Join(far.left[:far.leftCalls], "\n\t"))
	}
	name, then, now := c.name(), c.thenText(), c.nowText(got)
	j.red = red{Bundle: c.digest, Hidden: c.hiddenParts, Build: c.opts.Build, Of: c.Bundle.Log.Details.Build, Failure: then, Time: time.Now().UTC()}
	switch {
	case c.opts.AsRecorded || !c.failed():
		c.judgeAnswer(&j, got, &far, name, then, now)
	case !got.failed() && c.shownByResponse() && c.opts.Outcome == nil:
		if len(c.compare(got)) == 0 {
			j.verdict, j.text = VerdictReproduced, name+" is answered as it was, and that was a failure: "+then
		} else {
			j.text = name + " is answered in another way, and only Options.Outcome can say whether that is a failure: " + then + " then, " + now + " now"
		}
	case !got.failed():
		c.judgeFix(&j, got, &far, name, then+" then, "+now+" now")
	case c.sameFailure(got):
		j.verdict = VerdictReproduced
		j.text = name + " fails as it did then: " + now + panicPlace(c.normal(got).Log.Details.Panic)
	default:
		j.text = name + " fails, but not as it did then:\n\trecorded " + then + panicPlace(c.Bundle.Log.Details.Panic) + "\n\tnow      " + now + panicPlace(c.normal(got).Log.Details.Panic)
		for _, d := range c.compare(got) {
			j.text += "\n\t" + d
		}
		if len(far.missing) > 0 {
			j.text += "\n\tThe difference may come from what is hidden or missing:" + indented(far.missing) + "\n\t" + remedy
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.broken) > 0 && (j.verdict == VerdictFixed || !got.panicked) {
		j.verdict, j.passes = VerdictInconclusive, false
		j.text += "\n\tThis proves nothing, because these could not be replayed:" + indented(c.broken) +
			"\n\tGive the test what these were, or keep them readable by capture.Redaction in new bundles."
	}
	if len(c.problems) > 0 && j.passes {
		j.verdict = VerdictInconclusive // the problems themselves make the test fail
	}
	return j
}

// shownByResponse reports whether only the recorded response showed that the request failed.
func (c *Case) shownByResponse() bool {
	e := c.Bundle.Log.Details.Error
	return e != nil && e.Response
}

// judgeAnswer compares with the recorded answer.
func (c *Case) judgeAnswer(j *judgment, got *outcome, far *reach, name, then, now string) {
	differences := c.compare(got)
	if c.samePanic(got) || !got.panicked && c.Bundle.Log.Details.Panic == nil {
		if len(differences) == 0 {
			c.remarkLeft(far)
			j.verdict, j.passes, j.text = VerdictReproduced, true, name+" is answered as it was: "+now
			return
		}
	} else {
		differences = append([]string{"recorded " + then + "\n\tnow      " + now}, differences...)
	}
	if got.panicked && got.body == "" && c.Bundle.Log.Details.Panic != nil {
		differences = append(differences, "An observe.Observer's Handler answers a panic, and there is none around the handler.")
	}
	j.text = name + " is not answered as it was:\n\t" + strings.Join(differences, "\n\t")
}

// remedy says what makes a replay conclusive.
const remedy = "To make it conclusive, run this test once without the fix: when it fails as the request did, a pass counts from then on. " +
	"Or let capture.Redaction keep these data in new bundles, or put them back by Options.Prepare."

// judgeFix judges a request that does not fail any more.
func (c *Case) judgeFix(j *judgment, got *outcome, far *reach, name, change string) {
	refused := 300 <= got.status && got.status < 600
	switch want := c.opts.Status; {
	case want != 0 && want != got.status:
		j.text = name + " is not answered with status " + strconv.Itoa(want) + ", by Options.Status: " + change
		return
	case want == 0 && refused:
		j.text = name + " did not get as far as it did then: " + change
		if len(far.left) > 0 {
			j.text += ", without asking for" + indented(far.left)
		}
		j.text += "\n\tOptions.Prepare puts back credentials and other data that redaction has taken. If this is the right answer, Options.Status says so."
		if len(far.missing) > 0 {
			j.text += "\n\tHidden or missing:" + indented(far.missing)
		}
		return
	}
	if len(far.missing) > 0 {
		if proved, why := c.seenRed(&j.red); !proved {
			j.text = name + " does not fail now, which proves nothing: " + change + "\n\tThe failure may depend on what is hidden or missing:" + indented(far.missing) + "\n\t" + why + remedy
			return
		}
		c.remark("hidden or missing, now and when the failure was reproduced:%s", indented(far.missing))
	}
	c.remarkLeft(far)
	j.verdict, j.passes, j.text = VerdictFixed, true, name+" does not fail any more: "+change
}

// seenRed reports whether the file beside the bundle says that the failure was reproduced under
// the same conditions, and if not, why.
func (c *Case) seenRed(now *red) (proved bool, why string) {
	path := c.path + redSuffix
	noted, err := readRed(path)
	switch {
	case err != nil:
		return false, "The note that it was reproduced cannot be read: " + err.Error() + ". "
	case noted == nil:
		return false, ""
	case noted.Bundle != now.Bundle:
		return false, path + " is about another bundle, or another redaction of this one. "
	case !noted.proves(now):
		return false, path + " is about a request with other parts hidden, by Options.Prepare. "
	}
	build := noted.Build
	if build == "" {
		build = "a build without a name"
	}
	c.remark("the failure was reproduced with %s on %s", build, noted.Time.Format(time.DateOnly))
	return true, ""
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

// top is the function of the application that panicked, with its place.
func top(p *capture.Panic) (function, place string) {
	below := false
	for function, place := range frames(p) {
		if strings.HasPrefix(function, "panic") || strings.HasPrefix(function, "runtime.") {
			below = true
		} else if below {
			return function, filepath.Base(strings.TrimSpace(place))
		}
	}
	return "", ""
}

func (c *Case) sameFailure(got *outcome) bool {
	d := &c.Bundle.Log.Details
	if d.Panic != nil || got.panicked {
		return c.samePanic(got)
	}
	if (d.Error != nil) != (got.failure != nil) || got.status != c.entry().Response.Status {
		return false
	}
	if d.Error == nil && c.hasOtherBody(got) {
		return false // a status of its own says little
	}
	// An error that was recorded has lost its type.
	var lost *recorded
	return d.Error == nil || d.Error.Type == c.details(got).Error.Type || errors.As(got.failure, &lost)
}

// samePanic reports whether two panics are of the same type, and from the same function or line or
// with the same text as far as it can be compared. What the runtime says is the same everywhere.
func (c *Case) samePanic(got *outcome) bool {
	then, now := c.Bundle.Log.Details.Panic, c.normal(got).Log.Details.Panic
	if then == nil || now == nil || then.Type != now.Type {
		return false
	}
	f, place := top(then)
	g, placeNow := top(now)
	return sameFunction(f, g) || place != "" && place == placeNow || !then.Runtime && then.Text != "" && sameShape(then.Text, now.Text)
}

// sameFunction takes package main for any other: in a test it has its own path. Functions without
// a name count as the named one that they are in, because inlining names them anew.
func sameFunction(a, b string) bool {
	pkgA, nameA := named(a)
	pkgB, nameB := named(b)
	return nameA == nameB && (pkgA == pkgB || pkgA == "main" || pkgB == "main")
}

// named splits example.com/shop.(*Cart).pay.func1 into example.com/shop and (*Cart).pay, and
// of names of inlined functions takes the innermost.
func named(function string) (pkg, name string) {
	function = strings.ReplaceAll(function, "[...]", "")
	i := strings.LastIndexByte(function, '/') + 1
	pkg, rest, _ := strings.Cut(function[i:], ".")
	receiver := ""
	for part := range strings.SplitSeq(rest, ".") {
		switch {
		case strings.HasPrefix(part, "("):
			receiver = part + "."
		case !unnamed.MatchString(part):
			name, receiver = receiver+part, ""
		}
	}
	return function[:i] + pkg, name
}

var unnamed = regexp.MustCompile(`^(func|gowrap|deferwrap)?[0-9]+(-range[0-9]+)?$`)
