package ofrep

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// An eventStream is the protocol's: by url or by endpoint.
type eventStream struct {
	Type     string          `json:"type"`
	URL      string          `json:"url,omitempty"`
	Endpoint *streamEndpoint `json:"endpoint,omitempty"`
}

// A streamEndpoint without an origin is on the one where the client asks.
type streamEndpoint struct {
	RequestURI string `json:"requestUri"`
}

// writeTimeout is for one event: a client that does not take it is gone.
const writeTimeout = 10 * time.Second

// eventStreams names the stream at address to a client that has the flags of
// revision. The stream is told the revision, because what changes between the answer
// and the connection would be lost otherwise.
func eventStreams(address, revision string) []eventStream {
	if address == "" {
		return nil
	}
	mark := "?"
	if strings.Contains(address, "?") {
		mark = "&"
	}
	address += mark + "after=" + url.QueryEscape(revision)
	if strings.HasPrefix(address, "/") {
		return []eventStream{{Type: "sse", Endpoint: &streamEndpoint{address}}}
	}
	return []eventStream{{Type: "sse", URL: address}}
}

// stream tells one client of changes for as long as it listens
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func (h *handler) stream(w http.ResponseWriter, r *http.Request) {
	if !h.authorized(w, r) {
		return
	}
	defer h.streams.Add(-1)
	if h.streams.Add(1) > int64(h.opts.MaxStreams) {
		w.Header().Set("Retry-After", "10")
		writeJSON(w, http.StatusServiceUnavailable, generalError{"too many event streams are open"})
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // asks nginx, which would hold events back

	control := http.NewResponseController(w)
	if r.Method == http.MethodHead {
		return
	}
	// Flushing sends the header, or does nothing at all.
	if err := control.Flush(); errors.Is(err, http.ErrNotSupported) {
		writeJSON(w, http.StatusInternalServerError, generalError{"no event stream can be sent from here"})
		return
	}
	send := func(text string) bool {
		_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		if err := control.Flush(); err != nil {
			return false
		}
		_ = control.SetWriteDeadline(time.Time{})
		return true
	}

	// What the client has: the last event that it saw, before a reconnection, or else
	// the answer that named this stream to it.
	has := r.Header.Get("Last-Event-ID")
	if has == "" {
		has = r.URL.Query().Get("after")
	}
	repeat := time.NewTimer(0)
	repeat.Stop()
	defer repeat.Stop()
	heartbeat := time.NewTicker(h.opts.Heartbeat)
	defer heartbeat.Stop()

	changed := h.provider.Changed()
	revision := h.provider.Revision()
	// The time to reconnect varies, so that not all come at once after a restart. An id
	// without data is no event, and yet what the client names when it reconnects.
	if !send(fmt.Sprintf("retry: %d\nid: %s\n\n", 1000+rand.IntN(4000), revision)) {
		return
	}
	late := has != revision
	for {
		if late {
			late = false
			if !send(event(revision)) {
				return
			}
			if h.opts.Repeat > 0 {
				repeat.Reset(h.opts.Repeat)
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-h.opts.Done:
			return
		case <-changed:
			changed = h.provider.Changed() // before the revision: none is missed
			revision = h.provider.Revision()
			late = true
		case <-repeat.C:
			if !send(event(revision)) {
				return
			}
		case <-heartbeat.C:
			if !send(":\n\n") {
				return
			}
		}
	}
}

// event asks the client to fetch the flags again. The etag comes back as the parameter
// flagConfigEtag of that request, where it can be seen in access logs.
func event(revision string) string {
	return "id: " + revision + "\nevent: message\ndata: {\"type\":\"refetchEvaluation\",\"etag\":\"" + revision + "\"}\n\n"
}
