package pkgmgmt

import (
	"context"
	"io/fs"
	"net/http"

	"github.com/upkeep-go/upkeep/internal/live"
)

// A Source loads a policy's document. Load is called by one goroutine at a time for each
// policy and must return soon after its context ends. If it does not, the policy stops
// waiting once. The caller owns the bytes. The error of a missing document is
// fs.ErrNotExist.
type Source interface {
	Load(ctx context.Context) ([]byte, error)
}

// A Watcher is a Source that reports changes. Watch calls changed, which never blocks, when
// the document may have changed. It returns when its context ends or when it cannot watch any
// more. The document is polled as well.
type Watcher interface {
	Watch(ctx context.Context, changed func()) error
}

// File is the document in the file at path. A change is noticed at once where the
// system supports it, also when the file is replaced by another of its name.
//
// After the first load, a changed document is accepted only when two reads, 250 ms apart, were
// equal. A file that is still being written is therefore not taken for the whole document.
func File(path string) Source { return live.File(path) }

// FS is the document in the file called name of fsys, such as an embed.FS.
func FS(fsys fs.FS, name string) Source { return live.FS(fsys, name) }

// Bytes is a document that never changes, called name in errors. data must not
// change.
func Bytes(name string, data []byte) Source { return live.Bytes(name, data) }

// HTTPOptions configure [HTTP]. Nil options are the defaults.
type HTTPOptions struct {
	// Client does the requests. Nil means http.DefaultClient.
	Client *http.Client

	// Header is sent with each request: credentials, for instance.
	Header http.Header
}

// HTTP is the document at a URL, loaded by conditional requests. While the server fails, the
// time between two requests doubles, up to 30 seconds. Errors name the document by its
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

// Koanf is the document, or its text, under key in a koanf provider. The
// key is a path of names joined by dots. The empty key means the provider's whole content.
func Koanf(provider KoanfProvider, key string) Source { return live.Koanf(provider, key) }
