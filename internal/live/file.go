package live

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

type fileSource struct {
	path string
	settling
}

// File is a source that reads the file at path. It notices when the file is written in place, replaced
// by rename, removed and created again, or reached through a symbolic link that is switched, as
// Kubernetes does with the files of a ConfigMap. The file and its folder need not exist yet.
//
// A changed document is accepted after two equal reads, 250 ms apart, so that a file that is still
// being written is not taken for the whole document. The very first load accepts the file at once.
func File(path string) Source {
	s := &fileSource{path: path}
	s.read = s.readWhole
	return s
}

func (s *fileSource) Name() string { return s.path }

// readWhole reads the file. If the file has changed meanwhile, it reads it again.
func (s *fileSource) readWhole(ctx context.Context) ([]byte, error) {
	const tries = 5
	for try := 1; ; try++ {
		before, err := os.Stat(s.path)
		if err != nil {
			return nil, withoutPath(err)
		}
		data, err := ReadFile(s.path)
		if err != nil {
			return nil, withoutPath(err)
		}
		after, err := os.Stat(s.path)
		if err == nil && os.SameFile(before, after) && before.Size() == after.Size() &&
			before.ModTime().Equal(after.ModTime()) && int64(len(data)) == after.Size() {
			return data, nil
		}
		if try == tries {
			return nil, errChanging
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// ReadFile reads a regular file. Opening anything else could block for ever.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file: %v", info.Mode().Type())
	}
	if info.Size() > MaxBytes {
		return nil, ErrTooLarge
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f)
}

// Writable checks that a file can be created or replaced: it creates a temporary file in the same folder.
func Writable(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file: %v", path, info.Mode().Type())
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// withoutPath removes the path, because the keeper's error contains it already.
func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func (s *fileSource) Watch(ctx context.Context, changed func()) error {
	path, err := filepath.Abs(s.path)
	if err != nil {
		return err
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()

	var points, dirs map[string]bool
	renew := func() error {
		points, dirs = route(path)
		for _, dir := range watcher.WatchList() {
			if !dirs[dir] {
				_ = watcher.Remove(dir) // it may be gone already
			}
		}
		var failed error
		for dir := range dirs {
			// Adding a watched folder again is cheap, and needed if the folder was replaced.
			if err := watcher.Add(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				failed = err
			}
		}
		return failed
	}
	if err := renew(); err != nil {
		return err
	}
	changed() // the file may have changed before the watch was set up
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err, ok := <-watcher.Errors:
			if !ok || !errors.Is(err, fsnotify.ErrEventOverflow) {
				return err
			}
			changed()
		case event, ok := <-watcher.Events:
			if !ok {
				return errors.New("the watcher closed")
			}
			if !points[event.Name] && !dirs[event.Name] {
				continue // another file in the folder
			}
			if event.Has(fsnotify.Create) || event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename) {
				// The path may lead to another file now.
				if err := renew(); err != nil {
					return err
				}
			}
			changed()
		}
	}
}

// route follows path as the kernel does. points are where the path can change: symbolic links, and the
// file itself or the first part that is missing. dirs are the folders that contain them.
func route(path string) (points, dirs map[string]bool) {
	const maxLinks = 40
	points, dirs = map[string]bool{}, map[string]bool{}
	root := filepath.VolumeName(path) + string(filepath.Separator)
	at, rest := root, split(path[len(root):])
	for links := 0; len(rest) > 0; {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(next)
		switch {
		case err != nil:
			points[next], dirs[at] = true, true
			return points, dirs
		case info.Mode()&fs.ModeSymlink != 0:
			points[next], dirs[at] = true, true
			target, err := os.Readlink(next)
			if links++; err != nil || links > maxLinks {
				return points, dirs
			}
			if filepath.IsAbs(target) {
				at = root
				target = target[len(filepath.VolumeName(target)):]
			}
			rest = append(split(target), rest...)
		default:
			if len(rest) == 0 {
				points[next], dirs[at] = true, true
			}
			at = next
		}
	}
	return points, dirs
}

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}
