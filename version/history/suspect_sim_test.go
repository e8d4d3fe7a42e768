package history_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

// An outage is a simulated incident with 50 changes of a day. One of them is the cause.
type outage struct {
	rand    *rand.Rand
	begin   time.Time
	failure history.Failure
	callers map[string][]string
	store   ledger
	sent    []history.Entry

	changes []*planned
	cause   *planned
}

// A planned change is a deployment if version is set, and an event otherwise.
type planned struct {
	at      time.Duration // after begin
	service string
	version string
	module  bool // the deployment changes the module that is in the stack trace
	canary  bool // the deployment replaces one of three instances
	event   history.Event
}

func (p *planned) name() string {
	return cmp.Or(p.version, p.event.Subject) + "@" + p.service
}

const outageFailure = 24 * time.Hour // after begin

func (o *outage) share() float64 { return []float64{0.05, 0.1, 0.25, 0.5, 0.5, 1}[o.rand.IntN(6)] }

func (o *outage) service(n int) string { return fmt.Sprint("service-", n) }

// delay is the time from the cause to the first failure.
func (o *outage) delay() time.Duration {
	minutes := 12 * math.Exp(1.1*o.rand.NormFloat64())
	return time.Duration(min(max(minutes, 0.5), 20*60) * float64(time.Minute))
}

// someTime returns a random time of the day.
func (o *outage) someTime() time.Duration {
	return time.Duration(o.rand.Float64() * float64(outageFailure-time.Second))
}

func (o *outage) plan() {
	const services = 12
	o.callers = map[string][]string{}
	calls := map[int][]int{}
	for caller := range services {
		for range 1 + o.rand.IntN(2) {
			if callee := caller + 1 + o.rand.IntN(5); callee < services && !slices.Contains(calls[caller], callee) {
				calls[caller] = append(calls[caller], callee)
				o.callers[o.service(callee)] = append(o.callers[o.service(callee)], o.service(caller))
			}
		}
	}
	failed := o.rand.IntN(services - 4)
	o.failure.Service = o.service(failed)
	o.failure.Time = o.begin.Add(outageFailure)
	o.failure.Route = "POST /orders"
	o.failure.Stack = "panic: boom\n\ngoroutine 1 [running]:\nexample.com/" + o.failure.Service + "/api.(*Server).Order(...)\n\t/src/api/server.go:42\nexample.com/pay/client.Charge(...)\n\t/mod/example.com/pay/client/client.go:7\n"

	random := func(at time.Duration, service string) *planned {
		p := &planned{at: at, service: service}
		switch n := o.rand.IntN(20); {
		case n < 8:
			p.version, p.canary = fmt.Sprintf("v1.%d.0", len(o.changes)+1), o.rand.IntN(3) == 0
		case n < 15:
			p.event = history.Event{Kind: "flag", Subject: fmt.Sprintf("flag-%d", len(o.changes)), From: "off", To: "on", Share: o.share()}
		case n < 17:
			p.event = history.Event{Kind: "migration", Subject: fmt.Sprintf("table-%d", len(o.changes)), To: "done"}
		case n < 19:
			p.event = history.Event{Kind: "window", Subject: fmt.Sprintf("window-%d", len(o.changes)), From: "announced", To: "in progress"}
		default:
			p.event = history.Event{Kind: "note", Subject: fmt.Sprintf("note-%d", len(o.changes))}
		}
		p.event.Service = service
		return p
	}
	add := func(p *planned) *planned {
		o.changes = append(o.changes, p)
		return p
	}
	at := outageFailure - o.delay()
	switch n := o.rand.IntN(100); {
	case n < 27: // a flag of the service
		o.cause = random(at, o.failure.Service)
		o.cause.version, o.cause.event = "", history.Event{Kind: "flag", Subject: "flag-cause", From: "off", To: "on", Service: o.failure.Service, Share: o.share()}
	case n < 54: // a deployment of the service
		o.cause = &planned{at: at, service: o.failure.Service, version: "v1.0.1", module: o.rand.IntN(2) == 0, canary: o.rand.IntN(2) == 0}
	case n < 64 && len(calls[failed]) > 0: // a flag of a service that it calls
		o.cause = random(at, o.service(calls[failed][o.rand.IntN(len(calls[failed]))]))
		o.cause.version, o.cause.event = "", history.Event{Kind: "flag", Subject: "flag-cause", From: "off", To: "on", Service: o.cause.service, Share: o.share()}
	case n < 88 && len(calls[failed]) > 0: // a deployment of a service that it calls
		o.cause = &planned{at: at, service: o.service(calls[failed][o.rand.IntN(len(calls[failed]))]), version: "v1.0.1"}
	default:
		o.cause = &planned{at: at, service: o.failure.Service, event: history.Event{Kind: "migration", Subject: "table-cause", Service: o.failure.Service}}
	}
	add(o.cause)
	// Decoys: changes shortly before the failure, also in the service.
	for range 1 + o.rand.IntN(2) {
		decoy := random(outageFailure-o.delay(), o.failure.Service)
		if o.rand.IntN(2) == 0 {
			decoy.service = o.service(o.rand.IntN(services))
			decoy.event.Service = decoy.service
		}
		add(decoy)
	}
	for len(o.changes) < 50 {
		add(random(o.someTime(), o.service(o.rand.IntN(services))))
	}
	slices.SortFunc(o.changes, func(a, b *planned) int { return cmp.Compare(a.at, b.at) })
}

