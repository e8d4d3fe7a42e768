package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// A Client publishes to a [Registry] and sends its other commands. It is safe for concurrent
// use. If the registry refuses a request, the error is a [*Refusal].
type Client struct {
	// URL is the URL of the registry, as in GOPROXY. A name and password in it are sent by
	// Basic authentication.
	URL string

	// HTTP sends the requests, for example with a bearer token. Nil means http.DefaultClient.
	HTTP *http.Client
}

// PublishOptions configure a publish. Nil means the defaults.
type PublishOptions struct {
	// Override is a reason to publish the version even if the gate refuses it or cannot judge
	// it. It is kept in the version's record. Empty means no override.
	Override string
}

// Publish makes the zip of the module in a folder by [zip.CreateFromDir] and publishes it. It
// takes the module path from go.mod. Publishing the same content again succeeds, with
// Published.New false.
func (c *Client) Publish(ctx context.Context, dir, version string, opts *PublishOptions) (*Published, error) {
	name := filepath.Join(dir, "go.mod")
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	path := modfile.ModulePath(data)
	if path == "" {
		return nil, fmt.Errorf("%s: has no module line", name)
	}
	m := module.Version{Path: path, Version: version}
	f, err := createTemp(os.TempDir())
	if err != nil {
		return nil, err
	}
	defer discard(f)
	if err := zip.CreateFromDir(f, m, dir); err != nil {
		return nil, err
	}
	return c.PublishZip(ctx, m, f.Name(), opts)
}

