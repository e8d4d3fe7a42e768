package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/upkeep-go/upkeep/internal/atomicfile"
)

// FileOptions configure a [FileStore]. Nil options are the defaults.
type FileOptions struct {
	// MaxBytes bounds the file, at least 64 KiB. Zero means 16 MiB. See [FileStore].
	MaxBytes int64
}

const (
	defaultMaxBytes = 16 << 20
	minMaxBytes     = 64 << 10

	extNew      = ".new"
	extOld      = ".old"
	extRejected = ".rejected"

	lockTimeout = 5 * time.Second
)

// A FileStore keeps a history in a file of JSON lines, each an [Entry]. [NewFile] makes
// it.
//
// Several processes of one machine may append to one file, each append with one write and
// one fsync under the file's lock (flock(2); without it only one process may write). The
// next append ends a line that a crash has cut. An invalid line stays and is counted. What
// was built is written once for each build.
//
// A file that would grow beyond MaxBytes is written anew: without the sightings between
// the first and the last of a run, and, if that is not enough, without the oldest entries,
// which go to a file beside it that ends in ".old" and is replaced the next time; queries
// do not read it. The last run of each service, environment and instance stays, up to a
// quarter of MaxBytes. Invalid lines go to a file that ends in ".rejected". All files
// together take five times MaxBytes at most. Of a longer file only the end is read, four
// times MaxBytes. Reading takes about three times the file's length in memory.
//
// The file is for its owner alone. It belongs on a local file system, because locks over a
// network are not reliable.
type FileStore struct {
	path string
	max  int64

	one  chan struct{} // holds a token while nobody appends
	file *os.File      // open, or nil
	// builds are those whose info is in file.
	builds map[string]bool
	foldAt int64

	count *counters
}

// NewFile returns a store that keeps the history in the file at path, which the first
// append makes; its folder must exist. Its error is an empty path, or negative options.
//
// The errors of [FileStore.Append] wrap those of the file system: syscall.ENOSPC,
// fs.ErrPermission.
func NewFile(path string, opts *FileOptions) (*FileStore, error) {
	o := *cmp.Or(opts, new(FileOptions))
	switch {
	case path == "":
		return nil, errors.New("history: the path is empty")
	case o.MaxBytes < 0:
		return nil, errors.New("history: MaxBytes must not be negative")
	case o.MaxBytes == 0:
		o.MaxBytes = defaultMaxBytes
	}
	s := &FileStore{path: path, max: max(o.MaxBytes, minMaxBytes), one: make(chan struct{}, 1)}
	s.foldAt = s.max
	s.count = newCounters("appended", "append_failures", "repaired", "folded", "fold_failures", "bytes", "rejected_lines", "unread_bytes")
	s.one <- struct{}{}
	return s, nil
}

// Append writes the entries to the disk. It waits for other processes at most 5 seconds,
// and at most until ctx ends.
func (s *FileStore) Append(ctx context.Context, entries ...Entry) error {
	kept, err := tidyAll(entries, maxStoredID)
	if err != nil {
		return err
	}
	select {
	case <-s.one:
		defer func() { s.one <- struct{}{} }()
	case <-ctx.Done():
		return fmt.Errorf("history: %s: %w", s.path, context.Cause(ctx))
	}
	if err := s.append(ctx, kept); err != nil {
		s.count.add("append_failures", 1)
		return fmt.Errorf("history: cannot append: %w", err)
	}
	s.count.add("appended", len(kept))
	return nil
}

