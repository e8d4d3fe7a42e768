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

// CheckPattern says whether a document may have the path.
func CheckPattern(text string) error {
	_, err := checkPattern(text)
	return err
}

// PlannedAfter is the first planned start of a window that repeats after t.
func PlannedAfter(w *Window, t time.Time) (time.Time, bool) { return w.recurrence.plannedAfter(t) }

// PlannedBy is the last planned start of a window that repeats that is not after t.
func PlannedBy(w *Window, t time.Time) (time.Time, bool) { return w.recurrence.plannedBy(t) }

// Keeping is the schedule that a guard makes of next, which follows prev now.
func Keeping(next, prev *Schedule, now time.Time) *Schedule { return next.keeping(prev, now) }
