package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// flights lets many requests for one file share one fetch.
type flights struct {
	mu      sync.Mutex
	running map[string]*flight
}

type flight struct {
	done chan struct{} // closed after data and err are set
	data []byte
	err  error
}

// do calls fetch unless it runs for that name, and returns its result. fetch runs to its end
// even if the context of this request ends, because other requests may wait for it.
func (f *flights) do(ctx context.Context, name string, fetch func(context.Context) ([]byte, error)) ([]byte, error) {
	f.mu.Lock()
	if running := f.running[name]; running != nil {
		f.mu.Unlock()
		select {
		case <-running.done:
			return running.data, running.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	own := &flight{done: make(chan struct{}), err: errors.New("the fetch has panicked")}
	if f.running == nil {
		f.running = map[string]*flight{}
	}
	f.running[name] = own
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.running, name)
		f.mu.Unlock()
		close(own.done)
	}()
	own.data, own.err = fetch(context.WithoutCancel(ctx))
	return own.data, own.err
}

// boundedClient returns a client that follows at most ten redirects, and none from https to
// http.
func boundedClient(client *http.Client) *http.Client {
	if client == nil {
		client = &http.Client{}
	}
	bounded := *client
	bounded.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		switch {
		case len(via) >= 10:
			return errors.New("stopped after 10 redirects")
		case next.URL.Scheme != "https" && via[0].URL.Scheme == "https":
			return errors.New("redirected from https to " + next.URL.Scheme)
		case client.CheckRedirect != nil:
			return client.CheckRedirect(next, via)
		}
		return nil
	}
	return &bounded
}

// small fetches a small file.
func (u *upstream) small(ctx context.Context, name string, most int64) ([]byte, error) {
	var data bytes.Buffer
	err := u.get(ctx, name, u.timeout, most, &data)
	return data.Bytes(), err
}

// get fetches a file of at most that many bytes. The request has nothing from the client's
// request except the name, which was parsed. The error is a *Refusal without addresses, or
// from writing to w.
func (u *upstream) get(ctx context.Context, name string, timeout time.Duration, most int64, w io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	u.stats.fetches.Add(1)
	defer func() {
		if err != nil && !isMissing(err) {
			u.stats.failures.Add(1)
		}
	}()
	select {
	case u.places <- struct{}{}:
		defer func() { <-u.places }()
	case <-ctx.Done():
		return unreachable(ctx.Err())
	}
	address := *u.base
	address.Path, address.RawPath = address.Path+"/"+name, ""
	if len(u.base.Path) > 0 && u.base.Path[len(u.base.Path)-1] == '/' {
		address.Path = u.base.Path + name
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return unreachable(err)
	}
	res, err := u.client.Do(req)
	if err != nil {
		return unreachable(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4*maxReason))
		detail := fmt.Sprintf("the upstream proxy answered %d %s", res.StatusCode, http.StatusText(res.StatusCode))
		if line := firstLine(string(text), maxReason); line != "" && line[0] != '<' {
			detail += ": " + line
		}
		if res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone {
			return refuse(http.StatusNotFound, ruleNotFound, detail)
		}
		return refuse(http.StatusBadGateway, ruleUpstream, detail)
	}
	if res.ContentLength > most {
		return invalid("it has %d bytes, more than %d", res.ContentLength, most)
	}
	body := &uploadBody{Reader: res.Body}
	n, err := io.Copy(w, io.LimitReader(body, most+1))
	u.stats.received.Add(n)
	switch {
	case body.err != nil:
		return unreachable(body.err)
	case err != nil:
		return err
	case n > most:
		return invalid("it has more than %d bytes", most)
	}
	return nil
}

// isMissing reports whether the upstream does not have a file.
func isMissing(err error) bool {
	refusal, ok := errors.AsType[*Refusal](err)
	return ok && refusal.Status == http.StatusNotFound
}

// unreachable is the answer to a failed request to the upstream.
func unreachable(err error) *Refusal {
	p := &Refusal{Status: http.StatusBadGateway, Rule: ruleUpstream, Detail: "the upstream proxy cannot be reached", cause: err}
	if errors.Is(err, context.DeadlineExceeded) {
		p.Status, p.Detail = http.StatusGatewayTimeout, "the upstream proxy did not answer in time"
	}
	return p
}
