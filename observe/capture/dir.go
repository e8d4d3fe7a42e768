package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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

// tempAge is the age of a temporary file whose writer must have died.
const tempAge = time.Hour

// isTemporary reports whether name is that of a bundle that is being written.
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
		return &dirFile{File: f, dir: d}, nil
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
	bundles := entries[:0]
	for _, e := range entries {
		if t, err := NameTime(e.Name()); err == nil && e.Type().IsRegular() && !d.expired(t) {
			bundles = append(bundles, e)
		}
	}
	return bundles, nil
}

// dirFile is the directory as a file, with only the bundles in it.
type dirFile struct {
	fs.File
	dir    *Dir
	listed []fs.DirEntry
	read   bool
}

func (f *dirFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if !f.read {
		list, err := f.dir.ReadDir(".")
		if err != nil {
			return nil, err
		}
		f.listed, f.read = list, true
	}
	return nextEntries(&f.listed, n)
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
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := d.makeRoom(root, 1, int64(len(data))); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(d.path, name), data, 0o600)
}

// Sweep deletes what is too old or too much.
func (d *Dir) Sweep(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	root, err := os.OpenRoot(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.makeRoom(root, 0, 0)
}

// makeRoom deletes so much that another count bundles of so many bytes fit.
func (d *Dir) makeRoom(root *os.Root, count int, bytes int64) error {
	entries, err := fs.ReadDir(root.FS(), ".") // by name, so the oldest first
	if err != nil {
		return err
	}
	type bundle struct {
		name string
		size int64
	}
	var kept []bundle
	var faults []error
	remove := func(name string) {
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, err)
		}
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		t, err := NameTime(e.Name())
		if err != nil {
			if info, err := e.Info(); isTemporary(e.Name()) && err == nil && time.Since(info.ModTime()) > tempAge {
				remove(e.Name())
			}
			continue
		}
		if d.expired(t) {
			remove(e.Name())
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // another process has deleted it
		}
		kept = append(kept, bundle{e.Name(), info.Size()})
		bytes += info.Size()
	}
	count += len(kept)
	for _, b := range kept {
		if count <= d.opts.MaxCount && bytes <= d.opts.MaxBytes {
			break
		}
		remove(b.name)
		count, bytes = count-1, bytes-b.size
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
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return err
	}
	defer root.Close()
	return root.Remove(name)
}

// nextEntries is what fs.ReadDirFile says of ReadDir.
func nextEntries(list *[]fs.DirEntry, n int) ([]fs.DirEntry, error) {
	if n <= 0 || n > len(*list) {
		if n > 0 && len(*list) == 0 {
			return nil, io.EOF
		}
		n = len(*list)
	}
	next := (*list)[:n]
	*list = (*list)[n:]
	return next, nil
}
