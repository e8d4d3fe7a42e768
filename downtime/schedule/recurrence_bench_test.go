package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// Rules that began in 1970: one of each frequency, and some with few days.
var oldRules = []struct{ name, start, rule string }{
	{"daily", "1970-01-01T02:30", "FREQ=DAILY"},
	{"weekly", "1970-01-01T02:30", "FREQ=WEEKLY;BYDAY=TU"},
	{"monthly", "1970-01-01T02:30", "FREQ=MONTHLY;BYDAY=-1SU"},
	{"yearly", "1970-01-01T02:30", "FREQ=YEARLY"},
	{"every 97 days", "1970-01-01T02:30", "FREQ=DAILY;INTERVAL=97"},
	{"every 97 weeks", "1970-01-01T02:30", "FREQ=WEEKLY;INTERVAL=97;BYDAY=TU"},
	{"fifth Monday of every 97th month", "1970-01-01T02:30", "FREQ=MONTHLY;INTERVAL=97;BYDAY=5MO"},
	{"February 29th", "1970-01-01T02:30", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"},
	{"Monday, February 29th", "1970-01-01T02:30", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO"},
	{"February 29th, when 97 days have passed", "1970-01-01T02:30", "FREQ=DAILY;INTERVAL=97;BYMONTH=2;BYMONTHDAY=29"},
	{"last working day", "1970-01-01T02:30", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"},
	{"last working day of every 97th month", "1970-01-01T02:30", "FREQ=MONTHLY;INTERVAL=97;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"},
	{"53rd Monday of the year", "1970-01-01T02:30", "FREQ=YEARLY;BYDAY=MO;BYSETPOS=53"},
	{"second of Monday and Tuesday, in January", "1970-01-01T02:30", "FREQ=WEEKLY;BYDAY=MO,TU;BYMONTH=1;BYSETPOS=2"},
}

func old(t testing.TB, start, rule string) *schedule.Window {
	return parse(t, one("start: "+start, "timezone: Europe/Madrid", "repeat: "+rule)).Window("w")
}

func BenchmarkNext(b *testing.B)     { benchmarkOld(b, schedule.PlannedAfter) }
func BenchmarkPrevious(b *testing.B) { benchmarkOld(b, schedule.PlannedBy) }

func benchmarkOld(b *testing.B, find func(*schedule.Window, time.Time) (time.Time, bool)) {
	for _, c := range oldRules {
		w := old(b, c.start, c.rule)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
			for i := 0; b.Loop(); i++ {
				find(w, at.Add(time.Duration(i%1000)*50*time.Hour)) // five years, with every change of clocks in them
			}
		})
	}
}

// recurring returns a document with n windows that have repeated for years.
func recurring(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"windows":[`)
	rules := []string{"FREQ=WEEKLY;BYDAY=TU", "FREQ=DAILY", "FREQ=MONTHLY;BYDAY=-1SU", "FREQ=YEARLY;BYMONTH=3,9"}
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"window-%d","title":"Window %d","owner":"team","start":"2016-01-05T%02d:%02d","timezone":"Europe/Madrid","duration":"2h","announce":"6h","cutoff":"5m","repeat":"%s","scope":{"paths":["/orders/%d/**"]}}`,
			i, i, i/60%24, i%60, rules[i%len(rules)], i%50)
	}
	b.WriteString("]}")
	return []byte(b.String())
}

func BenchmarkParseRecurring10000(b *testing.B) {
	doc := recurring(10_000)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schedule.Parse("w.json", doc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseYAML10000(b *testing.B) {
	for name, doc := range map[string][]byte{"once": yamlOf(document(10_000)), "recurring": yamlOf(recurring(10_000))} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := schedule.Parse("w.yaml", doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// yamlOf returns a JSON document in the form in which people write YAML: one field a line.
func yamlOf(doc []byte) []byte {
	return []byte(strings.NewReplacer(
		`{"windows":[{"id":`, "windows:\n  - \"id\": ", `},{"id":`, "\n  - \"id\": ", `},"`, "}\n    \"", `","`, "\"\n    \"",
		`"}]}`, `"`, `}}]}`, "}", `":`, `": `,
	).Replace(string(doc)))
}

func BenchmarkAtRecurring1000(b *testing.B) {
	s, err := schedule.Parse("w.json", recurring(1000))
	if err != nil {
		b.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 1, 30, 0, time.UTC)
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

// BenchmarkOccurrencesOfAges asks for eight thousand years and takes a day of them.
func BenchmarkOccurrencesOfAges(b *testing.B) {
	s, err := schedule.Parse("w.json", recurring(1000))
	if err != nil {
		b.Fatal(err)
	}
	from := time.Date(2026, 3, 1, 12, 1, 0, 0, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		for o := range s.Occurrences(from, from.AddDate(8000, 0, 0)) {
			if o.Start.Sub(from) > 24*time.Hour {
				break
			}
		}
	}
}
