package downtime

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// A Document is the document that a guard has in use.
type Document struct {
	Schedule *schedule.Schedule // Nil means that none has been read yet; then only Boot is set.
	Boot     Boot               // what the guard does as long as Schedule is nil
	Revision string             // see [Guard.Revision]
	Origin   string             // "source", "last-good" or "fallback"
	Since    time.Time          // when the guard accepted it
	Stale    bool               // its source has been silent for Options.StaleAfter
}

// Document returns the document in use.
func (g *Guard) Document() Document {
	d := Document{Boot: g.opts.Boot, Schedule: g.now.Load().schedule}
	if s := g.keeper.Snapshot(); s != nil && d.Schedule != nil {
		d.Revision, d.Origin, d.Since, d.Stale = s.Revision, string(s.Origin), s.Since, g.keeper.Status().Stale
	}
	return d
}

// Reports says how the occurrences stand that matter now: those in progress first, the most
// restrictive before the others, then those that are closed or to come, then those that a
// command has moved and that are not near. A report without Window says that all is closed,
// because no document has been read yet or the quorum has not answered.
func (g *Guard) Reports() []Report {
	for {
		s := g.now.Load()
		now := time.Now()
		reports := make([]Report, 0, len(s.near)+len(s.locals))
		near := make(map[occurrenceKey]bool, len(s.near))
		for _, n := range s.near {
			if n.Window.ID == "" {
				rep := newReport(n.Occurrence, n.Phase)
				rep.Waiting = true
				reports = append(reports, rep)
				continue
			}
			near[keyOf(n.Occurrence)] = true
			reports = append(reports, g.look(n, now))
		}
		for _, key := range slices.SortedFunc(maps.Keys(s.locals), func(a, b occurrenceKey) int {
			return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.planned, b.planned))
		}) {
			if l := s.locals[key]; !near[key] {
				o, isLocal := l.apply(l.of)
				rep := newReport(o, o.Phase(now))
				rep.Local = isLocal
				reports = append(reports, rep)
			}
		}
		if g.now.Load() == s { // else the state that makes them quiet may no longer hold
			return reports
		}
	}
}
