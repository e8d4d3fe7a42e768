package history_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

// A ledger is a store with fixed entries.
type ledger []history.Entry

func (l ledger) Append(context.Context, ...history.Entry) error { panic("it is only read") }

func (l ledger) Entries(context.Context) ([]history.Entry, error) { return l, nil }

// A process has run for some time and sent heartbeats.
type process struct {
	service, environment, instance, version string
	from, to                                time.Time
	said                                    bool // it has reported its stop
}

// An expectedChange is a change of versions that happened between begin and end.
type expectedChange struct {
	begin, end time.Time
	text       string
}

// A month has the simulated changes of all services, and the processes that ran.
type month struct {
	rand      *rand.Rand
	processes []process
	notes     []time.Time
	moves     map[string][]expectedChange // by place
	rests     map[string][]time.Time
}

// A place simulates one service in one environment.
type place struct {
	m                    *month
	service, environment string
	pods                 bool // names of instances are never used twice
	silent               bool // processes die without reporting a stop
	now                  time.Time
	running              map[string]process
	names                int
	seen                 []string
	free                 []string
}

func (p *place) between(least, most time.Duration) time.Duration {
	return least + time.Duration(p.m.rand.Int64N(int64(most-least)))
}

func (p *place) pass(least, most time.Duration) { p.now = p.now.Add(p.between(least, most)) }

func (p *place) start(name, release string) {
	if !slices.Contains(p.seen, release) {
		p.seen = append(p.seen, release)
	}
	p.running[name] = process{service: p.service, environment: p.environment, instance: name, version: release, from: p.now}
}

func (p *place) stop(name string) {
	r := p.running[name]
	delete(p.running, name)
	r.to, r.said = p.now, !p.silent
	p.m.processes = append(p.m.processes, r)
}

func (p *place) name() string {
	if len(p.free) > 0 && !p.pods && p.m.rand.IntN(2) == 0 {
		name := p.free[0]
		p.free = p.free[1:]
		return name
	}
	p.names++
	return fmt.Sprint(p.service, "-", p.names)
}

// replace replaces an instance by another version.
func (p *place) replace(name, release string) string {
	next := name
	if p.pods {
		next = p.name()
	}
	if p.pods && p.m.rand.IntN(2) == 0 {
		p.start(next, release)
		p.pass(time.Millisecond, 20*time.Second)
		p.stop(name)
	} else {
		p.stop(name)
		p.pass(time.Millisecond, 20*time.Second)
		p.start(next, release)
	}
	p.pass(time.Second, 90*time.Second)
	return next
}

func (p *place) instances() []string { return slices.Sorted(maps.Keys(p.running)) }

func (p *place) moved(begin time.Time, from, to string) {
	how := "update"
	if slices.Index(p.seen, to) < slices.Index(p.seen, from) {
		how = "rollback"
	}
	key := p.service + " " + p.environment
	p.m.moves[key] = append(p.m.moves[key], expectedChange{begin, p.now, fmt.Sprintf("%s %s→%s", how, from, to)})
}

// rest waits long enough that silent processes count as gone.
func (p *place) rest() {
	p.pass(14*time.Minute, 15*time.Minute)
	p.m.rests[p.service+" "+p.environment] = append(p.m.rests[p.service+" "+p.environment], p.now)
	p.pass(time.Hour, 60*time.Hour)
}

func (p *place) play(until time.Time) {
	current, latest := "v1.0.0", 0
	for range 1 + p.m.rand.IntN(4) {
		p.start(p.name(), current)
		p.pass(time.Second, time.Minute)
	}
	p.begun(current)
	p.rest()
	for p.now.Before(until) {
		begin := p.now
		names := p.instances()
		next := fmt.Sprintf("v1.%d.0", latest+1)
		switch p.m.rand.IntN(8) {
		case 0, 1: // a rolling update
			latest++
			for _, n := range names {
				p.replace(n, next)
			}
			p.moved(begin, current, next)
			current = next
		case 2: // back to an older version
			next = p.seen[p.m.rand.IntN(len(p.seen))]
			if next == current {
				continue
			}
			for _, n := range names {
				p.replace(n, next)
			}
			p.moved(begin, current, next)
			current = next
		case 3: // a canary that is aborted
			latest++
			if len(names) == 1 {
				names = append(names, p.name())
				p.start(names[1], current)
				p.pass(time.Second, time.Minute)
			}
			canary := p.replace(names[0], next)
			p.pass(time.Minute, 3*time.Hour)
			p.moved(begin, current, next)
			begin = p.now
			p.replace(canary, current)
			p.moved(begin, next, current)
		case 4: // a crash loop of a new version, which is taken back
			latest++
			name := names[0]
			p.stop(name)
			if p.pods {
				name = p.name()
			}
			for n := range 4 + p.m.rand.IntN(10) {
				p.pass(time.Second, time.Second+min(time.Duration(n), 5)*time.Minute+time.Second)
				p.start(name, next)
				p.pass(time.Second, 10*time.Second)
				p.stop(name)
			}
			p.moved(begin, current, next)
			begin = p.now
			if p.pods {
				name = p.name()
			}
			p.pass(time.Second, 10*time.Second)
			p.start(name, current)
			p.moved(begin, next, current)
		case 5: // more instances
			for range 1 + p.m.rand.IntN(3) {
				p.start(p.name(), current)
				p.pass(time.Second, time.Minute)
			}
		case 6: // fewer
			for _, n := range names[1:] {
				p.stop(n)
				p.free = append(p.free, n)
				p.pass(time.Second, time.Minute)
			}
		default: // restarts
			for _, n := range names {
				p.replace(n, current)
			}
		}
		p.m.notes = append(p.m.notes, begin)
		p.rest()
	}
	for _, n := range p.instances() {
		p.stop(n)
	}
}

