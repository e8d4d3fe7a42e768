package schedule_test

import (
	"archive/zip"
	"cmp"
	"go/build"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

const wallForm = "2006-01-02T15:04:05"

func TestInstantNamedCases(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, zone, wall, want string }{
		{"Madrid, plain winter", "Europe/Madrid", "2026-12-06T02:00:00", "2026-12-06T02:00:00+01:00"},
		{"Madrid, the gap is read with winter's offset", "Europe/Madrid", "2026-03-29T02:30:00", "2026-03-29T03:30:00+02:00"},
		{"Madrid, the gap's first second", "Europe/Madrid", "2026-03-29T02:00:00", "2026-03-29T03:00:00+02:00"},
		{"Madrid, the second before the gap", "Europe/Madrid", "2026-03-29T01:59:59", "2026-03-29T01:59:59+01:00"},
		{"Madrid, the second after the gap", "Europe/Madrid", "2026-03-29T03:00:00", "2026-03-29T03:00:00+02:00"},
		{"Madrid, the first of the two", "Europe/Madrid", "2026-10-25T02:30:00", "2026-10-25T02:30:00+02:00"},
		{"Madrid, the last second that occurs twice", "Europe/Madrid", "2026-10-25T02:59:59", "2026-10-25T02:59:59+02:00"},
		{"Madrid, the first second that occurs once again", "Europe/Madrid", "2026-10-25T03:00:00", "2026-10-25T03:00:00+01:00"},
		{"New York, RFC 5545's own overlap", "America/New_York", "2007-11-04T01:30:00", "2007-11-04T01:30:00-04:00"},
		{"New York, RFC 5545's own gap", "America/New_York", "2007-03-11T02:30:00", "2007-03-11T03:30:00-04:00"},
		{"Lord Howe, a gap of half an hour", "Australia/Lord_Howe", "2026-10-04T02:15:00", "2026-10-04T02:45:00+11:00"},
		{"Lord Howe, an overlap of half an hour", "Australia/Lord_Howe", "2026-04-05T01:45:00", "2026-04-05T01:45:00+11:00"},
		{"Cairo, a gap at midnight", "Africa/Cairo", "2026-04-24T00:30:00", "2026-04-24T01:30:00+03:00"},
		{"Cairo, an overlap before midnight", "Africa/Cairo", "2026-10-29T23:30:00", "2026-10-29T23:30:00+03:00"},
		{"Apia, the day that was skipped", "Pacific/Apia", "2011-12-30T12:00:00", "2011-12-31T12:00:00+14:00"},
		{"Apia, the evening before", "Pacific/Apia", "2011-12-29T23:59:59", "2011-12-29T23:59:59-10:00"},
		{"Apia, the morning after", "Pacific/Apia", "2011-12-31T00:00:00", "2011-12-31T00:00:00+14:00"},
		{"Santiago, a gap at midnight", "America/Santiago", "2026-09-06T00:30:00", "2026-09-06T01:30:00-03:00"},
		{"Santiago, an overlap before midnight", "America/Santiago", "2026-04-04T23:30:00", "2026-04-04T23:30:00-03:00"},
		{"Troll, a gap of two hours", "Antarctica/Troll", "2026-03-29T01:30:00", "2026-03-29T03:30:00+02:00"},
		{"Troll, an overlap of two hours", "Antarctica/Troll", "2026-10-25T02:30:00", "2026-10-25T02:30:00+02:00"},
		{"Manila, a day that occurs without its date", "Asia/Manila", "1844-12-31T12:00:00", "1845-01-01T12:00:00+08:03:52"},
		{"far ahead, by the zone's rule", "Europe/Madrid", "2999-07-01T02:00:00", "2999-07-01T02:00:00+02:00"},
		{"far ahead, the last day of a leap year", "Europe/Madrid", "2040-12-31T12:00:00", "2040-12-31T12:00:00+01:00"},
		{"far ahead, the last day of a leap year in summer", "America/Santiago", "2056-12-31T23:59:59", "2056-12-31T23:59:59-03:00"},
		{"UTC", "UTC", "2026-03-29T02:30:00", "2026-03-29T02:30:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			loc, err := time.LoadLocation(c.zone)
			require.NoError(t, err)
			wall, err := time.Parse(wallForm, c.wall)
			require.NoError(t, err)
			form := time.RFC3339
			if strings.Count(c.want, ":") == 4 {
				form = wallForm + "Z07:00:00"
			}
			require.Equal(t, c.want, schedule.Instant(wall, loc).Format(form))
		})
	}
}

