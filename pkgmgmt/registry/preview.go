package registry

import (
	stdzip "archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"

	"golang.org/x/mod/module"
)

func (g *reader) preview(at *target, c *contents, zip string) http.Handler {
	var j journal
	j.confirm(at.version, c, 0)
	record, _ := json.Marshal(j) // its fields cannot fail
	info, _ := at.info(now())    // route has checked the version
	with := &reader{
		catalog: catalog{store: &overlay{Store: g.store, at: *at, zip: zip, files: map[string][]byte{
			at.file + ".mod":    c.goMod,
			at.file + ".info":   info,
			at.file + recordEnd: record,
		}}},
		prefixes: g.prefixes,
		cached:   fresh,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := &request{Request: r, w: &recorder{ResponseWriter: w}}
		at, bad := route(r.URL.Path)
		p := nothing()
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			p = refuse(http.StatusForbidden, ruleAuthorize, "this is a preview and read-only")
		case bad == nil && at.protocol && g.private(at.module):
			req.at = at
			p = with.answerFile(req)
		}
		if p != nil {
			p.write(req.w, r)
		}
	})
}

// An overlay is a read-only store with one more version.
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
		return newMemoryFile(name, data), nil
	}
	if name == o.at.base+listFile && !module.IsPseudoVersion(o.at.version) {
		list, err := readSmall(ctx, o.Store, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return newMemoryFile(name, listed(list, o.at.version, true)), nil
	}
	return o.Store.Open(ctx, name)
}

func (*overlay) Create(context.Context, string, io.Reader) error { return fs.ErrPermission }

func (*overlay) Update(context.Context, string, func([]byte) ([]byte, error)) error {
	return fs.ErrPermission
}

type memoryFile struct {
	*bytes.Reader
	info fs.FileInfo
}

func newMemoryFile(name string, data []byte) *memoryFile {
	header := stdzip.FileHeader{Name: name, UncompressedSize64: uint64(len(data))}
	return &memoryFile{bytes.NewReader(data), header.FileInfo()}
}

func (f *memoryFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *memoryFile) Close() error               { return nil }
