package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/atomicfile"
)

// DirOptions bound what a directory may hold. The oldest bundles are deleted first.
type DirOptions struct {
	MaxAge   time.Duration // Zero means 7 days.
	MaxCount int           // of bundles. Zero means 1,000.
	MaxBytes int64         // of all bundles. Zero means 256 MiB.
}

// A Dir is a [Store] that keeps bundles as files in a directory of its own.
type Dir struct {
	path string
	opts DirOptions
	mu   sync.Mutex // held while a Put or Sweep makes room
}

// NewDir returns a store in the directory path. It does no I/O: the first Put makes the
// directory, for its owner only (0700). Files are for their owner only (0600), and are
// whole or not there: each is written under another name, synced and renamed.
// Nil opts are the defaults. The error is for an empty path or negative options.
//
// Several processes may share a directory, also with different options; each holds it to
// its own. Files that are not bundles are left alone. Open does not find bundles that are
// older than MaxAge, and the next Put or Sweep deletes them. Errors, of a full disk or a
// directory that cannot be written, are those of package os.
func NewDir(path string, opts *DirOptions) (*Dir, error) {
	d := &Dir{path: path}
	if opts != nil {
		d.opts = *opts
	}
	if path == "" {
		return nil, errors.New("capture: NewDir: the path is empty")
	}
	if d.opts.MaxAge < 0 || d.opts.MaxCount < 0 || d.opts.MaxBytes < 0 {
		return nil, fmt.Errorf("capture: NewDir: options must not be negative, got %+v", d.opts)
	}
	d.opts.MaxAge = cmp.Or(d.opts.MaxAge, 7*24*time.Hour)
	d.opts.MaxCount = cmp.Or(d.opts.MaxCount, 1000)
	d.opts.MaxBytes = cmp.Or(d.opts.MaxBytes, 256<<20)
	return d, nil
}

const tempAge = time.Hour // after which the writer of a temporary file must have died

func isTemporary(name string) bool {
	hidden, ok := strings.CutPrefix(name, ".")
	bundle, _, isTemp := strings.Cut(hidden, ".har.")
	_, err := NameTime(bundle + ".har")
	return ok && isTemp && err == nil
}

// Open opens a bundle or, for ".", the directory.
func (d *Dir) Open(name string) (fs.File, error) {
	if name == "." {
		f, err := os.Open(d.path)
		if err != nil {
			return nil, err
		}
		return &dirFile{f, d}, nil
	}
	fault := func(err error) error { return &fs.PathError{Op: "open", Path: name, Err: err} }
	t, err := NameTime(name)
	if err != nil {
		return nil, fault(errors.Join(err, fs.ErrNotExist))
	}
	if d.expired(t) {
		return nil, fault(fs.ErrNotExist)
	}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// A pipe or a link of that name is none of ours.
	if info, err := root.Lstat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fault(fs.ErrNotExist)
	}
	return root.Open(name)
}

// ReadDir lists the bundles by name, which is by time.
func (d *Dir) ReadDir(name string) ([]fs.DirEntry, error) {
	if name != "." {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	return d.bundles(entries), nil
}

// dirFile is the directory as a file, with only the bundles in it.
type dirFile struct {
	fs.ReadDirFile
	dir *Dir
}

func (f *dirFile) ReadDir(n int) ([]fs.DirEntry, error) {
	for {
		entries, err := f.ReadDirFile.ReadDir(n)
		entries = f.dir.bundles(entries)
		if len(entries) > 0 || n <= 0 || err != nil {
			return entries, err
		}
	}
}

func (d *Dir) bundles(entries []fs.DirEntry) []fs.DirEntry {
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		t, err := NameTime(e.Name())
		return err != nil || !e.Type().IsRegular() || d.expired(t)
	})
}

func (d *Dir) expired(t time.Time) bool { return time.Since(t) > d.opts.MaxAge }

// Put writes a bundle once it has made room for it.
func (d *Dir) Put(ctx context.Context, name string, data []byte) error {
	if _, err := NameTime(name); err != nil {
		return err
	}
	if int64(len(data)) > d.opts.MaxBytes {
		return fmt.Errorf("%w: %d bytes of %d", ErrTooLarge, len(data), d.opts.MaxBytes)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.makeRoom(1, int64(len(data))); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(d.path, name), data, 0o600)
}

// Sweep deletes what is too old or too much.
func (d *Dir) Sweep(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.makeRoom(0, 0)
}

// makeRoom deletes so much that another count bundles of so many bytes fit.
func (d *Dir) makeRoom(count int, bytes int64) error {
	entries, err := os.ReadDir(d.path) // by name, so the oldest first
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var kept []fs.FileInfo
	var faults []error
	remove := func(name string) {
		if err := os.Remove(filepath.Join(d.path, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, err)
		}
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // not ours, or another process has deleted it
		}
		switch t, err := NameTime(e.Name()); {
		case err != nil:
			if isTemporary(e.Name()) && time.Since(info.ModTime()) > tempAge {
				remove(e.Name())
			}
		case d.expired(t):
			remove(e.Name())
		default:
			kept = append(kept, info)
			bytes += info.Size()
		}
	}
	count += len(kept)
	for _, b := range kept {
		if count <= d.opts.MaxCount && bytes <= d.opts.MaxBytes {
			break
		}
		remove(b.Name())
		count, bytes = count-1, bytes-b.Size()
	}
	return errors.Join(faults...)
}

// Remove deletes a bundle.
func (d *Dir) Remove(ctx context.Context, name string) error {
	if _, err := NameTime(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return os.Remove(filepath.Join(d.path, name))
}
