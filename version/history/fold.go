package history

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/upkeep-go/upkeep/internal/atomicfile"
)

// fold rewrites the segment to make it shorter, and locks the new file. If that fails, the file
// stays as it is, and appends go on until the next attempt.
func (s *FileStore) fold() error {
	g := s.segment
	f, length, builds, err := g.writeFolded(s.max)
	if err != nil {
		s.count.add("fold_failures", 1)
		s.foldAt = g.size + s.max/4
		return nil
	}
	_ = g.file.Close()
	g.file, g.builds = f, builds
	g.size, g.torn = length, false
	// A segment that cannot be made shorter must not be rewritten at each append.
	s.foldAt = max(s.max, length+s.max/4)
	s.count.add("folded", 1)
	g.info, err = f.Stat()
	return err
}

func (g *segment) writeFolded(limit int64) (f *os.File, length int64, builds map[string]bool, err error) {
	path := g.path
	rejected, err := g.readRejected(limit)
	if err != nil {
		return nil, 0, nil, err
	}
	entries, unread, err := g.readEntries(limit)
	if err != nil {
		return nil, 0, nil, err
	}
	old, fresh, err := divide(folded(entries), limit/2, limit/4)
	if err != nil {
		return nil, 0, nil, err
	}
	builds = map[string]bool{}
	freshLines, err := withBuilds(fresh, builds)
	if err != nil {
		return nil, 0, nil, err
	}
	oldLines, err := withBuilds(old, map[string]bool{})
	if err != nil {
		return nil, 0, nil, err
	}
	if err := setAside(path, rejected, limit); err != nil {
		return nil, 0, nil, err
	}
	switch {
	case unread > 0:
		// Not all of it was read, so keep the whole file. It must not lose its name, or
		// another process would create a new file.
		fresh := path + extOld + extNew
		_ = os.Remove(fresh)
		if err := os.Link(path, fresh); err != nil {
			return nil, 0, nil, err
		}
		if err := os.Rename(fresh, path+extOld); err != nil {
			return nil, 0, nil, err
		}
	case len(old) > 0:
		o, err := replace(path+extOld, oldLines)
		if err != nil {
			return nil, 0, nil, err
		}
		_ = o.Close()
	}
	if f, err = replace(path, freshLines); err != nil {
		return nil, 0, nil, err
	}
	return f, int64(len(freshLines)), builds, nil
}

// divide returns as fresh the last entries up to half bytes, each with the first sighting of its
// run, because the run would seem to begin later without it. Up to more bytes it adds the last
// run of each track, and that of each instance.
func divide(entries []Entry, half, more int64) (old, fresh []Entry, err error) {
	runs := map[string][]int{}
	for n, e := range entries {
		if e.sighted() {
			runs[e.Run] = append(runs[e.Run], n)
		}
	}
	kept, builds, total := make([]bool, len(entries)), map[string]bool{}, int64(0)
	keep := func(list ...int) error {
		for _, n := range list {
			if kept[n] {
				continue
			}
			kept[n] = true
			lines, err := withBuilds(entries[n:n+1], builds)
			if err != nil {
				return err
			}
			total += int64(len(lines))
		}
		return nil
	}
	for n := len(entries) - 1; n >= 0 && total < half; n-- {
		if err := keep(n); err != nil {
			return nil, nil, err
		}
		if e := &entries[n]; e.sighted() {
			if err := keep(runs[e.Run][0]); err != nil {
				return nil, nil, err
			}
		}
	}
	for _, byInstance := range []bool{false, true} {
		covered := map[[5]string]bool{}
		for n := len(entries) - 1; n >= 0 && total < half+more; n-- {
			e := &entries[n]
			place := [5]string{e.Service, e.Environment, e.Region, e.Cluster}
			if byInstance {
				place[4] = e.Instance
			}
			if !e.sighted() || covered[place] {
				continue
			}
			covered[place] = true
			if err := keep(runs[e.Run]...); err != nil {
				return nil, nil, err
			}
		}
	}
	for n, e := range entries {
		if kept[n] {
			fresh = append(fresh, e)
		} else {
			old = append(old, e)
		}
	}
	return old, fresh, nil
}

