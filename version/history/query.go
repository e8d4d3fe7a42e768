package history

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/version"
)

// Running is one build of a service in an environment, with the instances that run it.
type Running struct {
	Service     string `json:"service"`
	Environment string `json:"environment,omitempty"`
	Region      string `json:"region,omitempty"`
	Cluster     string `json:"cluster,omitempty"`

	// Info may share memory with that of other builds: do not write to it.
	Info version.Info `json:"info"`

	// Instances are sorted by name.
	Instances []Instance `json:"instances"`

	// First and Last are the first and the last sighting of any instance.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`

	run *run
}

// An Instance is one process that runs a build.
type Instance struct {
	Name  string    `json:"name,omitempty"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`

	// Unknown means that the instance may have ended before that time: only [Record]
	// recorded it, and it was not seen after Last.
	Unknown bool `json:"unknown,omitzero"`
}

// Current returns the builds that run now, sorted by service, environment, region, cluster and
// first sighting. During a rolling update both builds run. See [At].
func Current(ctx context.Context, store Store) ([]Running, error) {
	return at(ctx, store, time.Now(), true)
}

// At returns the builds that ran at that time, as the store knows it now.
//
// An instance of [Keep] runs until it stops, or is not seen for 10 minutes or three of its
// intervals; the longer time counts. An instance of [Record] is listed as unknown until its name
// is recorded again, or until another build is seen in the track and its own build is silent
// in all instances for 10 minutes.
func At(ctx context.Context, store Store, t time.Time) ([]Running, error) {
	return at(ctx, store, t, false)
}

func at(ctx context.Context, store Store, t time.Time, now bool) ([]Running, error) {
	h, err := load(ctx, store, Query{From: t, To: t})
	if err != nil {
		return nil, err
	}
	pos := h.posOf(t)
	if now && pos.Before(h.horizon) {
		pos = h.horizon
	}
	var list []Running
	var runs []*run // one of each in list
	for _, group := range h.groups {
		builds := map[string]*Running{}
		for _, r := range group {
			if r.first.pos.After(pos) || r.over && !r.end.pos.After(pos) {
				continue
			}
			b := builds[r.build]
			if b == nil {
				b = &Running{Service: r.track.service, Environment: r.track.environment, Region: r.track.region, Cluster: r.track.cluster, First: r.first.at, Last: r.last.at, run: r}
				builds[r.build] = b
				runs = append(runs, r)
			}
			unknown := r.every == 0 && !r.stopped && !r.replaced
			b.Instances = append(b.Instances, Instance{r.instance, r.first.at, r.last.at, unknown && pos.After(r.last.pos)})
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
	infos, err := h.infos(ctx, runs)
	if err != nil {
		return nil, err
	}
	for n := range list {
		list[n].Info = *infos.of(list[n].run)
	}
	slices.SortFunc(list, func(a, b Running) int {
		return cmp.Or(track{a.Service, a.Environment, a.Region, a.Cluster}.compare(track{b.Service, b.Environment, b.Region, b.Cluster}),
			a.First.Compare(b.First), strings.Compare(a.Info.Version, b.Info.Version), strings.Compare(a.Info.Revision, b.Info.Revision), strings.Compare(a.run.build, b.run.build))
	})
	for n := range list {
		list[n].run = nil
	}
	return list, nil
}

// Between returns the changes of versions from t1 to t2, both included, in the order of
// [Timeline]. A build that came and was rolled back has two changes. A zero t1 means the
// beginning, a zero t2 means the end. It returns an error if t1 is after t2, or if the store
// does.
func Between(ctx context.Context, store Store, t1, t2 time.Time) ([]Change, error) {
	h, err := loadRange(ctx, store, t1, t2)
	if err != nil {
		return nil, err
	}
	return h.changes(ctx, t1, t2)
}

type history struct {
	list    []placed
	groups  map[track][]*run
	horizon time.Time // the position of now
	clock   []setting
	read    func(ctx context.Context, builds []string) (map[string]*version.Info, error)
}

func loadRange(ctx context.Context, store Store, from, to time.Time) (*history, error) {
	if !from.IsZero() && !to.IsZero() && from.After(to) {
		return nil, fmt.Errorf("history: from %s is after to %s", from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339))
	}
	return load(ctx, store, Query{From: from, To: to})
}

func load(ctx context.Context, store Store, q Query) (*history, error) {
	s, err := selectFrom(ctx, store, q)
	if err != nil {
		return nil, err
	}
	if !s.placed {
		s.order()
	}
	h := &history{list: place(s.Entries), clock: s.clock, read: s.Infos}
	h.groups = runsOf(h.list)
	// If the store's clock is ahead of ours, its last sighting is now.
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

type infos struct {
	read  map[string]*version.Info
	shown map[placedBuild]*version.Info
	diffs map[[2]*version.Info]version.Changes
}

// A placedBuild is a build in a track.
type placedBuild struct {
	place track
	build string
}

func (h *history) infos(ctx context.Context, runs []*run) (*infos, error) {
	i := &infos{shown: map[placedBuild]*version.Info{}, diffs: map[[2]*version.Info]version.Changes{}}
	builds := map[string]bool{}
	for _, r := range runs {
		if r.info == nil && r.digest != "" {
			builds[r.digest] = true
		}
	}
	var err error
	if len(builds) > 0 && h.read != nil {
		i.read, err = h.read(ctx, slices.Collect(maps.Keys(builds)))
	}
	return i, err
}

func (i *infos) of(r *run) *version.Info {
	key := placedBuild{r.track, r.build}
	if info := i.shown[key]; info != nil {
		return info
	}
	info := &version.Info{Version: r.name.version, Kind: version.KindOf(r.name.version), Revision: r.name.revision}
	if known := cmp.Or(r.info, i.read[r.digest]); known != nil {
		*info = *known
	}
	info.Name, info.Environment = r.track.service, r.track.environment
	i.shown[key] = info
	return info
}

// diff compares two builds once, because the same two often replace each other.
func (i *infos) diff(from, to *version.Info) version.Changes {
	pair := [2]*version.Info{from, to}
	d, ok := i.diffs[pair]
	if !ok {
		d = version.Diff(*from, *to)
		i.diffs[pair] = d
	}
	return d
}

// posOf returns the position of a time in the order. If the store's clock has shown that time
// twice, because it was set back, the second time counts.
func (h *history) posOf(t time.Time) time.Time {
	for _, s := range slices.Backward(h.clock) {
		if !t.Before(s.received) {
			return t.Add(s.offset)
		}
	}
	return t
}

func (h *history) changes(ctx context.Context, from, to time.Time) ([]Change, error) {
	var list []Change
	var runs []*run
	for _, group := range h.groups {
		for _, c := range changesOf(group, h.horizon) {
			if within(c.Time, from, to) {
				list = append(list, c)
				if runs = append(runs, c.to); c.from != nil {
					runs = append(runs, c.from)
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Change) int {
		return cmp.Or(a.pos.Compare(b.pos), cmp.Compare(a.seq, b.seq), track{a.Service, a.Environment, a.Region, a.Cluster}.compare(track{b.Service, b.Environment, b.Region, b.Cluster}))
	})
	infos, err := h.infos(ctx, runs)
	if err != nil {
		return nil, err
	}
	for n := range list {
		list[n].complete(infos)
	}
	return list, nil
}

func within(t, from, to time.Time) bool {
	return (from.IsZero() || !t.Before(from)) && (to.IsZero() || !t.After(to))
}
