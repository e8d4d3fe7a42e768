package history

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/version"
)

// A List is the changes of a time. Print it with String in a terminal, with Markdown in a
// document.
type List struct {
	From  time.Time `json:"from,omitzero"` // From and To as given to Timeline
	To    time.Time `json:"to,omitzero"`
	Items []Item    `json:"items"`
}

// An Item is a change of versions or an event. Exactly one of the two is set.
type Item struct {
	// Time is when it happened. If the reporter's clock is wrong, Time is by the store's
	// clock and Reported by the reporter's. Otherwise Reported is zero.
	Time     time.Time `json:"time"`
	Reported time.Time `json:"reported,omitzero"`

	// Client is the client that sent it to a collector.
	Client string `json:"client,omitempty"`

	Change *Change `json:"change,omitempty"`
	Event  *Event  `json:"event,omitempty"`

	pos time.Time
	seq int64
}

// Timeline returns all changes of versions, with their differences, and all events from one
// time to another, both included. A zero from means the beginning, a zero to means the end.
// It returns an error if from is after to, or if the store does.
//
// Items are ordered by [Entry.At], then by receipt. Entries that a store receives after its
// clock was set back still come later.
func Timeline(ctx context.Context, store Store, from, to time.Time) (*List, error) {
	h, err := loadRange(ctx, store, from, to)
	if err != nil {
		return nil, err
	}
	l := &List{From: from, To: to, Items: []Item{}}
	changes, err := h.changes(ctx, from, to)
	if err != nil {
		return nil, err
	}
	for n := range changes {
		c := &changes[n]
		i := Item{Time: c.Time, Client: c.client, Change: c, pos: c.pos, seq: c.seq}
		i.report(c.reported)
		l.Items = append(l.Items, i)
	}
	for _, e := range h.list {
		if e.Kind != KindNoted || !within(e.At, from, to) {
			continue
		}
		event := *e.Event
		event.Time = e.Time
		i := Item{Time: e.At, Client: e.Client, Event: &event, pos: e.when.pos, seq: e.Seq}
		i.report(e.Time)
		l.Items = append(l.Items, i)
	}
	slices.SortStableFunc(l.Items, func(a, b Item) int {
		return cmp.Or(a.pos.Compare(b.pos), cmp.Compare(a.seq, b.seq))
	})
	return l, nil
}

func (i *Item) report(said time.Time) {
	if d := said.Sub(i.Time); !said.IsZero() && (d > maxSkew || d < -maxSkew) {
		i.Reported = said
	}
}

const (
	dayTime   = "2006-01-02 15:04:05Z"
	clockTime = "15:04:05Z"
)

// String returns the list as text for people, in UTC:
//
//	2026-11-20 11:20:00Z  shop (production): v1.4.1 → v1.4.2, both seen until 11:24:10Z
//	                      semver v3.4.0 → v3.5.0
//	2026-11-20 11:31:12Z  flag checkout: off → on, by ada
func (l *List) String() string {
	if len(l.Items) == 0 {
		return "nothing has changed"
	}
	var b strings.Builder
	for n, i := range l.Items {
		if n > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(i.Time.UTC().Format(dayTime))
		subject, what, more := i.words()
		b.WriteString("  " + subject)
		if what != "" {
			b.WriteString(": " + what)
		}
		for _, m := range more {
			b.WriteString("\n" + strings.Repeat(" ", len(dayTime)+2) + m)
		}
	}
	return b.String()
}

// Markdown returns the list as a GFM table, in UTC. Text of reporters is escaped, but a
// renderer may turn bare addresses into links.
func (l *List) Markdown() string {
	var b strings.Builder
	b.WriteString("| Time (UTC) | What | Change |\n| --- | --- | --- |\n")
	for _, i := range l.Items {
		subject, what, more := i.words()
		subject = escape(subject)
		if target := linkTarget(i.link()); target != "" {
			subject = "[" + subject + "](" + target + ")"
		}
		var cells []string
		switch {
		case i.Change != nil:
			cells = append(cells, "**"+escape(what)+"**")
		case what != "":
			cells = append(cells, escape(what))
		}
		for _, m := range more {
			cells = append(cells, escape(m))
		}
		b.WriteString("| " + strings.TrimSuffix(i.Time.UTC().Format(dayTime), "Z") + " | " + subject + " | " + strings.Join(cells, "<br>") + " |\n")
	}
	if len(l.Items) == 0 {
		b.WriteString("| | nothing has changed | |\n")
	}
	return b.String()
}

