package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/version"
)

// A Query selects a part of a history. A zero field does not restrict it.
type Query struct {
	// Service and Environment restrict sightings, and events that have them. Other events
	// belong to every service and environment.
	Service     string
	Environment string

	// From and To restrict events by [Entry.At], both included. They do not restrict
	// sightings, because a build that runs at a time has started before.
	From time.Time
	To   time.Time
}

// has reports whether the query selects an entry.
func (q *Query) has(e *Entry) bool {
	if !e.sighted() {
		return within(e.At, q.From, q.To) && (e.Event == nil || q.isAbout(e.Event.Service, e.Event.Environment))
	}
	return (q.Service == "" || e.Service == q.Service) && (q.Environment == "" || e.Environment == q.Environment)
}

// isAbout reports whether an event of a service and an environment belongs to the answer.
func (q *Query) isAbout(service, environment string) bool {
	return (q.Service == "" || service == "" || service == q.Service) && (q.Environment == "" || environment == "" || environment == q.Environment)
}

// A Selector is a [Store] that reads only what a query needs. [FileStore] and [SQLStore] are
// Selectors. Any other Store is read with Entries.
type Selector interface {
	Store

	// Select returns the entries that the query selects. It may leave out the sightings of a
	// run between the first and the last one, as Entries may.
	Select(ctx context.Context, q Query) (*Selection, error)
}

// A Selection is the answer of a [Selector].
type Selection struct {
	// Entries are in the order of Seq. Their Info may be nil even if they have a Build.
	Entries []Entry

	// Infos returns the Info of builds by [Entry.Build]. It leaves out unknown builds.
	Infos func(ctx context.Context, builds []string) (map[string]*version.Info, error)

	clock  []setting // when the store's clock was set back
	placed bool      // clock and the offsets of Entries are set
}

// Only returns the part of a store that a query selects, as a store:
//
//	shop := history.Only(store, history.Query{Service: "shop", Environment: "production"})
//	changes, err := history.Timeline(ctx, shop, from, to)
//
// Append passes all entries to the store.
func Only(store Store, q Query) Store { return &partial{store, q} }

type partial struct {
	Store
	query Query
}

func (p *partial) Entries(ctx context.Context) ([]Entry, error) {
	list, err := p.Store.Entries(ctx)
	return slices.DeleteFunc(list, func(e Entry) bool { return !p.query.has(&e) }), err
}

func (p *partial) Select(ctx context.Context, q Query) (*Selection, error) {
	own := p.query
	none := own.Service != "" && q.Service != "" && own.Service != q.Service ||
		own.Environment != "" && q.Environment != "" && own.Environment != q.Environment
	own.Service, own.Environment = cmp.Or(own.Service, q.Service), cmp.Or(own.Environment, q.Environment)
	if q.From.After(own.From) {
		own.From = q.From
	}
	if own.To.IsZero() || !q.To.IsZero() && q.To.Before(own.To) {
		own.To = q.To
	}
	s, err := selectFrom(ctx, p.Store, own)
	if err == nil && none {
		s.Entries = slices.DeleteFunc(s.Entries, func(e Entry) bool { return !p.query.has(&e) || !q.has(&e) })
	}
	return s, err
}

func selectFrom(ctx context.Context, store Store, q Query) (*Selection, error) {
	if s, ok := store.(Selector); ok {
		return s.Select(ctx, q)
	}
	list, err := store.Entries(ctx)
	if err != nil {
		return nil, err
	}
	s := &Selection{Entries: list}
	s.order()
	builds := map[string]*version.Info{}
	for _, e := range list {
		if e.Info != nil && builds[e.Build] == nil {
			builds[e.Build] = e.Info
		}
	}
	s.Infos = func(context.Context, []string) (map[string]*version.Info, error) { return builds, nil }
	s.Entries = slices.DeleteFunc(s.Entries, func(e Entry) bool { return !q.has(&e) })
	return s, nil
}

// order finds out when the store's clock was set back. It needs all entries of the store.
func (s *Selection) order() {
	s.Entries = slices.Clone(s.Entries) // the store owns them
	var last time.Time
	var offset time.Duration
	for n := range s.Entries {
		e := &s.Entries[n]
		if step := last.Sub(e.Received); !last.IsZero() && step >= setBack {
			offset += step
			s.clock = append(s.clock, setting{e.Received, offset})
		}
		last, e.offset = e.Received, offset
	}
	s.placed = true
}

// Select reads all segments and decodes the entries that the query selects.
func (s *FileStore) Select(ctx context.Context, q Query) (*Selection, error) {
	f := folder{query: q, runs: map[string]*sightings{}, texts: map[string]string{}}
	m, err := s.read(ctx, f.add)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return &Selection{Entries: f.entries(), Infos: m.infos, clock: m.clock, placed: true}, nil
}

// A folder collects the entries that a query needs. Of each run it keeps the first sighting,
// the last one, and those that add something.
type folder struct {
	query Query
	runs  map[string]*sightings
	kept  []Entry
	texts map[string]string
}

type sightings struct {
	span
	last time.Time

	// line is the last sighting, if it is not among the kept entries.
	line   []byte
	record record
}

func (f *folder) add(r *record) {
	if Kind(r.kind) == KindNoted {
		if within(r.at, f.query.From, f.query.To) && f.query.isAbout(string(r.eventService), string(r.eventEnvironment)) {
			f.kept = append(f.kept, r.entry(f.texts))
		}
		return
	}
	service := r.service
	if len(service) == 0 {
		service = []byte(orUnknown(""))
	}
	if f.query.Service != "" && string(service) != f.query.Service || f.query.Environment != "" && string(r.environment) != f.query.Environment {
		return
	}
	run := f.runs[string(r.run)]
	every := min(max(time.Duration(r.every), 0), maxEvery)
	if run == nil {
		run = &sightings{span: span{first: r.at, every: every, rollback: r.rollback, build: string(r.build)}, last: r.at}
		f.runs[string(r.run)] = run
		f.kept = append(f.kept, r.entry(f.texts))
		return
	}
	latest := !r.at.Before(run.last)
	if latest {
		run.last = r.at
		run.line = run.line[:0]
	}
	switch {
	case !run.between(Kind(r.kind), r.at, every, r.rollback, r.build):
		run.add(r.at, string(r.build))
		f.kept = append(f.kept, r.entry(f.texts))
	case latest:
		run.line = append(run.line, r.line...)
		run.record = *r
	}
}

func (f *folder) entries() []Entry {
	for _, run := range f.runs {
		if len(run.line) == 0 {
			continue
		}
		if run.record.decoded == nil {
			run.record.read(run.line) // it succeeded before
		}
		f.kept = append(f.kept, run.record.entry(f.texts))
	}
	slices.SortFunc(f.kept, func(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	return f.kept
}