// zoneNames returns all zones of the machine's tz database, or else of Go's.
func zoneNames() []string {
	root := cmp.Or(os.Getenv("ZONEINFO"), "/usr/share/zoneinfo")
	var names []string
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil || name == "localtime" || strings.HasPrefix(name, "right/") || strings.HasPrefix(name, "posix/") {
			return nil // the machine's own zone, and duplicates of zones
		}
		names = append(names, filepath.ToSlash(name))
		return nil
	})
	if len(names) > 100 {
		return names
	}
	names = nil
	for _, root := range []string{build.Default.GOROOT, os.Getenv("GOROOT"), "/usr/local/go"} {
		archive, err := zip.OpenReader(filepath.Join(root, "lib", "time", "zoneinfo.zip"))
		if err != nil {
			continue
		}
		defer archive.Close()
		for _, f := range archive.File {
			if !strings.HasSuffix(f.Name, "/") {
				names = append(names, f.Name)
			}
		}
		return names
	}
	return []string{ // those known to be hard
		"Africa/Cairo", "Africa/Casablanca", "America/Caracas", "America/New_York", "America/Nuuk", "America/Santiago",
		"America/St_Johns", "America/Sao_Paulo", "Antarctica/Troll", "Asia/Amman", "Asia/Gaza", "Asia/Kathmandu", "Asia/Manila",
		"Asia/Pyongyang", "Asia/Tehran", "Australia/Lord_Howe", "Europe/Dublin", "Europe/Istanbul", "Europe/London", "Europe/Madrid",
		"Europe/Moscow", "Pacific/Apia", "Pacific/Chatham", "Pacific/Fakaofo", "Pacific/Kiritimati", "Pacific/Kwajalein", "UTC",
	}
}

// A walkedZone is a zone and the instants at which its offset changes.
type walkedZone struct {
	name    string
	loc     *time.Location
	changes []time.Time
}

// The years in which the tests walk through zones: those with the most changes by law, and some
// after 2037, where zones follow rules.
var walkFrom, walkTo = date(1990, 1, 1), date(2042, 1, 1)

// walkedZones returns the distinct zones; with -short and -race, those of a tenth of the names.
var walkedZones = sync.OnceValue(func() []walkedZone {
	names := zoneNames()
	if testing.Short() || raced {
		tenth := names[:0]
		for i := 0; i < len(names); i += 10 {
			tenth = append(tenth, names[i])
		}
		names = tenth
	}
	found := make([]walkedZone, len(names))
	var workers sync.WaitGroup
	for part := range 2 {
		workers.Go(func() {
			for i := part; i < len(names); i += 2 {
				loc, err := time.LoadLocation(names[i])
				if err != nil {
					continue // not a zone, but a table of them
				}
				found[i] = walkedZone{names[i], loc, walk(loc, walkFrom.AddDate(0, 0, -10), walkTo.AddDate(0, 0, 10))}
			}
		})
	}
	workers.Wait()
	seen := map[string]bool{} // links are taken once
	return slices.DeleteFunc(found, func(z walkedZone) bool {
		if z.loc == nil {
			return true
		}
		_, first := walkFrom.In(z.loc).Zone()
		key := strconv.Itoa(first)
		for _, c := range z.changes {
			_, o := c.In(z.loc).Zone()
			key += " " + strconv.FormatInt(c.Unix(), 36) + " " + strconv.Itoa(o)
		}
		again := seen[key]
		seen[key] = true
		return again
	})
})

func date(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }

// walk finds the instants at which a zone's offset changes, without ZoneBounds: by
// looking every six hours and halving.
func walk(loc *time.Location, from, to time.Time) (changes []time.Time) {
	offset := func(t time.Time) int { _, o := t.In(loc).Zone(); return o }
	last := offset(from)
	for at := from; at.Before(to); at = at.Add(6 * time.Hour) {
		lo, hi := at, at.Add(6*time.Hour)
		before := last
		if last = offset(hi); last == before {
			continue
		}
		for hi.Sub(lo) > time.Second {
			mid := lo.Add(hi.Sub(lo) / 2).Truncate(time.Second)
			if offset(mid) == before {
				lo = mid
			} else {
				hi = mid
			}
		}
		changes = append(changes, hi)
	}
	return changes
}

