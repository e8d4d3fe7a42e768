package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/upkeep-go/upkeep/internal/document"
)

// MaxBytes is the largest document that is read.
const MaxBytes = 64 << 20

// Errors of a document, besides those of its source and its parser.
var (
	ErrEmpty    = document.ErrEmpty
	ErrNull     = document.ErrNull
	ErrTooLarge = fmt.Errorf("the document is larger than %d bytes", MaxBytes)
	ErrBusy     = errors.New("the source has not returned from an earlier load")
)

// A Source loads a document. Each keeper calls Load from one goroutine at a time. Load must return
// soon after its context ends, and fs.ErrNotExist for a missing document. The caller owns the bytes.
type Source interface {
	Load(ctx context.Context) ([]byte, error)
}

// A Watcher is a Source that can report changes. Watch calls changed, which never blocks, whenever the
// document may have changed. It returns when ctx ends or when it cannot watch any more.
type Watcher interface {
	Watch(ctx context.Context, changed func()) error
}

// SourceName returns a source's name for its document.
func SourceName(src Source) string {
	if n, ok := src.(interface{ Name() string }); ok {
		return n.Name()
	}
	return fmt.Sprintf("%T", src)
}

type bytesSource struct {
	name string
	data []byte
}

// Bytes is a source that always returns data, which must not change.
func Bytes(name string, data []byte) Source { return bytesSource{name, data} }

func (s bytesSource) Name() string { return s.name }

func (s bytesSource) Load(context.Context) ([]byte, error) { return bytes.Clone(s.data), nil }

type fsSource struct {
	fsys fs.FS
	name string
	settling
}

// FS is a source that reads the file called name from fsys, such as an embed.FS. As with [File], a
// changed document is accepted after two equal reads.
func FS(fsys fs.FS, name string) Source {
	s := &fsSource{fsys: fsys, name: name}
	s.read = s.readOnce
	return s
}

func (s *fsSource) Name() string { return s.name }

func (s *fsSource) readOnce(context.Context) ([]byte, error) {
	if s.fsys == nil {
		return nil, errors.New("the file system is nil")
	}
	f, err := s.fsys.Open(s.name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f)
}

// readAll reads everything, up to MaxBytes.
func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxBytes {
		return nil, ErrTooLarge
	}
	return data, nil
}

// A KoanfProvider has the methods of koanf's providers. A provider may support only one of the two and
// return an error from the other.
type KoanfProvider interface {
	ReadBytes() ([]byte, error)
	Read() (map[string]any, error)
}

type koanfSource struct {
	provider KoanfProvider
	key      string
}

// Koanf is a source that reads a document, as a map or as text, under key in a koanf provider. The key
// is a path of names joined by dots. Empty means everything in the provider.
//
// A provider that can watch, such as koanf's file provider, makes the next poll come early. Koanf's
// methods take no context, so a provider that hangs is abandoned.
func Koanf(provider KoanfProvider, key string) Source {
	s := koanfSource{provider, key}
	if w, ok := provider.(koanfWatcher); ok {
		return watchedKoanf{s, w}
	}
	return s
}

func (s koanfSource) Name() string {
	if s.key == "" {
		return fmt.Sprintf("%T", s.provider)
	}
	return fmt.Sprintf("%T %s", s.provider, s.key)
}

func (s koanfSource) Load(context.Context) ([]byte, error) {
	tree, readErr := s.provider.Read()
	if readErr == nil {
		return s.inTree(tree)
	}
	text, bytesErr := s.provider.ReadBytes()
	if bytesErr != nil {
		return nil, errors.Join(readErr, bytesErr)
	}
	if s.key == "" {
		return text, nil
	}
	root, err := document.Parse(s.Name(), text)
	if err != nil {
		return nil, err
	}
	at := root
	for name := range strings.SplitSeq(s.key, ".") {
		if at = at.Get(name); at == nil {
			return nil, fmt.Errorf("no %q in the document: %w", s.key, fs.ErrNotExist)
		}
	}
	if at.Kind == document.String {
		return []byte(at.Text), nil
	}
	return at.AppendJSON(nil), nil
}

func (s koanfSource) inTree(tree map[string]any) ([]byte, error) {
	var at any = tree
	if s.key != "" {
		var ok bool
		if at, ok = lookUp(tree, s.key); !ok {
			return nil, fmt.Errorf("no %q in the provider: %w", s.key, fs.ErrNotExist)
		}
	}
	switch at := at.(type) {
	case string:
		return []byte(at), nil
	case []byte:
		return at, nil
	}
	return json.Marshal(at)
}

// lookUp finds key in a tree that may be flat, nested, or both, because koanf's providers return either.
func lookUp(tree map[string]any, key string) (any, bool) {
	if v, ok := tree[key]; ok {
		return v, true
	}
	for i := range len(key) {
		if key[i] != '.' {
			continue
		}
		if inner, ok := tree[key[:i]].(map[string]any); ok {
			if v, ok := lookUp(inner, key[i+1:]); ok {
				return v, true
			}
		}
	}
	return nil, false
}

// koanfWatcher is implemented by koanf's watching providers. Watch returns at once and calls back from
// a goroutine of the provider.
type koanfWatcher interface {
	Watch(cb func(event any, err error)) error
}

type watchedKoanf struct {
	koanfSource
	watcher koanfWatcher
}

func (s watchedKoanf) Watch(ctx context.Context, changed func()) error {
	failed := make(chan error, 1)
	err := s.watcher.Watch(func(_ any, err error) {
		if err == nil {
			changed()
			return
		}
		select {
		case failed <- err:
		default:
		}
	})
	if err != nil {
		return err
	}
	if w, ok := s.watcher.(interface{ Unwatch() error }); ok {
		defer func() { _ = w.Unwatch() }()
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err := <-failed:
		return err
	}
}