func (s *FileStore) append(ctx context.Context, entries []Entry) (err error) {
	if len(entries) == 0 {
		return nil
	}
	size, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if e := unlockFile(s.file); err == nil {
			err = e
		}
		if err != nil {
			s.forget()
		}
	}()
	if err := s.learnBuilds(entries); err != nil {
		return err
	}
	now := time.Now()
	for n, e := range entries {
		entries[n] = e.Receive(now)
	}
	builds := maps.Clone(s.builds)
	lines, err := withBuilds(entries, builds)
	if err != nil {
		return err
	}
	if size > 0 && size+int64(len(lines)) > s.foldAt {
		if size, err = s.fold(size); err != nil {
			return err
		}
		// What was built may have gone to the old file.
		builds = maps.Clone(s.builds)
		if lines, err = withBuilds(entries, builds); err != nil {
			return err
		}
	}
	if size > 0 {
		var last [1]byte
		if _, err := s.file.ReadAt(last[:], size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			s.count.add("repaired", 1)
			lines = append([]byte{'\n'}, lines...)
		}
	}
	n, err := s.file.Write(lines)
	if err == nil {
		err = s.file.Sync()
	}
	if err == nil && size == 0 {
		_ = atomicfile.SyncFolder(filepath.Dir(s.path)) // who may write to a folder need not be able to read it
	}
	if err != nil {
		if n > 0 {
			// Nobody has been told that it is there. If it stays, it is ended by the next.
			_ = s.file.Truncate(size)
		}
		return err
	}
	s.builds = builds
	s.count.set("bytes", size+int64(n))
	return nil
}

func (s *FileStore) lock(ctx context.Context) (size int64, err error) {
	deadline := time.Now().Add(lockTimeout)
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		size, locked, err := s.tryLock()
		if err != nil || locked {
			return size, err
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("%s: %w", s.path, ErrBusy)
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return 0, fmt.Errorf("%s: %w", s.path, context.Cause(ctx))
		}
	}
}

func (s *FileStore) tryLock() (size int64, locked bool, err error) {
	if s.file == nil {
		f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_APPEND|atomicfile.NonBlock, 0o600)
		if err != nil {
			return 0, false, err
		}
		s.file, s.builds = f, nil
	}
	defer func() {
		if !locked {
			// The next one may find another file.
			s.forget()
		}
	}()
	if locked, err = lockFile(s.file); err != nil || !locked {
		return 0, false, err
	}
	ours, err := s.file.Stat()
	if err != nil {
		return 0, false, err
	}
	if !ours.Mode().IsRegular() {
		return 0, false, &os.PathError{Op: "append", Path: s.path, Err: errNotRegular}
	}
	// It may have been written anew, moved or removed since it was opened.
	theirs, err := os.Stat(s.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, false, err
	}
	if err != nil || !os.SameFile(ours, theirs) {
		return 0, false, nil
	}
	return ours.Size(), true, nil
}

var errNotRegular = errors.New("not a regular file")

// lockFile does not wait. Without flock(2) only appends of one process wait for one
// another.
func lockFile(f *os.File) (bool, error) {
	if !atomicfile.Supported {
		return true, nil
	}
	return atomicfile.Try(f, atomicfile.Exclusive)
}

func unlockFile(f *os.File) error {
	if !atomicfile.Supported {
		return nil
	}
	return atomicfile.Unlock(f)
}

func (s *FileStore) forget() {
	if s.file != nil {
		_ = s.file.Close()
		s.file, s.builds = nil, nil
	}
}

// Close closes the file. A later append opens it again. Close may be called twice.
func (s *FileStore) Close() error {
	<-s.one
	defer func() { s.one <- struct{}{} }()
	s.forget()
	return nil
}

func (s *FileStore) learnBuilds(entries []Entry) error {
	if s.builds != nil {
		return nil
	}
	for _, e := range entries {
		if e.infoJSON == nil {
			continue
		}
		builds := map[string]bool{}
		_, err := scanLines(s.file, s.max, func(line []byte, _ part) {
			if b := toldBuild(line); b != "" {
				builds[b] = true
			}
		})
		s.builds = builds
		return err
	}
	return nil
}

// Entries reads the file. Before the first entry there is none, and no error.
func (s *FileStore) Entries(ctx context.Context) ([]Entry, error) {
	f, err := os.OpenFile(s.path, os.O_RDONLY|atomicfile.NonBlock, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("history: %w", &os.PathError{Op: "read", Path: s.path, Err: errNotRegular})
	}
	read, err := s.read(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	s.count.set("rejected_lines", int64(read.rejected))
	s.count.set("unread_bytes", read.unread)
	return read.entries, nil
}

// Stats are numbers for metrics and alerts: entries "appended", "append_failures",
// "repaired" torn ends, "folded" and "fold_failures" of writing it anew, "bytes" after the
// last append, and "rejected_lines" and "unread_bytes" of the last query.
func (s *FileStore) Stats() map[string]float64 { return s.count.all() }
