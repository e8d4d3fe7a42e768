package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/upkeep-go/upkeep/internal/atomicfile"
)

const (
	extSegment  = ".segment"
	maxSegments = 64

	lockTimeout = 5 * time.Second
)

// segmentPath returns the path of a segment. The first segment is the file at path itself.
func segmentPath(path string, n int) string {
	if n == 1 {
		return path
	}
	return path + extSegment + strconv.Itoa(n)
}

// target resolves links, so that all writers of a file use the same segments.
func target(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path // it does not exist, or opening it returns a better error
}

// A segment is a file that only this process appends to, because it holds the lock.
type segment struct {
	path string
	file *os.File
	info os.FileInfo // identifies the file
	size int64
	torn bool // the last line is incomplete
	// builds are those whose info is in the file. Nil means that the file must be read first.
	builds map[string]bool

	// received is when the last entry of the epoch was received.
	received time.Time
	epoch    int64
}

// claim locks the first segment that is free.
func claim(ctx context.Context, path string) (*segment, error) {
	deadline := time.Now().Add(lockTimeout)
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		base := target(path)
		for n := 1; n <= maxSegments; n++ {
			g, err := tryClaim(segmentPath(base, n))
			if err != nil {
				return nil, err
			}
			if g != nil {
				g.learnClock(base)
				return g, nil
			}
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s and its %d segments: %w", path, maxSegments, ErrBusy)
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, fmt.Errorf("%s: %w", path, context.Cause(ctx))
		}
	}
}

// tryClaim returns nil if another process has the segment.
func tryClaim(path string) (g *segment, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND|atomicfile.NonBlock, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if g == nil {
			_ = f.Close()
		}
	}()
	if locked, err := lockFile(f); err != nil || !locked {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "append", Path: path, Err: errNotRegular}
	}
	// It may have been rewritten, moved or removed since it was opened.
	named, err := os.Stat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err != nil || !os.SameFile(info, named) {
		return nil, nil
	}
	own := &segment{path: path, file: f, info: info}
	if err := own.resize(info.Size()); err != nil {
		return nil, err
	}
	return own, nil
}

// resize updates size and torn after another program has changed the file.
func (g *segment) resize(size int64) error {
	if size < g.size {
		g.builds = nil
	}
	g.size, g.torn = size, false
	if size == 0 {
		return nil
	}
	var last [1]byte
	if _, err := g.file.ReadAt(last[:], size-1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	g.torn = last[0] != '\n'
	return nil
}

// current reports whether the segment is still the file at its path.
func (g *segment) current() (bool, error) {
	named, err := os.Stat(g.path)
	if errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(g.info, named) {
		return false, nil
	}
	if err == nil && named.Size() != g.size {
		err = g.resize(named.Size())
	}
	return err == nil, err
}

// learnClock reads the last receipt of all segments, so that receive notices a clock that was
// set back since.
func (g *segment) learnClock(base string) {
	for n := 1; n <= maxSegments; n++ {
		f, err := os.Open(segmentPath(base, n))
		if err != nil {
			continue // queries return the error
		}
		if epoch, received, ok := lastReceived(f); ok && (epoch > g.epoch || epoch == g.epoch && received.After(g.received)) {
			g.epoch, g.received = epoch, received
		}
		_ = f.Close()
	}
}

func lastReceived(f *os.File) (epoch int64, received time.Time, ok bool) {
	in, err := newScanner(f, 256<<10)
	if err != nil {
		return 0, time.Time{}, false
	}
	var v view
	for in.scan() {
		if v.read(in.line) && inRange(v.received) {
			epoch, received, ok = v.epoch, v.received, true
		}
	}
	return epoch, received, ok
}

// receive sets the times of entries, and their epoch.
func (g *segment) receive(entries []Entry, now time.Time) {
	if g.received.Sub(now) >= setBack {
		g.epoch++
	}
	g.received = now
	for n, e := range entries {
		entries[n] = e.Receive(now)
		entries[n].epoch = g.epoch
	}
}

func (g *segment) learnBuilds(most int64) error {
	if g.builds != nil {
		return nil
	}
	in, err := newScanner(g.file, most)
	if err != nil {
		return err
	}
	builds := map[string]bool{}
	for in.scan() {
		if b := buildWithInfo(in.line); b != "" {
			builds[b] = true
		}
	}
	if in.err != nil {
		return in.err
	}
	g.builds = builds
	return nil
}

func (g *segment) close() { _ = g.file.Close() }

var errNotRegular = errors.New("not a regular file")

// lockFile does not wait. Without flock(2) it locks nothing.
func lockFile(f *os.File) (bool, error) {
	if !atomicfile.Supported {
		return true, nil
	}
	return atomicfile.Try(f, atomicfile.Exclusive)
}
