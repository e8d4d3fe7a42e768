package downtime_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
)

// A row for each step of an occurrence. Its window is planned from 10:00 to 11:00, is announced 30 minutes
// ahead and has its cutoff 10 minutes ahead. A row has the time, a new fact, and the state after the step.
// Facts hold for later rows.
//
// A fact is a document ("10:00-11:00", "gone", "gone, shrink", "other scope", "ended 10:20", "reopen",
// "mode announce", "paths /a /b"), a different time of the monotonic clock ("mono 10:30"), a command
// ("begin", "complete", "extend 11:30"), an answer of the quorum ("open", "refused", "silent", "all"), or
// the state of its work ("drained", "bypassing", "idle").
func TestTheLawOfAWindow(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string]string{
		"by the clock": `
			08:28              | too far away, next 08:29
			08:29              | open, next 09:30
			09:30              | announced, next 09:50
			09:50              | cutoff, next 10:00
			10:00              | in progress, next 11:00
			10:59              | in progress, next 11:00
			11:00              | completed
			12:01              | forgotten`,
		"over before it was seen": `
			11:00              | completed
			12:30              | forgotten`,
		"the clock is set back": `
			09:30              | announced
			09:00              | announced
			10:00              | in progress
			08:00              | in progress
			11:00              | completed
			10:59              | completed
			10:58              | in progress, anew`,
		"the machine sleeps": `
			09:00              | open
			10:30              | in progress
			16:00              | completed`,
		"the document moves it": `
			09:30              | announced
			09:40 12:00-13:00  | too far away, next 10:29
			10:10 10:05-11:00  | in progress
			10:20 10:05-12:00  | in progress, next 12:00
			11:25 11:30-12:00  | cutoff, anew
			11:26 16:00-17:00  | too far away`,
		"the document changes what it is about": `
			10:00              | in progress
			10:05 other scope  | in progress, anew`,
		"the document loses it": `
			09:30              | announced
			09:40 gone         | too far away`,
		"the document ends it": `
			10:00              | in progress
			10:10 drained      | in progress
			10:20 ended 10:20  | completed`,
		"the document extends it": `
			10:00              | in progress
			11:00              | completed
			11:05 10:00-12:00  | in progress, anew`,
		"begun here": `
			09:00 begin        | in progress, local, next 09:30
			10:30              | in progress, local
			11:00              | completed, local`,
		"begun here, and long before": `
			02:00 begin        | in progress, local`,
		"begun here, until the document says otherwise": `
			09:00 begin        | in progress, local
			09:10 10:30-11:00  | open, anew`,
		"begun here, and lost from the document": `
			09:00 begin        | in progress, local
			09:10 gone         | in progress, local
			11:00              | completed, local`,
		"begun here, and lost on purpose": `
			09:00 begin        | in progress, local
			09:10 gone, shrink | completed, local`,
		"begun here, lost and completed": `
			09:00 begin        | in progress, local
			09:10 gone         | in progress, local
			09:20 complete     | completed, local`,
		"completed here": `
			10:00              | in progress
			10:10 drained      | in progress
			10:20 complete     | completed, local
			10:30              | completed, local
			11:30              | completed, local
			12:01              | forgotten`,
		"extended here": `
			10:00              | in progress
			10:10 extend 11:30 | in progress, local, next 11:00
			11:10              | in progress, local, next 11:30
			11:30              | completed, local`,
		"overrun after a drain": `
			10:00              | in progress
			10:10 drained      | in progress
			11:00              | overrun, next 12:00
			11:59              | overrun
			12:00              | completed, unfinished`,
		"overrun, and the document ends it": `
			10:00 drained      | in progress
			11:00              | overrun
			11:20 ended 11:20  | completed`,
		"overrun, and extended": `
			10:00 drained      | in progress
			11:00              | overrun
			11:10 extend 11:30 | in progress, local
			11:30              | overrun, local
			11:40 complete     | completed, local`,
		"overrun, and lost from the document": `
			10:00 drained      | in progress
			11:00              | overrun
			11:10 gone         | overrun`,
		"overrun for what bypasses": `
			10:00 bypassing    | in progress
			11:00              | overrun
			11:10 idle         | completed`,
		"to be reopened": `
			10:00 reopen       | in progress
			10:10 drained      | in progress
			11:00              | completed, unfinished`,
		"slept through with its work unfinished": `
			10:00 drained      | in progress
			16:00              | completed, unfinished`,
		"the wall clock steps forward and back": `
			10:00              | in progress
			12:10 mono 10:10   | in progress, skew 2h0m0s, next 13:00
			10:11              | in progress
			12:59 mono 10:59   | in progress, skew 2h0m0s
			11:00              | completed`,
		"the machine is suspended": `
			10:00              | in progress
			12:00 mono 10:30   | in progress, skew 1h30m0s, next 12:30
			12:29 mono 10:59   | in progress, skew 1h30m0s
			12:30 mono 11:00   | completed`,
		"suspended, and ended by the document": `
			10:00              | in progress
			12:00 mono 10:30   | in progress, skew 1h30m0s
			12:01 ended 12:01  | completed`,
		"suspended, and completed here": `
			10:00              | in progress
			12:00 mono 10:30   | in progress, skew 1h30m0s
			12:01 complete     | completed, local`,
		"suspended, with its work unfinished": `
			10:00 drained      | in progress
			10:59 mono 10:29   | in progress, skew 30m0s
			11:29 mono 10:59   | in progress, skew 30m0s
			11:30 mono 11:00   | overrun, skew 30m0s
			12:29 mono 11:59   | overrun, skew 30m0s
			12:30 mono 12:00   | completed, unfinished`,
		"the wall clock steps forward while it overruns": `
			10:00 drained      | in progress
			11:00              | overrun
			15:01 mono 11:01   | overrun, skew 4h0m0s, next 16:00
			11:02              | overrun
			12:00              | completed, unfinished`,
		"the clocks disagree for too long": `
			10:00 10:00-14:00  | in progress
			20:30 mono 10:30   | in progress, skew 10h0m0s, next 21:30
			21:29 mono 11:29   | in progress, skew 10h0m0s, next 21:30
			21:30 mono 11:30   | completed`,
		"the wall clock is set back by hours": `
			10:50              | in progress
			06:00 mono 10:51   | in progress, skew -4h51m0s
			06:09 mono 11:00   | in progress, skew -4h51m0s
			07:08 mono 11:59   | in progress, skew -4h51m0s
			07:09 mono 12:00   | open, anew`,
		"the clocks disagree a little": `
			10:00              | in progress
			11:00 mono 10:59   | in progress, next 11:01
			11:01 mono 11:00   | completed`,
		"drained, and the document changes what it is about": `
			10:00 paths /a     | in progress
			10:01 drained      | in progress
			10:05 paths /a /b  | in progress, anew
			10:06 paths /b     | in progress, anew, besides /a /b
			10:07 paths /c     | in progress, anew, besides /a /b
			10:08 paths /a /b /c | in progress, anew
			11:00              | overrun
			12:00              | completed, unfinished`,
		"drained, and announced or rehearsed": `
			10:00 drained      | in progress
			10:05 mode announce | in progress, held back: mode
			10:06              | in progress, held back: mode
			10:07 mode rehearse | in progress, held back: mode
			11:00              | overrun, held back: mode
			11:30 10:00-12:30  | in progress
			12:30              | overrun
			12:40 mode announce | overrun, held back: mode
			12:50 complete     | completed, local`,
		"not drained, and announced": `
			10:00              | in progress
			10:05 mode announce | in progress, anew
			11:00              | completed`,
		"drained, and read-only": `
			10:00 drained      | in progress
			10:05 mode read-only | in progress, anew
			11:00              | overrun`,
		"drained, and put off": `
			10:00 drained      | in progress
			10:05 10:30-11:00  | in progress, local, held back: start
			10:29              | in progress, local, held back: start
			10:30              | in progress
			11:00              | overrun`,
		"drained, and put off for hours": `
			10:00 drained      | in progress
			10:05 16:00-17:00  | in progress, local, held back: start
			11:00              | overrun, local, held back: start, next 12:00
			12:00              | completed, local, unfinished
			12:01              | too far away
			14:29              | open
			15:30              | announced
			16:00              | in progress`,
		"drained, and cut short": `
			10:00 drained      | in progress
			10:05 10:00-10:30  | in progress, next 10:30
			10:30              | overrun, next 11:30`,
		"drained, and cut short for the past": `
			10:00 drained      | in progress
			10:30 10:00-10:10  | in progress, local, held back: end
			11:00              | overrun, local, next 12:00
			11:30 ended 11:30  | completed`,
		"drained, and gone": `
			10:00 drained      | in progress
			10:05 gone         | in progress, held back: all
			11:00              | overrun
			11:30 gone, shrink | completed, unfinished`,
		"drained, and gone on purpose": `
			10:00 drained      | in progress
			10:05 gone, shrink | completed`,
		"a quorum that agrees": `
			08:58 silent       | open, next 08:59
			08:59              | open, asks, next 09:00
			08:59 open         | open, asks
			09:00              | open, asks
			10:00              | in progress, asks
			11:00              | completed`,
		"a quorum that does not answer": `
			08:59 silent       | open, asks
			09:00              | open, asks, waits
			10:00              | in progress, asks
			11:00              | completed, asks, waits
			13:30              | completed, asks, waits
			13:31 open         | forgotten`,
		"a quorum that refuses": `
			08:40 refused      | open, waits`,
		"a quorum that is asked about all": `
			01:00 all          | open, asks, waits
			01:01 open, all    | open, asks`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			law := downtime.NewLaw(30*time.Minute, 10*time.Minute, time.Hour)
			for i, row := range strings.Split(strings.TrimSpace(rows), "\n") {
				given, want, _ := strings.Cut(row, "|")
				given, want = strings.TrimSpace(given), strings.TrimSpace(want)
				got := law.Step(clockTime(t, given[:5]), strings.TrimSpace(given[5:]))
				if !strings.Contains(want, "next") {
					got, _, _ = strings.Cut(got, ", next")
				}
				require.Equal(t, want, got, fmt.Sprintf("row %d: %s", i+1, row))
			}
		})
	}
}

func clockTime(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04", "2000-01-02 "+text)
	require.NoError(t, err)
	return at
}
