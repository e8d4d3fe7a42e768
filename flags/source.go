package flags

import (
	"context"
	"io/fs"
	"net/http"

	"github.com/upkeep-go/upkeep/internal/live"
)

// A Source loads a flag document. Load is called by one goroutine at a time and must return soon
// after its context ends. A Load that does not return is abandoned once; Load is called again
// only after it has returned. Load returns fs.ErrNotExist for a missing document. A panic in Load
// counts as a failure.
type Source interface {
	Load(ctx context.Context) ([]byte, error)
}

// A Watcher is a Source that can report changes. Watch calls changed, which never blocks, when
// the document may have changed, and returns when its context ends. Watch only makes the next
// load come earlier: the document is polled as well.
type Watcher interface {
	Watch(ctx context.Context, changed func()) error
}

// File loads the document at path. A change is noticed at once when the file is written, replaced
// by rename, removed and created again, or reached through a symbolic link that is switched, as
// Kubernetes does with a ConfigMap. The file need not exist yet.
//
// After the first load, a changed document is accepted only when two reads, 250 ms apart, are
// equal. So a file that is still being written is not taken for the whole document.
func File(path string) Source { return live.File(path) }

// FS loads the document called name from fsys, such as an embed.FS.
func FS(fsys fs.FS, name string) Source { return live.FS(fsys, name) }

// Bytes is a document in memory, called name in errors. The caller must not change data.
func Bytes(name string, data []byte) Source { return live.Bytes(name, data) }

// HTTPOptions configure [HTTP]. Nil options are the defaults.
type HTTPOptions struct {
	// Client sends the requests. Nil means http.DefaultClient.
	Client *http.Client

	// Header is sent with each request, for example credentials. Nil means none.
	Header http.Header
}

// HTTP loads the document at a URL with conditional requests, up to 64 MiB uncompressed. While
// the server fails, the time between two requests doubles from [Options.Poll] up to 30 seconds,
// or up to Poll if that is longer. Retry-After is obeyed up to five minutes. Until the first
// document is loaded, the URL is requested each second. Errors contain the URL without
// credentials and query.
func HTTP(url string, opts *HTTPOptions) Source {
	return live.HTTP(url, (*live.HTTPOptions)(opts))
}

// A KoanfProvider has the methods of koanf's providers. A provider may support only one of the
// two and return an error from the other.
type KoanfProvider interface {
	ReadBytes() ([]byte, error)
	Read() (map[string]any, error)
}

// Koanf loads the document, as a map or as text, under key in a koanf provider. The key is a path
// of names joined by dots. Empty means everything in the provider.
func Koanf(provider KoanfProvider, key string) Source { return live.Koanf(provider, key) }
