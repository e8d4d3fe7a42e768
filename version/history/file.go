package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/atomicfile"
)

// FileOptions configure a [FileStore]. Nil options are the defaults.
type FileOptions struct {
	// MaxBytes bounds each segment of the history, at least 64 KiB. Zero means no bound:
	// nothing is ever deleted. See [FileStore].
	MaxBytes int64
}

const (
	minMaxBytes = 64 << 10

	extNew      = ".new"
	extOld      = ".old"
	extRejected = ".rejected"
)

// A FileStore keeps a history in a file of JSON lines, each an [Entry]. [NewFile] makes
// it.
//
// Several processes of one machine may write one history. The first appends to the file at
// the path. While it runs, the next one appends to a file beside it that ends in
// ".segment2", and so on up to ".segment64". These files are the segments of the history. A
// process locks its segment (flock(2)) from its first append until Close or its end, also a
// sudden one. The next process that starts takes the first segment that is free and appends
// to it, so there are never more segments than there were processes at the same time. No
// process writes to the segment of another. Without flock(2) only one process may write.
//
// An append is one write and one fsync. The next append after a crash ends a line that was
// cut. An invalid line stays and is counted. What was built is written once for each build
// in each segment. Do not remove or rename single segments.
//
// Readers need no lock. They read all segments and put their entries in the order in which
// they were received, by the clock of the machine. Each id counts once.
//
// Nothing is deleted as long as MaxBytes is zero. Otherwise a segment that would grow beyond
// MaxBytes is written anew by the process that has it: without the sightings between the
// first and the last of a run, and, if that is not enough, without the oldest entries, which
// go to a file beside it that ends in ".old" and is replaced the next time; queries do not
// read it. The last run of each service, environment and instance stays, up to a quarter of
// MaxBytes. Invalid lines go to a file that ends in ".rejected". All files of one segment
// together take five times MaxBytes at most. Of a longer one only the end is read, four times
// MaxBytes. A reader that has opened a segment reads it as it was before.
//
// [Timeline], [Between], [At] and [Current] decode only what they need: of each run the
// first and the last sighting, the events of that time, and the dependencies of the builds
// in the answer. See [Only] for one service or environment.
//
// The files are for their owner alone. They belong on a local file system, because locks
// over a network are not reliable.
type FileStore struct {
	path string
	max  int64 // Zero means no bound.

	one     chan struct{} // holds a token while nobody appends
	segment *segment      // that this process has, or nil
	foldAt  int64

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
	case o.MaxBytes > 0:
		o.MaxBytes = max(o.MaxBytes, minMaxBytes)
	}
	s := &FileStore{path: path, max: o.MaxBytes, one: make(chan struct{}, 1)}
	s.count = newCounters("appended", "append_failures", "repaired", "folded", "fold_failures", "bytes", "rejected_lines", "unread_bytes")
	s.one <- struct{}{}
	return s, nil
}

// Append writes the entries to the disk. While other processes have all segments it waits
// for one, at most 5 seconds and at most until ctx ends.
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
	if err := s.claim(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.forget()
		}
	}()
	if hasInfo(entries) {
		if err := s.segment.learnBuilds(4 * s.max); err != nil {
			return err
		}
	}
	s.segment.receive(entries, time.Now())
	builds := maps.Clone(s.segment.builds)
	lines, err := withBuilds(entries, builds)
	if err != nil {
		return err
	}
	if s.max > 0 && s.segment.size > 0 && s.segment.size+int64(len(lines)) > s.foldAt {
		if err := s.fold(); err != nil {
			return err
		}
		// What was built may have gone to the old file.
		builds = maps.Clone(s.segment.builds)
		if lines, err = withBuilds(entries, builds); err != nil {
			return err
		}
	}
	g := s.segment
	if g.torn {
		s.count.add("repaired", 1)
		lines = append([]byte{'\n'}, lines...)
	}
	n, err := g.file.Write(lines)
	if err == nil {
		err = g.file.Sync()
	}
	if err == nil && g.size == 0 {
		_ = atomicfile.SyncFolder(filepath.Dir(g.path)) // who may write to a folder need not be able to read it
	}
	if err != nil {
		if n > 0 {
			// Nobody has been told that it is there. If it stays, it is ended by the next.
			_ = g.file.Truncate(g.size)
		}
		return err
	}
	g.size, g.torn, g.builds = g.size+int64(n), false, builds
	s.count.set("bytes", g.size)
	return nil
}

func hasInfo(entries []Entry) bool {
	return slices.ContainsFunc(entries, func(e Entry) bool { return e.infoJSON != nil })
}

// claim makes sure that this process has a segment.
func (s *FileStore) claim(ctx context.Context) error {
	if s.segment != nil {
		if current, err := s.segment.current(); current {
			return nil
		} else if err != nil {
			s.forget()
			return err
		}
		s.forget()
	}
	g, err := claim(ctx, s.path)
	if err != nil {
		return err
	}
	s.segment, s.foldAt = g, s.max
	return nil
}

func (s *FileStore) forget() {
	if s.segment != nil {
		s.segment.close()
		s.segment = nil
	}
}

// Close gives the segment back. A later append takes one again. Close may be called twice.
func (s *FileStore) Close() error {
	<-s.one
	defer func() { s.one <- struct{}{} }()
	s.forget()
	return nil
}

// Entries reads all segments. Before the first entry there is none, and no error.
func (s *FileStore) Entries(ctx context.Context) ([]Entry, error) {
	var list []Entry
	texts := map[string]string{}
	m, err := s.read(ctx, func(r *record) { list = append(list, r.entry(texts)) })
	if err == nil {
		err = m.complete(ctx, list)
	}
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return list, nil
}

// read calls each for each record of all segments.
func (s *FileStore) read(ctx context.Context, each func(*record)) (*merger, error) {
	sources, err := openSources(s.path, 4*s.max)
	if err != nil {
		return nil, err
	}
	defer closeSources(sources)
	m, err := newMerger(s.path, sources)
	if err == nil {
		err = m.each(ctx, each)
	}
	if err != nil {
		return nil, err
	}
	unread := int64(0)
	for _, g := range sources {
		unread += g.in.unread
	}
	s.count.set("rejected_lines", int64(m.rejected))
	s.count.set("unread_bytes", unread)
	return m, nil
}

// Stats are numbers for metrics and alerts: entries "appended", "append_failures",
// "repaired" torn ends, "folded" and "fold_failures" of writing a segment anew, its "bytes"
// after the last append, and "rejected_lines" and "unread_bytes" of the last query.
func (s *FileStore) Stats() map[string]float64 { return s.count.all() }