func (p *place) begun(current string) {
	key := p.service + " " + p.environment
	p.m.moves[key] = append(p.m.moves[key], expectedChange{p.now.Add(-time.Hour), p.now, "first " + current})
}

// received returns the entries of the month as a store has them. Some services have wrong clocks.
func (m *month) received() ledger {
	type sending struct {
		at    time.Time
		entry history.Entry
	}
	var sent []sending
	infos := map[string]*version.Info{}
	for n, p := range m.processes {
		skew := time.Duration(0)
		if m.rand.IntN(4) == 0 {
			skew = time.Duration(m.rand.Int64N(int64(4*time.Hour))) - 2*time.Hour
		}
		key := p.service + p.version
		if infos[key] == nil {
			info := buildOf(p.service, p.version)
			infos[key] = &info
		}
		info := infos[key]
		see := func(kind history.Kind, at time.Time) {
			e := history.Entry{
				ID: fmt.Sprint(n, kind, len(sent)), Kind: kind, Time: at.Add(skew), Run: fmt.Sprint("run", n), Every: 2 * time.Minute,
				Service: p.service, Environment: p.environment, Instance: p.instance, Version: p.version, Info: info,
			}
			sent = append(sent, sending{at, e})
		}
		see(history.KindStarted, p.from)
		// A store may leave out the heartbeats between the first and the last.
		if beats := p.to.Sub(p.from) / (2 * time.Minute); beats > 0 {
			see(history.KindSeen, p.from.Add(beats*2*time.Minute))
		}
		if p.said {
			see(history.KindStopped, p.to)
		}
	}
	for n, at := range m.notes {
		sent = append(sent, sending{at, history.Entry{ID: fmt.Sprint("note", n), Kind: history.KindNoted, Time: at, Event: &history.Event{Kind: "deployment", Subject: fmt.Sprint(n)}}})
	}
	slices.SortStableFunc(sent, func(a, b sending) int { return a.at.Compare(b.at) })
	list := make(ledger, len(sent))
	for n, s := range sent {
		list[n] = s.entry.Receive(s.at)
		list[n].Seq = int64(n + 1)
	}
	return list
}

