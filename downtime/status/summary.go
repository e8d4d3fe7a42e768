package status

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// Summary returns a function that gives the status in one line, for a page that shows several
// packages. ok is false while an operator is needed: the guard has a problem or lacks a schedule,
// a window overruns, or everything is closed until the quorum answers.
func Summary(g *downtime.Guard) func(context.Context) (ok bool, line string) {
	return func(context.Context) (bool, string) {
		now := time.Now()
		document, ok := g.Document(), true
		var parts []string
		if document.Schedule == nil {
			ok = false
			parts = append(parts, fmt.Sprintf("no schedule yet; boot policy: %v", document.Boot))
		} else {
			for _, rep := range g.Reports() {
				ok = ok && !rep.Waiting && rep.Phase != schedule.PhaseOverrun
				switch {
				case rep.Window == "":
					parts = append(parts, "all closed until the quorum answers")
				case rep.Waiting || stageOf(rep.Phase) == stageActive:
					parts = append(parts, rep.String())
				}
			}
			if len(parts) == 0 {
				parts = append(parts, "no maintenance now"+next(document.Schedule, now))
			}
		}
		const most = 3
		if more := len(parts) - most; more > 0 {
			parts = append(parts[:most], fmt.Sprintf("and %d more", more))
		}
		if problems := g.Problems(); len(problems) > 0 {
			ok = false
			count := "1 problem"
			if len(problems) > 1 {
				count = fmt.Sprintf("%d problems, the first", len(problems))
			}
			first, _, _ := strings.Cut(problems[0].Error(), "\n")
			parts = append(parts, count+": "+first)
		}
		return ok, strings.Join(parts, "; ")
	}
}

// next returns a text with the window that begins next.
func next(s *schedule.Schedule, now time.Time) string {
	const ahead = 366 * 24 * time.Hour
	for o := range s.Occurrences(now, now.Add(ahead)) {
		if o.Start.After(now) {
			return fmt.Sprintf(", next %s from %s", o.Window.ID, o.Start.Format(time.RFC3339))
		}
	}
	return ""
}
