package schedule

import (
	"net/http"
	"time"

	"github.com/upkeep-go/upkeep/downtime/internal/pattern"
)

// Instant exports instant.
var Instant = instant

// Matcher returns Covers of a compiled scope, as Parse prepares it.
func Matcher(s Scope) func(*http.Request) bool {
	s.patterns = s.compile()
	return func(r *http.Request) bool { return s.Covers(&Request{HTTP: r}) }
}

// CheckPattern returns an error for a path pattern that a document may not have.
func CheckPattern(text string) error {
	_, err := pattern.Parse(text)
	return err
}

// DayOf and DateOf export the calendar.
var (
	DayOf  = dayOf
	DateOf = dateOf
)

// PlannedAfter returns the first planned start after t of a window that repeats.
func PlannedAfter(w *Window, t time.Time) (time.Time, bool) { return w.recurrence.plannedAfter(t) }

// PlannedBy returns the last planned start, not after t, of a window that repeats.
func PlannedBy(w *Window, t time.Time) (time.Time, bool) { return w.recurrence.plannedBy(t) }
