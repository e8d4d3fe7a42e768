package storetest_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"path"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
	"github.com/upkeep-go/upkeep/pkgmgmt/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDir(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) registry.Store { return registry.Dir(t.TempDir()) })
}

func TestDirAcrossInstances(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) registry.Store {
		dir := t.TempDir()
		return &alternating{stores: []registry.Store{registry.Dir(dir), registry.Dir(dir), registry.Dir(dir)}}
	})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) registry.Store { return &memory{files: map[string][]byte{}} })
}

// alternating passes each call to the next of several stores over one folder, like several
// processes.
type alternating struct {
	mu     sync.Mutex
	n      int
	stores []registry.Store
}

func (a *alternating) next() registry.Store {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n++
	return a.stores[a.n%len(a.stores)]
}

func (a *alternating) Open(ctx context.Context, name string) (registry.File, error) {
	return a.next().Open(ctx, name)
}

func (a *alternating) Create(ctx context.Context, name string, content io.Reader) error {
	return a.next().Create(ctx, name, content)
}

func (a *alternating) Update(ctx context.Context, name string, edit func([]byte) ([]byte, error)) error {
	return a.next().Update(ctx, name, edit)
}

// memory is a store without locks, like one over an object store: it repeats an update if the
// content has changed meanwhile. The identity of a byte slice has the role of an ETag.
type memory struct {
	mu    sync.Mutex
	files map[string][]byte // slices are replaced, never changed
}

func (m *memory) load(name string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.files[name]
	return data, ok
}

// swap writes a file if it is still unchanged.
func (m *memory) swap(name string, old []byte, had bool, data []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, has := m.files[name]
	if has != had || has && (len(now) != len(old) || len(now) > 0 && &now[0] != &old[0]) {
		return false
	}
	m.files[name] = data
	return true
}

func (m *memory) Open(_ context.Context, name string) (registry.File, error) {
	data, ok := m.load(name)
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return file{bytes.NewReader(data), path.Base(name)}, nil
}

func (m *memory) Create(_ context.Context, name string, content io.Reader) error {
	data, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if !m.swap(name, nil, false, data) {
		return &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	return nil
}

func (m *memory) Update(_ context.Context, name string, edit func([]byte) ([]byte, error)) error {
	for {
		old, had := m.load(name)
		if had && old == nil {
			old = []byte{}
		}
		data, err := edit(old)
		if data == nil || err != nil {
			return err
		}
		if m.swap(name, old, had, data) {
			return nil
		}
	}
}

type file struct {
	*bytes.Reader
	name string
}

func (f file) Stat() (fs.FileInfo, error) { return f, nil }
func (f file) Close() error               { return nil }
func (f file) Name() string               { return f.name }
func (f file) Mode() fs.FileMode          { return 0o444 }
func (f file) ModTime() time.Time         { return time.Time{} }
func (f file) IsDir() bool                { return false }
func (f file) Sys() any                   { return nil }
