package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/teambition/rrule-go"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/testsize"
)

// randomRule is the text of a rule that both know.
func randomRule(r *rand.Rand) string {
	freq := []string{"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}[r.IntN(4)]
	var parts []string
	list := func(name string, most int, value func() string) bool {
		var values []string
		for range 1 + r.IntN(most) {
			if v := value(); !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
		parts = append(parts, name+"="+strings.Join(values, ","))
		return true
	}
	if r.IntN(2) == 0 {
		parts = append(parts, fmt.Sprintf("INTERVAL=%d", []int{1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 30, 97}[r.IntN(12)]))
	}
	if r.IntN(3) == 0 {
		parts = append(parts, "WKST="+days[r.IntN(7)])
	}
	byMonth := r.IntN(3) == 0 && list("BYMONTH", 4, func() string { return fmt.Sprint(1 + r.IntN(12)) })
	if freq != "WEEKLY" && r.IntN(3) == 0 {
		list("BYMONTHDAY", 5, func() string {
			d := 1 + r.IntN(31)
			if r.IntN(3) == 0 {
				d = -d
			}
			return fmt.Sprint(d)
		})
	}
	if r.IntN(2) == 0 {
		list("BYDAY", 4, func() string {
			d := days[r.IntN(7)]
			most := 5
			switch {
			case freq == "DAILY" || freq == "WEEKLY":
				return d
			case freq == "YEARLY" && !byMonth:
				most = 53
			}
			switch n := 1 + r.IntN(most); r.IntN(3) {
			case 0:
				return fmt.Sprint(n) + d
			case 1:
				return fmt.Sprint(-n) + d
			}
			return d
		})
	}
	switch r.IntN(5) {
	case 0:
		parts = append(parts, fmt.Sprintf("COUNT=%d", 1+r.IntN(60)))
	case 1:
		parts = append(parts, "UNTIL="+time.Date(1990+r.IntN(50), 1, 1+r.IntN(365), r.IntN(24), 0, 0, 0, time.UTC).Format("20060102T150405Z"))
	}
	r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	return strings.Join(append([]string{"FREQ=" + freq}, parts...), ";")
}

var days = []string{"MO", "TU", "WE", "TH", "FR", "SA", "SU"}

// In UTC there is nothing but the rule, and there downtime and rrule-go agree.
func TestAgreesWithRRule(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5545, 3310))
	from, to := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	rules, occurrences, refused, twice := 0, 0, 0, 0
	for range testsize.Pick(1500, 1500, 15_000) {
		start := from.Add(time.Duration(r.Int64N(40*366*24)) * time.Hour)
		text := randomRule(r)
		want, mixed := oracle(t, text, start, to)
		if mixed {
			twice++
		}
		s, err := schedule.Parse("windows.yaml", fmt.Appendf(nil,
			"windows: [{id: w, start: %q, duration: 1h, repeat: %q}]", start.Format(time.RFC3339), text))
		if err != nil { // a rule that never occurs
			require.Empty(t, want, "%s from %v: %v", text, start, err)
			refused++
			continue
		}
		var got []time.Time
		for o := range s.Occurrences(from, to) {
			if len(got) == most {
				break
			}
			got = append(got, o.Start)
		}
		rules++
		occurrences += len(got)
		if !slices.EqualFunc(got, want, time.Time.Equal) {
			t.Errorf("%s from %v:\n%s", text, start, difference(got, want))
		}
	}
	t.Logf("%d rules, %d occurrences, %d refused; rrule-go was asked twice for %d", rules, occurrences, refused, twice)
	require.Greater(t, rules, 1000)
}

func difference(got, want []time.Time) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("occurrence %d: none, rrule-go %v", i, want[i])
		case i >= len(want):
			return fmt.Sprintf("occurrence %d: %v, rrule-go none", i, got[i])
		case !got[i].Equal(want[i]):
			return fmt.Sprintf("occurrence %d: %v, rrule-go %v", i, got[i], want[i])
		}
	}
	return "none"
}

// most is how many occurrences of a rule are compared.
const most = 150

// oracle returns the occurrences by rrule-go.
//
// It has one known fault that random rules meet. For a BYDAY with and without ordinals,
// "MO,-1FR", it returns the days that are in both lists, but RFC 5545 §3.3.10 requires those in
// either list. Such a rule is split into its two halves, and counted here.
func oracle(t *testing.T, text string, start, to time.Time) (all []time.Time, mixed bool) {
	t.Helper()
	option, err := rrule.StrToROption(text)
	require.NoError(t, err, text)
	option.Dtstart = start
	var plain, ordinal []rrule.Weekday
	for _, d := range option.Byweekday {
		if d.N() == 0 {
			plain = append(plain, d)
		} else {
			ordinal = append(ordinal, d)
		}
	}
	halves := [][]rrule.Weekday{option.Byweekday}
	count := option.Count
	if mixed = len(plain) > 0 && len(ordinal) > 0; mixed {
		halves = [][]rrule.Weekday{plain, ordinal}
		option.Count = 0
	}
	for _, half := range halves {
		option.Byweekday = half
		rule, err := rrule.NewRRule(*option)
		require.NoError(t, err, text)
		next := rule.Iterator()
		for n := 0; n < most; n++ {
			at, ok := next()
			if !ok || !at.Before(to) {
				break
			}
			all = append(all, at)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	all = slices.CompactFunc(all, time.Time.Equal)
	if mixed && count > 0 {
		all = all[:min(count, len(all))]
	}
	return all[:min(most, len(all))], mixed
}
