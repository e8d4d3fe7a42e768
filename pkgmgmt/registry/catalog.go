package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// A catalog reads and changes a store by the rules of a registry.
type catalog struct {
	store  Store
	proven *proven // Nil means that every file is checked at each read.
}

// The files of a module besides those of the proxy protocol: the list of pseudo-versions,
// the channels, and the record of each version. Earlier releases also wrote a file
// ".blocked"; it repeats a part of the record.
const (
	listFile     = "list"
	pseudoFile   = "pseudo"
	channelsFile = "channels"
	recordEnd    = ".record"
)

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

func (c catalog) readJournal(ctx context.Context, file string) (*journal, stamp, error) {
	data, st, err := load(ctx, c.store, file+recordEnd)
	if err != nil {
		return nil, st, err
	}
	j, err := decodeJournal(data)
	return j, st, err
}

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

// acknowledged reports whether a version is published with the content of its journal: it is
// in the list, or was yanked or blocked later. The publisher of any other version never got
// an answer, so that version may change.
func (c catalog) acknowledged(ctx context.Context, at *target, j *journal) (bool, error) {
	if j.Sum == "" {
		return false, nil
	}
	if len(j.Events) > 1 {
		return true, nil
	}
	list, err := readSmall(ctx, c.store, at.list())
	if errors.Is(err, fs.ErrNotExist) {
		return j.Claim == nil, nil // without a claim the version was in the list, and the list is lost
	}
	if err != nil || isListed(list, at.version) {
		return err == nil, err
	}
	if j.Claim != nil {
		return false, nil
	}
	// Earlier releases wrote .info after the record, without claims.
	return c.has(ctx, at.file+".info")
}

// errSuperseded ends a publisher whose claim another publisher has replaced.
var errSuperseded = errors.New("another publisher has taken over")

// readRecord returns fs.ErrNotExist for a version that is not acknowledged.
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

// amend changes a record unless edit returns false.
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
		if err == nil && len(data) > maxSmall { // load would refuse it
			return nil, refuse(http.StatusInsufficientStorage, ruleStore, "the record of this version is full")
		}
		return data, err
	})
}

