package history

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/upkeep-go/upkeep/internal/atomicfile"
)

// fold writes the locked file anew, shorter, and locks the new one. On an error the file
// stays as it is, and appends go on for a while.
func (s *FileStore) fold(size int64) (int64, error) {
	f, length, err := s.writeFolded()
	if err != nil {
		s.count.add("fold_failures", 1)
		s.foldAt = size + s.max/4
		return size, nil
	}
	_ = s.file.Close()
	// What cannot be made shorter is not written anew each time.
	s.file, s.foldAt = f, max(s.max, length+s.max/4)
	s.count.add("folded", 1)
	return length, nil
}

func (s *FileStore) writeFolded() (f *os.File, length int64, err error) {
	path, err := filepath.EvalSymlinks(s.path) // a link stays one
	if err != nil {
		return nil, 0, err
	}
	var rejected []byte
	got, err := s.readAside(&rejected)
	if err != nil {
		return nil, 0, err
	}
	old, fresh, err := divide(folded(got.entries), s.max/2, s.max/4)
	if err != nil {
		return nil, 0, err
	}
	builds := map[string]bool{}
	freshLines, err := withBuilds(fresh, builds)
	if err != nil {
		return nil, 0, err
	}
	oldLines, err := withBuilds(old, map[string]bool{})
	if err != nil {
		return nil, 0, err
	}
	if err := setAside(path, rejected, s.max); err != nil {
		return nil, 0, err
	}
	switch {
	case got.unread > 0:
		// It was not read to the end: all of it is kept. It must not lose its name, or
		// another process would make a new file.
		fresh := path + extOld + extNew
		_ = os.Remove(fresh)
		if err := os.Link(path, fresh); err != nil {
			return nil, 0, err
		}
		if err := os.Rename(fresh, path+extOld); err != nil {
			return nil, 0, err
		}
	case len(old) > 0:
		o, err := replace(path+extOld, oldLines)
		if err != nil {
			return nil, 0, err
		}
		_ = o.Close()
	}
	if f, err = replace(path, freshLines); err != nil {
		return nil, 0, err
	}
	s.builds = builds
	return f, int64(len(freshLines)), nil
}

// divide takes from the end as many entries as fill half a file, each with the first
// sighting of its run, which would otherwise seem to begin later; and, within more bytes,
// the last run of each service in each environment, and that of each instance.
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
		known := map[[5]string]bool{}
		for n := len(entries) - 1; n >= 0 && total < half+more; n-- {
			e := &entries[n]
			place := [5]string{e.Service, e.Environment, e.Region, e.Cluster}
			if byInstance {
				place[4] = e.Instance
			}
			if !e.sighted() || known[place] {
				continue
			}
			known[place] = true
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

func (s *FileStore) readAside(rejected *[]byte) (reading, error) {
	_, err := scanLines(s.file, s.max, func(line []byte, of part) {
		switch _, err := parseLine(line, maxStoredID); {
		case of == rest: // belongs to the one before
			*rejected = append(bytes.TrimSuffix(*rejected, []byte("\n")), line...)
		case of == long || err != nil && len(line) > 0:
			*rejected = append(*rejected, line...)
		default:
			return
		}
		*rejected = append(*rejected, '\n')
	})
	if err != nil {
		return reading{}, err
	}
	return s.read(context.Background(), s.file)
}

// withBuilds writes entries, with Info for the first of each build not in builds.
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
	// It is locked before it has its name, so that nobody comes between.
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
		_ = atomicfile.SyncFolder(filepath.Dir(path)) // as in append
	}
	return f, err
}

// folded leaves out the sightings of a run between the first and the last.
func folded(entries []Entry) []Entry {
	last := map[string]int{}
	for n, e := range entries {
		if l, ok := last[e.Run]; e.sighted() && (!ok || !e.At.Before(entries[l].At)) {
			last[e.Run] = n
		}
	}
	kept := make([]Entry, 0, len(entries))
	begun := map[string]bool{}
	for n, e := range entries {
		// The first sighting of a run whose start is not told stands for it.
		if e.Kind == KindSeen && begun[e.Run] && last[e.Run] != n {
			continue
		}
		begun[e.Run] = true
		kept = append(kept, e)
	}
	return kept
}