func (g *segment) readEntries(limit int64) (list []Entry, unread int64, err error) {
	in, err := newScanner(g.file, 4*limit)
	if err != nil {
		return nil, 0, err
	}
	m, err := newMerger(g.path, []*source{{path: g.path, file: g.file, in: in}})
	if err != nil {
		return nil, 0, err
	}
	texts := map[string]string{}
	if err := m.each(context.Background(), func(r *record) { list = append(list, r.entry(texts)) }); err != nil {
		return nil, 0, err
	}
	return list, in.unread, m.complete(context.Background(), list)
}

// readRejected returns the invalid lines.
func (g *segment) readRejected(limit int64) (lines []byte, err error) {
	in, err := newScanner(g.file, 4*limit)
	if err != nil {
		return nil, err
	}
	for in.scan() {
		_, err := parseLine(in.line, maxStoredID)
		switch {
		case in.of == rest: // continues the line before
			lines = append(bytes.TrimSuffix(lines, []byte("\n")), in.line...)
		case in.of == long || err != nil && len(in.line) > 0:
			lines = append(lines, in.line...)
		default:
			continue
		}
		lines = append(lines, '\n')
	}
	return lines, in.err
}

// withBuilds encodes entries, with Info only for the first of each build that is not in builds.
func withBuilds(entries []Entry, builds map[string]bool) (lines []byte, err error) {
	for _, e := range entries {
		switch {
		case e.Info == nil || builds[e.Build]:
			e.infoJSON = nil
		case e.infoJSON == nil:
			if e.infoJSON, err = json.Marshal(e.Info); err != nil {
				return nil, err
			}
		}
		if e.infoJSON != nil {
			builds[e.Build] = true
		}
		if lines, err = appendLine(lines, e); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

func setAside(path string, lines []byte, most int64) error {
	if len(lines) == 0 {
		return nil
	}
	path += extRejected
	if info, err := os.Stat(path); err == nil && info.Size() > 0 && info.Size()+int64(len(lines)) > most {
		if err := os.Rename(path, path+extOld); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|atomicfile.NonBlock, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(lines); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

func replace(path string, data []byte) (f *os.File, err error) {
	fresh := path + extNew
	f, err = os.OpenFile(fresh, os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(fresh)
		}
	}()
	// Lock it before the rename, so that no other process can lock it first.
	locked, err := lockFile(f)
	if err == nil && !locked {
		err = ErrBusy
	}
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err == nil {
		_ = atomicfile.SyncFolder(filepath.Dir(path)) // see append
	}
	return f, err
}

// folded leaves out the sightings of a run between the first and the last.
func folded(entries []Entry) []Entry {
	runs := map[string]*span{}
	kept := make([]Entry, 0, len(entries))
	last := map[string]int{}
	for n, e := range entries {
		if l, ok := last[e.Run]; e.sighted() && (!ok || !e.At.Before(entries[l].At)) {
			last[e.Run] = n
		}
	}
	for n, e := range entries {
		if e.sighted() {
			run := runs[e.Run]
			switch {
			case run == nil:
				runs[e.Run] = &span{first: e.At, every: e.Every, rollback: e.Rollback, build: e.Build}
			case !run.between(e.Kind, e.At, e.Every, e.Rollback, []byte(e.Build)):
				run.add(e.At, e.Build)
			case last[e.Run] != n:
				continue
			}
		}
		kept = append(kept, e)
	}
	return kept
}

// A span has the sightings of a run so far.
type span struct {
	first    time.Time
	every    time.Duration
	rollback bool
	build    string
}

func (s *span) add(at time.Time, build string) {
	if at.Before(s.first) {
		s.first = at
	}
	if s.build == "" {
		s.build = build
	}
}

// between reports whether a sighting adds nothing to its run, except that it may be the last
// one. A sighting from before the first one is kept, too.
func (s *span) between(kind Kind, at time.Time, every time.Duration, rollback bool, build []byte) bool {
	return kind != KindStopped && !at.Before(s.first) && every == s.every && rollback == s.rollback && (len(build) == 0 || string(build) == s.build)
}
