package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// A Record is what a registry knows of a version besides its files.
type Record struct {
	Version  string  `json:"version"`
	Sum      string  `json:"sum"`      // of the zip, as go.sum has it: "h1:…"
	GoModSum string  `json:"goModSum"` // of go.mod, as go.sum has it
	Yanked   bool    `json:"yanked"`
	Blocked  bool    `json:"blocked"`
	Events   []Event `json:"events"` // the oldest first
}

// An Event is something that was done to a version.
type Event struct {
	Time   time.Time `json:"time"`
	What   string    `json:"what"`             // "published", "yanked", "unyanked", "blocked", "unblocked"
	By     string    `json:"by,omitempty"`     // the name given to Identify
	Reason string    `json:"reason,omitempty"` // of an override, a yank, a block, or its end

	// Judgement is what the gate said, of a published version; nil if there was no gate. With a verdict other than
	// Pass the version was published for the Reason.
	Judgement *Judgement `json:"judgement,omitempty"`
}

// A journal is a record as it is stored. Before anyone can see a version it holds what
// is about to happen, since afterwards its publisher may be dead.
type journal struct {
	Record
	// Intended are the events of those who are about to publish, by the sum of the zip.
	// One of them will have been the first, and the others are forgotten then.
	Intended map[string]Event `json:"intended,omitempty"`
}

// maxIntended bounds the publishers of one version that are remembered: those that
// died before their zip was there.
const maxIntended = 100

// readRecord reads the record of a version whose files begin with file. Until its zip
// is in the store there is none.
func readRecord(ctx context.Context, store Store, file string) (*Record, error) {
	data, err := read(ctx, store, file+recordEnd)
	if err != nil {
		return nil, err
	}
	j, err := decodeJournal(data)
	if err != nil {
		return nil, err
	}
	if j.Sum == "" {
		return nil, &fs.PathError{Op: "read", Path: file + recordEnd, Err: fs.ErrNotExist}
	}
	return &j.Record, nil
}

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

// amend changes a record, unless edit says that there is nothing to change.
func (g *Registry) amend(ctx context.Context, file string, edit func(*journal) (bool, error)) error {
	return g.store.Update(ctx, file+recordEnd, func(old []byte) ([]byte, error) {
		j, err := decodeJournal(old)
		if err != nil {
			return nil, err
		}
		changed, err := edit(j)
		if !changed || err != nil {
			return nil, err
		}
		data, err := json.MarshalIndent(j, "", "\t")
		if err == nil && len(data) > maxSmall { // nobody could read it again
			return nil, refuse(http.StatusInsufficientStorage, ruleStore, "the record of this version has no room left")
		}
		return data, err
	})
}

// intend writes down who is about to publish which content, and why.
func (g *Registry) intend(ctx context.Context, file, sum string, e Event) error {
	return g.amend(ctx, file, func(j *journal) (bool, error) {
		if j.Sum != "" {
			return false, nil // someone else was faster
		}
		if len(j.Intended) >= maxIntended {
			j.Intended = nil
		}
		if j.Intended == nil {
			j.Intended = map[string]Event{}
		}
		j.Intended[sum] = e
		return true, nil
	})
}

// confirm writes down that the zip of a version is in the store. It gives the time of
// publishing.
func (g *Registry) confirm(ctx context.Context, at *target, c *cargo) (published time.Time, err error) {
	err = g.amend(ctx, at.file, func(j *journal) (bool, error) {
		if j.Sum != "" {
			for _, e := range j.Events[:min(1, len(j.Events))] {
				published = e.Time
			}
			return false, nil
		}
		e, known := j.Intended[c.sum]
		if !known {
			e = Event{Time: now(), What: "published"}
		}
		published = e.Time
		*j = journal{Record: Record{Version: at.version, Sum: c.sum, GoModSum: c.goModSum, Events: []Event{e}}}
		return true, nil
	})
	return published, err
}

// list makes the list agree with the record of a version. The record is read while
// nobody else changes the list, so that of two changes of the record the later one is
// what stays.
func (g *Registry) list(ctx context.Context, base, file, version string) error {
	name := listFile
	if module.IsPseudoVersion(version) {
		name = pseudoFile
		// The list is there all the same, for an empty list is not a missing module.
		err := g.store.Update(ctx, base+listFile, func(old []byte) ([]byte, error) {
			if old != nil {
				return nil, nil
			}
			return []byte{}, nil
		})
		if err != nil {
			return err
		}
	}
	return g.store.Update(ctx, base+name, func(old []byte) ([]byte, error) {
		rec, err := readRecord(ctx, g.store, file)
		if err != nil {
			return nil, err
		}
		in := !rec.Yanked && !rec.Blocked
		if in {
			// A version whose publishing was cut off is listed once all of it is there.
			f, err := g.store.Open(ctx, file+".info")
			if err == nil {
				f.Close()
			} else if in = false; !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		return listed(old, version, in), nil
	})
}

// listed gives the list with a version, or without it.
func listed(list []byte, version string, in bool) []byte {
	versions := lines(list)
	at, found := slices.BinarySearchFunc(versions, version, semver.Compare)
	switch {
	case in && !found:
		versions = slices.Insert(versions, at, version)
	case !in && found:
		versions = slices.Delete(versions, at, at+1)
	default:
		if list == nil {
			return []byte{}
		}
		return nil
	}
	var b strings.Builder
	for _, v := range versions {
		b.WriteString(v)
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// record answers with the record of a version.
func (g *Registry) record(r *request) *problem {
	rec, err := readRecord(r.Context(), g.store, r.at.file)
	if err != nil {
		return g.absent(err, r.at.module+"@"+r.at.version)
	}
	r.w.Header().Set("Cache-Control", "no-store")
	writeJSON(r.w, r.Request, http.StatusOK, jsonType, rec)
	return nil
}
