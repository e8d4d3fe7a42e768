package downtime

import (
	"cmp"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// Tick has the guard look at a clock that shows t.
func Tick(g *Guard, t time.Time) { g.tick(t) }

// TickClocks has the guard look at a wall clock that was set forward, or back, by so much.
func TickClocks(g *Guard, ahead time.Duration) {
	at := g.instant(time.Now())
	at.now = at.now.Round(0).Add(ahead)
	g.update(func() { g.advance(at, nil) })
}

// Pause is for how long at most the guard does not look at the clock after now.
func Pause(g *Guard, now time.Time) time.Duration { return g.pause(now) }

// A Law takes steps with one occurrence, by what rows of a table say.
type Law struct {
	now      occurrence
	facts    facts
	quorum   agreement
	planned  schedule.Occurrence
	announce time.Duration
	cutoff   time.Duration
}

// NewLaw plans a window from 10:00 to 11:00.
func NewLaw(announce, cutoff, overrunMax time.Duration) *Law {
	l := &Law{announce: announce, cutoff: cutoff}
	l.facts.overrunMax = overrunMax
	l.document("10:00-11:00")
	return l
}

func (l *Law) document(text string) {
	from, to, _ := strings.Cut(text, "-")
	w := &schedule.Window{ID: "w", Timezone: time.UTC, Announce: l.announce, Cutoff: l.cutoff}
	l.planned = schedule.Occurrence{Planned: lawTime("10:00"), Start: lawTime(from), End: lawTime(to), Window: w}
	l.facts.planned, l.facts.lost, l.facts.ended = &l.planned, false, false
}

func lawTime(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", "2000-01-02 "+text)
	if err != nil {
		panic(err)
	}
	return t
}

// Step takes a step, and says in words what the occurrence is then.
func (l *Law) Step(now time.Time, news string) string {
	l.facts.now, l.facts.mono, l.facts.command = now, now.Sub(lawTime("00:00")), nil // both clocks go alike
	l.facts.epoch++
	said := l.now.said
	word, rest, _ := strings.Cut(news, " ")
	switch strings.TrimSuffix(word, ",") {
	case "":
	case "gone":
		l.facts.planned, l.facts.lost, l.facts.allowShrink = nil, true, rest == "shrink"
	case "mono": // the monotonic clock shows another time
		l.facts.mono = lawTime(rest).Sub(lawTime("00:00"))
	case "mode":
		w := *l.planned.Window
		w.Mode = schedule.Mode(rest)
		l.planned.Window = &w
	case "paths":
		w := *l.planned.Window
		w.Scope = schedule.Scope{Paths: strings.Fields(rest)}
		l.planned.Window = &w
	case "other":
		w := *l.planned.Window
		w.Scope = schedule.Scope{Work: []string{"other"}}
		l.planned.Window = &w
	case "reopen":
		w := *l.planned.Window
		w.Overrun = schedule.OverrunReopen
		l.planned.Window = &w
	case "ended":
		l.planned.End, l.facts.ended = lawTime(rest), true
	case "begin":
		said.start, said.began = l.planned.Start, now
		l.facts.command = &said
	case "complete":
		said.end, said.completed = l.planned.End, now
		l.facts.command = &said
	case "extend":
		said.end, said.until = l.planned.End, lawTime(rest)
		l.facts.command = &said
	case "silent", "open", "refused", "all":
		l.quorum = agreement{all: strings.HasSuffix(news, "all")}
		if word == "open" || word == "open," {
			l.quorum.open = map[string]bool{"w": true}
		}
		if word == "refused" {
			l.quorum.refused = map[string]bool{"w": true}
		}
		l.facts.quorum = &l.quorum
	case "drained":
		l.facts.drained = true
	case "bypassing", "idle":
		l.facts.working = word == "bypassing"
	default:
		l.document(news)
	}
	before := l.now
	l.now = l.now.step(l.facts)
	o := &l.now
	if o.gone {
		words := "forgotten"
		if o.phase != schedule.PhaseCompleted {
			words = "too far away"
		}
		if !o.next.IsZero() {
			words += ", next " + o.next.Format("15:04")
		}
		l.now = occurrence{}
		return words
	}
	words := o.phase.String()
	if o.phase == schedule.PhaseOpen {
		words = "open"
	}
	for _, is := range []struct {
		so   bool
		word string
	}{
		{o.isLocal(), "local"},
		{o.unfinished, "unfinished"},
		{o.asks, "asks"},
		{o.waits, "waits"},
		{before.tally != nil && before.tally != o.tally, "anew"},
	} {
		if is.so {
			words += ", " + is.word
		}
	}
	for _, field := range o.withheld {
		words += ", held back: " + cmp.Or(field, "all")
	}
	for _, h := range o.held {
		words += ", besides " + strings.Join(h.window.Scope.Paths, " ")
	}
	if o.skew.Abs() > maxSkew {
		words += ", skew " + o.skew.String()
	}
	if !o.next.IsZero() {
		words += ", next " + o.next.Format("15:04")
	}
	return words
}

// IsStreamType is what makes a stream of a response.
func IsStreamType(contentType string) bool { return isStreamType(contentType) }
