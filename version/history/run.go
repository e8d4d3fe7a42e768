package history

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/version"
)

// silence is how long after its last sighting an instance counts as gone, and an old build
// beside a new one. It is longer for instances with a long interval: see quiet.
const silence = 10 * time.Minute

// setBack is the smallest step back that counts as a change of the clock. Concurrent writers
// cause smaller ones.
const setBack = 100 * time.Millisecond

// A moment is a time: at is shown, pos gives the order. They differ after the store's clock was
// set back.
type moment struct{ pos, at time.Time }

func (m moment) add(d time.Duration) moment { return moment{m.pos.Add(d), m.at.Add(d)} }

type placed struct {
	*Entry
	when moment
}

// A setting is one step back of a store's clock. offset is the sum of all steps until then.
type setting struct {
	received time.Time
	offset   time.Duration
}

// place orders entries by At plus the steps of the store's clock, then by Seq.
func place(entries []Entry) []placed {
	list := make([]placed, len(entries))
	for n := range entries {
		e := &entries[n]
		list[n] = placed{e, moment{e.At.Add(e.offset), e.At}}
	}
	inOrder := func(a, b placed) int {
		return cmp.Or(a.when.pos.Compare(b.when.pos), cmp.Compare(a.Seq, b.Seq))
	}
	if !slices.IsSortedFunc(list, inOrder) {
		slices.SortStableFunc(list, inOrder)
	}
	return list
}

type run struct {
	id          string
	track       track
	instance    string
	build       string
	name        buildName
	digest      string // of the info; the first that the store received
	digestSeq   int64
	info        *version.Info // if an entry without a digest has it
	first, last moment
	reported    time.Time // first by the reporter's clock
	stopped     bool
	rollback    bool // declared by the deployer
	every       time.Duration
	seq         int64
	client      string

	// end is when it no longer ran, if over is set. A replaced run lasted until then.
	end            moment
	over, replaced bool

	// again is the next run in the instance if it has the same build and began soon after.
	again *run
}

// A buildName names a build for people. Two builds may have the same name.
type buildName struct{ version, revision string }

func (r *run) before(o *run) bool {
	return cmp.Or(r.first.pos.Compare(o.first.pos), cmp.Compare(r.seq, o.seq)) < 0
}

type track struct{ service, environment, region, cluster string }

func (g track) compare(o track) int {
	return cmp.Or(strings.Compare(g.service, o.service), strings.Compare(g.environment, o.environment), strings.Compare(g.region, o.region), strings.Compare(g.cluster, o.cluster))
}

func runsOf(list []placed) map[track][]*run {
	runs := map[string]*run{}
	groups := map[track][]*run{}
	for i := range list {
		e := list[i]
		if !e.sighted() {
			continue
		}
		r := runs[e.Run]
		if r == nil {
			r = &run{
				id: e.Run, track: track{e.Service, e.Environment, e.Region, e.Cluster}, instance: e.Instance, build: e.build(),
				first: e.when, reported: e.Time, seq: e.Seq, client: e.Client,
				name: buildName{e.Version, e.Revision},
			}
			if e.Info != nil {
				r.name = buildName{cmp.Or(e.Version, e.Info.Version), cmp.Or(e.Revision, e.Info.Revision)}
			}
			runs[e.Run] = r
			groups[r.track] = append(groups[r.track], r)
		}
		if e.Build == "" {
			r.info = cmp.Or(r.info, e.Info)
		} else if r.digest == "" || e.Seq < r.digestSeq {
			r.digest, r.digestSeq = e.Build, e.Seq
		}
		r.last, r.stopped = e.when, r.stopped || e.Kind == KindStopped
		r.every = max(r.every, e.Every)
		r.rollback = r.rollback || e.Rollback
	}
	for _, group := range groups {
		endRuns(group)
	}
	return groups
}

func (r *run) quiet() time.Duration { return max(silence, 3*r.every) }