// TestMonth simulates a month of 30 services in 4 environments. The history must have the same
// changes.
func TestMonth(t *testing.T) {
	t.Parallel()
	for seed := range testsize.Pick(1, 1, 40) {
		begin := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
		end := begin.AddDate(0, 0, 30)
		m := &month{rand: rand.New(rand.NewPCG(uint64(seed), 30)), moves: map[string][]expectedChange{}, rests: map[string][]time.Time{}}
		for s := range 30 {
			for e, environment := range []string{"development", "testing", "staging", "production"} {
				p := &place{m: m, service: fmt.Sprint("service", s), environment: environment, pods: s%2 == 0, silent: (s+e)%3 == 0, now: begin, running: map[string]process{}}
				p.pass(time.Second, 24*time.Hour)
				p.play(end)
			}
		}
		store := m.received()

		// At returns all running processes, and no process that was silent for long enough.
		for range testsize.Pick(10, 15, 100) {
			at := begin.Add(time.Duration(m.rand.Int64N(int64(end.Sub(begin)))))
			got := map[string]bool{}
			running, err := history.At(t.Context(), store, at)
			require.NoError(t, err)
			for _, r := range running {
				require.Len(t, r.Info.Deps, 2)
				for _, i := range r.Instances {
					require.False(t, i.Unknown)
					got[strings.Join([]string{r.Service, r.Environment, r.Info.Version, i.Name}, " ")] = true
				}
			}
			may := map[string]bool{}
			for _, p := range m.processes {
				key := strings.Join([]string{p.service, p.environment, p.version, p.instance}, " ")
				if !at.Before(p.from) && at.Before(p.to) {
					require.True(t, got[key], "seed %d: %s runs at %v", seed, key, at)
				}
				if gone := p.to.Add(11 * time.Minute); !at.Before(p.from) && (at.Before(p.to) || !p.said && at.Before(gone)) {
					may[key] = true
				}
			}
			for key := range got {
				require.True(t, may[key], "seed %d: %s does not run at %v", seed, key, at)
			}
		}

		// Between and Timeline return exactly the simulated changes.
		changes := map[string][]history.Change{}
		all, err := history.Between(t.Context(), store, time.Time{}, time.Time{})
		require.NoError(t, err)
		for _, c := range all {
			changes[c.Service+" "+c.Environment] = append(changes[c.Service+" "+c.Environment], c)
		}
		for place, want := range m.moves {
			var got, truth []string
			for _, c := range changes[place] {
				got = append(got, move(c))
			}
			for _, w := range want {
				truth = append(truth, w.text)
			}
			require.Equal(t, truth, got, "seed %d, %s", seed, place)
			for n, c := range changes[place] {
				// A process that died silently was last seen up to one heartbeat before.
				require.False(t, c.Time.Before(want[n].begin.Add(-2*time.Minute)), "seed %d, %s: %s", seed, place, move(c))
				require.False(t, c.Time.After(want[n].end.Add(11*time.Minute)), "seed %d, %s: %s", seed, place, move(c))
				require.False(t, c.Unknown)
				if c.Rollback != "" {
					require.Equal(t, history.RollbackRanBefore, c.Rollback)
				}
			}
		}
		require.Len(t, changes, len(m.moves))
		for _, place := range slices.Sorted(maps.Keys(m.rests)) {
			rests := m.rests[place]
			service, environment, _ := strings.Cut(place, " ")
			part := history.Only(store, history.Query{Service: service, Environment: environment})
			if m.rand.IntN(12) > 0 {
				continue
			}
			a, b := m.rand.IntN(len(rests)), m.rand.IntN(len(rests))
			from, to := rests[min(a, b)], rests[max(a, b)]
			var truth, got []string
			for _, w := range m.moves[place] {
				if w.begin.After(from) && w.begin.Before(to) {
					truth = append(truth, w.text)
				}
			}
			changes, err := history.Between(t.Context(), part, from, to)
			require.NoError(t, err)
			for _, c := range changes {
				got = append(got, move(c))
			}
			require.Equal(t, truth, got, "seed %d, %s", seed, place)
			list, err := history.Timeline(t.Context(), part, from, to)
			require.NoError(t, err)
			notes := 0
			for _, at := range m.notes {
				if !at.Before(from) && !at.After(to) {
					notes++
				}
			}
			require.Len(t, list.Items, len(truth)+notes)
		}
	}
}

// TestRecordIsUnknown has an aborted canary that only Record has recorded. The answer is unknown.
func TestRecordIsUnknown(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	for _, every := range []time.Duration{0, 2 * time.Minute} {
		var l ledger
		see := func(kind history.Kind, at time.Duration, run, version string) {
			e := history.Entry{ID: fmt.Sprint(len(l)), Kind: kind, Time: begin.Add(at), Run: run, Service: "shop", Instance: run, Version: version, Every: every}.Receive(begin.Add(at))
			e.Seq = int64(len(l) + 1)
			l = append(l, e)
		}
		see(history.KindStarted, 0, "a", "v1.0.0")
		see(history.KindStarted, time.Hour-time.Minute, "canary", "v1.1.0")
		if every > 0 {
			see(history.KindSeen, time.Hour, "a", "v1.0.0")
			see(history.KindStopped, time.Hour+time.Minute, "canary", "v1.1.0")
			see(history.KindSeen, 3*time.Hour, "a", "v1.0.0")
		}
		changes, err := history.Between(t.Context(), l, time.Time{}, time.Time{})
		require.NoError(t, err)
		running, err := history.At(t.Context(), l, begin.Add(2*time.Hour))
		require.NoError(t, err)
		require.Len(t, running, 1)
		require.Len(t, running[0].Instances, 1)
		require.Equal(t, every == 0, running[0].Instances[0].Unknown)
		require.Equal(t, every == 0, changes[1].Unknown)
		if every == 0 {
			require.Len(t, changes, 2)
			require.Contains(t, timeline(t, l).String(), "unknown whether v1.0.0 still runs")
			continue
		}
		require.Equal(t, "v1.0.0", running[0].Info.Version)
		require.Equal(t, "rollback v1.1.0→v1.0.0", move(changes[2]))
		require.NotContains(t, timeline(t, l).String(), "unknown")
	}
}
