package flags

import (
	"context"
	"io/fs"
	"net/http"

	"github.com/upkeep-go/upkeep/internal/live"
)

// A Source loads a flag document. Load is called by one goroutine at a time and must
// return soon after its context ends; one that does not is left behind once, and not
// called again until it has returned. A missing document is fs.ErrNotExist. A source
// that panics has failed.
type Source interface {
	Load(ctx context.Context) ([]byte, error)
}

// A Watcher is a Source that can say when to look. Watch calls changed, which never
// blocks, when the document may have changed, and returns when its context ends. It
// is a doorbell: the document is polled all the same.
type Watcher interface {
	Watch(ctx context.Context, changed func()) error
}

// File is the document at path. It is noticed at once when the file is written,
// replaced by rename, removed and made again, or reached through a symbolic link
// that is switched, as Kubernetes does with a ConfigMap. It need not exist yet.
//
// After the first load, a changed document is accepted only when two reads, 250 ms apart, were
// equal. A file that is still being written is therefore not taken for the whole document.
func File(path string) Source { return live.File(path) }

// FS is the document called name in fsys, such as an embed.FS.
func FS(fsys fs.FS, name string) Source { return live.FS(fsys, name) }

// Bytes is a document in memory, called name in errors. data must not change.
func Bytes(name string, data []byte) Source { return live.Bytes(name, data) }

// HTTPOptions configure [HTTP]. Nil options are the defaults.
type HTTPOptions struct {
	// Client does the requests. Nil: http.DefaultClient.
	Client *http.Client

	// Header is sent with each request: credentials, for instance.
	Header http.Header
}

// HTTP is the document at a URL, got by conditional requests, of at most 64 MiB
// unpacked. While the server fails, the time between two requests doubles from
// [Options.Poll] up to 30 seconds, or Poll if that is longer; a Retry-After counts up to five
// minutes. Until there is a first document it is asked each second. Errors name the
// URL without credentials and query.
func HTTP(url string, opts *HTTPOptions) Source {
	return live.HTTP(url, (*live.HTTPOptions)(opts))
}

// A KoanfProvider has the shape of the providers of the koanf library. It may support
// one of the two methods only, and fail in the other.
type KoanfProvider interface {
	ReadBytes() ([]byte, error)
	Read() (map[string]any, error)
}

// Koanf is the document, or its text, that stands under key in a koanf provider. The
// key is a path of names joined by dots; the empty key is all that the provider has.
func Koanf(provider KoanfProvider, key string) Source { return live.Koanf(provider, key) }
