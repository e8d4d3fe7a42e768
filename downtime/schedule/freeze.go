package schedule

import (
	"iter"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

// A Freeze is a time in which no window that repeats takes place: no occurrence of one
// whose planned start lies in [From, To). Windows that do not repeat are not concerned,
// because each of them was planned for its date.
type Freeze struct {
	From, To time.Time // in the zone that the document names
	Reason   string
	Windows  []string // ids of the windows that it is about. Empty means all that repeat.
}

// Freezes are the document's freezes, in its order.
func (s *Schedule) Freezes() iter.Seq[Freeze] { return slices.Values(s.freezes) }

// frozen are freezes as seconds since 1970: in order, and joined where they touch.
type frozen []struct{ from, to int64 }

func newFrozen(freezes []Freeze) frozen {
	freezes = slices.SortedFunc(slices.Values(freezes), func(a, b Freeze) int { return a.From.Compare(b.From) })
	joined := make(frozen, 0, len(freezes))
	for _, f := range freezes {
		from, to := f.From.Unix(), f.To.Add(time.Second-1).Unix()
		if n := len(joined); n > 0 && from <= joined[n-1].to {
			joined[n-1].to = max(joined[n-1].to, to)
		} else {
			joined = append(joined, struct{ from, to int64 }{from, to})
		}
	}
	return joined
}

// at is the freeze in which the instant lies.
func (f frozen) at(t int64) (from, to int64, ok bool) {
	i := sort.Search(len(f), func(i int) bool { return f[i].to > t })
	if i == len(f) || t < f[i].from {
		return 0, 0, false
	}
	return f[i].from, f[i].to, true
}

const maxNamed = 10_000 // ids that all freezes together name

func (p *parser) freezes(v document.Value) []Freeze {
	var freezes []Freeze
	for _, item := range v.List(maxElements) {
		if f, ok := p.oneFreeze(item); ok {
			freezes = append(freezes, f)
		}
	}
	return freezes
}

func (p *parser) oneFreeze(v document.Value) (Freeze, bool) {
	before := p.Count()
	m := v.Map()
	zone, from, to := m.Field("timezone"), m.Need("from"), m.Need("to")
	loc := p.timezone(zone)
	f := Freeze{
		From:   moment(from, zone.Present(), loc, 0),
		To:     moment(to, zone.Present(), loc, 1),
		Reason: m.Field("reason").Text(2000),
	}
	for _, item := range m.Field("windows").List(maxElements) {
		if len(p.named) == maxNamed {
			item.Faultf("must be among the first %d that all freezes name", maxNamed)
			break
		}
		if id := p.id(item); id != "" {
			f.Windows = append(f.Windows, id)
			p.named = append(p.named, item)
		}
	}
	m.Done()
	if p.Count() > before {
		return Freeze{}, false
	}
	if !f.From.Before(f.To) {
		to.Faultf("must be after from, %q, got %q", document.Clip(from.Node().Text), document.Clip(to.Node().Text))
		return Freeze{}, false
	}
	return f, true
}

// freeze makes the freezes ready for the windows.
func (p *parser) freeze(freezes []Freeze) {
	about := map[string][]Freeze{}
	var all []Freeze
	for _, f := range freezes {
		if len(f.Windows) == 0 {
			all = append(all, f)
		}
		for _, id := range f.Windows {
			about[id] = append(about[id], f)
		}
	}
	p.frozen, p.own = newFrozen(all), make(map[string]frozen, len(about))
	for id, own := range about {
		p.own[id] = newFrozen(slices.Concat(all, own))
	}
}

// frozenFor is what holds for a window that repeats.
func (p *parser) frozenFor(id string) frozen {
	if own, ok := p.own[id]; ok {
		return own
	}
	return p.frozen
}

// checkNamed finds the ids that freezes name and no window has.
func (p *parser) checkNamed() {
	const most = 50 // suggestions, because each looks at all windows
	var known []string
	for n, v := range p.named {
		id := v.Node().Text
		switch {
		case p.ids[id] != nil:
			continue
		case n >= most:
			known = nil
		case known == nil:
			known = slices.Sorted(maps.Keys(p.ids))
		}
		v.Fault(document.Unknown("window", id, known))
	}
}
