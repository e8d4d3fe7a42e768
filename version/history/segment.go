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

// segmentPath is where a segment is; the first is the file at the path itself.
func segmentPath(path string, n int) string {
	if n == 1 {
		return path
	}
	return path + extSegment + strconv.Itoa(n)
}

// target is the path that a link leads to, so that all writers of a file know the same
// segments.
func target(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path // it is not there, or opening it gives a better error
}

// A segment is a file that this process alone appends to, because it has its lock.
type segment struct {
	path string
	file *os.File
	info os.FileInfo // which file it is
	size int64
	torn bool // it ends in the middle of a line
	// builds are those whose info is in the file. Nil means that they are not known.
	builds map[string]bool

	// received is the time of the last entry that was received, in the epoch.
	received time.Time
	epoch    int64
}

// claim returns the first segment that no other process has.
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

// tryClaim returns nil when another has the segment.
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
	// It may have been written anew, moved or removed since it was opened.
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

// resize takes note of what others have done to the file.
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

// learnClock finds out whether the clock was set back since anything was written.
func (g *segment) learnClock(base string) {
	for n := 1; n <= maxSegments; n++ {
		f, err := os.Open(segmentPath(base, n))
		if err != nil {
			continue // a reader says what is wrong with it
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

// receive stamps entries with the time.
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
		if b := toldBuild(in.line); b != "" {
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

// lockFile does not wait. Without flock(2) only appends of one process wait for one
// another.
func lockFile(f *os.File) (bool, error) {
	if !atomicfile.Supported {
		return true, nil
	}
	return atomicfile.Try(f, atomicfile.Exclusive)
}
