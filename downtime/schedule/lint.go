package schedule

import (
	"errors"
	"math"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

// lintAhead is how far ahead Lint checks a window that repeats.
const lintAhead = 366 * 24 * time.Hour

// Lint reads a document as [Parse] does and returns its faults. For a document without faults it
// returns warnings, which have [SeverityWarning]: windows and freezes that are past at now; wall
// clock times that the clocks skip or show twice (within a year, if the window repeats); and
// freezes that name a window that does not repeat.
func Lint(name string, data []byte, now time.Time) Faults {
	s, err := Parse(name, data)
	var faults Faults
	if errors.As(err, &faults) {
		return faults
	}
	l := linter{Reader: document.NewReader(name), schedule: s, now: now}
	root := l.Parse(data).Map()
	for _, v := range root.Field("windows").List(math.MaxInt) {
		id := v.Map().Field("id").Text(math.MaxInt)
		l.window(v.About(id).Map(), s.Window(id))
	}
	for i, v := range root.Field("freezes").List(math.MaxInt) {
		l.freeze(v.Map(), s.freezes[i])
	}
	return newFaults(name, l.Faults())
}

// A linter checks a document without faults.
type linter struct {
	*document.Reader
	schedule *Schedule
	now      time.Time
}

func (l *linter) window(m *document.Fields, w *Window) {
	start := m.Field("start")
	o := l.schedule.Current(w, l.now)
	if o.Phase(l.now) == PhaseCompleted {
		start.Warnf("is past: the window ended for good at %s", o.End.Format(time.RFC3339))
		return
	}
	wall, _, isWall := parseWall(start.Node().Text)
	switch {
	case w.recurrence != nil:
		l.recurrence(start, w.recurrence)
	case isWall:
		l.wall(start, wall, w.Timezone)
	}
}

// recurrence warns of the first occurrence whose wall clock time is skipped or shown twice.
func (l *linter) recurrence(start document.Value, r *recurrence) {
	to := l.now.Add(lintAhead)
	for at := l.now; ; {
		planned, ok := r.plannedAfter(at)
		if !ok || planned.After(to) {
			return
		}
		day := r.day(planned.Unix() + offsetOf(planned)) // a jump is less than a day
		if l.wall(start, time.Unix(int64(day)*secondsOfDay+r.second, 0).UTC(), r.window.Timezone) {
			return
		}
		at = planned
	}
}

// wall warns of a reading that the clock skips or shows twice.
func (l *linter) wall(v document.Value, wall time.Time, loc *time.Location) bool {
	text := wall.Format("2006-01-02T15:04:05")
	at := instant(wall, loc)
	if at.Unix()+offsetOf(at) != wall.Unix() {
		v.Warnf("the clocks of %v jump over %s: %s is meant", loc, text, at.Format(time.RFC3339))
		return true
	}
	if _, end := zoneBounds(at); !end.IsZero() {
		if again := wall.Add(-time.Duration(offsetOf(end)) * time.Second); !again.Before(end) {
			v.Warnf("the clocks of %v show %s twice: the first is meant, %s, and not %s",
				loc, text, at.Format(time.RFC3339), again.In(loc).Format(time.RFC3339))
			return true
		}
	}
	return false
}

func (l *linter) freeze(m *document.Fields, f Freeze) {
	to := m.Field("to")
	if !l.now.Before(f.To) {
		to.Warnf("is past")
		return
	}
	for _, edge := range [...]document.Value{m.Field("from"), to} {
		if wall, date, ok := parseWall(edge.Node().Text); ok && !date {
			l.wall(edge, wall, f.From.Location())
		}
	}
	for i, v := range m.Field("windows").List(math.MaxInt) {
		if w := l.schedule.Window(f.Windows[i]); w.recurrence == nil {
			v.Warnf("window %q does not repeat, so freezes do not affect it", w.ID)
		}
	}
}

// offsetOf returns the offset of the clock at t, in seconds.
func offsetOf(t time.Time) int64 {
	_, offset := t.Zone()
	return int64(offset)
}
