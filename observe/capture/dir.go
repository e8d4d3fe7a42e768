package capture

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

// DirOptions bound what a directory may hold. What is too much goes, the oldest
// first. Zero, or less, is the default.
type DirOptions struct {
	MaxAge   time.Duration // 7 days
	MaxCount int           // bundles: 1,000
	MaxBytes int64         // of all bundles: 256 MiB
}

// Dir keeps bundles as files in a directory of its own, which is made, for its owner
// only (0700), when the first is written. Files are for their owner only too (0600), and are
// whole or not there: each is written under another name, synced and renamed.
// Nil opts are the defaults.
//
// Several processes may share a directory, also with different options; each holds it to
// its own. Files that are no bundles are left alone. What is older than MaxAge is not
// found any more, and is deleted by the next Put or Sweep. Errors, of a full disk or a
// directory that cannot be written, are those of package os.
func Dir(path string, opts *DirOptions) Store {
	d := &dir{path: path, opts: DirOptions{MaxAge: 7 * 24 * time.Hour, MaxCount: 1000, MaxBytes: 256 << 20}}
	if opts != nil {
		if opts.MaxAge > 0 {
			d.opts.MaxAge = opts.MaxAge
		}
		if opts.MaxCount > 0 {
			d.opts.MaxCount = opts.MaxCount
		}
		if opts.MaxBytes > 0 {
			d.opts.MaxBytes = opts.MaxBytes
		}
	}
	return d
}

type dir struct {
	path string
	opts DirOptions
	mu   sync.Mutex // over what makes room
}

const (
	tempPrefix = ".upkeep-"
	tempAge    = time.Hour // of a temporary file whose writer must have died
)

// Open opens a bundle or, for ".", the directory.
func (d *dir) Open(name string) (fs.File, error) {
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
func (d *dir) ReadDir(name string) ([]fs.DirEntry, error) {
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
	dir    *dir
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

func (d *dir) expired(t time.Time) bool { return time.Since(t) > d.opts.MaxAge }

// Put writes a bundle once it has made room for it.
func (d *dir) Put(ctx context.Context, name string, data []byte) error {
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
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return err
	}
	defer root.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.makeRoom(root, 1, int64(len(data))); err != nil {
		return err
	}
	temp := tempPrefix + strings.ToLower(rand.Text())
	if err := writeFile(root, temp, data); err != nil {
		_ = root.Remove(temp)
		return err
	}
	if err := root.Rename(temp, name); err != nil {
		_ = root.Remove(temp)
		return err
	}
	return syncDir(root)
}

func writeFile(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// syncDir makes the new name last. Some file systems cannot, and the file is there
// all the same.
func syncDir(root *os.Root) error {
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	_ = f.Sync()
	return f.Close()
}

// Sweep deletes what is too old or too much.
func (d *dir) Sweep(ctx context.Context) error {
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
func (d *dir) makeRoom(root *os.Root, count int, bytes int64) error {
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
			if info, err := e.Info(); strings.HasPrefix(e.Name(), tempPrefix) && err == nil && time.Since(info.ModTime()) > tempAge {
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
func (d *dir) Remove(ctx context.Context, name string) error {
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
