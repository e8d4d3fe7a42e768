package history

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// An Incident is the first page of a post-mortem: the failure, its suspects and the timeline.
// Print it with String in a terminal, with Markdown in a document.
type Incident struct {
	Failure  Failure   `json:"failure"`
	Suspects []Suspect `json:"suspects"`          // from Suspects
	Changes  *List     `json:"changes,omitempty"` // from Timeline. Nil means none.
}

// maxShown is how many suspects the texts of an incident show.
const maxShown = 10

// String returns the incident as text for people, in UTC, with at most 10 suspects.
func (i *Incident) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nsuspects:\n", i.title())
	for _, s := range i.shown() {
		b.WriteString(s.String() + "\n")
	}
	if len(i.Suspects) == 0 {
		b.WriteString("nothing has changed\n")
	}
	if i.Changes != nil {
		b.WriteString("\ntimeline:\n" + i.Changes.String() + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Markdown returns the incident as a document in GFM, in UTC, with at most 10 suspects. Text of
// reporters is escaped.
func (i *Incident) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n## Suspects\n\n| Score | Change | Evidence |\n| ---: | --- | --- |\n", escape(i.title()))
	for _, s := range i.shown() {
		what, evidence, _ := strings.Cut(s.Evidence, "; ")
		what = escape(what)
		if target := linkTarget(cmp.Or(s.Event.URL, s.Change.CompareURL(""))); target != "" {
			what = "[" + what + "](" + target + ")"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", escape(s.percent()), what, escape(evidence))
	}
	if len(i.Suspects) == 0 {
		b.WriteString("| | nothing has changed | |\n")
	}
	if i.Changes != nil {
		b.WriteString("\n## Timeline\n\n" + i.Changes.Markdown())
	}
	return b.String()
}

func (i *Incident) shown() []Suspect { return i.Suspects[:min(len(i.Suspects), maxShown)] }

func (i *Incident) title() string {
	f := &i.Failure
	what := strings.TrimSpace(f.Service + " " + f.Build)
	if f.Route != "" {
		what = strings.TrimSpace(f.Route + " of " + orUnknown(what))
	}
	return cleantext.Line(orUnknown(what)+" failed at "+f.Time.UTC().Format(dayTime), maxValue)
}
