package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/upkeep-go/upkeep/internal/document"
)

// MaxBytes is the largest document that is read.
const MaxBytes = 64 << 20

// What a document's failing may be, besides the errors of its source and parser.
var (
	ErrEmpty    = document.ErrEmpty
	ErrNull     = document.ErrNull
	ErrTooLarge = fmt.Errorf("the document is larger than %d bytes", MaxBytes)
	ErrBusy     = errors.New("the source has not returned from an earlier load")
)

// A Source loads a document. Load is called by one goroutine at a time for each
// keeper and must return soon after its context ends. The caller owns the bytes.
// A missing document is fs.ErrNotExist.
type Source interface {
	Load(ctx context.Context) ([]byte, error)
}

// A Watcher is a Source that can say when to look. Watch calls changed, which
// never blocks, whenever the document may have changed, and returns when ctx ends or
// when it can watch no longer.
type Watcher interface {
	Watch(ctx context.Context, changed func()) error
}

// SourceName is what a source calls its document.
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

// Bytes is a source that always gives data, which must not change.
func Bytes(name string, data []byte) Source { return bytesSource{name, data} }

func (s bytesSource) Name() string { return s.name }

func (s bytesSource) Load(context.Context) ([]byte, error) { return bytes.Clone(s.data), nil }

type fsSource struct {
	fsys fs.FS
	name string
}

// FS is a source that reads the file called name of fsys, such as an embed.FS.
func FS(fsys fs.FS, name string) Source { return fsSource{fsys, name} }

func (s fsSource) Name() string { return s.name }

func (s fsSource) Load(context.Context) ([]byte, error) {
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

// readAll reads to the end, or to the bound.
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
