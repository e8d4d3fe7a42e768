package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/version"
)

// Running is one build of a service that runs in an environment.
type Running struct {
	Service     string `json:"service"`
	Environment string `json:"environment,omitempty"`
	Region      string `json:"region,omitempty"`
	Cluster     string `json:"cluster,omitempty"`

	// Info may share memory with that of others: do not write to it.
	Info version.Info `json:"info"`

	// Instances are sorted by name.
	Instances []Instance `json:"instances"`

	// First and Last are when any of them was seen for the first and the last time.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// An Instance is one of those that run a build.
type Instance struct {
	Name  string    `json:"name,omitempty"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// Current returns which builds of which services run now, sorted by service, environment,
// region, cluster and first sighting: of a rolling update both. See [At].
func Current(ctx context.Context, store Store) ([]Running, error) {
	return at(ctx, store, time.Now(), true)
}

// At returns which builds of which services ran at that time, as far as is known now.
//
// An instance of [Keep] runs until it stops, or is not seen for 10 minutes or three of its
// intervals. One of [Record] runs until it is seen with another record, or until another
// build is seen in its place and its own is silent, in all instances, for 10 minutes
// after.
func At(ctx context.Context, store Store, t time.Time) ([]Running, error) {
	return at(ctx, store, t, false)
}

func at(ctx context.Context, store Store, t time.Time, now bool) ([]Running, error) {
	h, err := load(ctx, store)
	if err != nil {
		return nil, err
	}
	pos := h.posOf(t)
	if now && pos.Before(h.horizon) {
		pos = h.horizon
	}
	var list []Running
	for _, group := range h.groups {
		builds := map[string]*Running{}
		for _, r := range group {
			if r.first.pos.After(pos) || r.over && !r.end.pos.After(pos) {
				continue
			}
			b := builds[r.build]
			if b == nil {
				b = &Running{Service: r.ground.service, Environment: r.ground.environment, Region: r.ground.region, Cluster: r.ground.cluster, Info: r.info, First: r.first.at, Last: r.last.at}
				builds[r.build] = b
			}
			b.Instances = append(b.Instances, Instance{r.instance, r.first.at, r.last.at})
			if r.last.at.After(b.Last) {
				b.Last = r.last.at
			}
			if r.first.at.Before(b.First) {
				b.First = r.first.at
			}
		}
		for _, b := range builds {
			slices.SortFunc(b.Instances, func(a, b Instance) int {
				return cmp.Or(strings.Compare(a.Name, b.Name), a.First.Compare(b.First))
			})
			list = append(list, *b)
		}
	}
	slices.SortFunc(list, func(a, b Running) int {
		return cmp.Or(ground{a.Service, a.Environment, a.Region, a.Cluster}.compare(ground{b.Service, b.Environment, b.Region, b.Cluster}),
			a.First.Compare(b.First), strings.Compare(a.Info.Version, b.Info.Version), strings.Compare(a.Info.Revision, b.Info.Revision))
	})
	return list, nil
}

// Between returns which versions replaced which others from t1 to t2, both included, in
// the order of the history, also what came and was rolled back. A zero t1 is the
// beginning, a zero t2 the end. A t1 after t2 is an error.
func Between(ctx context.Context, store Store, t1, t2 time.Time) ([]Change, error) {
	h, err := loadRange(ctx, store, t1, t2)
	if err != nil {
		return nil, err
	}
	return h.changes(t1, t2), nil
}

type history struct {
	list    []placed
	groups  map[ground][]*run
	horizon time.Time // now, in positions
	clock   []setting
}

func loadRange(ctx context.Context, store Store, from, to time.Time) (*history, error) {
	if !from.IsZero() && !to.IsZero() && from.After(to) {
		return nil, fmt.Errorf("history: from %s is after to %s", from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339))
	}
	return load(ctx, store)
}

func load(ctx context.Context, store Store) (*history, error) {
	entries, err := store.Entries(ctx)
	if err != nil {
		return nil, err
	}
	h := new(history)
	h.list, h.clock = place(entries)
	h.groups = runsOf(h.list)
	// A store whose clock is ahead of ours knows of what is not yet.
	h.horizon = h.posOf(time.Now())
	for _, e := range slices.Backward(h.list) {
		if e.sighted() {
			if e.when.pos.After(h.horizon) {
				h.horizon = e.when.pos
			}
			break
		}
	}
	return h, nil
}

// posOf is where a time stands in the order. Of an hour that the store's clock has shown
// twice it is the second.
func (h *history) posOf(t time.Time) time.Time {
	for _, s := range slices.Backward(h.clock) {
		if !t.Before(s.received) {
			return t.Add(s.offset)
		}
	}
	return t
}

func (h *history) changes(from, to time.Time) []Change {
	var list []Change
	for _, group := range h.groups {
		for _, c := range changesOf(group, h.horizon) {
			if within(c.Time, from, to) {
				list = append(list, c)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Change) int {
		return cmp.Or(a.pos.Compare(b.pos), cmp.Compare(a.seq, b.seq), ground{a.Service, a.Environment, a.Region, a.Cluster}.compare(ground{b.Service, b.Environment, b.Region, b.Cluster}))
	})
	// The same two builds are often changed for one another.
	type pair struct{ from, to *version.Info }
	diffs := map[pair]version.Changes{}
	for n := range list {
		c := &list[n]
		if c.From == nil {
			continue
		}
		p := pair{c.From, c.To}
		d, ok := diffs[p]
		if !ok {
			d = version.Diff(*c.From, *c.To)
			diffs[p] = d
		}
		c.Diff = d
	}
	return list
}

func within(t, from, to time.Time) bool {
	return (from.IsZero() || !t.Before(from)) && (to.IsZero() || !t.After(to))
}
