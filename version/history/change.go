package history

import (
	"cmp"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/version"
)

// A Change says that one version of a service replaced the earlier one in an environment. Infos
// and Diff may share memory with those of other changes: do not write to them.
type Change struct {
	Service     string `json:"service"`
	Environment string `json:"environment,omitempty"`
	Region      string `json:"region,omitempty"`
	Cluster     string `json:"cluster,omitempty"`

	// Time is when To was first seen, or seen again after a rollback. Done is when From was
	// last seen. It is zero while both are seen, or while From may just be silent.
	Time time.Time `json:"time"`
	Done time.Time `json:"done,omitzero"`

	// From is nil if the service was never seen there before.
	From *version.Info `json:"from,omitempty"`
	To   *version.Info `json:"to"`

	// Unknown means that From may still run, or may have run after To, because only [Record]
	// recorded it. After 10 minutes without a sighting it counts as gone.
	Unknown bool `json:"unknown,omitzero"`

	// Rollback is the reason why this is a rollback. Empty means that it is not one.
	Rollback Rollback `json:"rollback,omitempty"`

	// Diff is version.Diff(From, To), empty without From.
	Diff version.Changes `json:"diff,omitzero"`

	reported time.Time // Time by the reporter's clock
	client   string
	pos      time.Time
	seq      int64

	// complete makes Rollback, From, To and Diff from these.
	from, to  *run
	build     string // of to
	ranBefore bool   // the build
	wasBefore bool   // its version and revision
}

// changesOf returns the changes of one track up to now. Its runs must be sorted by first, and
// endRuns must have set their ends.
//
// One build is settled. When another build is seen, a transition begins, in which both may be
// seen in turn. It ends when only one of them is left, because the other was stopped, replaced
// in all its instances, or silent for long enough. If the new build is left, that was one
// change. If the old build is left, there was a change and a rollback.
func changesOf(group []*run, now time.Time) []Change {
	t := tracker{came: map[string]bool{}, live: map[string]int{}, kept: map[string]int{}, silent: map[string]bool{}, info: map[string]*run{}, named: map[buildName]*run{}, since: map[string]*run{}, seen: map[string]moment{}}
	type event struct {
		when  moment
		order int // at the same time beginnings (0) come before ends (1)
		run   *run
	}
	events := make([]event, 0, 2*len(group))
	for _, r := range group {
		events = append(events, event{r.first, 0, r})
		// A crash loop is one change: between crash and restart the build counts as there.
		end := r.end
		if r.over && r.again != nil && r.again.first.pos.After(end.pos) {
			end = r.again.first
		}
		if r.over && !end.pos.After(now) {
			events = append(events, event{end, 1, r})
		}
	}
	// Beginnings come first, so that a build is never gone between two adjacent runs.
	slices.SortStableFunc(events, func(a, b event) int {
		return cmp.Or(a.when.pos.Compare(b.when.pos), cmp.Compare(a.order, b.order))
	})
	for n, e := range events {
		if e.order == 1 {
			t.end(e.run)
		} else {
			t.start(e.run)
		}
		// Settle only when all events of one moment are applied.
		if n+1 == len(events) || !events[n+1].when.pos.Equal(e.when.pos) {
			t.settle()
		}
	}
	t.unsettled()
	// Changes of one moment keep their order.
	for n := 1; n < len(t.changes); n++ {
		if last, c := &t.changes[n-1], &t.changes[n]; c.pos.Equal(last.pos) {
			c.seq = max(c.seq, last.seq)
		}
	}
	return t.changes
}

type tracker struct {
	settled string             // empty until a build is seen
	path    []step             // builds of the transition in the order of their first sighting
	came    map[string]bool    // builds in path
	live    map[string]int     // running instances of each build
	kept    map[string]int     // those of them that Keep reports
	silent  map[string]bool    // the build's last run was only recorded, and its end is a guess
	info    map[string]*run    // first run of each build
	named   map[buildName]*run // first run of each name
	since   map[string]*run    // first run of each build after the last start of another build
	seen    map[string]moment  // when each build was last seen
	latest  *run               // the run that started last
	changes []Change
}

type step struct {
	build string
	run   *run
}

func (t *tracker) start(r *run) {
	b := r.build
	if t.info[b] == nil {
		t.info[b] = r
	}
	if t.named[r.name] == nil {
		t.named[r.name] = r
	}
	if t.latest == nil || t.latest.build != b {
		t.since[b] = r
	}
	t.latest = r
	t.live[b]++
	if r.every > 0 {
		t.kept[b]++
	}
	t.see(b, r.first)
	if t.settled == "" {
		t.settled = b
		t.changes = append(t.changes, newChange(nil, r, r.first))
		t.changes[0].Done = r.first.at
		return
	}
	if b != t.settled && !t.came[b] {
		t.came[b] = true
		t.path = append(t.path, step{b, r})
	}
}

