package history_test
import ("testing";"slices";"time";"math/rand/v2";"github.com/stretchr/testify/require";"github.com/upkeep-go/upkeep/version/history")
func TestZZplain(t *testing.T) {
	t.Parallel()
	count := 600
	first, three, latest, latestThree := 0, 0, 0, 0
	for seed := range count {
		o := newOutage2(uint64(seed), "plain")
		list, err := history.Suspects(t.Context(), o.store, o.failure, &history.SuspectOptions{Callers: o.callers})
		require.NoError(t, err)
		rank := slices.IndexFunc(list, func(s history.Suspect) bool { return nameOf(s) == o.cause.name() })
		require.GreaterOrEqual(t, rank, 0, "%d", seed)
		if rank == 0 {
			first++
		}
		if rank < 3 {
			three++
		}
		if false {
			t.Log(seed, rank, o.cause.name(), outageFailure-o.cause.at)
			for _, s := range list[:rank+1] {
				t.Log("   ", s)
			}
		}
		later := 0
		for _, p := range o.changes {
			if p.service == o.failure.Service && p.at > o.cause.at {
				later++
			}
		}
		if o.cause.service == o.failure.Service {
			latest += int(1 / (1 + later))
			if later < 3 {
				latestThree++
			}
		}
	}
	t.Logf("first %.1f %%, first three %.1f %%; latest of the service %.1f %%, %.1f %%", 100*float64(first)/float64(count), 100*float64(three)/float64(count), 100*float64(latest)/float64(count), 100*float64(latestThree)/float64(count))
	t.Log(first, count*80/100)
	t.Log(three, count*95/100)
}
func TestZZnocallers(t *testing.T) {
	t.Parallel()
	count := 600
	first, three, latest, latestThree := 0, 0, 0, 0
	for seed := range count {
		o := newOutage2(uint64(seed), "nocallers")
		list, err := history.Suspects(t.Context(), o.store, o.failure, &history.SuspectOptions{Callers: o.callers})
		require.NoError(t, err)
		rank := slices.IndexFunc(list, func(s history.Suspect) bool { return nameOf(s) == o.cause.name() })
		require.GreaterOrEqual(t, rank, 0, "%d", seed)
		if rank == 0 {
			first++
		}
		if rank < 3 {
			three++
		}
		if false {
			t.Log(seed, rank, o.cause.name(), outageFailure-o.cause.at)
			for _, s := range list[:rank+1] {
				t.Log("   ", s)
			}
		}
		later := 0
		for _, p := range o.changes {
			if p.service == o.failure.Service && p.at > o.cause.at {
				later++
			}
		}
		if o.cause.service == o.failure.Service {
			latest += int(1 / (1 + later))
			if later < 3 {
				latestThree++
			}
		}
	}
	t.Logf("first %.1f %%, first three %.1f %%; latest of the service %.1f %%, %.1f %%", 100*float64(first)/float64(count), 100*float64(three)/float64(count), 100*float64(latest)/float64(count), 100*float64(latestThree)/float64(count))
	t.Log(first, count*80/100)
	t.Log(three, count*95/100)
}
func TestZZnotedDeploys(t *testing.T) {
	t.Parallel()
	count := 600
	first, three, latest, latestThree := 0, 0, 0, 0
	for seed := range count {
		o := newOutage2(uint64(seed), "notedDeploys")
		list, err := history.Suspects(t.Context(), o.store, o.failure, &history.SuspectOptions{Callers: o.callers})
		require.NoError(t, err)
		rank := slices.IndexFunc(list, func(s history.Suspect) bool { return nameOf(s) == o.cause.name() })
		require.GreaterOrEqual(t, rank, 0, "%d", seed)
		if rank == 0 {
			first++
		}
		if rank < 3 {
			three++
		}
		if false {
			t.Log(seed, rank, o.cause.name(), outageFailure-o.cause.at)
			for _, s := range list[:rank+1] {
				t.Log("   ", s)
			}
		}
		later := 0
		for _, p := range o.changes {
			if p.service == o.failure.Service && p.at > o.cause.at {
				later++
			}
		}
		if o.cause.service == o.failure.Service {
			latest += int(1 / (1 + later))
			if later < 3 {
				latestThree++
			}
		}
	}
	t.Logf("first %.1f %%, first three %.1f %%; latest of the service %.1f %%, %.1f %%", 100*float64(first)/float64(count), 100*float64(three)/float64(count), 100*float64(latest)/float64(count), 100*float64(latestThree)/float64(count))
	t.Log(first, count*80/100)
	t.Log(three, count*95/100)
}
func TestZZnoshare(t *testing.T) {
	t.Parallel()
	count := 600
	first, three, latest, latestThree := 0, 0, 0, 0
	for seed := range count {
		o := newOutage2(uint64(seed), "noshare")
		list, err := history.Suspects(t.Context(), o.store, o.failure, &history.SuspectOptions{Callers: o.callers})
		require.NoError(t, err)
		rank := slices.IndexFunc(list, func(s history.Suspect) bool { return nameOf(s) == o.cause.name() })
		require.GreaterOrEqual(t, rank, 0, "%d", seed)
		if rank == 0 {
			first++
		}
		if rank < 3 {
			three++
		}
		if false {
			t.Log(seed, rank, o.cause.name(), outageFailure-o.cause.at)
			for _, s := range list[:rank+1] {
				t.Log("   ", s)
			}
		}
		later := 0
		for _, p := range o.changes {
			if p.service == o.failure.Service && p.at > o.cause.at {
				later++
			}
		}
		if o.cause.service == o.failure.Service {
			latest += int(1 / (1 + later))
			if later < 3 {
				latestThree++
			}
		}
	}
	t.Logf("first %.1f %%, first three %.1f %%; latest of the service %.1f %%, %.1f %%", 100*float64(first)/float64(count), 100*float64(three)/float64(count), 100*float64(latest)/float64(count), 100*float64(latestThree)/float64(count))
	t.Log(first, count*80/100)
	t.Log(three, count*95/100)
}
func TestZZnocounts(t *testing.T) {
	t.Parallel()
	count := 600
	first, three, latest, latestThree := 0, 0, 0, 0
	for seed := range count {
		o := newOutage2(uint64(seed), "nocounts")
		list, err := history.Suspects(t.Context(), o.store, o.failure, &history.SuspectOptions{Callers: o.callers})
		require.NoError(t, err)
		rank := slices.IndexFunc(list, func(s history.Suspect) bool { return nameOf(s) == o.cause.name() })
		require.GreaterOrEqual(t, rank, 0, "%d", seed)
		if rank == 0 {
			first++
		}
		if rank < 3 {
			three++
		}
		if false {
			t.Log(seed, rank, o.cause.name(), outageFailure-o.cause.at)
			for _, s := range list[:rank+1] {
				t.Log("   ", s)
			}
		}
		later := 0
		for _, p := range o.changes {
			if p.service == o.failure.Service && p.at > o.cause.at {
				later++
			}
		}
		if o.cause.service == o.failure.Service {
			latest += int(1 / (1 + later))
			if later < 3 {
				latestThree++
			}
		}
	}
	t.Logf("first %.1f %%, first three %.1f %%; latest of the service %.1f %%, %.1f %%", 100*float64(first)/float64(count), 100*float64(three)/float64(count), 100*float64(latest)/float64(count), 100*float64(latestThree)/float64(count))
	t.Log(first, count*80/100)
	t.Log(three, count*95/100)
}

func newOutage2(seed uint64, mode string) *outage {
	o := &outage{rand: rand.New(rand.NewPCG(seed, 99)), begin: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)}
	o.plan()
	switch mode {
	case "noshare":
		o.play(); o.count()
		for n := range o.store { if o.store[n].Event != nil { e := *o.store[n].Event; e.Share = 0; o.store[n].Event = &e } }
		return o
	case "notedDeploys":
		o.count()
		vers := map[string]string{}
		for _, p := range o.changes { if p.version != "" { from := vers[p.service]; if from == "" {from = "v1.0.0"}; p.event = history.Event{Kind: "deployment", Subject: p.version, Service: p.service, From: from, To: p.version}; if p.canary { p.event.Share = 1.0/3 } else {vers[p.service]=p.version}; p.version = "" } }
		o.play()
		return o
	}
	o.play()
	o.count()
	switch mode {
	case "nocallers": o.callers = nil
	case "nocounts": o.failure.Variants, o.failure.Builds = nil, nil
	}
	return o
}
