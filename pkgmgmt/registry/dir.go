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

// Dir is a [Store] in a folder of a local disk. The first write creates the folder; its parent
// must exist. Several processes of one machine may use the folder at once if the system has
// flock(2); otherwise only one process may write. Dir is a [Namer] and a [Replacer].
//
// The folder has the layout of a module proxy. A static file server and GOPROXY=file://… can
// serve it, but they do not refuse what the registry refuses. Back it up by a snapshot of the
// file system, or copy each folder's list before its other files, because a list must not
// name versions that the copy lacks. Each write goes to a temporary file that is synced and
// linked or renamed; then the folder is synced. Temporary files of a crash are removed from
// ".tmp" at the first write of the next process, or a day later without flock(2).
//
// A folder that does not exist is an empty registry. If the folder vanishes while the process
// runs, or its parent is missing, every access is an error and not a missing file. Otherwise
// an unmounted disk would make the go command ask other proxies for private modules.
func Dir(path string) Store {
	path = filepath.Clean(path)
	return &dir{root: path, tmp: filepath.Join(path, ".tmp")}
}

type dir struct {
	root, tmp string
	used      atomic.Bool // the root existed
	sweep     sync.Once
	durable   sync.Map // folders whose names survive a crash
}

// upstreamFolder is the folder of an upstream's cache. Names skips it.
const upstreamFolder = ".upstream"

// An abandoned temporary file is removed after young. Without flock(2) every temporary file is
// removed after stale, which is longer than any upload takes.
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

// missing returns an error if the root has vanished. A root that never existed is an empty
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
		return fmt.Errorf("the registry's folder: %v", err) // not %w, because the file itself may exist
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
		root := path.Dir(prefix + "x") // "x" keeps a prefix that ends in a slash
		err := filepath.WalkDir(filepath.Join(d.root, filepath.FromSlash(root)), func(name string, e fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, fs.ErrNotExist):
				return d.missing()
			case err != nil:
				return err
			case e.IsDir() && (name == d.tmp || name == filepath.Join(d.root, upstreamFolder)):
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

// copied returns content as a synced temporary file on the folder's disk. If content is such a
// file, it is not copied.
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

// lockFolder creates a folder and waits for its lock.
func (d *dir) lockFolder(ctx context.Context, folder string) (unlock func(), err error) {
	if err := d.folder(folder); err != nil {
		return nil, err
	}
	return lock(ctx, filepath.Join(folder, ".lock"))
}

// own reports whether content is an unread temporary file of this folder. Such a file can be
// linked instead of copied.
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
	// Not os.CreateTemp: only the owner could read its file, and after the link others must
	// be able to.
	return os.OpenFile(filepath.Join(folder, "upkeep-"+rand.Text()), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
}

// discard closes and removes a temporary file. A linked or renamed file keeps its other name.
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

// folder creates a folder and its parents up to the root, and syncs their names. It also syncs
// folders of other processes, which may not be synced yet.
func (d *dir) folder(path string) error {
	if _, durable := d.durable.Load(path); durable {
		_, err := os.Stat(path)
		if err == nil {
			return nil
		}
		if path == d.root { // it existed: a new folder would look like an empty registry
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

// processLock replaces the file locks on systems without flock(2).
var processLock sync.Mutex

// lock locks a file against this process and all others. It waits until ctx ends. The system
// releases the lock when a process dies, but not while a process is stopped.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	if !atomicfile.Supported {
		processLock.Lock()
		return processLock.Unlock, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	// A blocking flock(2) cannot be cancelled and occupies a thread, so poll.
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

// hold marks a temporary file as owned while it is open.
func hold(f *os.File) { _, _ = atomicfile.Try(f, atomicfile.Exclusive) }

// abandoned reports whether a temporary file has lost its owner. It is always false without
// flock(2).
func abandoned(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	locked, err := atomicfile.Try(f, atomicfile.Exclusive)
	return err == nil && locked
}
