package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ics "github.com/arran4/golang-ical"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/downtime/status"
	"github.com/upkeep-go/upkeep/internal/testsize"
)

// now is in the middle of the random documents.
var now = time.Date(2026, 10, 24, 12, 34, 56, 0, time.UTC)

// TestFeedsAreReadBack writes feeds of random documents, reads them with an independent parser, and
// compares them with the occurrences.
func TestFeedsAreReadBack(t *testing.T) {
	t.Parallel()
	events, changed := 0, 0
	for seed := range testsize.Pick[uint64](60, 60, 600) {
		random := &random{rand.New(rand.NewPCG(seed, 0))}
		document := random.document(t)
		windows, err := schedule.Parse("windows.json", document)
		require.NoError(t, err, "seed %d: %s", seed, document)
		for _, operators := range []bool{true, false} {
			feed := status.Calendar(windows, now, &status.CalendarOptions{URL: "https://status.example/", Operators: operators})
			read, err := ics.ParseCalendar(bytes.NewReader(feed))
			require.NoError(t, err, "seed %d", seed)
			var over, next []event
			for o := range windows.Occurrences(now.Add(-30*24*time.Hour), now.Add(366*24*time.Hour)) {
				public := o.Window.Mode != schedule.ModeRehearse && !now.Before(o.Announced())
				if (!operators && !public) || !o.Start.Before(o.End) {
					continue
				}
				if !o.Start.Equal(o.Planned) {
					changed++
				}
				title := o.Window.Title
				if title == "" {
					title = o.Window.ID
				}
				message := plain(o.Window.Message)
				if operators { // the next line may merge with the last character of this one
					message = strings.TrimSuffix(plain(o.Window.Message+"\n"), "\n")
				}
				e := event{
					UID:     o.Window.ID + "-" + o.Planned.UTC().Format("20060102T150405Z") + "@status.example",
					Start:   o.Start.Unix(),
					End:     o.End.Unix(),
					Summary: plain(title),
					Message: message,
				}
				if now.Before(o.End) {
					next = append(next, e)
				} else {
					over = append(over, e)
				}
			}
			next = next[:min(len(next), 1000)]
			want := slices.Concat(over[max(0, len(over)+len(next)-1000):], next)
			require.Equal(t, want, eventsOf(t, read, operators), "seed %d: %s", seed, document)
			events += len(want)
		}
	}
	require.Greater(t, events, 1000, "or the test shows nothing")
	require.Greater(t, changed, 30)
}

// TestFeedOfAGuard reads the feed over HTTP, as a subscribed calendar does.
func TestFeedOfAGuard(t *testing.T) {
	t.Parallel()
	start := time.Now().Add(time.Hour).Truncate(time.Second)
	document := fmt.Appendf(nil, "windows: [{id: w, title: Upgrade, start: %s, duration: 2h, announce: 1d}]", start.UTC().Format(time.RFC3339))
	guard, err := downtime.Open(t.Context(), downtime.Bytes("windows.yaml", document), &downtime.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, guard.Close()) })
	users, err := status.PublicHandler(guard, &status.Options{Service: "Shop, and more"})
	require.NoError(t, err)
	server := httptest.NewServer(users)
	t.Cleanup(server.Close)
	read, err := ics.ParseCalendarFromUrl(server.URL+"/calendar.ics", server.Client())
	require.NoError(t, err)
	require.Equal(t, []event{{
		UID: "w-" + start.UTC().Format("20060102T150405Z"), Start: start.Unix(), End: start.Add(2 * time.Hour).Unix(), Summary: "Upgrade",
	}}, eventsOf(t, read, false))
	require.Equal(t, "Shop, and more maintenance", property(read, "X-WR-CALNAME"))
	require.Equal(t, "PT1H", property(read, "REFRESH-INTERVAL"))
}

func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run([]string{"-name", "Shop maintenance", "-url", "https://status.example/"}, &out, io.Discard, now))
	read, err := ics.ParseCalendar(&out)
	require.NoError(t, err)
	require.Equal(t, "Shop maintenance", property(read, "NAME"))
	start := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC)
	require.Equal(t, []event{{
		UID: "orders-db-upgrade-20261025T003000Z@status.example", Start: start.Unix(), End: start.Add(2 * time.Hour).Unix(),
		Summary: "Orders database upgrade", Message: "Orders are read again afterwards.",
	}}, eventsOf(t, read, false))

	require.Error(t, run([]string{"-windows", filepath.Join(t.TempDir(), "none")}, &out, io.Discard, now))
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("windows: [{}]"), 0o600))
	require.ErrorContains(t, run([]string{"-windows", bad}, &out, io.Discard, now), "id: is required")
	require.Error(t, run([]string{"-what"}, &out, io.Discard, now))
}

// An event has the fields that a calendar shows.
type event struct {
	UID, Summary, Message string
	Start, End            int64
}

