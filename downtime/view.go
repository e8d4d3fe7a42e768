package downtime

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/live"
)

// A view is what a guard believes from one moment to the next. It never changes.
type view struct {
	epoch    uint64                        // views are numbered
	schedule *schedule.Schedule            // nil while there is none
	followed map[occurrenceKey]*occurrence // all that are followed
	shown    []*occurrence                 // those that matter to anybody: first those in progress, the most restrictive before the others
	shadows  []*occurrence                 // of those shown, for scopes that they keep closed besides their own
	deciding []*occurrence                 // those that decide about what asks to be admitted: shut, then cut off, then rehearsing
	chains   following                     // found when something is refused
	next     time.Time                     // when another view is due; the zero time: never by the clock
	differs  bool                          // one of the shown is not as the schedule says
}

func (v *view) add(o *occurrence) {
	v.due(o.next)
	if o.Window.ID != "" {
		v.followed[keyOf(o.Occurrence)] = o
	}
	if !o.isShown() {
		return
	}
	v.shown = append(v.shown, o)
	v.shadows = append(v.shadows, o.shadows()...)
	v.differs = v.differs || o.isLocal() || o.phase == schedule.PhaseOverrun || o.phase == schedule.PhaseCompleted
}

// due says that another view is needed then. The zero time means never.
func (v *view) due(t time.Time) {
	if !t.IsZero() && (v.next.IsZero() || t.Before(v.next)) {
		v.next = t
	}
}

// complete is to be called once all are added.
func (v *view) complete() {
	slices.SortStableFunc(v.shown, func(a, b *occurrence) int {
		return schedule.WindowState{Occurrence: a.Occurrence, Phase: a.phase}.Compare(schedule.WindowState{Occurrence: b.Occurrence, Phase: b.phase})
	})
	for _, of := range [...]func(*occurrence) bool{(*occurrence).isShut, (*occurrence).isCutOff, (*occurrence).rehearses} {
		for _, o := range slices.Concat(v.shown, v.shadows) {
			if of(o) {
				v.deciding = append(v.deciding, o)
			}
		}
	}
}

func (o *occurrence) isCutOff() bool {
	return o.phase == schedule.PhaseCutoff && o.Window.Mode.Closes() && !o.isShut()
}

// named is the shown occurrence of the window of that id: one in progress comes before one
// that is over, and that before one to come. Nil: none is shown.
func (v *view) named(id string) *occurrence {
	for _, o := range v.shown {
		if o.Window.ID == id && id != "" {
			return o
		}
	}
	return nil
}

func (v *view) current(w *schedule.Window, now time.Time) *occurrence {
	planned := v.schedule.Current(w, now)
	o := &occurrence{Occurrence: planned, documented: planned}
	if known := v.followed[keyOf(planned)]; known != nil {
		o.said = known.said
		o.Occurrence = known.said.appliedTo(planned)
	}
	return o
}

func (v *view) covers(r *schedule.Request) bool {
	covers := func(o *occurrence) bool { return o.Window.Scope.Covers(r) }
	return slices.ContainsFunc(v.shown, covers) || slices.ContainsFunc(v.shadows, covers)
}

// problems are what operators have to know of the occurrences.
func (v *view) problems() (problems []error) {
	for _, o := range v.shown {
		problems = append(problems, o.problems()...)
	}
	return problems
}

// announces reports whether users are to know of a window in whose scope the request is.
func (v *view) announces(r *http.Request) bool {
	request := schedule.Request{HTTP: r}
	return slices.ContainsFunc(v.shown, func(o *occurrence) bool {
		return o.phase != schedule.PhaseOpen && o.Window.Mode != schedule.ModeRehearse && o.Window.Scope.Covers(&request)
	})
}

// A keptWindow is a window that is kept though the document has lost it.
type keptWindow struct{ *schedule.Fault }

func (k keptWindow) Unwrap() error { return k.Fault }

// problemsOf are what is wrong with the document in use.
func problemsOf(d *live.Snapshot[schedule.Schedule], now time.Time) (problems []error) {
	for _, p := range d.Problems {
		var kept keptWindow
		if errors.As(p, &kept) && !slices.ContainsFunc(slices.Collect(d.Value.Kept()), func(o schedule.Occurrence) bool {
			return o.Window.ID == kept.Window && o.Phase(now) == schedule.PhaseInProgress
		}) {
			continue // it was kept to its end, which is over
		}
		problems = append(problems, p)
	}
	return problems
}