// brute computes RFC 5545 §3.3.5 by trying every instant that could print the reading: one for
// each offset in use within two days. It returns the first of them, or else the reading at the
// offset before the gap.
func brute(wall time.Time, loc *time.Location, around []time.Time) time.Time {
	text := wall.Format(wallForm)
	var offsets []int
	add := func(t time.Time) {
		_, o := t.In(loc).Zone()
		offsets = append(offsets, o)
	}
	add(around[0].Add(-time.Second))
	for _, change := range around {
		add(change)
	}
	var best time.Time
	for _, o := range offsets {
		at := wall.Add(-time.Duration(o) * time.Second)
		if at.In(loc).Format(wallForm) == text && (best.IsZero() || at.Before(best)) {
			best = at
		}
	}
	if !best.IsZero() {
		return best
	}
	for i, change := range around { // in the gap: after the reading of the last second before, and before the first after
		last, first := change.Add(-time.Second).In(loc).Format(wallForm), change.In(loc).Format(wallForm)
		if last < text && text < first {
			return wall.Add(-time.Duration(offsets[i]) * time.Second)
		}
	}
	panic("no instant and no gap for " + text)
}

func TestInstantAgainstBruteForceInAllZones(t *testing.T) {
	t.Parallel()
	from, to := walkFrom, walkTo
	jobs := make(chan walkedZone)
	var mu sync.Mutex
	zones, readings := 0, 0
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(5545, 335))
			for j := range jobs {
				n := 0
				for i, change := range j.changes {
					if change.Before(from) || change.After(to) {
						continue
					}
					around := j.changes[max(0, i-3):min(len(j.changes), i+4)]
					_, before := change.Add(-time.Second).In(j.loc).Zone()
					_, after := change.In(j.loc).Zone()
					low := change.Add(time.Duration(min(before, after)) * time.Second)
					high := change.Add(time.Duration(max(before, after)) * time.Second)
					walls := []time.Time{
						low.Add(-time.Second), low, low.Add(time.Second), low.Add(high.Sub(low) / 2).Truncate(time.Second),
						high.Add(-time.Second), high, high.Add(time.Second), low.Add(-25 * time.Hour), high.Add(25 * time.Hour),
					}
					for range 12 { // anywhere in the days around
						walls = append(walls, change.Add(time.Duration(random.IntN(60*3600)-30*3600)*time.Second))
					}
					for _, wall := range walls {
						wall = wall.UTC()
						want, got := brute(wall, j.loc, around), schedule.Instant(wall, j.loc)
						if !got.Equal(want) {
							t.Errorf("%s: %s: got %s, want %s", j.name, wall.Format(wallForm), got.In(j.loc), want.In(j.loc))
						}
						n++
					}
				}
				mu.Lock()
				zones++
				readings += n
				mu.Unlock()
			}
		})
	}
	for _, z := range walkedZones() {
		if len(z.changes) == 0 { // one offset, always
			wall := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
			require.Equal(t, wall.Format(wallForm), schedule.Instant(wall, z.loc).Format(wallForm), z.name)
			continue
		}
		jobs <- z
	}
	close(jobs)
	workers.Wait()
	t.Logf("%d distinct zones with changes, %d readings", zones, readings)
	require.Greater(t, readings, 1000)
}

// Any reading prints as itself, or lies in a gap and prints later by the gap's length.
func FuzzInstant(f *testing.F) {
	for _, zone := range []string{"Europe/Madrid", "Pacific/Apia", "Australia/Lord_Howe", "America/Santiago", "Asia/Manila", "UTC"} {
		f.Add(zone, int64(1774751400))
		f.Add(zone, int64(1325246400))
		f.Add(zone, int64(-3944678400))
		f.Add(zone, int64(32503680000))
	}
	f.Fuzz(func(t *testing.T, zone string, seconds int64) {
		loc, err := time.LoadLocation(zone)
		if err != nil || zone == "Local" || seconds < -62135596800 || seconds > 221845392000 {
			t.Skip("no zone, or a year that documents cannot write")
		}
		wall := time.Unix(seconds, 0).UTC()
		got := schedule.Instant(wall, loc)
		text, printed := wall.Format(wallForm), got.Format(wallForm)
		if printed == text {
			// The first: nothing earlier prints the same.
			start, _ := got.ZoneBounds()
			if !start.IsZero() {
				_, o := start.Add(-time.Second).Zone()
				if earlier := wall.Add(-time.Duration(o) * time.Second).In(loc); earlier.Before(got) && earlier.Format(wallForm) == text {
					t.Fatalf("%s %s: %v prints the same and is earlier than %v", zone, text, earlier, got)
				}
			}
			return
		}
		if printed < text {
			t.Fatalf("%s %s: printed as %s, before it", zone, text, printed)
		}
	})
}
