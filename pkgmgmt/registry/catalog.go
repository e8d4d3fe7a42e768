package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// A catalog reads and changes what a store holds, by the rules of a registry.
type catalog struct {
	store  Store
	proven *proven // Nil means that every file is examined each time it is read.
}

// The files of a module besides those of the proxy protocol: versions that list does
// not show, channels, and the record of a version. Earlier releases also wrote a file
// ".blocked", which says what the record says.
const (
	listFile     = "list"
	pseudoFile   = "pseudo"
	channelsFile = "channels"
	recordEnd    = ".record"
)

// A versionInfo is the content of an .info file.
type versionInfo struct {
	Version string
	Time    time.Time
}

// list is the list that a version belongs in.
func (t *target) list() string {
	if module.IsPseudoVersion(t.version) {
		return t.base + pseudoFile
	}
	return t.base + listFile
}

// readJournal reads the journal of a version whose files begin with file.
func (c catalog) readJournal(ctx context.Context, file string) (*journal, stamp, error) {
	data, st, err := c.load(ctx, file+recordEnd)
	if err != nil {
		return nil, st, err
	}
	j, err := decodeJournal(data)
	return j, st, err
}

// load reads a small file.
func (c catalog) load(ctx context.Context, name string) ([]byte, stamp, error) {
	f, err := c.store.Open(ctx, name)
	if err != nil {
		return nil, stamp{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, stamp{}, err
	}
	data, err := readAll(f)
	return data, stampOf(info), err
}

// stat gives the stamp of a file.
func (c catalog) stat(ctx context.Context, name string) (stamp, error) {
	if d, ok := c.store.(*dir); ok {
		if st, err := d.stat(name); err == nil {
			return st, nil
		}
	}
	f, err := c.store.Open(ctx, name)
	if err != nil {
		return stamp{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return stamp{}, err
	}
	return stampOf(info), nil
}

func (c catalog) size(ctx context.Context, name string) (int64, error) {
	st, err := c.stat(ctx, name)
	return st.size, err
}

// acknowledged reports whether a version is published, for ever with the content that its
// journal has: it is in the list, or was yanked or blocked after that. The publisher of any
// other one never got an answer.
func (c catalog) acknowledged(ctx context.Context, at *target, j *journal) (bool, error) {
	if j.Sum == "" {
		return false, nil
	}
	if len(j.Events) > 1 {
		return true, nil
	}
	list, err := readSmall(ctx, c.store, at.list())
	if errors.Is(err, fs.ErrNotExist) {
		return j.Claim == nil, nil // the list is lost, unless this is the first version
	}
	if err != nil || isListed(list, at.version) {
		return err == nil, err
	}
	if j.Claim != nil {
		return false, nil
	}
	// Earlier releases wrote .info after the record, and had no claims.
	return c.has(ctx, at.file+".info")
}

// errSuperseded ends a publisher that another one has taken for dead.
var errSuperseded = errors.New("another publisher has taken over")

// readRecord reads the record of a version. One that is not acknowledged has none.
func (c catalog) readRecord(ctx context.Context, at *target) (*Record, error) {
	j, _, err := c.readJournal(ctx, at.file)
	if err != nil {
		return nil, err
	}
	acknowledged, err := c.acknowledged(ctx, at, j)
	if err == nil && !acknowledged {
		err = &fs.PathError{Op: "read", Path: at.file + recordEnd, Err: fs.ErrNotExist}
	}
	return &j.Record, err
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

// relist makes the list agree with the record of a version. The record is read while
// nobody else changes the list, so that of two changes of the record the later one is
// what stays. A list that is missing is made of all records.
func (c catalog) relist(ctx context.Context, at *target) error {
	if at.list() != at.base+listFile {
		// The list is there all the same, because an empty list is not a missing module.
		err := c.store.Update(ctx, at.base+listFile, func(old []byte) ([]byte, error) {
			if old != nil {
				return nil, nil
			}
			versions, err := c.listable(ctx, at.base, false)
			return encodeList(versions), err
		})
		if err != nil {
			return err
		}
	}
	return c.store.Update(ctx, at.list(), func(old []byte) ([]byte, error) {
		j, _, err := c.readJournal(ctx, at.file)
		if err != nil {
			return nil, err
		}
		if j.Claim != nil && j.Claim.Sum != j.Sum {
			return nil, errSuperseded
		}
		if old == nil {
			versions, err := c.listable(ctx, at.base, module.IsPseudoVersion(at.version))
			if err != nil {
				return nil, err
			}
			old = encodeList(versions)
			if with := listed(old, at.version, !j.Yanked && !j.Blocked); with != nil {
				return with, nil
			}
			return old, nil
		}
		return listed(old, at.version, !j.Yanked && !j.Blocked), nil
	})
}

// listable gives the versions of a module, releases or pseudo-versions, that its list
// should have, ascending. A store without Names has none.
func (c catalog) listable(ctx context.Context, base string, pseudo bool) (versions []string, err error) {
	for at, err := range c.targets(ctx, base) {
		if err != nil {
			return nil, err
		}
		if module.IsPseudoVersion(at.version) != pseudo {
			continue
		}
		j, _, err := c.readJournal(ctx, at.file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if j.Sum != "" && j.Claim == nil && !j.Yanked && !j.Blocked {
			versions = append(versions, at.version)
		}
	}
	slices.SortFunc(versions, semver.Compare)
	return versions, nil
}

// targets yields the versions of which there are files below a prefix of names, each once.
func (c catalog) targets(ctx context.Context, prefix string) iter.Seq2[*target, error] {
	return func(yield func(*target, error) bool) {
		namer, ok := c.store.(Namer)
		if !ok {
			return
		}
		seen := map[string]bool{}
		for name, err := range namer.Names(ctx, prefix) {
			if err != nil {
				yield(nil, err)
				return
			}
			dot := strings.LastIndexByte(name, '.')
			if dot < 0 || seen[name[:dot]] {
				continue
			}
			seen[name[:dot]] = true
			at, bad := route("/" + name[:dot] + ".zip")
			if bad == nil && at.kind == kindZip && !yield(&at, nil) {
				return
			}
		}
	}
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

// markVersion yanks or blocks a version, or takes that back. Asked for what is the case already
// it writes nothing to the record, and sees to it that the files agree with it.
func (c catalog) markVersion(ctx context.Context, at *target, set bool, by, reason string) (after *Record, err error) {
	err = c.amend(ctx, at.file, func(j *journal) (changed bool, err error) {
		if acknowledged, err := c.acknowledged(ctx, at, j); err != nil || !acknowledged {
			return false, cmp.Or(err, error(fs.ErrNotExist))
		}
		changed = j.mark(at.kind == kindBlock, set, by, reason)
		after = &j.Record
		return changed, nil
	})
	if err != nil {
		return nil, err
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
		rec, err := c.readRecord(ctx, at)
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
