package schedule

import (
	"iter"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

// A Freeze is a time in which windows that repeat do not take place: occurrences with a planned
// start in [From, To) are left out. Windows that do not repeat are unaffected, because each of
// them was planned for its date.
type Freeze struct {
	From, To time.Time // in the zone that the document names
	Reason   string
	Windows  []string // ids of the windows that it affects. Empty means all that repeat.
}

// Freezes yields the document's freezes, in the document's order.
func (s *Schedule) Freezes() iter.Seq[Freeze] { return slices.Values(s.freezes) }

// frozen has freezes in seconds since 1970: in order, and joined where they touch.
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

// at returns the freeze that contains the instant.
func (f frozen) at(t int64) (from, to int64, ok bool) {
	i := sort.Search(len(f), func(i int) bool { return f[i].to > t })
	if i == len(f) || t < f[i].from {
		return 0, 0, false
	}
	return f[i].from, f[i].to, true
}

const maxNamed = 10_000 // ids in all freezes together

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
			item.Faultf("all freezes together must name at most %d windows", maxNamed)
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

// freeze prepares the freezes for frozenFor.
func (p *parser) freeze(freezes []Freeze) {
	named := map[string][]Freeze{}
	var all []Freeze
	for _, f := range freezes {
		if len(f.Windows) == 0 {
			all = append(all, f)
		}
		for _, id := range f.Windows {
			named[id] = append(named[id], f)
		}
	}
	p.frozen, p.own = newFrozen(all), make(map[string]frozen, len(named))
	for id, own := range named {
		p.own[id] = newFrozen(slices.Concat(all, own))
	}
}

// frozenFor returns the freezes that affect a window that repeats.
func (p *parser) frozenFor(id string) frozen {
	if own, ok := p.own[id]; ok {
		return own
	}
	return p.frozen
}

// checkNamed refuses ids in freezes that do not exist.
func (p *parser) checkNamed() {
	const most = 50 // suggestions, because each compares with all windows
	var ids []string
	for n, v := range p.named {
		id := v.Node().Text
		switch {
		case p.ids[id] != nil:
			continue
		case n >= most:
			ids = nil
		case ids == nil:
			ids = slices.Sorted(maps.Keys(p.ids))
		}
		v.Fault(document.Unknown("window", id, ids))
	}
}
