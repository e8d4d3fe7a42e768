package registry

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
)

// A Store keeps a registry's files. [Dir] is one; package storetest tests other
// implementations. A store must be safe for concurrent use, also by several processes if
// they share it.
//
// Names are slash-separated paths that are valid by [fs.ValidPath] and made of letters,
// digits and "-._~!+@/": "corp.example/lib/@v/v1.0.0.zip". A name is never a folder of
// another name, and two names never differ only in the case of letters.
//
// When a method returns, its change is durable and visible to every later Open. A change is
// atomic: after an error, or if the process ends, it has happened completely or not at all.
type Store interface {
	// Open opens a file for reading. The content of an open file never changes. The error
	// matches [fs.ErrNotExist] if, and only if, the file is missing. The registry closes the
	// file. An *os.File is sent by sendfile.
	Open(ctx context.Context, name string) (File, error)

	// Create writes a new file with all of content. Of several calls for one name exactly
	// one succeeds. The others return [fs.ErrExist], as for a file that exists; they need
	// not read content. A partly written file is never visible. An error of content is
	// returned wrapped.
	Create(ctx context.Context, name string, content io.Reader) error

	// Update changes a small file. edit gets the content, or nil for a missing file, and
	// returns the new content; nil means no change. Between edit and the write, the file is
	// not changed by another Update in any process: a store either locks the file, or
	// notices the other change and calls edit again. edit may only call Open and Names of
	// the store. Update returns edit's error.
	Update(ctx context.Context, name string, edit func(old []byte) ([]byte, error)) error
}

// A Namer is a [Store] that can list its files. [Registry.Verify] requires it, and a
// registry uses it to notice a lost list.
type Namer interface {
	// Names yields the names of all files that begin with a prefix, in any order. Files
	// that are written or removed during the call may be included. It ends after an error.
	Names(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// A Replacer is a [Store] that can replace a large file. For other stores a registry
// replaces zips of up to 16 MiB by Update.
type Replacer interface {
	// Replace writes a file as Create does, and may replace an existing file. If check
	// returns an error, Replace writes nothing and returns that error. Between check and the
	// write, the file is not changed by another Update or Replace. check may be called
	// several times, and may only call Open of the store.
	Replace(ctx context.Context, name string, content io.Reader, check func() error) error
}

// A File is an open file of a [Store]. Stat returns its size and the time of its writing.
type File interface {
	fs.File
	io.Seeker
}

// maxSmall bounds the files that are read into memory: all except zips. A list of 10,000
// versions has 100 KB.
const maxSmall = 16 << 20

var errTooLarge = errors.New("too large")

func readSmall(ctx context.Context, store Store, name string) ([]byte, error) {
	data, _, err := load(ctx, store, name)
	return data, err
}

func load(ctx context.Context, store Store, name string) ([]byte, stamp, error) {
	f, err := store.Open(ctx, name)
	if err != nil {
		return nil, stamp{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, stamp{}, err
	}
	if info.Size() > maxSmall {
		return nil, stamp{}, &fs.PathError{Op: "read", Path: info.Name(), Err: errTooLarge}
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, stamp{}, err
	}
	return data, stampOf(info), nil
}

// A stamp is compared to notice that a file has changed.
type stamp struct{ size, modified int64 }

func stampOf(info fs.FileInfo) stamp { return stamp{info.Size(), info.ModTime().UnixNano()} }
