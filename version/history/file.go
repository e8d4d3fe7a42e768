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
	// MaxBytes bounds each segment of the history. Values below 64 KiB mean 64 KiB. Zero
	// means no bound: nothing is ever deleted. See [FileStore].
	MaxBytes int64
}

const (
	minMaxBytes = 64 << 10

	extNew      = ".new"
	extOld      = ".old"
	extRejected = ".rejected"
)

// A FileStore keeps a history in a file of JSON lines, one [Entry] each. An append is one write
// and one fsync. Several processes of one machine may write to the same path. It needs a local
// file system, because locks over a network are not reliable. Files have mode 0600. The package
// comment has the rules for segments and MaxBytes. It is safe for concurrent use.
type FileStore struct {
	path string
	max  int64 // 0 means no bound

	one     chan struct{} // empty while an append runs
	segment *segment      // the locked segment of this process, or nil
	foldAt  int64

	count *counters
}

// NewFile returns a store that keeps the history in the file at path. The first append creates
// it; its folder must exist. NewFile returns an error for an empty path or negative options.
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

// Append writes the entries to the disk. If other processes have all segments, it waits for one
// until ctx ends, but at most 5 seconds.
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
		// Infos may have moved to the old file.
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
		_ = atomicfile.SyncFolder(filepath.Dir(g.path)) // it fails in a folder that is writable but not readable
	}
	if err != nil {
		if n > 0 {
			// Append fails, so the part that was written must go. If it stays, the next append
			// ends its line.
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

// claim locks a segment for this process, unless it still has one.
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

// Close unlocks the segment. A later append locks one again. Close may be called twice.
func (s *FileStore) Close() error {
	<-s.one
	defer func() { s.one <- struct{}{} }()
	s.forget()
	return nil
}

// Entries reads all segments. It returns no error if the file does not exist.
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

// Stats returns numbers to export as metrics:
//
//	appended         entries appended
//	append_failures  appends that failed
//	repaired         incomplete last lines that were repaired
//	folded           rewrites of the segment in a shorter form
//	fold_failures    rewrites that failed
//	bytes            size of the segment after the last append
//	rejected_lines   lines that the last query could not read
//	unread_bytes     bytes that the last query could not read
func (s *FileStore) Stats() map[string]float64 { return s.count.all() }
