package downtime

import (
	"net/http"
	"time"
)

// What tests from outside see of the inside.
var (
	Instant       = instant
	ParseDuration = parseDuration
)

// Matcher is a scope made ready, as the guard uses it.
func Matcher(s Scope) func(*http.Request) bool {
	c := compileScope(s, s.key())
	return func(r *http.Request) bool { return c.has(&target{r: r}) }
}

// Matchers says of which of many scopes a request is in, by the index and by asking
// each scope.
func Matchers(scopes []Scope) (byIndex, byAsking func(*http.Request) []bool) {
	compiled := make([]*scope, len(scopes))
	for i, s := range scopes {
		compiled[i] = compileScope(s, s.key())
	}
	x := newIndex(compiled)
	byIndex = func(r *http.Request) []bool {
		found := hits{bits: noScopes(nil, len(compiled))}
		x.find(&target{r: r}, &found)
		in := make([]bool, len(compiled))
		n := 0
		for i := range in {
			if in[i] = found.has(i); in[i] {
				n++
			}
		}
		if n != found.n || n > 0 && !in[found.last] {
			panic("the index has miscounted")
		}
		return in
	}
	byAsking = func(r *http.Request) []bool {
		in := make([]bool, len(compiled))
		for i, c := range compiled {
			in[i] = c.has(&target{r: r})
		}
		return in
	}
	return byIndex, byAsking
}

// Tick has the guard look at a clock that shows t.
func Tick(g *Guard, t time.Time) { g.tick(t) }

// Pause is for how long at most the guard does not look at the clock after now.
func Pause(g *Guard, now time.Time) time.Duration { return g.pause(now) }

// IsPlain is the test of paths in two ways.
func IsPlain(path string) (fast, slow bool) {
	return isPlain(path), path != "" && path[0] == '/' && plainBytes(path)
}

// CheckPattern says whether a document may have the path.
func CheckPattern(text string) error {
	_, err := checkPattern(text)
	return err
}

// The calendar.
var (
	DayOf  = dayOf
	DateOf = dateOf
)

// PlannedAfter is the first planned start of a window that repeats after t.
func PlannedAfter(w *Window, t time.Time) (time.Time, bool) { return w.recurrence.plannedAfter(t) }

// PlannedBy is the last planned start of a window that repeats that is not after t.
func PlannedBy(w *Window, t time.Time) (time.Time, bool) { return w.recurrence.plannedBy(t) }

// Keeping is the schedule that a guard makes of next, which follows prev now.
func Keeping(next, prev *Schedule, now time.Time) *Schedule { return next.keeping(prev, now) }

// FoldLine folds a content line of a calendar.
func FoldLine(line string) []byte { return appendFolded(nil, line) }

// EscapeText escapes a text for a calendar.
func EscapeText(text string) string { return escapeText(text) }
