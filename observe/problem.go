package observe

import (
	"net/http"

	"github.com/upkeep-go/upkeep/internal/problem"
)

// answerPanic answers a request whose handler panicked, with the id to ask about and
// nothing else. The id needs no escaping: see validID.
func (st *state) answerPanic(r *http.Request) {
	defer st.obs.counts.shield()
	h := st.w.Header()
	// What the handler said of the body that it meant to send.
	for _, name := range []string{
		"Accept-Ranges", "Content-Disposition", "Content-Encoding", "Content-Language",
		"Content-Range", "Etag", "Expires", "Last-Modified", "Trailer",
	} {
		delete(h, name)
	}
	problem.Write(&st.w, r, problem.Problem{
		Status:  http.StatusInternalServerError,
		Members: map[string]any{"request_id": st.id},
		Page: []byte("<!doctype html><title>Internal Server Error</title><h1>Something went wrong</h1>" +
			"<p>If you report this, please give this id: <code>" + st.id + "</code></p>\n"),
	})
}
