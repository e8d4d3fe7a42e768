package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

func parse(t testing.TB, doc string) *schedule.Schedule {
	s, err := schedule.Parse("windows.yaml", []byte(doc))
	require.NoError(t, err)
	return s
}

func instant(t testing.TB, text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return at
}

func TestAtGoesThroughThePhases(t *testing.T) {
	t.Parallel()
	s := parse(t, one("announce: 1d", "cutoff: 5m"))
	for _, c := range []struct {
		at, next string
		phase    schedule.Phase
	}{
		{"2026-12-05T01:59:59Z", "2026-12-05T02:00:00Z", schedule.PhaseOpen},
		{"2026-12-05T02:00:00Z", "2026-12-06T01:55:00Z", schedule.PhaseAnnounced},
		{"2026-12-06T01:54:59Z", "2026-12-06T01:55:00Z", schedule.PhaseAnnounced},
		{"2026-12-06T01:55:00Z", "2026-12-06T02:00:00Z", schedule.PhaseCutoff},
		{"2026-12-06T02:00:00Z", "2026-12-06T03:00:00Z", schedule.PhaseInProgress},
		{"2026-12-06T02:59:59Z", "2026-12-06T03:00:00Z", schedule.PhaseInProgress},
		{"2026-12-06T03:00:00Z", "", schedule.PhaseCompleted},
	} {
		for range 2 { // the second answer is cached
			state := s.At(instant(t, c.at))
			if c.phase == schedule.PhaseOpen || c.phase == schedule.PhaseCompleted {
				require.Empty(t, state.Windows, c.at)
			} else {
				require.Len(t, state.Windows, 1, c.at)
				require.Equal(t, c.phase, state.Windows[0].Phase, c.at)
			}
			if c.next == "" {
				require.True(t, state.Next.IsZero())
			} else {
				require.Equal(t, c.next, state.Next.UTC().Format(time.RFC3339), c.at)
			}
		}
	}
	// Back in time, across the cached span.
	require.Equal(t, schedule.PhaseCutoff, s.At(instant(t, "2026-12-06T01:58:00Z")).Windows[0].Phase)
}

func TestActualOverridesThePlan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ actual, start, end string }{
		{"{}", "02:00", "03:00"},
		{"{begin: 2026-12-06T01:30:00Z}", "01:30", "03:00"}, // early: the announced end stays
		{"{begin: 2026-12-06T02:10:00Z}", "02:10", "03:00"}, // late
		{"{until: 2026-12-06T03:30:00Z}", "02:00", "03:30"},
		{"{end: 2026-12-06T02:20:00Z}", "02:00", "02:20"},
		{"{begin: 2026-12-06T01:30:00Z, until: 2026-12-06T04:00:00Z, end: 2026-12-06T03:15:00Z}", "01:30", "03:15"},
		{"{end: 2026-12-06T02:00:00Z}", "02:00", "02:00"}, // cancelled
	} {
		s := parse(t, one("actual: "+c.actual))
		for o := range s.Occurrences(instant(t, "2026-01-01T00:00:00Z"), instant(t, "2027-01-01T00:00:00Z")) {
			require.Equal(t, c.start, o.Start.UTC().Format("15:04"), c.actual)
			require.Equal(t, c.end, o.End.UTC().Format("15:04"), c.actual)
		}
	}
}

func TestDurationIsExactAcrossTheChangeOfClocks(t *testing.T) {
	t.Parallel()
	for _, start := range []string{"2026-03-29T01:30", "2026-10-25T01:30", "2026-10-25T02:30"} {
		s := parse(t, one("start: "+start, "timezone: Europe/Madrid", "duration: 2h"))
		for o := range s.Occurrences(instant(t, "2026-01-01T00:00:00Z"), instant(t, "2027-01-01T00:00:00Z")) {
			require.Equal(t, 2*time.Hour, o.End.Sub(o.Start), start)
			require.Equal(t, start, o.Start.Format("2006-01-02T15:04"))
		}
	}
}

func TestTheMostRestrictiveWins(t *testing.T) {
	t.Parallel()
	s := parse(t, `windows:
  - {id: later, start: 2026-12-06T02:30:00Z, duration: 1h, announce: 1h}
  - {id: a, start: 2026-12-06T02:00:00Z, duration: 1h, mode: announce}
  - {id: b, start: 2026-12-06T02:00:00Z, duration: 1h, mode: rehearse}
  - {id: c, start: 2026-12-06T02:00:00Z, duration: 1h, mode: read-only}
  - {id: d, start: 2026-12-06T02:00:00Z, duration: 1h, mode: closed, scope: {paths: [/x]}}
  - {id: e, start: 2026-12-06T02:00:00Z, duration: 1h, mode: closed, scope: {paths: [/y]}}
`)
	ids := ""
	for _, w := range s.At(instant(t, "2026-12-06T02:15:00Z")).Windows {
		ids += w.Window.ID + " "
	}
	require.Equal(t, "d e c b a later ", ids)

	var overlaps []string
	for o := range s.Overlaps(instant(t, "2026-01-01T00:00:00Z"), instant(t, "2027-01-01T00:00:00Z")) {
		require.Equal(t, o.From.Before(o.To), true)
		overlaps = append(overlaps, o.Wins.ID+">"+o.Over.ID)
	}
	require.Equal(t, []string{
		"b>a", "c>a", "c>b", "d>a", "d>b", "d>c", "e>a", "e>b", "e>c", // not d and e: other paths
		"later>a", "later>b", "later>c", "d>later", "e>later",
	}, overlaps)
}

