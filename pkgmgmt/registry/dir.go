package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
// a list that is copied later may name what the copy has not got. What a crash has left below ".tmp" is removed when the next process
// begins to write, or a day later where there is no flock(2).
//
// A file is written under another name, synced, and linked or renamed into place, and
// then its folder is synced. As long as the folder itself is missing every file is an
// error and not a missing file: that a disk is not mounted must not make the go command
// ask for private modules elsewhere.
func Dir(path string) Store {
	path = filepath.Clean(path)
	return &dir{root: path, tmp: filepath.Join(path, ".tmp")}
}

type dir struct {
	root, tmp string
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
		return f, nil
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG):
		err = &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if _, rootErr := os.Stat(d.root); rootErr != nil {
		return nil, fmt.Errorf("the registry's folder: %v", rootErr) // not %w: nothing is known to be missing
	}
	return nil, err
}

// beside reads a small file of a version of which another file has just been read: what
// is missing then is missing, and the root is not looked at.
func (d *dir) beside(name string) ([]byte, error) {
	path, err := d.path("open", name)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func (d *dir) Create(_ context.Context, name string, content io.Reader) error {
	path, err := d.path("create", name)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	source, own := d.own(content)
	if !own {
		if source, err = d.temp(); err != nil {
			return err
		}
		defer discard(source)
		if _, err := io.Copy(source, content); err != nil {
			return err
		}
	}
	if err := source.Sync(); err != nil {
		return err
	}
	if err := d.folder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Link(source.Name(), path); err != nil {
		return err
	}
	return atomicfile.SyncFolder(filepath.Dir(path))
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
	folder := filepath.Dir(path)
	if err := d.folder(folder); err != nil {
		return err
	}
	unlock, err := lock(ctx, filepath.Join(folder, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()

	old, err := os.ReadFile(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		old = nil
	} else if old == nil {
		old = []byte{}
	}
	content, err := edit(old)
	if err != nil || content == nil || old != nil && bytes.Equal(old, content) {
		return err
	}
	f, err := d.temp()
	if err != nil {
		return err
	}
	defer discard(f)
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return atomicfile.SyncFolder(folder)
}

// temp makes a temporary file on the folder's disk.
func (d *dir) temp() (*os.File, error) {
	if err := d.folder(d.tmp); err != nil {
		return nil, err
	}
	d.sweep.Do(d.removeStale)
	f, err := createTemp(d.tmp)
	if err == nil {
		claim(f)
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
