package registry

import (
	"encoding/json"
	"fmt"
	"time"
)

// A Record is a version's state and history in a registry.
type Record struct {
	Version  string  `json:"version"`
	Sum      string  `json:"sum"`            // of the zip, as in go.sum: "h1:…"
	GoModSum string  `json:"goModSum"`       // of go.mod, as in go.sum
	Size     int64   `json:"size,omitempty"` // of the zip, in bytes. Zero means unknown
	Yanked   bool    `json:"yanked"`
	Blocked  bool    `json:"blocked"`
	Events   []Event `json:"events"` // oldest first
}

// An Event is one change of a version.
type Event struct {
	Time   time.Time `json:"time"`
	What   string    `json:"what"`             // "published", "yanked", "unyanked", "blocked", "unblocked"
	By     string    `json:"by,omitempty"`     // the name that Options.Authorize returned
	Reason string    `json:"reason,omitempty"` // of an override, a yank or a block, or of undoing one

	// Judgement is the gate's judgement of a published version. If its verdict is not
	// VerdictPass, the version was published by an override with the Reason. Nil means that
	// Options.Gate was nil.
	Judgement *Judgement `json:"judgement,omitempty"`
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// A journal is a record as it is stored. It has the event of a publish before the version is
// visible, because the publisher may die after that.
type journal struct {
	Record
	// Intended are the events of unfinished publishers, by the sum of the zip. The publisher
	// that finishes first removes the others.
	Intended map[string]Event `json:"intended,omitempty"`
	// Claim is the claim of an unfinished publisher. While it is set, the version is
	// acknowledged only if the list has it.
	Claim *claim `json:"claim,omitempty"`
}

type claim struct {
	Sum  string    `json:"sum"` // of the zip
	Time time.Time `json:"time"`
}

// maxIntended bounds the unfinished publishers of one version in its journal.
const maxIntended = 100

func decodeJournal(data []byte) (*journal, error) {
	j := &journal{}
	if len(data) == 0 {
		return j, nil
	}
	if err := json.Unmarshal(data, j); err != nil {
		return nil, fmt.Errorf("a record cannot be read: %v", err)
	}
	return j, nil
}

// intend records the event of a publisher before it writes files.
func (j *journal) intend(sum string, e Event) {
	if j.Intended == nil || len(j.Intended) >= maxIntended {
		j.Intended = map[string]Event{}
	}
	j.Intended[sum] = e
}

// intended returns the event of an unfinished publisher of that content.
func (j *journal) intended(sum string) (e Event, known bool) {
	if e, known = j.Intended[sum]; !known && j.Sum == sum && len(j.Events) > 0 {
		return j.Events[0], true
	}
	return e, known
}

// confirm records that the files of a version are in the store. The claim stays until the
// list has the version.
func (j *journal) confirm(version string, c *contents, size int64) {
	e, known := j.intended(c.sum)
	if !known {
		e = Event{Time: now(), What: "published"}
	}
	*j = journal{
		Record: Record{Version: version, Sum: c.sum, GoModSum: c.goModSum, Size: size, Events: []Event{e}},
		Claim:  &claim{Sum: c.sum, Time: now()},
	}
}

func (r *Record) mark(block, set bool, by, reason string) (changed bool) {
	flag, what := &r.Yanked, "yanked"
	if block {
		flag, what = &r.Blocked, "blocked"
	}
	if *flag == set {
		return false
	}
	*flag = set
	if !set {
		what = "un" + what
	}
	r.Events = append(r.Events, Event{Time: now(), What: what, By: by, Reason: reason})
	return true
}

func (r *Record) blockedFor() (reason string) {
	for _, e := range r.Events {
		if e.What == "blocked" {
			reason = e.Reason
		}
	}
	return reason
}
