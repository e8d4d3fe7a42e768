package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path"
	"time"

	"golang.org/x/mod/module"
)

// preview gives the read side of the registry with a version that is not published
// yet.
func (g *Registry) preview(at *target, c *cargo, zip string) http.Handler {
	record, _ := json.Marshal(Record{Version: at.version, Sum: c.sum, GoModSum: c.goModSum}) // all of which can be written
	p := &Registry{
		store: &overlay{Store: g.store, at: *at, zip: zip, files: map[string][]byte{
			at.file + ".mod":     c.goMod,
			at.file + ".info":    info{Version: at.version, Time: time.Now().UTC().Truncate(time.Second)}.encode(),
			at.file + recordEnd:  record,
			at.file + blockedEnd: nil,
		}},
		opts:   g.opts,
		log:    slog.New(slog.DiscardHandler),
		cached: fresh,
	}
	p.opts.Authorize, p.opts.Public = nil, ""
	return p
}

// An overlay is a store with one version more. Nothing can be written to it.
type overlay struct {
	Store
	at    target
	zip   string
	files map[string][]byte
}

func (o *overlay) Open(ctx context.Context, name string) (File, error) {
	if name == o.at.file+".zip" {
		return os.Open(o.zip)
	}
	if data, ok := o.files[name]; ok {
		return newFile(name, data), nil
	}
	if name == o.at.base+listFile && !module.IsPseudoVersion(o.at.version) {
		list, err := read(ctx, o.Store, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if with := listed(list, o.at.version, true); with != nil {
			list = with
		}
		return newFile(name, list), nil
	}
	return o.Store.Open(ctx, name)
}

func (*overlay) Create(context.Context, string, io.Reader) error { return fs.ErrPermission }

func (*overlay) Update(context.Context, string, func([]byte) ([]byte, error)) error {
	return fs.ErrPermission
}

// A file in memory.
type file struct {
	*bytes.Reader
	name string
	size int64
}

func newFile(name string, data []byte) *file {
	return &file{Reader: bytes.NewReader(data), name: path.Base(name), size: int64(len(data))}
}

func (f *file) Stat() (fs.FileInfo, error) { return f, nil }
func (f *file) Close() error               { return nil }
func (f *file) Name() string               { return f.name }
func (f *file) Size() int64                { return f.size }
func (f *file) Mode() fs.FileMode          { return 0o444 }
func (f *file) ModTime() time.Time         { return time.Time{} }
func (f *file) IsDir() bool                { return false }
func (f *file) Sys() any                   { return nil }
