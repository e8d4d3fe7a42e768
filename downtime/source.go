package downtime

import (
	"context"
	"io/fs"
	"net/http"

	"github.com/upkeep-go/upkeep/internal/live"
)

// A Source loads a whole document. Each guard calls Load from one goroutine at a time. Load must return
// soon after its context ends; otherwise the guard abandons the call once. The caller owns the bytes. A
// missing document is fs.ErrNotExist.
type Source interface {
	Load(ctx context.Context) ([]byte, error)
}

// A Watcher is a Source that notices changes. Watch calls changed, which never blocks, whenever the
// document may have changed, and returns when ctx ends or when it cannot watch any more. The guard still
// loads the document every [Options].Poll.
type Watcher interface {
	Watch(ctx context.Context, changed func()) error
}

// File returns the document in the file at path. Changes are noticed at once where the system supports
// it, also when the file is replaced.
//
// After the first load, a changed document is accepted only after two equal reads, 250 ms apart, so a
// file that is still being written is not accepted.
func File(path string) Source { return live.File(path) }

// FS returns the document in the file name of fsys, such as an embed.FS.
func FS(fsys fs.FS, name string) Source { return live.FS(fsys, name) }

// Bytes returns a document that does not change. Errors use name. The bytes must not be modified.
func Bytes(name string, data []byte) Source { return live.Bytes(name, data) }

// HTTPOptions configure [HTTP]. Nil options are the defaults.
type HTTPOptions struct {
	// Client sends the requests. Nil means http.DefaultClient.
	Client *http.Client

	// Header is sent with each request: credentials, for instance.
	Header http.Header
}

// HTTP returns the document at a URL, loaded by conditional requests. While the server fails, the time
// between requests doubles, up to 30s. Errors contain the URL without credentials and query.
func HTTP(url string, opts *HTTPOptions) Source {
	return live.HTTP(url, (*live.HTTPOptions)(opts))
}

// A KoanfProvider is a provider of the koanf library. It may support only one of the two methods and
// return an error from the other.
type KoanfProvider interface {
	ReadBytes() ([]byte, error)
	Read() (map[string]any, error)
}

// Koanf returns the document, or its text, at key in a koanf provider. The key is a path of names joined
// by dots; empty means the whole. If the provider can watch, changes are noticed at once.
func Koanf(provider KoanfProvider, key string) Source { return live.Koanf(provider, key) }
