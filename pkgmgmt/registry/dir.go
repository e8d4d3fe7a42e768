package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/internal/atomicfile"
)

// Dir is a [Store] in a folder of a local disk, which the first write makes if it is
// missing; its parent must exist. Any number of processes of this machine may use it at
// once, where the system has flock(2); elsewhere only one may write.
//
// The tree is that of a module proxy, so that a static file server, or
// GOPROXY=file://…, can read it, with nothing of what a registry refuses. A backup is a
// snapshot of the file system, or a copy of each folder's list before its other files:
// a list that is copied later may name what the copy has not got. What a crash has left
// below ".tmp" is removed when the next process begins to write, or a day later where there
// is no flock(2).
//
// A file is written under another name, synced, and linked or renamed into place, and
// then its folder is synced. A folder that was never there is an empty registry. One that
// vanishes while the process runs, or whose parent is missing, makes every file an error and
// not a missing file: a disk that is not mounted must not make the go command ask for
// private modules elsewhere. Dir is a [Namer] and a [Replacer].
func Dir(path string) Store {
	path = filepath.Clean(path)
	return &dir{root: path, tmp: filepath.Join(path, ".tmp")}
}

type dir struct {
	root, tmp string
	used      atomic.Bool // the root was there
	sweep     sync.Once
	durable   sync.Map // of folders whose names are known to survive a crash
}

// A temporary file whose owner is dead is removed once it is not young any more; where
// there are no locks by which that can be told, once it is stale, for uploads take
// minutes.
const (
	young = time.Minute
	stale = 24 * time.Hour
)