// PublishZip publishes the zip of a module from a local file.
func (c *Client) PublishZip(ctx context.Context, m module.Version, name string, opts *PublishOptions) (*Published, error) {
	query := url.Values{}
	if opts != nil && opts.Override != "" {
		query.Set("override", opts.Override)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	req, err := c.versioned(ctx, http.MethodPut, m, "@v/", ".zip", query)
	if err != nil {
		return nil, err
	}
	req.Body, req.ContentLength = io.NopCloser(f), info.Size()
	if info.Size() == 0 {
		req.Body = http.NoBody
	}
	req.GetBody = func() (io.ReadCloser, error) { return os.Open(name) }
	req.Header.Set("Content-Type", zipType)
	req.Header.Set("Expect", "100-continue") // so that a refusal comes before the upload
	var published Published
	return &published, c.do(req, &published)
}

// SetChannel sets a channel of a module, such as "stable", to a version.
func (c *Client) SetChannel(ctx context.Context, m module.Version, channel, reason string) error {
	return c.change(ctx, http.MethodPut, m.Path, "@channel/"+channel, url.Values{"version": {m.Version}, "reason": {reason}})
}

// RemoveChannel removes a channel. Its history is kept.
func (c *Client) RemoveChannel(ctx context.Context, path, channel, reason string) error {
	return c.change(ctx, http.MethodDelete, path, "@channel/"+channel, url.Values{"reason": {reason}})
}

// Yank removes a version from list and @latest, so that the go command does not select it for
// new users. Requests for exactly that version are answered as before.
func (c *Client) Yank(ctx context.Context, m module.Version, reason string) error {
	return c.mark(ctx, http.MethodPut, m, "yank", reason)
}

// Unyank undoes a Yank.
func (c *Client) Unyank(ctx context.Context, m module.Version, reason string) error {
	return c.mark(ctx, http.MethodDelete, m, "yank", reason)
}

// Block refuses a version to everyone. The go command prints the reason. The version's go.mod
// is still served, so that users who require it can move to another version. Copies in module
// caches stay, and with a "|" after this registry in GOPROXY the go command may get the
// version from the next proxy.
func (c *Client) Block(ctx context.Context, m module.Version, reason string) error {
	return c.mark(ctx, http.MethodPut, m, "block", reason)
}

// Unblock undoes a Block.
func (c *Client) Unblock(ctx context.Context, m module.Version, reason string) error {
	return c.mark(ctx, http.MethodDelete, m, "block", reason)
}

// Allow lets a version through although it is younger than [Upstream.MinAge] or has a known
// vulnerability. The reason is recorded.
func (c *Client) Allow(ctx context.Context, m module.Version, reason string) error {
	return c.mark(ctx, http.MethodPut, m, "allow", reason)
}

// Disallow undoes an Allow.
func (c *Client) Disallow(ctx context.Context, m module.Version, reason string) error {
	return c.mark(ctx, http.MethodDelete, m, "allow", reason)
}

// Allowances returns the allowances of a module by version, with their history.
func (c *Client) Allowances(ctx context.Context, path string) (map[string]Allowance, error) {
	req, err := c.request(ctx, http.MethodGet, path, "@allowed", nil)
	if err != nil {
		return nil, err
	}
	var all map[string]Allowance
	return all, c.do(req, &all)
}

// Channels returns the channels of a module by name, with their history.
func (c *Client) Channels(ctx context.Context, path string) (map[string]Channel, error) {
	req, err := c.request(ctx, http.MethodGet, path, "@channels", nil)
	if err != nil {
		return nil, err
	}
	var channels map[string]Channel
	return channels, c.do(req, &channels)
}

// Record returns the state and history of a version.
func (c *Client) Record(ctx context.Context, m module.Version) (*Record, error) {
	req, err := c.versioned(ctx, http.MethodGet, m, "@record/", "", nil)
	if err != nil {
		return nil, err
	}
	rec := &Record{}
	return rec, c.do(req, rec)
}

func (c *Client) mark(ctx context.Context, method string, m module.Version, what, reason string) error {
	req, err := c.versioned(ctx, method, m, "@"+what+"/", "", url.Values{"reason": {reason}})
	if err != nil {
		return err
	}
	return c.do(req, nil)
}

func (c *Client) change(ctx context.Context, method, path, rest string, query url.Values) error {
	req, err := c.request(ctx, method, path, rest, query)
	if err != nil {
		return err
	}
	return c.do(req, nil)
}

func (c *Client) versioned(ctx context.Context, method string, m module.Version, before, after string, query url.Values) (*http.Request, error) {
	escaped, err := module.EscapeVersion(m.Version)
	if err != nil {
		return nil, err
	}
	return c.request(ctx, method, m.Path, before+escaped+after, query)
}

func (c *Client) request(ctx context.Context, method, path, rest string, query url.Values) (*http.Request, error) {
	escaped, err := module.EscapePath(path)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	u = u.JoinPath(escaped, rest)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	return req, nil
}

func (c *Client) do(req *http.Request, v any) error {
	var data bytes.Buffer
	if err := c.receive(req, &data, maxSmall); err != nil {
		return err
	}
	if v == nil {
		v = new(json.RawMessage) // a login page is not JSON, and must not look like success
	}
	if err := json.Unmarshal(data.Bytes(), v); err != nil {
		return fmt.Errorf("%s: the answer is not that of a registry: %w", req.URL.Redacted(), err)
	}
	return nil
}

func (c *Client) send(req *http.Request) (*http.Response, error) {
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	once := *client
	once.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		switch {
		case next.Method != via[0].Method: // a GET could succeed although nothing was changed
			return http.ErrUseLastResponse
		case client.CheckRedirect != nil:
			return client.CheckRedirect(next, via)
		case len(via) >= 10:
			return errors.New("stopped after 10 redirects")
		}
		return nil
	}
	res, err := once.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	refusal := &Refusal{Status: res.StatusCode}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxSmall))
	if err != nil {
		return nil, errors.Join(refusal, err)
	}
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind == "application/problem+json" {
		if json.Unmarshal(data, refusal) == nil {
			refusal.Status = res.StatusCode
			return nil, refusal
		}
		*refusal = Refusal{Status: res.StatusCode}
	}
	refusal.Detail = cleantext.Flat(string(data), maxReason)
	return nil, refusal
}

func (c *Client) get(ctx context.Context, path, rest string) ([]byte, error) {
	req, err := c.request(ctx, http.MethodGet, path, rest, nil)
	if err != nil {
		return nil, err
	}
	var data bytes.Buffer
	err = c.receive(req, &data, maxSmall)
	return data.Bytes(), err
}

func (c *Client) download(ctx context.Context, m module.Version, f io.Writer) error {
	req, err := c.versioned(ctx, http.MethodGet, m, "@v/", ".zip", nil)
	if err != nil {
		return err
	}
	return c.receive(req, f, zip.MaxZipFile)
}

// receive sends a request and writes the body of a success to w.
func (c *Client) receive(req *http.Request, w io.Writer, most int64) error {
	res, err := c.send(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	n, err := io.Copy(w, io.LimitReader(res.Body, most+1))
	if err == nil && n > most {
		return fmt.Errorf("%s: the answer is %w", req.URL.Redacted(), errTooLarge)
	}
	return err
}
