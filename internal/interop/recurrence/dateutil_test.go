package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/testsize"
)

// A dateutilCase is a line of occurrences.py's input.
type dateutilCase struct {
	Start string `json:"start"`
	Rule  string `json:"rule"`
	Until string `json:"until"`
	Most  int    `json:"most"`
}

// randomSetRule returns a rule with BYSETPOS. Its BYDAY has either only ordinals or none, because
// dateutil takes the days that are in both lists, where RFC 5545 §3.3.10 has the days in either.
func randomSetRule(r *rand.Rand) string {
	freq := []string{"DAILY", "WEEKLY", "MONTHLY", "MONTHLY", "YEARLY"}[r.IntN(5)]
	parts := []string{"FREQ=" + freq, fmt.Sprintf("INTERVAL=%d", []int{1, 1, 1, 2, 3, 5, 7, 12}[r.IntN(8)]), "WKST=" + days[r.IntN(7)]}
	list := func(name string, most int, value func() string) {
		var values []string
		for range 1 + r.IntN(most) {
			if v := value(); !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
		parts = append(parts, name+"="+strings.Join(values, ","))
	}
	sign := func(n int) string { return fmt.Sprint(n * (1 - 2*r.IntN(2))) }
	byMonth, byMonthDay := r.IntN(3) == 0, freq != "WEEKLY" && r.IntN(3) == 0
	if byMonth {
		list("BYMONTH", 4, func() string { return fmt.Sprint(1 + r.IntN(12)) })
	}
	if byMonthDay {
		list("BYMONTHDAY", 6, func() string { return sign(1 + r.IntN(31)) })
	}
	if r.IntN(3) > 0 || !byMonth && !byMonthDay {
		ordinals := (freq == "MONTHLY" || freq == "YEARLY") && r.IntN(3) == 0
		most := 5
		if freq == "YEARLY" && !byMonth {
			most = 53
		}
		list("BYDAY", 6, func() string {
			if ordinals {
				return sign(1+r.IntN(most)) + days[r.IntN(7)]
			}
			return days[r.IntN(7)]
		})
	}
	most := map[string]int{"DAILY": 2, "WEEKLY": 4, "MONTHLY": 8, "YEARLY": 60}[freq]
	list("BYSETPOS", 3, func() string { return sign(1 + r.IntN(1+r.IntN(most))) })
	return strings.Join(parts, ";")
}

// With BYSETPOS, downtime agrees with python-dateutil, except in the first week of a weekly rule:
// dateutil counts positions there from the start, RFC 5545 from the first day of the week.
func TestSetPositionsAgreeWithDateutil(t *testing.T) {
	if !testsize.Long() {
		t.Skip("a long test: it needs python-dateutil")
	}
	t.Parallel()
	r := rand.New(rand.NewPCG(5545, 3310))
	until := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	var cases []dateutilCase
	var schedules []*schedule.Schedule
	var input bytes.Buffer
	lines := json.NewEncoder(&input)
	refused := 0
	for len(cases) < 3000 {
		c := dateutilCase{
			Start: time.Date(1995, 1, 1+r.IntN(3650), 2, 0, 0, 0, time.UTC).Format("2006-01-02T15:04:05"),
			Rule:  randomSetRule(r), Until: until.Format("2006-01-02T15:04:05"), Most: most,
		}
		s, err := schedule.Parse("windows.yaml", fmt.Appendf(nil,
			"windows: [{id: w, start: %q, timezone: UTC, duration: 1h, repeat: %q}]", c.Start, c.Rule))
		if err != nil { // dateutil would search for an occurrence until the year 9999
			require.ErrorContains(t, err, "BYSETPOS", c.Rule)
			refused++
			continue
		}
		require.NoError(t, lines.Encode(c))
		cases, schedules = append(cases, c), append(schedules, s)
	}
	python := exec.CommandContext(t.Context(), "/usr/bin/python3", "occurrences.py")
	python.Stdin = &input
	var stderr bytes.Buffer
	python.Stderr = &stderr
	output, err := python.Output()
	require.NoError(t, err, "run ./setup first: %s", &stderr)

	results := json.NewDecoder(bytes.NewReader(output))
	occurrences := 0
	for i, c := range cases {
		var want []string
		require.NoError(t, results.Decode(&want), c.Rule)
		s := schedules[i]
		start, err := time.Parse("2006-01-02T15:04:05", c.Start)
		require.NoError(t, err)
		var got []string
		for o := range s.Occurrences(start, until) {
			if len(got) == most {
				break
			}
			got = append(got, o.Start.Format(time.DateOnly))
		}
		if strings.HasPrefix(c.Rule, "FREQ=WEEKLY") {
			_, weekStart, _ := strings.Cut(c.Rule, "WKST=")
			second := start.AddDate(0, 0, 1)
			for strings.ToUpper(second.Weekday().String()[:2]) != weekStart[:2] {
				second = second.AddDate(0, 0, 1)
			}
			before := func(day string) bool { return day < second.Format(time.DateOnly) }
			got, want = slices.DeleteFunc(got, before), slices.DeleteFunc(want, before)
			shorter := min(len(got), len(want))
			require.Less(t, max(len(got), len(want))-shorter, 7, "%s from %s", c.Rule, c.Start)
			got, want = got[:shorter], want[:shorter]
		}
		require.Equal(t, append([]string{}, want...), append([]string{}, got...), "%s from %s", c.Rule, c.Start)
		occurrences += len(got)
	}
	t.Logf("%d rules, %d occurrences, %d refused", len(cases), occurrences, refused)
	require.Less(t, refused, len(cases)/2)
}
