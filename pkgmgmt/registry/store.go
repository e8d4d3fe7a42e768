package registry

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
)

// A Store keeps a registry's files. [Dir] is one; package storetest has the tests that
// others must pass. Any number of goroutines use a store at once, and where it is
// shared any number of processes.
//
// Names are slash-separated paths as [fs.ValidPath] has them, made of letters, digits
// and "-._~!+@/": "corp.example/lib/@v/v1.0.0.zip". No name is ever a folder of
// another, and none differs from another in the case of its letters only.
//
// What a method has done is durable when it returns, and seen by every Open that
// begins after that. Where it fails, or the process ends before it returns, all of it
// has been done, or nothing.
type Store interface {
	// Open opens a file for reading, whose content does not change while it is open.
	// An error for a missing one is [fs.ErrNotExist], and no other error is.
	// The registry closes the file. One that is an *os.File is sent by sendfile.
	Open(ctx context.Context, name string) (File, error)

	// Create writes a file that does not exist yet, from content up to its end. Of
	// several calls for one name exactly one succeeds; the others' error is
	// [fs.ErrExist], as it is when the file was there before, and that may come before
	// content has been read. Nobody sees a part of the file. When content fails, so
	// does Create, with its error wrapped.
	Create(ctx context.Context, name string, content io.Reader) error

	// Update changes a small file. edit is given the content, nil when there is no
	// such file, and returns what to write in its place; nil leaves everything as it
	// is. No other Update of that name comes between, in any process: a store either
	// keeps others out, or sees that the content has changed meanwhile and calls edit
	// again. edit may call Open and Names, and nothing else of the store. Its error is
	// Update's.
	Update(ctx context.Context, name string, edit func(old []byte) ([]byte, error)) error
}

// A Namer is a [Store] that can list its files. With it a registry finds a list that was
// lost, and [Registry.Verify] has something to walk.
type Namer interface {
	// Names yields the names of all files that begin with a prefix, in any order. Files
	// that are written or removed meanwhile may be among them. After an error it ends.
	Names(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// A Replacer is a [Store] that can replace a large file. Without it a registry replaces
// zips up to 16 MiB by Update.
type Replacer interface {
	// Replace writes a file as Create does, also in the place of one that exists, unless
	// check returns an error, which is then Replace's. No Update or Replace of that name
	// comes between check and the write. check may call Open, and nothing else of the
	// store, and may be called again, as edit of Update.
	Replace(ctx context.Context, name string, content io.Reader, check func() error) error
}

// A File is an open file of a [Store]. Stat tells its size, and when it was written.
type File interface {
	fs.File
	io.Seeker
}

// maxSmall bounds the files that are read into memory: all but zips. A list of
// 10,000 versions has 100 KB.
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

// A stamp tells whether a file has changed.
type stamp struct{ size, modified int64 }

func stampOf(info fs.FileInfo) stamp { return stamp{info.Size(), info.ModTime().UnixNano()} }