func eventsOf(t *testing.T, of *ics.Calendar, operators bool) []event {
	t.Helper()
	var events []event
	for _, e := range of.Events() {
		start, err := e.GetStartAt()
		require.NoError(t, err)
		end, err := e.GetEndAt()
		require.NoError(t, err)
		text := func(name ics.ComponentProperty) string {
			if p := e.GetProperty(name); p != nil {
				return p.Value
			}
			return ""
		}
		message := text(ics.ComponentPropertyDescription)
		if at := strings.LastIndex(message, "Window: "); operators && at >= 0 {
			message = strings.TrimSuffix(message[:at], "\n")
		}
		events = append(events, event{
			UID: e.Id(), Start: start.Unix(), End: end.Unix(), Summary: text(ics.ComponentPropertySummary), Message: message,
		})
		require.Equal(t, time.UTC, start.Location(), "instants, exact across any change of clocks")
	}
	return events
}

func property(of *ics.Calendar, name string) string {
	for _, p := range of.CalendarProperties {
		if p.IANAToken == name {
			return p.Value
		}
	}
	return ""
}

// plain returns a text as a calendar can hold it: with \n for each end of a line, and without
// control characters.
func plain(text string) string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text)
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r == 0x7f {
			return -1
		}
		return r
	}, text)
}

type random struct{ *rand.Rand }

func (r *random) document(t *testing.T) []byte {
	t.Helper()
	zones := []string{"UTC", "Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu", "Pacific/Apia"}
	day := func(t time.Time) string { return t.Format("2006-01-02T15:04:05") }
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	list := []map[string]any{}
	for i := range r.IntN(12) {
		// Within two months, half of them in the hours in which clocks change.
		start := now.Add(time.Duration(r.Int64N(int64(120*24*time.Hour))) - 60*24*time.Hour).Truncate(time.Second)
		if r.IntN(2) == 0 {
			start = time.Date(2026, 10+time.Month(r.IntN(2)), []int{25, 1, 30}[r.IntN(3)], r.IntN(4), r.IntN(60), r.IntN(60), 0, time.UTC)
		}
		duration := time.Duration(1+r.Int64N(72*3600)) * time.Second
		w := map[string]any{
			"id": fmt.Sprintf("w-%d", i), "start": day(start), "timezone": zones[r.IntN(len(zones))], "duration": duration.String(),
			"mode": []string{"closed", "read-only", "announce", "rehearse"}[r.IntN(4)],
		}
		if r.IntN(4) > 0 {
			w["title"] = r.text(200)
		}
		if r.IntN(2) > 0 {
			w["message"] = r.text(2000)
		}
		if r.IntN(3) > 0 {
			w["announce"] = fmt.Sprintf("%dd", 1+r.IntN(90))
		}
		if r.IntN(3) == 0 {
			w["repeat"] = []string{
				"FREQ=DAILY", "FREQ=DAILY;INTERVAL=3;COUNT=40", "FREQ=WEEKLY;BYDAY=SU,TU", "FREQ=WEEKLY;INTERVAL=2", "FREQ=MONTHLY;BYDAY=-1SU",
				"FREQ=MONTHLY;BYMONTHDAY=-1,15", "FREQ=YEARLY", "FREQ=DAILY;UNTIL=20270101T000000Z",
			}[r.IntN(8)]
			w["duration"] = (time.Duration(1+r.IntN(23*3600)) * time.Second).String()
			list = append(list, w)
			continue
		}
		// Times that operators wrote are in order in each time zone.
		actual := map[string]any{}
		early := start.Add(-24 * time.Hour)
		if r.IntN(4) == 0 {
			actual["begin"] = at(early.Add(time.Duration(r.IntN(3600)) * time.Second))
		}
		if r.IntN(4) == 0 {
			actual["until"] = at(start.Add(24*time.Hour + time.Duration(r.IntN(1e6))*time.Second))
		}
		if r.IntN(4) == 0 {
			actual["end"] = at(start.Add(24*time.Hour + time.Duration(r.IntN(3600))*time.Second))
		}
		w["actual"] = actual
		list = append(list, w)
	}
	document, err := json.Marshal(map[string]any{"windows": list})
	require.NoError(t, err)
	return document
}

// text returns a text with line breaks, commas and characters of several bytes.
func (r *random) text(most int) string {
	parts := []string{",", ";", ":", "\\", "\\n", "\n", "\r\n", "\r", "\t", " ", "\"", "a", "word", "é", "ñ", "漢字", "🛠️", "👩‍👩‍👧", "\u2028", "\u0085", "\u0000", "\u007f", "END:VEVENT", "BEGIN:VALARM", "X", strings.Repeat("z", 80)}
	size := 1 + r.IntN(most)
	var b strings.Builder
	for b.Len() < size {
		part := parts[r.IntN(len(parts))]
		if b.Len()+len(part) > most {
			break
		}
		b.WriteString(part)
	}
	return b.String()
}
