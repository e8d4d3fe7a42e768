package downtime

import (
	"context"
	"io/fs"
	"net/http"

	"github.com/upkeep-go/upkeep/internal/live"
)

// A Source loads a schedule's document, whole. Load is called by one goroutine at a
// time for each guard and must return soon after its context ends; one that does not
// is left behind once. The caller owns the bytes. A missing document is
// fs.ErrNotExist.
type Source interface {
	Load(ctx context.Context) ([]byte, error)
}

// A Watcher is a Source that can say when to look. Watch calls changed, which never
// blocks, whenever the document may have changed, and returns when ctx ends or when
// it can watch no longer. Loading at every [Options].Poll goes on all the same.
type Watcher interface {
	Watch(ctx context.Context, changed func()) error
}

// File is the document in the file at path. A change of it is seen at once where the
// system can tell, also when the file is replaced by another of its name.
//
// After the first load, a changed document is accepted only when two reads, 250 ms apart, were
// equal. A file that is still being written is therefore not taken for the whole document.
func File(path string) Source { return live.File(path) }

// FS is the document in the file called name of fsys, such as an embed.FS.
func FS(fsys fs.FS, name string) Source { return live.FS(fsys, name) }

// Bytes is a document that never changes. name is what errors call it. The bytes
// must not change.
func Bytes(name string, data []byte) Source { return live.Bytes(name, data) }

// HTTPOptions configure [HTTP]. Nil options are the defaults.
type HTTPOptions struct {
	// Client does the requests. Nil: http.DefaultClient.
	Client *http.Client

	// Header is sent with each request: credentials, for instance.
	Header http.Header
}

// HTTP is the document at a URL, asked for conditionally. While the server fails, the time
// between two requests doubles, up to 30 seconds. Errors call the document by its URL
// without credentials and query.
func HTTP(url string, opts *HTTPOptions) Source {
	return live.HTTP(url, (*live.HTTPOptions)(opts))
}

// A KoanfProvider has the shape of the providers of the koanf library. A provider
// may support one of the two methods only, and fail in the other.
type KoanfProvider interface {
	ReadBytes() ([]byte, error)
	Read() (map[string]any, error)
}

// Koanf is the document, or its text, that stands in a koanf provider under key, a
// path of names joined by dots. The empty key is the whole. Where the provider can
// watch, it is watched.
func Koanf(provider KoanfProvider, key string) Source { return live.Koanf(provider, key) }
