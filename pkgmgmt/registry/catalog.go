package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"golang.org/x/mod/module"
)

// A catalog reads and changes what a store holds, by the rules of a registry.
type catalog struct{ store Store }

// The files of a module besides those of the proxy protocol: versions that list does
// not show, channels, and of a version why it is blocked, and its record.
const (
	listFile     = "list"
	pseudoFile   = "pseudo"
	channelsFile = "channels"
	blockedEnd   = ".blocked"
	recordEnd    = ".record"
)

// A versionInfo is the content of an .info file.
type versionInfo struct {
	Version string
	Time    time.Time
}

func (i versionInfo) encode() []byte {
	data, _ := json.Marshal(i) // a text and a time can be written
	return append(data, '\n')
}

// readRecord reads the record of a version whose files begin with file. A version without a
// zip has none.
func (c catalog) readRecord(ctx context.Context, file string) (*Record, error) {
	data, err := readSmall(ctx, c.store, file+recordEnd)
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

// amend changes a record, unless edit says that there is nothing to change.
func (c catalog) amend(ctx context.Context, file string, edit func(*journal) (bool, error)) error {
	return c.store.Update(ctx, file+recordEnd, func(old []byte) ([]byte, error) {
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
func (c catalog) intend(ctx context.Context, file, sum string, e Event) error {
	return c.amend(ctx, file, func(j *journal) (bool, error) { return j.intend(sum, e), nil })
}

// finish makes a version visible whose zip is in the store: its record, what the proxy
// protocol derives from the zip, and last of all the list. It leaves alone what is
// there already.
func (c catalog) finish(ctx context.Context, at *target, content *contents) error {
	var published time.Time
	err := c.amend(ctx, at.file, func(j *journal) (changed bool, err error) {
		published, changed = j.confirm(at.version, content.sum, content.goModSum)
		return changed, nil
	})
	if err != nil {
		return err
	}
	if module.IsPseudoVersion(at.version) {
		if published, err = module.PseudoVersionTime(at.version); err != nil {
			return err
		}
	}
	for _, file := range []struct {
		end  string
		data []byte
	}{
		{".mod", content.goMod},
		{".info", versionInfo{Version: at.version, Time: published.UTC().Truncate(time.Second)}.encode()}, // the last, for complete
	} {
		err := c.store.Create(ctx, at.file+file.end, bytes.NewReader(file.data))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return c.relist(ctx, at)
}

// relist makes the list agree with the record of a version. The record is read while
// nobody else changes the list, so that of two changes of the record the later one is
// what stays.
func (c catalog) relist(ctx context.Context, at *target) error {
	name := listFile
	if module.IsPseudoVersion(at.version) {
		name = pseudoFile
		// The list is there all the same, because an empty list is not a missing module.
		err := c.store.Update(ctx, at.base+listFile, func(old []byte) ([]byte, error) {
			if old != nil {
				return nil, nil
			}
			return []byte{}, nil
		})
		if err != nil {
			return err
		}
	}
	return c.store.Update(ctx, at.base+name, func(old []byte) ([]byte, error) {
		rec, err := c.readRecord(ctx, at.file)
		if err != nil {
			return nil, err
		}
		in := !rec.Yanked && !rec.Blocked
		if in {
			// A version whose publishing was cut off is listed once all of it is there.
			if in, err = c.has(ctx, at.file+".info"); err != nil {
				return nil, err
			}
		}
		return listed(old, at.version, in), nil
	})
}

// has reports whether a file is in the store.
func (c catalog) has(ctx context.Context, name string) (bool, error) {
	f, err := c.store.Open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	f.Close()
	return true, nil
}

// latest is the version of @latest: the highest release, else the highest prerelease,
// else the latest pseudo-version. Retracted versions count: the go command looks at
// retractions itself.
func (c catalog) latest(ctx context.Context, base string) (string, error) {
	for _, name := range []string{listFile, pseudoFile} {
		data, err := readSmall(ctx, c.store, base+name)
		if err != nil {
			return "", err
		}
		if v := highest(lines(data)); v != "" {
			return v, nil
		}
	}
	return "", fs.ErrNotExist
}

// blocked refuses a blocked version: one with a file that says why. Another file of the
// version has been read before.
func (c catalog) blocked(ctx context.Context, file, path, version string) *Refusal {
	var reason []byte
	var err error
	if d, ok := c.store.(*dir); ok {
		reason, err = d.beside(file + blockedEnd)
	} else {
		reason, err = readSmall(ctx, c.store, file+blockedEnd)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil: // rather than to serve what might be blocked
		return broken(err)
	case len(reason) == 0:
		return nil
	}
	return refuse(http.StatusForbidden, ruleBlocked, fmt.Sprintf("%s@%s is blocked: %s", path, version, reason))
}

// refused is blocked for those who have the record. Where that says more than the file,
// the process that blocked the version has died in between.
func (c catalog) refused(ctx context.Context, at *target, rec *Record) *Refusal {
	p := c.blocked(ctx, at.file, at.module, at.version)
	if p == nil && rec.Blocked {
		p = refuse(http.StatusForbidden, ruleBlocked, at.module+"@"+at.version+" is blocked")
	}
	return p
}

// markVersion yanks or blocks a version, or takes that back. Asked for what is the case already
// it writes nothing to the record, and sees to it that the files agree with it.
func (c catalog) markVersion(ctx context.Context, at *target, set bool, by, reason string) (after *Record, err error) {
	err = c.amend(ctx, at.file, func(j *journal) (changed bool, err error) {
		if j.Sum == "" {
			return false, fs.ErrNotExist
		}
		changed = j.mark(at.kind == kindBlock, set, by, reason)
		after = &j.Record
		return changed, nil
	})
	if err != nil {
		return nil, err
	}
	if at.kind == kindBlock {
		err = c.store.Update(ctx, at.file+blockedEnd, func(old []byte) ([]byte, error) {
			rec, err := c.readRecord(ctx, at.file)
			if err != nil {
				return nil, err
			}
			switch {
			case rec.Blocked:
				return []byte(rec.blockedFor()), nil
			case old == nil:
				return nil, nil
			}
			return []byte{}, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return after, c.relist(ctx, at)
}

// channels gives the channels of a module, by name.
func (c catalog) channels(ctx context.Context, at *target) (map[string]*Channel, error) {
	data, err := readSmall(ctx, c.store, at.base+channelsFile)
	if err != nil {
		return nil, err
	}
	return decodeChannels(data)
}

// channel gives the version that a channel stands for.
func (c catalog) channel(ctx context.Context, at *target) (version string, err error) {
	channels, err := c.channels(ctx, at)
	if err != nil {
		return "", err
	}
	if ch := channels[at.channel]; ch != nil && ch.Version != "" {
		return ch.Version, nil
	}
	return "", fs.ErrNotExist
}

// setChannel lets a channel stand for the target's version, or without one removes it.
func (c catalog) setChannel(ctx context.Context, at *target, by, reason string) (after *Channel, err error) {
	if at.version != "" {
		rec, err := c.readRecord(ctx, at.file)
		if err != nil {
			return nil, err
		}
		if rec.Yanked || rec.Blocked {
			return nil, refuse(http.StatusConflict, ruleChannel, fmt.Sprintf("%s@%s is yanked or blocked: a channel cannot be moved there", at.module, at.version))
		}
	}
	err = c.store.Update(ctx, at.base+channelsFile, func(old []byte) ([]byte, error) {
		channels, err := decodeChannels(old)
		if err != nil {
			return nil, err
		}
		ch := channels[at.channel]
		switch {
		case ch == nil && at.version == "":
			return nil, fs.ErrNotExist
		case ch == nil && len(channels) >= maxChannels && !forgetRemoved(channels):
			return nil, refuse(http.StatusUnprocessableEntity, ruleChannel, fmt.Sprintf("a module has at most %d channels", maxChannels))
		case ch == nil:
			ch = &Channel{}
			channels[at.channel] = ch
		}
		after = ch
		if ch.Version == at.version && len(ch.Moves) > 0 {
			return nil, nil
		}
		ch.Version = at.version
		ch.Moves = append(ch.Moves, Movement{Time: now(), Version: at.version, By: by, Reason: reason})
		return encodeChannels(channels)
	})
	return after, err
}
