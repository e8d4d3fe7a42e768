package history_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/version/history"
)

// TestModel deploys a service at random, with rolling updates, restarts, canaries and rollbacks.
// The history must have exactly these changes.
func TestModel(t *testing.T) {
	t.Parallel()
	seeds := testsize.Pick(15, 150, 1500)
	for _, kind := range []fleetKind{
		{name: "hosts that record once"},
		{name: "hosts that are kept", kept: true},
		{name: "pods that record once", pods: true},
		{name: "pods that are kept and stop", pods: true, kept: true},
		{name: "pods that are kept and killed", pods: true, kept: true, killed: true},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds {
				synctest.Test(t, func(t *testing.T) {
					f := &fleet{fleetKind: kind, t: t, store: &memory{}, rand: rand.New(rand.NewPCG(uint64(seed), 7))}
					f.play()
					if t.Failed() {
						t.Fatalf("seed %d", seed)
					}
				})
			}
		})
	}
}

// A fleetKind says how the instances of a fleet start, report and end.
type fleetKind struct {
	name   string
	pods   bool // a new instance has a new name
	kept   bool // by Keep
	killed bool // without reporting a stop
}

// A fleet is the instances of one service.
type fleet struct {
	fleetKind

	t     *testing.T
	store *memory
	rand  *rand.Rand

	instances []*instance
	made      int
	current   int   // the version that is settled
	latest    int   // the highest so far
	seen      []int // in the order of their first sighting
	truth     []string
	keeping   sync.WaitGroup
}

type instance struct {
	name    string
	version int
	stop    func()
}

func release(n int) string { return fmt.Sprintf("v1.%d.0", n) }

// A lossy store drops entries once it is dead.
type lossy struct {
	history.Appender
	dead atomic.Bool
}

func (d *lossy) Append(ctx context.Context, entries ...history.Entry) error {
	if d.dead.Load() {
		return nil
	}
	return d.Appender.Append(ctx, entries...)
}

func (f *fleet) start(name string, version int) *instance {
	i := &instance{name: name, version: version, stop: func() {}}
	if !f.kept {
		require.NoError(f.t, history.Record(f.t.Context(), f.store, build(release(version)), production(name)))
		return i
	}
	ctx, cancel := context.WithCancel(context.Background())
	lossyStore := &lossy{Appender: f.store}
	done := make(chan struct{})
	f.keeping.Go(func() {
		defer close(done)
		_ = history.Keep(ctx, lossyStore, build(release(version)), production(name), nil)
	})
	i.stop = func() {
		lossyStore.dead.Store(f.killed)
		cancel()
		<-done
	}
	synctest.Wait()
	return i
}

func (f *fleet) newName() string {
	f.made++
	return "instance-" + strconv.Itoa(f.made)
}

// pause lets some time pass, and sometimes restarts instances.
func (f *fleet) pause(most time.Duration) {
	time.Sleep(time.Duration(f.rand.Int64N(int64(most))) + time.Millisecond)
	for range f.rand.IntN(3) {
		n := f.rand.IntN(len(f.instances))
		old := f.instances[n]
		old.stop()
		f.instances[n] = f.start(old.name, old.version)
		time.Sleep(time.Duration(f.rand.Int64N(int64(10*time.Second))) + time.Millisecond)
	}
}

// rest waits long enough that silent instances count as gone.
func (f *fleet) rest() {
	if f.pods && (f.killed || !f.kept) {
		time.Sleep(13 * time.Minute)
	}
	f.pause(30 * time.Minute)
}

// replace replaces an instance by another version, before or after the old one stops.
func (f *fleet) replace(n, version int) {
	old := f.instances[n]
	name := old.name
	if f.pods {
		name = f.newName()
	}
	first := f.pods && f.rand.IntN(2) == 0
	if !first {
		old.stop()
		time.Sleep(time.Duration(f.rand.Int64N(int64(20 * time.Second))))
	}
	f.instances[n] = f.start(name, version)
	if first {
		time.Sleep(time.Duration(f.rand.Int64N(int64(20 * time.Second))))
		old.stop()
	}
}

// roll replaces the instances one by one.
func (f *fleet) roll(version, count int) {
	for k, n := range f.rand.Perm(len(f.instances))[:count] {
		if k > 0 {
			f.pause(90 * time.Second)
		}
		f.replace(n, version)
	}
}

func (f *fleet) moved(from, to int) {
	how := "update"
	for _, v := range f.seen {
		if v == from {
			break
		}
		if v == to {
			how = "rollback"
		}
	}
	f.truth = append(f.truth, fmt.Sprintf("%s %s→%s", how, release(from), release(to)))
}

func (f *fleet) play() {
	for range 1 + f.rand.IntN(5) {
		f.instances = append(f.instances, f.start(f.newName(), 1))
	}
	f.current, f.latest, f.seen = 1, 1, []int{1}
	f.truth = append(f.truth, "first "+release(1))
	for range 2 + f.rand.IntN(5) {
		f.rest()
		next := f.latest + 1
		if f.latest > 1 && f.rand.IntN(3) == 0 {
			next = 1 + f.rand.IntN(f.latest) // back, or forward again
		}
		if next == f.current {
			continue
		}
		if next > f.latest {
			f.latest = next
			f.seen = append(f.seen, next)
		}
		f.moved(f.current, next)
		if n := len(f.instances); n > 1 && f.rand.IntN(4) == 0 {
			f.canary(next)
			continue
		}
		f.roll(next, len(f.instances))
		f.current = next
	}
	f.rest()
	require.Equal(f.t, f.truth, moves(f.t, f.store), timeline(f.t, f.store))

	running, err := history.Current(f.t.Context(), f.store)
	require.NoError(f.t, err)
	require.Len(f.t, running, 1)
	require.Equal(f.t, release(f.current), running[0].Info.Version)
	if f.pods && !f.kept {
		return // the history cannot know which of the silent instances are gone
	}
	names := map[string]bool{}
	for _, i := range f.instances {
		names[i.name] = true
	}
	require.Len(f.t, running[0].Instances, len(names))
	for _, i := range running[0].Instances {
		require.True(f.t, names[i.Name], i.Name)
	}

	for _, i := range f.instances {
		i.stop()
	}
	f.keeping.Wait()
}

// canary replaces some of the instances, and takes that back.
func (f *fleet) canary(version int) {
	old := f.current
	count := 1 + f.rand.IntN(len(f.instances)-1)
	places := f.rand.Perm(len(f.instances))[:count]
	for _, n := range places {
		f.replace(n, version)
		f.pause(90 * time.Second)
	}
	for _, n := range places {
		f.replace(n, old)
		f.pause(90 * time.Second)
	}
	f.moved(version, old)
}
