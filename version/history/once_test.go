package history_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/version/history"
)

// TestNoteOnce repeats a note with an id. It is stored once.
func TestNoteOnce(t *testing.T) {
	t.Parallel()
	s, _ := fileIn(t, nil)
	e := history.Event{ID: "migration-42", Kind: "migration", Subject: "orders"}
	for range 3 {
		require.NoError(t, history.Note(t.Context(), s, e))
	}
	require.Equal(t, "orders", subjects(timeline(t, s)))
	e.ID = "migration-43"
	require.NoError(t, history.Note(t.Context(), s, e))
	require.Equal(t, "orders orders", subjects(timeline(t, s)))
	for _, id := range []string{"a b", "a/b", string(make([]byte, 65))} {
		e.ID = id
		require.ErrorIs(t, history.Note(t.Context(), s, e), history.ErrEntry, "%q", id)
	}
}

// TestRangeBackwards: a from after to is an error, not an empty answer.
func TestRangeBackwards(t *testing.T) {
	t.Parallel()
	s := &memory{}
	now := time.Now()
	_, err := history.Timeline(t.Context(), s, now, now.Add(-time.Hour))
	require.ErrorContains(t, err, "is after to")
	_, err = history.Between(t.Context(), s, now, now.Add(-time.Hour))
	require.ErrorContains(t, err, "is after to")
	for _, r := range [][2]time.Time{{now, now}, {{}, now}, {now, {}}, {{}, {}}} {
		_, err = history.Timeline(t.Context(), s, r[0], r[1])
		require.NoError(t, err)
	}
}

// TestCrashLoop has a new version that crashes again and again beside an old one that runs.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	for _, last := range []history.Kind{history.KindStopped, history.KindSeen} {
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
			wait := func(d time.Duration) {
				for range d / time.Minute {
					see(history.KindSeen, "old", "shop-0", "v1.0.0")
					time.Sleep(time.Minute)
				}
			}
			see(history.KindStarted, "old", "shop-0", "v1.0.0")
			wait(time.Hour)
			for crash := range 30 {
				run := fmt.Sprint("new-", crash)
				see(history.KindStarted, run, "shop-1", "v1.1.0")
				time.Sleep(5 * time.Second)
				see(last, run, "shop-1", "v1.1.0")
				wait(min(time.Duration(crash), 5) * time.Minute)
			}
			require.Equal(t, []string{"first v1.0.0", "update v1.0.0→v1.1.0"}, moves(t, s)[:2])
			require.LessOrEqual(t, len(moves(t, s)), 3, "%v", moves(t, s))
			wait(time.Hour)
			require.Equal(t, []string{"first v1.0.0", "update v1.0.0→v1.1.0", "rollback v1.1.0→v1.0.0"}, moves(t, s))
		})
	}
}