// escape makes text literal in a cell of a table. The text must be a single line.
var escape = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "|", `\|`, "~", `\~`, "!", `\!`, "$", `\$`,
	"<", "&lt;", ">", "&gt;", "&", "&amp;", "@", "&#64;", "://", "&#58;//", "www.", "www&#46;",
).Replace

// link returns the address of an event, or of the comparison of a change.
func (i *Item) link() string {
	if i.Change != nil {
		return i.Change.CompareURL("")
	}
	return i.Event.URL
}

// linkTarget makes an address literal in a Markdown link.
func linkTarget(address string) string {
	if !isURL(address) {
		return ""
	}
	return strings.NewReplacer("(", "%28", ")", "%29", "[", "%5B", "]", "%5D", "*", "%2A", "_", "%5F", "~", "%7E", "!", "%21", "$", "%24", "@", "%40").Replace(address)
}

func (i *Item) words() (subject, what string, more []string) {
	if i.Change != nil {
		subject, what, more = i.Change.words()
	} else {
		subject, what = i.Event.words()
	}
	if !i.Reported.IsZero() {
		more = append(more, "its own clock said "+i.Reported.UTC().Format(dayTime))
	}
	return subject, what, more
}

func (v *Event) words() (subject, what string) {
	subject = strings.TrimSpace(v.Kind+" "+v.Subject) + inParentheses(v.Service, v.Environment)
	switch {
	case v.From != "" && v.To != "":
		what = v.From + " → " + v.To
	case v.To != "":
		what = v.To
	case v.From != "":
		what = "no longer " + v.From
	}
	if v.Share > 0 {
		what = strings.TrimSpace(what + " for " + percent(v.Share) + " of the users")
	}
	if v.Actor != "" {
		what = strings.TrimPrefix(what+", by "+v.Actor, ", ")
	}
	return subject, what
}

func (c *Change) words() (subject, what string, more []string) {
	subject = c.Service + inParentheses(c.Environment, c.Region, c.Cluster)
	if c.From == nil {
		return subject, shownBuild(c.To) + ", seen for the first time", nil
	}
	if c.Rollback != "" && !c.Rollback.Guess() {
		what = "rollback "
	}
	what += shownBuild(c.From) + " → " + shownBuild(c.To)
	if c.Rollback.Guess() {
		what += ", probably a rollback (" + string(c.Rollback) + ")"
	}
	switch {
	case c.Done.IsZero():
		what += ", both are still seen"
	case c.Done.Sub(c.Time) >= time.Second:
		at := clockTime
		if c.Done.Sub(c.Time) > 12*time.Hour {
			at = dayTime
		}
		what += ", both seen until " + c.Done.UTC().Format(at)
	}
	if c.Unknown {
		what += ", unknown whether " + shownBuild(c.From) + " still runs"
	}
	rest := c.Diff
	rest.Version = version.Change{} // it is in what already
	more = strings.Split(rest.String(), "\n")
	if rest.Empty() {
		more = more[1:] // without "no change"
	}
	return subject, what, more
}

// inParentheses returns the texts that are not empty, with a space in front.
func inParentheses(texts ...string) string {
	texts = slices.DeleteFunc(texts, func(s string) bool { return s == "" })
	if len(texts) == 0 {
		return ""
	}
	return " (" + strings.Join(texts, ", ") + ")"
}

// percent writes a part of 1: "5 %".
func percent(part float64) string {
	return strconv.FormatFloat(100*part, 'g', 3, 64) + " %"
}

func shownBuild(i *version.Info) string {
	if i.Version == "" && i.Revision != "" {
		return "rev " + i.Revision[:min(len(i.Revision), 12)]
	}
	return orUnknown(i.Version)
}
