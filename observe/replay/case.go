package replay

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"

	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// A Case is a bundle about to be replayed. Its methods may be called by several
// goroutines at once.
type Case struct {
	Bundle *capture.Bundle // as it was read; not to be changed

	opts     Options
	path     string            // of the bundle
	digest   string            // of its file
	redactor *capture.Redactor // of the bundle's rules; nil when it is not redacted
	keyed    bool              // with the bundle's key, so that pseudonyms can be compared
	client   openfeature.IClient

	mu       sync.Mutex
	made     []bool // exchanges that were asked for, by their entry
	values   map[string]int
	outcome  outcome
	problems []string // what makes the test fail
	remarks  []string // what is only logged
	missing  []string // what the handler asked for, and was not replayed as it was
	broken   []string // what the handler asked for, and could not be replayed

	valuesRead, flagsRead []bool   // as made
	hiddenParts           []string // of the request as it is served
}

// Load reads a bundle for who wants to see what is in it, or to serve its request in a way
// of their own. The error is that of reading the file, or of [capture.Parse].
func Load(path string) (*Case, error) { return Options{}.load(path) }

func (o Options) load(path string) (*Case, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b, err := capture.Parse(path, data)
	if err != nil {
		return nil, err
	}
	d := &b.Log.Details
	c := &Case{
		Bundle: b, opts: o, path: path, digest: digestOf(data), values: map[string]int{},
		made: make([]bool, len(b.Log.Entries)), valuesRead: make([]bool, len(d.Values)), flagsRead: make([]bool, len(d.Flags)),
	}
	if err := c.newRedactor(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	api := isolated.NewAPI()
	// The provider has no state and no events, so nothing has to be shut down.
	if err := api.SetProviderAndWait(context.Background(), provider{c}); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.client = api.NewClient()
	return c, nil
}

func (c *Case) newRedactor() error {
	seal := c.Bundle.Log.Details.Seal
	if seal == nil {
		return nil
	}
	rules := seal.Rules
	rules.Key = c.opts.Key
	r, err := capture.NewRedactor(&rules)
	if err != nil {
		return err
	}
	if c.keyed = c.opts.Key != nil; c.keyed && r.KeyID() != seal.Key {
		return fmt.Errorf("replay: Options.Key is not the key that the bundle was redacted with (%s, not %s)", r.KeyID(), seal.Key)
	}
	c.redactor = r.Again(c.Bundle)
	return nil
}

func (c *Case) entry() *capture.Entry { return &c.Bundle.Log.Entries[0] }

// Time is when the request came. In a synctest bubble, time.Sleep(time.Until(c.Time()))
// makes it now.
func (c *Case) Time() time.Time { return c.entry().Started }

// Request is the request as a server would get it, new each time. It has the pseudonyms
// of what was sent, and the request's own id in X-Request-Id, which makes it the id again
// where an observe.Observer's Handler is around the application's. Reading a part of the body
// that the bundle does not have is an error.
func (c *Case) Request() *http.Request {
	q := &c.entry().Request
	u, err := url.Parse(q.URL)
	if err != nil {
		u = &url.URL{Path: "/"} // capture.Parse has seen to it
	}
	r := &http.Request{
		Method: q.Method, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: headersOf(q.Headers), Host: u.Host, RemoteAddr: "192.0.2.1:1234",
		URL: &url.URL{Path: cmp.Or(u.Path, "/"), RawPath: u.RawPath, RawQuery: u.RawQuery}, RequestURI: u.RequestURI(), Body: http.NoBody,
	}
	maps.DeleteFunc(r.Header, func(name string, _ []string) bool {
		return slices.Contains(ofTheServer, name) || strings.HasPrefix(name, ":")
	})
	if u.Scheme == "https" {
		r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: u.Hostname()}
	}
	if id := c.Bundle.Log.Details.RequestID; id != "" {
		r.Header.Set("X-Request-Id", id)
	}
	if major, minor, ok := http.ParseHTTPVersion(q.HTTPVersion); ok {
		r.Proto, r.ProtoMajor, r.ProtoMinor = q.HTTPVersion, major, minor
	}
	if body := c.newRequestBody(); body != nil {
		r.Body, r.ContentLength = body, body.length
		if body.noLength {
			r.ContentLength = -1
			if r.ProtoMajor == 1 {
				r.TransferEncoding = []string{"chunked"}
			}
		}
	}
	return r
}

// ofTheServer are headers that a server takes out of a request, and the length, which may have
// changed.
var ofTheServer = []string{"Host", "Content-Length", "Transfer-Encoding", "Trailer"}

// problem makes the test fail, and says why.
func (c *Case) problem(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// lack notes something that the outcome may depend on and that is not as it was.
func (c *Case) lack(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := fmt.Sprintf(format, args...); !slices.Contains(c.missing, s) {
		c.missing = append(c.missing, s)
	}
}

// remark is said once.
func (c *Case) remark(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := fmt.Sprintf(format, args...); !slices.Contains(c.remarks, s) {
		c.remarks = append(c.remarks, s)
	}
}

// Options say how a bundle is replayed.
type Options struct {
	// Key is the key that the bundle was redacted with; another is an error. With it answers
	// are redacted alike and compared. Nil compares only the kind of hidden data.
	Key []byte

	// Prepare may change the request before it is served. It puts back what redaction
	// took away: a token that the service accepts, a signature, a session. Parts of the request
	// that it changes do not count as hidden any more. Nil changes nothing.
	Prepare func(*http.Request)

	// Status is the right answer to a request that failed: 400 for one that should have been
	// refused. Zero means any status below 300.
	Status int

	// Outcome is Options.Outcome of the Observer in production, such as observe.OutcomeGraphQL: it
	// returns an error if a response is a failure although its status is below 500. Without it
	// the replay of such a failure is never fixed. Nil means that only status, panics and
	// observe.Fail count.
	Outcome func(*http.Request, *http.Response) error

	// AsRecorded demands that status, headers and body are as recorded, also when they were
	// those of a failure. False demands that only of requests that did not fail.
	AsRecorded bool

	// Strict demands that all outbound calls are made, in the recorded order, and that each
	// call of observe.Value has an answer in the bundle.
	Strict bool

	// Ignore names what may differ in an answer, as it stands in a report of differences,
	// with * for any text: "header Etag", "body $.items[*].id".
	Ignore []string

	// Build is what the application under test calls itself. The test's log reports when the
	// bundle is from another build, and the note of a reproduced failure names the build. Empty
	// means that the log names the bundle's build.
	Build string
}

// An outcome is what became of a request.
type outcome struct {
	status   int
	header   http.Header
	body     string
	panicked bool
	value    any
	stack    string
	failure  error // of observe.Fail
	aborted  bool
	untyped  bool // the handler did not say of what type its answer is
}

func headersOf(list []har.NameValue) http.Header {
	header := http.Header{}
	for _, h := range list {
		header.Add(h.Name, h.Value)
	}
	return header
}
