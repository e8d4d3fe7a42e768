package live

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// HTTPOptions configure [HTTP]. Nil options are the defaults.
type HTTPOptions struct {
	// Client sends the requests. Nil means http.DefaultClient. Options.Timeout bounds each request.
	Client *http.Client

	// Header is sent with each request, for example credentials. Nil means none.
	Header http.Header
}

// retryAfterMax bounds the Retry-After that is obeyed.
const retryAfterMax = 5 * time.Minute

type httpSource struct {
	url    string
	name   string
	client *http.Client
	header http.Header

	mu           sync.Mutex
	etag         string
	lastModified string
	body         []byte // the body that etag and lastModified are of
}

// HTTP is a source that loads the document from a URL. After the first load it sends conditional
// requests. It accepts compression, and at most MaxBytes of text. While the server fails, the time
// between two requests doubles from Options.Poll up to 30 seconds, or up to Poll if that is longer. A
// Retry-After is obeyed up to five minutes.
//
// The name of the document is the URL without credentials and query.
func HTTP(rawURL string, opts *HTTPOptions) Source {
	if opts == nil {
		opts = &HTTPOptions{}
	}
	s := &httpSource{url: rawURL, name: "document", client: opts.Client, header: opts.Header.Clone()}
	if s.client == nil {
		s.client = http.DefaultClient
	}
	if u, err := url.Parse(rawURL); err == nil && u.Host != "" {
		s.name = u.Scheme + "://" + u.Host + u.EscapedPath()
	}
	return s
}

func (s *httpSource) Name() string { return s.name }

func (s *httpSource) Load(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, retryAfter, err := s.get(ctx)
	if err != nil {
		return nil, &httpError{err, min(retryAfter, retryAfterMax)}
	}
	return data, nil
}

func (s *httpSource) get(ctx context.Context) (data []byte, retryAfter time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, 0, withoutURL(err)
	}
	for name, values := range s.header {
		req.Header[name] = values
	}
	if s.etag != "" {
		req.Header.Set("If-None-Match", s.etag)
	}
	if s.lastModified != "" {
		req.Header.Set("If-Modified-Since", s.lastModified)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, 0, withoutURL(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && s.body != nil:
		return bytes.Clone(s.body), 0, nil // the caller owns the bytes
	case resp.StatusCode != http.StatusOK:
		return nil, parseRetryAfter(resp.Header.Get("Retry-After")), fmt.Errorf("the server answered %s", strings.TrimSpace(strconv.Itoa(resp.StatusCode)+" "+http.StatusText(resp.StatusCode)))
	}
	// The client has decompressed the body if it asked for compression. Some servers compress without
	// being asked. The bound is on the text in both cases.
	body := io.Reader(resp.Body)
	if resp.Header.Get("Content-Encoding") == "gzip" {
		unpack, err := gzip.NewReader(resp.Body)
		if err != nil {
			return nil, 0, err
		}
		defer unpack.Close()
		body = unpack
	}
	data, err = readAll(body)
	if err != nil {
		return nil, 0, err
	}
	s.etag, s.lastModified, s.body = resp.Header.Get("ETag"), resp.Header.Get("Last-Modified"), data
	return data, 0, nil
}

type httpError struct {
	err  error
	wait time.Duration
}

func (e *httpError) Error() string             { return e.err.Error() }
func (e *httpError) Unwrap() error             { return e.err }
func (e *httpError) RetryAfter() time.Duration { return e.wait }

// withoutURL removes the URL, because its query may contain a secret and the keeper's error contains the
// name already.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// parseRetryAfter parses seconds or a date (RFC 9110 section 10.2.3). Zero means none.
func parseRetryAfter(text string) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(seconds, 0), 1<<20)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
