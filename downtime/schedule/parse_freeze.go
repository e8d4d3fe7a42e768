package schedule

import (
	"maps"
	"slices"

	"github.com/upkeep-go/upkeep/internal/document"
)

const maxNamed = 10_000 // ids that all freezes together name

// freezes reads the list of freezes.
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
		From:   p.edge(from, zone.Present(), loc, 0),
		To:     p.edge(to, zone.Present(), loc, 1),
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
		if _, ok := p.ids[id]; ok {
			continue
		}
		if n < most && known == nil {
			known = slices.Sorted(maps.Keys(p.ids))
		} else if n >= most {
			known = nil
		}
		v.Fault(document.Unknown("window", id, known))
	}
}
