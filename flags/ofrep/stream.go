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

// An eventStream is the protocol's: with a url or with an endpoint.
type eventStream struct {
	Type     string          `json:"type"`
	URL      string          `json:"url,omitempty"`
	Endpoint *streamEndpoint `json:"endpoint,omitempty"`
}

// A streamEndpoint without an origin is on the origin of the request.
type streamEndpoint struct {
	RequestURI string `json:"requestUri"`
}

// writeTimeout bounds the writing of one event. A client that does not read it has gone.
const writeTimeout = 10 * time.Second

// eventStreams gives the address of the stream to a client that has the flags of revision. The
// address contains the revision, so that a change between the answer and the connection is not lost.
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

// stream sends events to one client until it disconnects
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
	header.Set("X-Accel-Buffering", "no") // otherwise nginx would buffer the events

	control := http.NewResponseController(w)
	if r.Method == http.MethodHead {
		return
	}
	// Flush sends the header. It fails if a middleware hides it.
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

	// The client's revision: that of the last event before a reconnection, or else that of the
	// answer that contained the stream's address.
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
	// The time to reconnect varies, so that not all clients return at once after a restart. An id
	// without data is not an event, but the client sends it when it reconnects.
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
			changed = h.provider.Changed() // before the revision, so that no change is missed
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

// event asks the client to fetch the flags again. The client sends the etag back as the parameter
// flagConfigEtag, so it may appear in access logs.
func event(revision string) string {
	return "id: " + revision + "\nevent: message\ndata: {\"type\":\"refetchEvaluation\",\"etag\":\"" + revision + "\"}\n\n"
}