// relist makes the list agree with the record of a version. It reads the record while the
// list is locked, so the list never gets an older state of the record after a newer one. A
// missing list is made from all records.
func (c catalog) relist(ctx context.Context, at *target) error {
	if at.list() != at.base+listFile {
		// The list must exist, because a missing list means a missing module.
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
	return c.store.Update(ctx, at.list(), func(list []byte) ([]byte, error) {
		j, _, err := c.readJournal(ctx, at.file)
		if err != nil {
			return nil, err
		}
		if j.Claim != nil && j.Claim.Sum != j.Sum {
			return nil, errSuperseded
		}
		visible := !j.Yanked && !j.Blocked
		if list != nil && isListed(list, at.version) == visible {
			return nil, nil
		}
		if list == nil {
			versions, err := c.listable(ctx, at.base, module.IsPseudoVersion(at.version))
			if err != nil {
				return nil, err
			}
			list = encodeList(versions)
		}
		return listed(list, at.version, visible), nil
	})
}

// listable returns the versions that a module's list should have, releases or
// pseudo-versions, in ascending order. It returns nothing for a store without Names.
func (c catalog) listable(ctx context.Context, base string, pseudo bool) (versions []string, err error) {
	namer, ok := c.store.(Namer)
	if !ok {
		return nil, nil
	}
	seen := map[string]bool{}
	for name, err := range namer.Names(ctx, base) {
		if err != nil {
			return nil, err
		}
		at, ok := fileOf(name)
		if !ok || seen[at.version] || module.IsPseudoVersion(at.version) != pseudo {
			continue
		}
		seen[at.version] = true
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

// released returns the versions of a module in its list and its yanked versions, in ascending
// order. Yanked versions are missing if the store lacks Names.
func (c catalog) released(ctx context.Context, base string) ([]string, error) {
	list, err := readSmall(ctx, c.store, base+listFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	versions := lines(list)
	namer, ok := c.store.(Namer)
	if !ok {
		return versions, nil
	}
	seen := map[string]bool{}
	for _, v := range versions {
		seen[v] = true
	}
	for name, err := range namer.Names(ctx, base) {
		if err != nil {
			return nil, err
		}
		at, ok := fileOf(name)
		if !ok || seen[at.version] || module.IsPseudoVersion(at.version) {
			continue
		}
		seen[at.version] = true
		j, _, err := c.readJournal(ctx, at.file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if acknowledged, err := c.acknowledged(ctx, &at, j); err != nil {
			return nil, err
		} else if acknowledged && j.Yanked && !j.Blocked {
			versions = append(versions, at.version)
		}
	}
	slices.SortFunc(versions, semver.Compare)
	return versions, nil
}

// fileOf returns the version that a file belongs to.
func fileOf(name string) (at target, ok bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return at, false
	}
	at, bad := route("/" + name[:dot] + ".zip")
	return at, bad == nil && at.kind == kindZip
}

func (c catalog) has(ctx context.Context, name string) (bool, error) {
	_, err := c.stat(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// latest is the version of @latest that keep allows: the highest release, else the highest prerelease, else
// the latest pseudo-version. Retracted versions are included, because the go command handles
// retractions itself.
func (c catalog) latest(ctx context.Context, base string, keep func(string) bool) (string, error) {
	for _, name := range []string{listFile, pseudoFile} {
		data, err := readSmall(ctx, c.store, base+name)
		if err != nil {
			return "", err
		}
		if v := highest(slices.DeleteFunc(lines(data), func(v string) bool { return !keep(v) })); v != "" {
			return v, nil
		}
	}
	return "", fs.ErrNotExist
}

// markVersion yanks or blocks a version, or undoes that. If the record has that state
// already, it only makes the list agree with the record.
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

func (c catalog) channels(ctx context.Context, at *target) (map[string]*Channel, error) {
	data, err := readSmall(ctx, c.store, at.base+channelsFile)
	if err != nil {
		return nil, err
	}
	return decodeChannels(data)
}

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

// setChannel sets a channel to the target's version, or removes it if the version is empty.
func (c catalog) setChannel(ctx context.Context, at *target, by, reason string) (after *Channel, err error) {
	if at.version != "" {
		rec, err := c.readRecord(ctx, at)
		if err != nil {
			return nil, err
		}
		if rec.Yanked || rec.Blocked {
			return nil, refuse(http.StatusConflict, ruleChannel, fmt.Sprintf("%s@%s is yanked or blocked, so no channel can be set to it", at.module, at.version))
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

// listed returns the list with a version added or removed.
func listed(list []byte, version string, in bool) []byte {
	versions := lines(list)
	at, found := slices.BinarySearchFunc(versions, version, semver.Compare)
	switch {
	case in && !found:
		versions = slices.Insert(versions, at, version)
	case !in && found:
		versions = slices.Delete(versions, at, at+1)
	default:
		return list
	}
	return encodeList(versions)
}

func encodeList(versions []string) []byte {
	list := []byte{} // not nil, because a list without versions is an empty file
	for _, v := range versions {
		list = append(list, v+"\n"...)
	}
	return list
}

func isListed(list []byte, version string) bool { return slices.Contains(lines(list), version) }

// highest returns the highest release of an ascending list, or the highest version if all
// are prereleases.
func highest(ascending []string) string {
	for i := len(ascending) - 1; i >= 0; i-- {
		if semver.Prerelease(ascending[i]) == "" {
			return ascending[i]
		}
	}
	if n := len(ascending); n > 0 {
		return ascending[n-1]
	}
	return ""
}

func lines(data []byte) []string {
	return strings.Fields(string(data))
}

// A proof has the stamps of a version's files that were found to be what was acknowledged.
type proof struct {
	record, info, mod, zip stamp
	sum                    string // of the zip
	summed                 bool   // the zip was read and has that sum
	blocked                string // the reason; Empty means that it is not blocked
}

// proven caches proofs by target.file. So the sum of each zip is computed once, and each file
// is checked again only after it has changed.
type proven struct {
	mu     sync.RWMutex
	proofs map[string]proof
	sums   chan struct{} // bounds the zips that are read at once
}

// maxProofs bounds the cached proofs to about 20 MB.
const maxProofs = 100_000

func newProven() *proven {
	return &proven{proofs: map[string]proof{}, sums: make(chan struct{}, maxChecks)}
}

func (p *proven) get(file string) (proof, bool) {
	if p == nil {
		return proof{}, false
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	pr, ok := p.proofs[file]
	return pr, ok
}

func (p *proven) put(file string, pr proof) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.proofs) >= maxProofs {
		clear(p.proofs)
	}
	p.proofs[file] = pr
}
