package schedule

import (
	"net/http"
	"time"

	"github.com/upkeep-go/upkeep/downtime/internal/pattern"
)

// What tests from outside see of the inside.
var Instant = instant

// Matcher is a scope made ready, as Parse leaves it.
func Matcher(s Scope) func(*http.Request) bool {
	s.patterns = s.compile()
	return func(r *http.Request) bool { return s.Covers(&Request{HTTP: r}) }
}

// CheckPattern says whether a document may have the path.
func CheckPattern(text string) error {
	_, err := pattern.Parse(text)
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