// endRuns sets the end of each run of a group, which must be sorted by first. A run that has
// reported its stop ends then. Any other run ends at the earliest of
//
//   - the first sighting of a later run in its instance, after its own last sighting;
//   - with an interval: its last sighting plus the silence that is allowed;
//   - without an interval: the time at which all instances of its build were silent for
//     10 minutes after another build was seen.
//
// So an instance name that is used again does not change the past.
func endRuns(group []*run) {
	instances := map[string][]*run{}
	for _, r := range group {
		instances[r.instance] = append(instances[r.instance], r)
	}
	place := make(map[*run]int, len(group)) // in its instance
	for _, same := range instances {
		for n, r := range same {
			place[r] = n
		}
	}
	silent := silences(group)
	for _, r := range group {
		same := instances[r.instance]
		next := max(place[r]+1, notBefore(same, r.last.pos))
		if place[r]+1 < len(same) {
			if n := same[place[r]+1]; n.build == r.build && n.first.pos.Sub(r.last.pos) <= silence {
				r.again = n
			}
		}
		if r.stopped {
			r.over, r.end = true, r.last
			continue
		}
		if r.end, r.over = silent[r]; r.every > 0 {
			r.end, r.over = r.last.add(r.quiet()), true
		}
		if next < len(same) && (!r.over || !same[next].first.pos.After(r.end.pos)) {
			r.over, r.replaced, r.end = true, true, same[next].first
		}
	}
}

func notBefore(runs []*run, t time.Time) int {
	n, _ := slices.BinarySearchFunc(runs, t, func(r *run, t time.Time) int { return r.first.pos.Compare(t) })
	return n
}

func silences(group []*run) map[*run]moment {
	builds := map[string][]*run{}
	for _, r := range group {
		builds[r.build] = append(builds[r.build], r)
	}
	if len(builds) < 2 {
		return nil
	}
	others := newOthers(group)
	silent := make(map[*run]moment, len(group))
	for _, same := range builds {
		reach := make([]moment, len(same)) // the last sighting of same[:n+1]
		for n, r := range same {
			reach[n] = r.last
			if n > 0 && reach[n-1].pos.After(r.last.pos) {
				reach[n] = reach[n-1]
			}
		}
		for n, r := range slices.Backward(same) {
			seen, ok := others.seenAfter(r.build, reach[n])
			if !ok {
				continue
			}
			end := seen.add(silence)
			if n+1 < len(same) && !same[n+1].first.pos.After(end.pos) {
				// The build was seen again before that.
				if end, ok = silent[same[n+1]]; !ok {
					continue
				}
			}
			silent[r] = end
		}
	}
	return silent
}

type others struct {
	group []*run
	// nextOther is, for each run, the index of the next run of another build.
	nextOther []int
	// longest has, for group[:n+1], the runs with the last sighting of two different builds.
	longest [][2]*run
}

func newOthers(group []*run) *others {
	o := &others{group, make([]int, len(group)), make([][2]*run, len(group))}
	for n := len(group) - 1; n >= 0; n-- {
		o.nextOther[n] = n + 1
		if n+1 < len(group) && group[n+1].build == group[n].build {
			o.nextOther[n] = o.nextOther[n+1]
		}
	}
	var longest [2]*run
	for n, r := range group {
		switch {
		case longest[0] == nil || longest[0].build == r.build:
			if longest[0] == nil || r.last.pos.After(longest[0].last.pos) {
				longest[0] = r
			}
		case r.last.pos.After(longest[0].last.pos):
			longest[0], longest[1] = r, longest[0]
		case longest[1] == nil || r.last.pos.After(longest[1].last.pos):
			longest[1] = r
		}
		o.longest[n] = longest
	}
	return o
}

func (o *others) seenAfter(build string, m moment) (moment, bool) {
	next := notBefore(o.group, m.pos.Add(1)) // at the same time is not after
	if next > 0 {
		for _, l := range o.longest[next-1] {
			if l != nil && l.build != build && l.last.pos.After(m.pos) {
				return m, true // it was running at m
			}
		}
	}
	if next < len(o.group) && o.group[next].build == build {
		next = o.nextOther[next]
	}
	if next < len(o.group) {
		return o.group[next].first, true
	}
	return moment{}, false
}
