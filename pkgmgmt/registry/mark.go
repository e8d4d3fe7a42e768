package registry

import (
	"io/fs"
	"net/http"
	"time"
)

// maxReason is what of a reason is kept: the go command prints some 600 bytes of an
// answer.
const maxReason = 500

// reason reads the reason of a change, which must be given.
func reason(r *request) (string, *problem) {
	text := oneLine(r.URL.Query().Get("reason"), maxReason)
	if text == "" {
		return "", refuse(http.StatusUnprocessableEntity, ruleReason, "a reason is required, in the query, which is one line of text: ?reason=…")
	}
	return text, nil
}

// mark yanks or blocks a version (PUT), or takes that back (DELETE). Asked for what is
// the case already it writes nothing to the record, and sees to it that the files agree
// with it.
func (g *Registry) mark(r *request) *problem {
	ctx, at := r.Context(), &r.at
	why, p := reason(r)
	if p != nil {
		return p
	}
	set := r.Method == http.MethodPut
	var after Record
	err := g.amend(ctx, at.file, func(j *journal) (bool, error) {
		if j.Sum == "" {
			return false, fs.ErrNotExist
		}
		rec := &j.Record
		flag, what := &rec.Yanked, "yank"
		if at.kind == kindBlock {
			flag, what = &rec.Blocked, "block"
		}
		if *flag == set {
			after = *rec
			return false, nil
		}
		*flag = set
		if !set {
			what = "un" + what
		}
		rec.Events = append(rec.Events, Event{Time: now(), What: what + "ed", By: r.who, Reason: why})
		after = *rec
		return true, nil
	})
	if err != nil {
		return g.absent(err, at.module+"@"+at.version)
	}
	if at.kind == kindBlock {
		err := g.store.Update(ctx, at.file+blockedEnd, func(old []byte) ([]byte, error) {
			rec, err := readRecord(ctx, g.store, at.file)
			if err != nil {
				return nil, err
			}
			if !rec.Blocked {
				if old == nil {
					return nil, nil
				}
				return []byte{}, nil
			}
			for _, e := range rec.Events {
				if e.What == "blocked" {
					why = e.Reason
				}
			}
			return []byte(why), nil
		})
		if err != nil {
			return broken(err)
		}
	}
	if err := g.list(ctx, at.base, at.file, at.version); err != nil {
		return broken(err)
	}
	r.w.Header().Set("Cache-Control", "no-store")
	writeJSON(r.w, r.Request, http.StatusOK, jsonType, after)
	return nil
}

// now is the time of an event.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
