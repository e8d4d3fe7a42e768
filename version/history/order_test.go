package history_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/version/history"
)

// TestReceive checks when the reporter's clock counts.
func TestReceive(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		time time.Duration // of the reporter's clock, from now
		late time.Duration
		at   time.Duration
	}{
		"clocks agree":                        {0, 0, 0},
		"within five seconds they do":         {-5 * time.Second, 0, -5 * time.Second},
		"nothing happens after it is known":   {3 * time.Second, 0, 0},
		"hours behind":                        {-3 * time.Hour, 0, 0},
		"hours ahead":                         {3 * time.Hour, 0, 0},
		"it has waited":                       {-time.Hour, time.Hour, -time.Hour},
		"it has waited, and is hours ahead":   {2 * time.Hour, time.Hour, -time.Hour},
		"it has waited, and is hours behind":  {-20 * time.Hour, time.Hour, -time.Hour},
		"it is noted ahead":                   {time.Hour, -time.Hour, time.Hour},
		"ahead, by a clock that is behind":    {-2 * time.Hour, -time.Hour, time.Hour},
		"it happened long before it was told": {-400 * 24 * time.Hour, 400 * 24 * time.Hour, -400 * 24 * time.Hour},
	} {
		e := history.Entry{Time: now.Add(c.time), Late: c.late}.Receive(now)
		require.Equal(t, now.Add(c.at), e.At, name)
		require.Equal(t, now, e.Received, name)
		require.Equal(t, now.Add(c.time), e.Time, name)
		require.Zero(t, e.Late, name)
	}
}

// TestEqualBuildsHaveAnOrder has two builds that differ in nothing that is shown: the answer has
// them in one order each time.
func TestEqualBuildsHaveAnOrder(t *testing.T) {
	t.Parallel()
	m := &memory{}
	began := time.Now().Add(-time.Hour)
	for n := range 2 {
		require.NoError(t, m.Append(t.Context(), history.Entry{
			ID: strconv.Itoa(n), Time: began, Late: time.Hour, Kind: history.KindStarted,
			Run: strconv.Itoa(n), Service: "shop", Instance: strconv.Itoa(n), Version: "v1.0.0", Build: strings.Repeat(strconv.Itoa(n), 32), Every: time.Hour,
		}))
	}
	want, err := history.Current(t.Context(), m)
	require.NoError(t, err)
	require.Len(t, want, 2)
	for range 100 {
		got, err := history.Current(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func subjects(l *history.List) string {
	var list []string
	for _, i := range l.Items {
		list = append(list, i.Event.Subject)
	}
	return strings.Join(list, " ")
}

// TestSkew has services whose clocks are wrong by hours. The order is still correct.
func TestSkew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(48 * time.Hour) // later than the start of the bubble
		m := &memory{}
		want := []string{}
		for n := range 50 {
			time.Sleep(7 * time.Second)
			e := history.Entry{ID: strconv.Itoa(n), Kind: history.KindNoted, Event: &history.Event{Kind: "flag", Subject: strconv.Itoa(n)}}
			e.Time = time.Now().Add([]time.Duration{0, 3 * time.Hour, -9 * time.Hour, time.Second}[n%4])
			require.NoError(t, m.Append(t.Context(), e))
			want = append(want, strconv.Itoa(n))
		}
		l := timeline(t, m)
		require.Equal(t, strings.Join(want, " "), subjects(l))
		require.Zero(t, l.Items[0].Reported)
		require.Equal(t, l.Items[1].Time.Add(3*time.Hour), l.Items[1].Reported)
		require.Contains(t, l.String(), "its own clock said")
	})
}

// TestSetBack sets the store's clock back twice and then ahead. Entries that are received later
// come later, and a second query returns the same.
func TestSetBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(48 * time.Hour)
		m := &memory{}
		want := []string{}
		for n := range 40 {
			switch n {
			case 10:
				m.ahead = -2 * time.Hour
			case 20:
				m.ahead = -2*time.Hour - 30*time.Second
			case 30:
				m.ahead = 24 * time.Hour
			}
			time.Sleep(time.Second)
			// A service on the same machine has the same clock.
			e := history.Entry{ID: strconv.Itoa(n), Kind: history.KindNoted, Time: time.Now().Add(m.ahead), Event: &history.Event{Kind: "flag", Subject: strconv.Itoa(n)}}
			require.NoError(t, m.Append(t.Context(), e))
			want = append(want, strconv.Itoa(n))
		}
		l := timeline(t, m)
		require.Equal(t, strings.Join(want, " "), subjects(l))
		require.Equal(t, l, timeline(t, m))

		// Changes of versions have the right order, too.
		m.ahead = 0
		require.NoError(t, history.Record(t.Context(), m, build("v1.0.0"), production("a")))
		m.ahead = -5 * time.Hour
		time.Sleep(time.Second)
		require.NoError(t, history.Record(t.Context(), m, build("v2.0.0"), production("a")))
		require.Equal(t, []string{"first v1.0.0", "update v1.0.0→v2.0.0"}, moves(t, m))
		running, err := history.Current(t.Context(), m)
		require.NoError(t, err)
		require.Len(t, running, 1)
		require.Equal(t, "v2.0.0", running[0].Info.Version)
	})
}

// TestEqualTimes: entries of the same time are in the order of receipt.
func TestEqualTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := fileIn(t, nil)
		want := []string{}
		for n := range 20 {
			require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: fmt.Sprint(n)}))
			want = append(want, fmt.Sprint(n))
		}
		require.Equal(t, strings.Join(want, " "), subjects(timeline(t, s)))
		for _, r := range []string{"v1.0.0", "v2.0.0", "v1.0.0"} {
			require.NoError(t, history.Record(t.Context(), s, build(r), production("a")))
		}
		require.Equal(t, []string{"first v1.0.0", "update v1.0.0→v2.0.0", "rollback v2.0.0→v1.0.0"}, moves(t, s))
	})
}

// TestNoteLater notes events with times in the past and in the future.
func TestNoteLater(t *testing.T) {
	t.Parallel()
	s, _ := fileIn(t, nil)
	now := time.Now()
	for subject, ago := range map[string]time.Duration{"c": time.Minute, "a": 3 * time.Hour, "b": 2 * time.Minute, "d": -time.Hour} {
		require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: subject, Time: now.Add(-ago)}))
	}
	l := timeline(t, s)
	require.Equal(t, "a b c d", subjects(l))
	require.True(t, now.Add(-3*time.Hour).Equal(l.Items[0].Time))
	require.True(t, now.Add(time.Hour).Equal(l.Items[3].Time), "it is to come")

	l, err := history.Timeline(t.Context(), s, now.Add(-2*time.Minute), now.Add(-time.Minute))
	require.NoError(t, err)
	require.Equal(t, "b c", subjects(l), "both ends are included")
}
