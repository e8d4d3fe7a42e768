package observe

import (
	"io"
	"net/http"
	"strings"
)

// answer tells the client of a panic by RFC 9457, with the id to ask about and
// nothing else. The id needs no escaping: see validID.
func (st *state) answer(r *http.Request) {
	defer st.obs.shield()
	h := st.w.Header()
	// What the handler said of the body it meant to send.
	for _, name := range []string{
		"Accept-Ranges", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length",
		"Content-Range", "Etag", "Expires", "Last-Modified", "Trailer",
	} {
		delete(h, name)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	body := `{"type":"about:blank","title":"Internal Server Error","status":500,"request_id":"` + st.id + "\"}\n"
	contentType := "application/problem+json"
	if prefersHTML(r.Header) {
		contentType = "text/html; charset=utf-8"
		body = "<!doctype html><title>Internal Server Error</title><h1>Something went wrong</h1>" +
			"<p>If you report this, please give this id: <code>" + st.id + "</code></p>\n"
	}
	h.Set("Content-Type", contentType)
	st.w.WriteHeader(http.StatusInternalServerError)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(&st.w, body)
	}
}

// prefersHTML reports whether the client names HTML and names it before JSON, as
// browsers do and API clients do not.
func prefersHTML(h http.Header) bool {
	accept := strings.ToLower(strings.Join(h["Accept"], ","))
	html := strings.Index(accept, "text/html")
	json := strings.Index(accept, "json")
	return html >= 0 && (json < 0 || html < json)
}