func TestOverlapsByScope(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"{}", "{work: [x]}", true},
		{"{work: [x]}", "{work: [y]}", false},
		{"{work: [x]}", "{work: ['*']}", true},
		{"{work: [x]}", "{paths: [/x]}", false},
		{"{paths: [/x]}", "{methods: [GET]}", true},
		{"{methods: [GET]}", "{methods: [HEAD]}", true},
		{"{methods: [GET]}", "{methods: [POST]}", false},
		{"{paths: [/x/**]}", "{paths: [/x/y]}", true},
		{"{paths: ['/x/{id}']}", "{paths: [/y]}", false},
		{"{paths: [/x/**]}", "{paths: [/xy]}", false},
		{"{paths: ['/caf%C3%A9']}", "{paths: ['/caf%c3%a9']}", true},
		{"{paths: ['/a/b%41']}", "{paths: [/a/bA]}", true},
		{"{paths: ['/{any}/y']}", "{paths: [/x/y]}", true},
		{"{hosts: [a.example]}", "{hosts: [b.example]}", false},
		{"{hosts: [a.example]}", "{hosts: ['*.example']}", true},
		{"{hosts: ['*.example']}", "{hosts: [a.example], paths: [/x]}", true},
	} {
		s := parse(t, "windows:\n  - {id: a, start: 2026-12-06T02:00:00Z, duration: 1h, scope: "+c.a+"}\n"+
			"  - {id: b, start: 2026-12-06T02:59:59Z, duration: 1h, scope: "+c.b+"}\n"+
			"  - {id: c, start: 2026-12-06T03:59:59Z, duration: 1h}\n")
		got := false
		for o := range s.Overlaps(instant(t, "2026-01-01T00:00:00Z"), instant(t, "2027-01-01T00:00:00Z")) {
			got = true
			require.Equal(t, "a over b from 02:59:59 to 03:00:00",
				o.Wins.ID+" over "+o.Over.ID+" from "+o.From.UTC().Format(time.TimeOnly)+" to "+o.To.UTC().Format(time.TimeOnly))
			break
		}
		require.Equal(t, c.want, got, "%s %s", c.a, c.b)
	}
}

func TestOccurrencesAgainstEveryOther(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("windows:\n")
	base := instant(t, "2026-01-01T00:00:00Z")
	for i := range 60 {
		start := base.Add(time.Duration(i*i%47) * time.Hour)
		fmt.Fprintf(&b, "  - {id: w%02d, start: %s, duration: %dh}\n", i, start.Format(time.RFC3339), 1+i*7%13)
	}
	s := parse(t, b.String())
	for from := range 50 {
		for _, length := range []int{0, 1, 5, 70} {
			lo, hi := base.Add(time.Duration(from)*time.Hour), base.Add(time.Duration(from+length)*time.Hour)
			want := map[string]bool{}
			for w := range s.Windows() {
				if w.Start.Before(hi) && w.Start.Add(w.Duration).After(lo) {
					want[w.ID] = true
				}
			}
			got := map[string]bool{}
			var last time.Time
			for o := range s.Occurrences(lo, hi) {
				require.False(t, o.Start.Before(last))
				last = o.Start
				got[o.Window.ID] = true
			}
			require.Equal(t, want, got)
		}
	}
	for o := range s.Occurrences(base, base.AddDate(1, 0, 0)) {
		require.NotNil(t, o.Window)
		break // a consumer may stop
	}
}

func TestOneWindowOfEachKindOfWord(t *testing.T) {
	t.Parallel()
	require.Equal(t, "read-only", schedule.ModeReadOnly.String())
	require.Equal(t, "closed", schedule.Mode("").String())
	require.True(t, schedule.Mode("").Closes())
	require.Equal(t, "in progress", schedule.PhaseInProgress.String())
	require.Equal(t, "planned", schedule.Phase("").String())
	require.True(t, schedule.Phase("").Before(schedule.PhaseAnnounced))
	require.False(t, schedule.Phase("").Before(schedule.PhaseOpen))
	require.Equal(t, "reopen", schedule.OverrunReopen.String())
	require.Equal(t, "hold", schedule.Overrun("").String())
}

func document(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"windows":[`)
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"window-%d","title":"Window %d","owner":"team","start":"%s","timezone":"Europe/Madrid","duration":"2h","announce":"72h","cutoff":"5m","mode":"closed","scope":{"paths":["/orders/%d/**"],"work":["import"]},"message":"Back soon."}`,
			i, i, base.Add(time.Duration(i)*5*time.Hour).Format("2006-01-02T15:04"), i%50)
	}
	b.WriteString("]}")
	return []byte(b.String())
}

func BenchmarkParse10000(b *testing.B) {
	doc := document(10_000)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schedule.Parse("w.json", doc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAt1000(b *testing.B) {
	s, err := schedule.Parse("w.json", document(1000))
	require.NoError(b, err)
	at := time.Date(2026, 3, 1, 12, 1, 0, 0, time.UTC)
	b.Run("cached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.At(at)
		}
	})
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		other := at.AddDate(0, 1, 0)
		for b.Loop() {
			at, other = other, at
			s.At(at)
		}
	})
}

func BenchmarkOccurrences(b *testing.B) {
	s, err := schedule.Parse("w.json", document(10_000))
	require.NoError(b, err)
	at := time.Date(2027, 3, 1, 12, 1, 0, 0, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		for range s.Occurrences(at, at.Add(24*time.Hour)) {
		}
	}
}
