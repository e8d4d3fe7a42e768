package registry

import (
	"encoding/json"
	"fmt"
	"time"
)

// A Record is what a registry knows of a version besides its files.
type Record struct {
	Version  string  `json:"version"`
	Sum      string  `json:"sum"`            // of the zip, as go.sum has it: "h1:…"
	GoModSum string  `json:"goModSum"`       // of go.mod, as go.sum has it
	Size     int64   `json:"size,omitempty"` // of the zip, in bytes. Zero means that it is not known
	Yanked   bool    `json:"yanked"`
	Blocked  bool    `json:"blocked"`
	Events   []Event `json:"events"` // the oldest first
}

// An Event is something that was done to a version.
type Event struct {
	Time   time.Time `json:"time"`
	What   string    `json:"what"`             // "published", "yanked", "unyanked", "blocked", "unblocked"
	By     string    `json:"by,omitempty"`     // the name that Options.Authorize returned
	Reason string    `json:"reason,omitempty"` // of an override, a yank, a block, or its end

	// Judgement is the gate's, for a published version. With a verdict other than
	// VerdictPass the version was published for the Reason. Nil means that there was no gate.
	Judgement *Judgement `json:"judgement,omitempty"`
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// A journal is a record as it is stored. Before anyone can see a version it holds what
// is about to happen, because afterwards its publisher may be dead.
type journal struct {
	Record
	// Intended are the events of those who are about to publish, by the sum of the zip.
	// One of them will have been the first, and the others are forgotten then.
	Intended map[string]Event `json:"intended,omitempty"`
	// Claim is that of a publisher that has not finished. While it is there, the version is
	// acknowledged only if the list has it.
	Claim *claim `json:"claim,omitempty"`
}

type claim struct {
	Sum  string    `json:"sum"` // of the zip
	Time time.Time `json:"time"`
}

// maxIntended bounds the publishers of one version that are remembered: those that
// died before their zip was there.
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

// intend notes who is about to publish which content.
func (j *journal) intend(sum string, e Event) {
	if j.Intended == nil || len(j.Intended) >= maxIntended {
		j.Intended = map[string]Event{}
	}
	j.Intended[sum] = e
}

// intended is the event of a publisher of that content that has not finished.
func (j *journal) intended(sum string) (e Event, known bool) {
	if e, known = j.Intended[sum]; !known && j.Sum == sum && len(j.Events) > 0 {
		return j.Events[0], true
	}
	return e, known
}

// confirm notes that the files of a version are in the store. The claim stays until the
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
