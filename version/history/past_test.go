package history_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/version/history"
)

// ranAt returns what ran at a time: versions and instances.
func ranAt(t *testing.T, s history.Store, at time.Time) string {
	t.Helper()
	running, err := history.At(t.Context(), s, at)
	require.NoError(t, err)
	text := ""
	for _, r := range running {
		text += r.Info.Version + ":"
		for _, i := range r.Instances {
			text += " " + i.Name
		}
		text += "\n"
	}
	return text
}

// TestAReturningNameLeavesThePast: a StatefulSet's pod dies silently, and its name comes
// back days later with another version.
func TestAReturningNameLeavesThePast(t *testing.T) {
	t.Parallel()
	for _, every := range []time.Duration{2 * time.Minute, 0} {
		synctest.Test(t, func(t *testing.T) {
			s := &memory{}
			start := time.Now()
			n := 0
			see := func(run, instance, release string) {
				n++
				info := build(release)
				require.NoError(t, s.Append(t.Context(), history.Entry{
					ID: fmt.Sprint("e", n), Kind: history.KindSeen, Time: time.Now(), Run: run, Every: every,
					Service: "shop", Environment: "production", Instance: instance, Version: release, Info: &info,
				}))
			}
			var before string
			for minute := range 6 * 24 * 60 {
				if minute%2 == 0 && (every > 0 || minute == 0 || minute == 2*60) {
					switch {
					case minute < 2*60:
						see("a", "shop-0", "v1.0.0")
					default:
						see("b", "shop-0", "v1.1.0")
					}
					if minute < 60 {
						see("c", "shop-1", "v1.0.0")
					}
				}
				time.Sleep(time.Minute)
				if minute == 5*24*60 {
					before = ranAt(t, s, start.Add(14*time.Hour))
				}
			}
			require.Equal(t, "v1.1.0: shop-0\n", before)
			see("d", "shop-1", "v1.1.0")
			require.Equal(t, before, ranAt(t, s, start.Add(14*time.Hour)))
			require.Equal(t, "v1.1.0: shop-0 shop-1\n", ranAt(t, s, time.Now()))
			require.Equal(t, []string{"first v1.0.0", "update v1.0.0→v1.1.0"}, moves(t, s))
		})
	}
}

// TestThePastStaysTrue queries random times, and queries them again after many more entries.
// Names of instances are used again and again. Processes die silently or stop.
func TestThePastStaysTrue(t *testing.T) {
	t.Parallel()
	for seed := range 60 {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 17))
			s := &memory{}
			kept := seed%3 > 0
			type process struct {
				run, release string
				beats        int
			}
			instances := make([]process, 3)
			n := 0
			tell := func(kind history.Kind, i int) {
				n++
				p := instances[i]
				e := history.Entry{ID: fmt.Sprint("e", n), Kind: kind, Time: time.Now(), Run: p.run, Service: "shop", Instance: fmt.Sprint("shop-", i), Version: p.release}
				if kept {
					e.Every = 2 * time.Minute
				}
				require.NoError(t, s.Append(t.Context(), e))
			}
			type answer struct {
				at   time.Time
				said string
			}
			var answers []answer
			release := 1
			for minute := range 800 {
				if random.IntN(100) == 0 {
					release = 1 + random.IntN(4)
				}
				for i := range instances {
					p := &instances[i]
					switch {
					case p.beats > 0:
						if p.beats--; minute%2 == 0 && kept {
							tell(history.KindSeen, i)
						}
						if p.beats == 0 && kept && random.IntN(2) == 0 {
							tell(history.KindStopped, i)
						}
					case random.IntN(20) == 0:
						*p = process{fmt.Sprint("run", minute, "-", i), fmt.Sprint("v1.", release, ".0"), 1 + random.IntN(60)}
						tell(history.KindStarted, i)
					}
				}
				time.Sleep(time.Minute)
				// Only times that are old enough, because a silent instance is over later.
				if minute > 60 && minute%50 == 0 {
					at := time.Now().Add(-30 * time.Minute)
					answers = append(answers, answer{at, ranAt(t, s, at)})
				}
			}
			for _, a := range answers {
				require.Equal(t, a.said, ranAt(t, s, a.at), "seed %d at %v", seed, a.at)
			}
		})
	}
}

// TestChangesStayTrue: a list of changes only grows at its end.
func TestChangesStayTrue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &memory{}
		n := 0
		see := func(kind history.Kind, run, instance, release string) {
			n++
			require.NoError(t, s.Append(t.Context(), history.Entry{
				ID: fmt.Sprint("e", n), Kind: kind, Time: time.Now(), Run: run, Every: 2 * time.Minute,
				Service: "shop", Instance: instance, Version: release,
			}))
		}
		see(history.KindStarted, "a", "shop-0", "v1.0.0")
		see(history.KindStarted, "b", "shop-1", "v1.0.0")
		time.Sleep(time.Hour)
		see(history.KindStarted, "c", "shop-0", "v1.1.0")
		time.Sleep(time.Minute)
		see(history.KindStopped, "c", "shop-0", "v1.1.0")
		time.Sleep(time.Hour)
		see(history.KindStarted, "d", "shop-2", "v1.2.0")
		see(history.KindStopped, "d", "shop-2", "v1.2.0")
		before, err := json.Marshal(timeline(t, s).Items)
		require.NoError(t, err)
		time.Sleep(48 * time.Hour)
		see(history.KindStarted, "e", "shop-1", "v1.3.0")
		after, err := json.Marshal(timeline(t, s).Items[:len(timeline(t, s).Items)-1])
		require.NoError(t, err)
		require.Equal(t, string(before), string(after))
	})
}