func (t *tracker) see(b string, m moment) {
	if last, ok := t.seen[b]; !ok || m.pos.After(last.pos) {
		t.seen[b] = m
	}
}

func (t *tracker) end(r *run) {
	if t.live[r.build]--; t.live[r.build] == 0 {
		delete(t.live, r.build)
	}
	if r.every > 0 {
		t.kept[r.build]--
	}
	t.silent[r.build] = r.every == 0 && !r.stopped && !r.replaced
	last := r.last
	if r.replaced {
		last = r.end // it ran until then
	}
	t.see(r.build, last)
}

func (t *tracker) settle() {
	if len(t.path) == 0 || len(t.live) != 1 {
		return
	}
	for left := range t.live {
		t.addChanges(left)
		for _, s := range t.path {
			delete(t.came, s.build)
		}
		t.settled, t.path = left, nil
	}
}

func (t *tracker) unsettled() {
	if len(t.path) == 0 {
		return
	}
	if len(t.live) == 0 {
		t.addChanges(t.latest.build)
		return
	}
	t.addChanges(t.path[len(t.path)-1].build)
	old := t.settled
	for n, s := range t.path {
		if t.live[old] > 0 {
			c := &t.changes[len(t.changes)-len(t.path)+n]
			c.Done, c.Unknown = time.Time{}, t.kept[old] == 0
		}
		old = s.build
	}
}

func (t *tracker) addChanges(left string) {
	from := t.info[t.settled]
	old := t.settled
	for _, s := range t.path {
		t.change(from, old, s.run, s.run.first)
		from, old = s.run, s.build
	}
	if old == left {
		return
	}
	// An older build is left: this is a rollback.
	back := t.since[left]
	when := back.first
	if t.latest.build != left || when.pos.Before(from.first.pos) {
		// It ran all the time. The rollback is when the newer build was last seen.
		when = t.seen[old]
	}
	t.change(from, old, back, when)
}

func (t *tracker) change(from *run, old string, to *run, when moment) {
	c := newChange(from, to, when)
	c.Done = when.at
	if last := t.seen[old]; last.pos.After(when.pos) {
		c.Done = last.at
	}
	c.Unknown = t.silent[old] && t.live[old] == 0
	c.ranBefore = t.info[to.build].before(t.info[from.build])
	c.wasBefore = t.named[to.name].before(t.info[from.build])
	t.changes = append(t.changes, c)
}

func newChange(from, to *run, when moment) Change {
	c := Change{Service: to.track.service, Environment: to.track.environment, Region: to.track.region, Cluster: to.track.cluster, Time: when.at, pos: when.pos, seq: to.seq, client: to.client, from: from, to: to}
	if when == to.first {
		c.reported = to.reported
	}
	return c
}

// complete sets what depends on the infos of the builds.
func (c *Change) complete(infos *infos) {
	c.To = infos.of(c.to)
	if c.from != nil {
		c.From = infos.of(c.from)
		c.Diff = infos.diff(c.From, c.To)
		c.Rollback = c.rollback()
	}
	c.build, c.from, c.to = c.to.build, nil, nil
}

func (c *Change) rollback() Rollback {
	a, b := c.From, c.To
	named := b.Version != "" && b.Revision != "" && !b.Dirty
	switch {
	case c.to.rollback:
		return RollbackDeclared
	case c.ranBefore:
		return RollbackRanBefore
	case a.Version == b.Version && a.Revision == b.Revision:
		return "" // built again
	case named && c.wasBefore:
		return RollbackRanBefore
	}
	if order, ok := version.Compare(a.Version, b.Version); ok && order != 0 {
		if c.Diff.Version.Kind == version.ChangeKindDowngraded {
			return RollbackLowerRelease
		}
		return ""
	}
	if !a.Time.IsZero() && !b.Time.IsZero() && b.Time.Before(a.Time) && (a.Module == b.Module || a.Module == "" || b.Module == "") {
		return RollbackOlderCommit
	}
	return ""
}

// A Rollback is the reason why a [Change] is a rollback. Empty means that it is not one.
type Rollback string

const (
	// RollbackDeclared means that the [Deployment] declares it.
	RollbackDeclared Rollback = "declared"
	// RollbackRanBefore means that the build, or its version and revision, ran there
	// before.
	RollbackRanBefore Rollback = "ran before"
	// RollbackLowerRelease is a guess: the version is lower by [version.Compare].
	RollbackLowerRelease Rollback = "lower release"
	// RollbackOlderCommit is a guess: the commit is older, and the versions cannot be compared.
	RollbackOlderCommit Rollback = "older commit"
)

// Guess reports whether the rollback is only a guess from version or commit.
func (r Rollback) Guess() bool { return r == RollbackLowerRelease || r == RollbackOlderCommit }