func (o *outage) info(service, release string, module bool) *version.Info {
	deps := []*debug.Module{{Path: "example.com/pay", Version: "v1.0.0"}, {Path: "example.com/log", Version: "v1.0.0"}}
	if module {
		deps[0].Version = release
	} else if o.rand.IntN(2) == 0 {
		deps[1].Version = release
	}
	i := version.FromBuildInfo(&debug.BuildInfo{GoVersion: "go1.26.8", Path: "example.com/" + service, Main: debug.Module{Path: "example.com/" + service, Version: release}, Deps: deps}, nil)
	return &i
}

// play makes the entries of the day.
func (o *outage) play() {
	const instances = 3
	entry := func(at time.Duration, e history.Entry) {
		e.ID, e.Time = fmt.Sprint("e", len(o.sent)), o.begin.Add(at)
		o.sent = append(o.sent, e)
	}
	for n := range 12 {
		service := o.service(n)
		current := map[int]history.Entry{}
		deploy := func(i int, at time.Duration, release string, info *version.Info) {
			if old, ok := current[i]; ok {
				old.Kind, old.Info = history.KindStopped, nil
				entry(at, old)
			}
			current[i] = history.Entry{Kind: history.KindStarted, Run: fmt.Sprint(service, i, release), Every: 2 * time.Minute, Service: service, Environment: "production", Instance: fmt.Sprint("pod-", i), Version: release, Info: info}
			entry(at, current[i])
		}
		first := o.info(service, "v1.0.0", false)
		for i := range instances {
			deploy(i, -48*time.Hour, "v1.0.0", first)
		}
		for _, p := range o.changes {
			if p.service != service || p.version == "" {
				continue
			}
			info := o.info(service, p.version, p.module)
			for i := range instances {
				if p.canary && i > 0 {
					break
				}
				deploy(i, p.at+time.Duration(i)*20*time.Second, p.version, info)
			}
		}
		for _, e := range current {
			e.Kind, e.Info = history.KindSeen, nil
			entry(outageFailure+time.Minute, e)
		}
	}
	for _, p := range o.changes {
		if p.version == "" {
			e := p.event
			entry(p.at, history.Entry{Kind: history.KindNoted, Event: &e})
		}
	}
	slices.SortStableFunc(o.sent, func(a, b history.Entry) int { return a.Time.Compare(b.Time) })
	for n, e := range o.sent {
		e = e.Receive(e.Time)
		e.Seq = int64(n + 1)
		o.store = append(o.store, e)
	}
}

// count counts requests of the hour around the beginning of the failure. Good requests are from
// before the failure, too.
func (o *outage) count() {
	f := &o.failure
	f.Variants, f.Builds = map[string]history.Counts{}, map[string]history.Counts{}
	failed, good := 10+o.rand.IntN(150), 2000+o.rand.IntN(8000)
	background := 0.2 * o.rand.Float64()
	for _, p := range o.changes {
		if p.event.Kind != "flag" || p.service != f.Service && !slices.Contains(o.callers[p.service], f.Service) {
			continue
		}
		share := p.event.Share
		goodShare := share * min(1, (time.Hour/2+(outageFailure-p.at)).Hours())
		with := share
		if p == o.cause {
			with = 1 - background*(1-share)
		} else if o.cause.event.Kind == "flag" && o.rand.IntN(4) == 0 {
			with = share + (1-share)*0.5*o.rand.Float64() // users of both flags
		}
		on := 0
		for range failed {
			if o.rand.Float64() < with {
				on++
			}
		}
		f.Variants[p.event.Subject+"=on"] = history.Counts{Failed: on, Good: int(float64(good) * goodShare)}
		f.Variants[p.event.Subject+"=off"] = history.Counts{Failed: failed - on, Good: good - int(float64(good)*goodShare)}
	}
	running, before := [3]string{"v1.0.0", "v1.0.0", "v1.0.0"}, map[string]int{"v1.0.0": good}
	for _, p := range o.changes {
		if p.service == f.Service && p.version != "" {
			running[0] = p.version
			if !p.canary {
				running[1], running[2] = p.version, p.version
			}
			if outageFailure-p.at > time.Hour/2 {
				before = map[string]int{}
				for _, v := range running {
					before[v] += good / 3
				}
			}
		}
	}
	for v, n := range before {
		f.Builds[v] = history.Counts{Good: n}
	}
	for range failed {
		v := running[o.rand.IntN(3)]
		if o.cause.service == f.Service && o.cause.version != "" && slices.Contains(running[:], o.cause.version) && o.rand.Float64() > background {
			v = o.cause.version
		}
		c := f.Builds[v]
		c.Failed++
		f.Builds[v] = c
		f.Build = v
	}
	for _, v := range running {
		c := f.Builds[v]
		c.Good += good / 9
		f.Builds[v] = c
	}
}

func newOutage(seed uint64) *outage {
	o := &outage{rand: rand.New(rand.NewPCG(seed, 23)), begin: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)}
	o.plan()
	o.play()
	o.count()
	return o
}

func nameOf(s history.Suspect) string {
	if s.Change.Service != "" {
		return s.Change.To.Version + "@" + s.Change.Service
	}
	return s.Event.Subject + "@" + s.Event.Service
}

// TestSuspectsOfOutages ranks the causes of simulated incidents.
func TestSuspectsOfOutages(t *testing.T) {
	t.Parallel()
	count := testsize.Pick(200, 200, 2000)
	first, three, latest, latestThree := 0, 0, 0, 0
	for seed := range count {
		o := newOutage(uint64(seed))
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
		if rank >= 1 && testing.Verbose() {
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
	require.GreaterOrEqual(t, first, count*80/100)
	require.GreaterOrEqual(t, three, count*95/100)
}