func (d *dir) path(op, name string) (string, error) {
	if !fs.ValidPath(name) || name == "." || strings.Contains(name, `\`) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return filepath.Join(d.root, filepath.FromSlash(name)), nil
}

func (d *dir) Open(_ context.Context, name string) (File, error) {
	path, err := d.path("open", name)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|atomicfile.NonBlock, 0)
	switch {
	case err == nil:
		if !d.used.Load() {
			d.used.Store(true)
		}
		return f, nil
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG):
		err = &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if missing := d.missing(); missing != nil {
		return nil, missing
	}
	return nil, err
}

// missing is an error if the root has vanished. A root that was never there is an empty
// registry, unless its parent is missing as well.
func (d *dir) missing() error {
	_, err := os.Stat(d.root)
	if err == nil {
		d.used.Store(true)
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) && !d.used.Load() {
		_, err = os.Stat(filepath.Dir(d.root))
	}
	if err != nil {
		return fmt.Errorf("the registry's folder: %v", err) // not %w: nothing is known to be missing
	}
	return nil
}

func (d *dir) stat(name string) (stamp, error) {
	path, err := d.path("stat", name)
	if err != nil {
		return stamp{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stampOf(info), nil
}

func (d *dir) Create(_ context.Context, name string, content io.Reader) error {
	path, err := d.path("create", name)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	source, err := d.copied(content)
	if err != nil {
		return err
	}
	if source != content {
		defer discard(source)
	}
	if err := d.folder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Link(source.Name(), path); err != nil {
		return err
	}
	return atomicfile.SyncFolder(filepath.Dir(path))
}

func (d *dir) Replace(ctx context.Context, name string, content io.Reader, check func() error) error {
	path, err := d.path("replace", name)
	if err != nil {
		return err
	}
	source, err := d.copied(content)
	if err != nil {
		return err
	}
	if source != content {
		defer discard(source)
	}
	unlock, err := d.lockFolder(ctx, filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()
	if err := check(); err != nil {
		return err
	}
	return d.rename(source, path)
}

func (d *dir) Names(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		root := path.Dir(prefix + "x") // no name begins with a part of a folder's name here
		err := filepath.WalkDir(filepath.Join(d.root, filepath.FromSlash(root)), func(name string, e fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, fs.ErrNotExist):
				return d.missing()
			case err != nil:
				return err
			case e.IsDir() && name == d.tmp:
				return fs.SkipDir
			case !e.Type().IsRegular() || e.Name() == ".lock":
				return nil
			}
			rel, err := filepath.Rel(d.root, name)
			if rel = filepath.ToSlash(rel); err != nil || !strings.HasPrefix(rel, prefix) {
				return err
			}
			if !yield(rel, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield("", err)
		}
	}
}

// copied is content as a temporary file on the folder's disk: itself, or a copy.
func (d *dir) copied(content io.Reader) (*os.File, error) {
	if f, own := d.own(content); own {
		return f, f.Sync()
	}
	f, err := d.temp()
	if err != nil {
		return nil, err
	}
	if _, err = io.Copy(f, content); err == nil {
		err = f.Sync()
	}
	if err != nil {
		discard(f)
		return nil, err
	}
	return f, nil
}

func (d *dir) rename(f *os.File, path string) error {
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return atomicfile.SyncFolder(filepath.Dir(path))
}

// lockFolder makes a folder, and waits for its lock.
func (d *dir) lockFolder(ctx context.Context, folder string) (unlock func(), err error) {
	if err := d.folder(folder); err != nil {
		return nil, err
	}
	return lock(ctx, filepath.Join(folder, ".lock"))
}

// own says whether content is an untouched temporary file of this folder, which can
// be linked instead of copied.
func (d *dir) own(content io.Reader) (*os.File, bool) {
	f, ok := content.(*os.File)
	if !ok || filepath.Dir(f.Name()) != d.tmp {
		return nil, false
	}
	at, err := f.Seek(0, io.SeekCurrent)
	return f, err == nil && at == 0
}

func (d *dir) Update(ctx context.Context, name string, edit func([]byte) ([]byte, error)) error {
	path, err := d.path("update", name)
	if err != nil {
		return err
	}
	unlock, err := d.lockFolder(ctx, filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()

	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	content, err := edit(old)
	if err != nil || content == nil || old != nil && bytes.Equal(old, content) {
		return err
	}
	f, err := d.copied(bytes.NewReader(content))
	if err != nil {
		return err
	}
	defer discard(f)
	return d.rename(f, path)
}

func (d *dir) temp() (*os.File, error) {
	if err := d.folder(d.tmp); err != nil {
		return nil, err
	}
	d.sweep.Do(d.removeStale)
	f, err := createTemp(d.tmp)
	if err == nil {
		hold(f)
	}
	return f, err
}

func createTemp(folder string) (*os.File, error) {
	// os.CreateTemp would give the file to its owner alone, and what is linked into the
	// tree is for others to read.
	return os.OpenFile(filepath.Join(folder, "upkeep-"+rand.Text()), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
}

// discard closes and removes a temporary file. What has been linked or renamed keeps
// its other name.
func discard(f *os.File) {
	f.Close()
	os.Remove(f.Name())
}

func (d *dir) removeStale() {
	entries, err := os.ReadDir(d.tmp)
	if err != nil {
		return // the next process tries again
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue
		}
		name, age := filepath.Join(d.tmp, e.Name()), time.Since(info.ModTime())
		if age > stale || age > young && abandoned(name) {
			os.Remove(name)
		}
	}
}

// folder makes a folder and those above it up to the root, and makes their names
// durable, also those that another process has made and perhaps not synced yet.
func (d *dir) folder(path string) error {
	if _, known := d.durable.Load(path); known {
		_, err := os.Stat(path)
		if err == nil {
			return nil
		}
		if path == d.root { // it was there: a new one in its place would look like an empty registry
			return fmt.Errorf("the registry's folder: %v", err) // not %w, as in Open
		}
	}
	if path != d.root {
		if err := d.folder(filepath.Dir(path)); err != nil {
			return err
		}
	}
	switch err := os.Mkdir(path, 0o755); {
	case err == nil, path != d.root && errors.Is(err, fs.ErrExist):
		if err := atomicfile.SyncFolder(filepath.Dir(path)); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	d.durable.Store(path, true)
	return nil
}

// processLock stands for all others where the system has no flock(2).
var processLock sync.Mutex

// lock waits until nobody else holds the lock of that file, in this process or in
// another, or ctx ends. The system gives it back when a process dies, and not when one
// is stopped.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	if !atomicfile.Supported {
		processLock.Lock()
		return processLock.Unlock, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	// A flock(2) that waits cannot be told to stop, and each holds a thread.
	for wait := time.Millisecond; ; wait = min(2*wait, 16*time.Millisecond) {
		locked, err := atomicfile.Try(f, atomicfile.Exclusive)
		switch {
		case locked:
			return func() { f.Close() }, nil
		case err != nil:
			f.Close()
			return nil, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			f.Close()
			return nil, &os.PathError{Op: "flock", Path: path, Err: ctx.Err()}
		}
	}
}

// hold says that a temporary file has an owner, as long as it is open.
func hold(f *os.File) { _, _ = atomicfile.Try(f, atomicfile.Exclusive) }

// abandoned says whether a file has no owner. Without flock(2) nobody can tell.
func abandoned(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	locked, err := atomicfile.Try(f, atomicfile.Exclusive)
	return err == nil && locked
}
