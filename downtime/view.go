package downtime

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/live"
)

// A view is the state of a guard at one moment. It is immutable.
type view struct {
	epoch    uint64                        // the number of the view
	schedule *schedule.Schedule            // nil until a document was read
	followed map[occurrenceKey]*occurrence // all occurrences that are followed
	shown    []*occurrence                 // those that matter, in progress first, and the most restrictive of them first
	shadows  []*occurrence                 // for scopes that those shown keep closed in addition to their own
	deciding []*occurrence                 // those that decide about admission: closed, then in cutoff, then rehearsing
	chains   following                     // filled by refusals
	next     time.Time                     // when the next view is due; zero means never by the clock
	differs  bool                          // one of those shown differs from the schedule
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

// due requests another view at t. The zero time means never.
func (v *view) due(t time.Time) {
	if !t.IsZero() && (v.next.IsZero() || t.Before(v.next)) {
		v.next = t
	}
}

// complete is called after all occurrences were added.
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

// named returns the shown occurrence of a window: in progress before over before planned. It may be nil.
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

func (v *view) problems() (problems []error) {
	for _, o := range v.shown {
		problems = append(problems, o.problems()...)
	}
	return problems
}

// announces reports whether the response to a request links to the status page.
func (v *view) announces(r *http.Request) bool {
	request := schedule.Request{HTTP: r}
	return slices.ContainsFunc(v.shown, func(o *occurrence) bool {
		return o.phase != schedule.PhaseOpen && o.Window.Mode != schedule.ModeRehearse && o.Window.Scope.Covers(&request)
	})
}

// A keptWindow is the problem of a window that is kept though the document does not have it any more.
type keptWindow struct{ *schedule.Fault }

func (k keptWindow) Unwrap() error { return k.Fault }

// problemsOf returns the problems of the document in use.
func problemsOf(d *live.Snapshot[schedule.Schedule], now time.Time) (problems []error) {
	for _, p := range d.Problems {
		var kept keptWindow
		if errors.As(p, &kept) && !slices.ContainsFunc(slices.Collect(d.Value.Kept()), func(o schedule.Occurrence) bool {
			return o.Window.ID == kept.Window && o.Phase(now) == schedule.PhaseInProgress
		}) {
			continue // its end has passed
		}
		problems = append(problems, p)
	}
	return problems
}
