package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A Suspect is a change that may have caused a failure: a change of versions or an event. Exactly
// one of Change and Event is set. The ID of an event is that of its entry.
type Suspect struct {
	Event  Event  `json:"event,omitzero"`
	Change Change `json:"change,omitzero"`

	// Score is from 0 to 1. The scores of all suspects of a failure have the sum 1. It orders
	// the suspects, and is not a probability.
	Score float64 `json:"score"`

	// Evidence says in one sentence what speaks for the change and against it.
	Evidence string `json:"evidence"`
}

// SuspectOptions configure [Suspects]. Nil options are the defaults.
type SuspectOptions struct {
	// Callers has for each service the services that call it. A change of a service that the
	// failed one calls is a more likely cause than a change of any other service. Empty means
	// that this is unknown.
	Callers map[string][]string
}

// lookBack is how far before a failure its cause is searched.
const lookBack = 7 * 24 * time.Hour

// Suspects ranks the changes of the 7 days before a failure by how likely each of them caused
// it, the most likely first. It considers how many failed requests had the change, compared with
// how many users it reached, the time between change and failure, the service and its callers,
// and whether a changed module is in the stack trace. See "Suspects" in the package comment.
//
// It returns an error if the failure lacks a time, or if the store returns one. An empty list means
// that nothing changed.
func Suspects(ctx context.Context, store Store, f Failure, opts *SuspectOptions) ([]Suspect, error) {
	if f.Time.IsZero() {
		return nil, errors.New("history: the failure has no time")
	}
	h, err := loadRange(ctx, store, f.Time.Add(-lookBack), f.Time)
	if err != nil {
		return nil, err
	}
	changes, err := h.changes(ctx, f.Time.Add(-lookBack), f.Time)
	if err != nil {
		return nil, err
	}
	j := newJudge(h, changes, &f, cmp.Or(opts, new(SuspectOptions)))
	var list []Suspect
	for _, c := range changes {
		weight, evidence := j.change(&c)
		list = append(list, Suspect{Change: c, Score: weight, Evidence: evidence})
	}
	for _, e := range h.list {
		if e.Kind != KindNoted || !within(e.At, f.Time.Add(-lookBack), f.Time) || isSymptom(e.Event.Kind) {
			continue
		}
		event := *e.Event
		event.ID, event.Time = e.ID, e.Time
		weight, evidence := j.event(&event, e.At)
		list = append(list, Suspect{Event: event, Score: weight, Evidence: evidence})
	}
	slices.SortStableFunc(list, func(a, b Suspect) int { return cmp.Compare(b.Score, a.Score) })
	normalize(list)
	return list, nil
}

// isSymptom reports whether an event of this kind is never a cause.
func isSymptom(kind string) bool {
	switch strings.ToLower(kind) {
	case "failure", "failures", "incident", "alert", "outage", "error":
		return true
	}
	return false
}

// normalize turns the logarithms of sorted scores into parts of 1.
func normalize(list []Suspect) {
	if len(list) == 0 {
		return
	}
	best, sum := list[0].Score, 0.0
	for n := range list {
		list[n].Score = math.Exp(list[n].Score - best)
		sum += list[n].Score
	}
	for n := range list {
		list[n].Score /= sum
	}
}

// String returns the suspect as a line of text:
//
//	62 %  flag express-checkout (shop): off → on for 5 % of the users, 2 min before the failure; …
func (s Suspect) String() string {
	return fmt.Sprintf("%5s  %s", s.percent(), s.Evidence)
}

// percent writes the score without claiming certainty.
func (s *Suspect) percent() string {
	switch n := math.Round(100 * s.Score); {
	case n < 1:
		return "<1 %"
	case n > 99 && s.Score < 1:
		return ">99 %"
	default:
		return fmt.Sprintf("%.0f %%", n)
	}
}
