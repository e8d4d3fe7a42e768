package capture

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"

	"github.com/upkeep-go/upkeep/internal/accept"
	"github.com/upkeep-go/upkeep/internal/page"
	"github.com/upkeep-go/upkeep/internal/problem"
)

// HandlerOptions configure [Handler].
type HandlerOptions struct {
	// Authorize returns who a request is from, or an error unless that person may read
	// bundles, which tell a lot although they are redacted. Nil denies everyone.
	Authorize func(*http.Request) (who string, err error)
}

// Handler lists the bundles of a store and serves them, for operators. Nil opts are the
// defaults. The error is for a nil store.
//
// It works under any prefix, with or without http.StripPrefix. A path whose last part is
// the name of a bundle is a download of that bundle. The prefix itself is the list, which a
// missing slash at its end redirects to, the newest first, as JSON ({"bundles": […]} of [Summary])
// or as HTML for a browser; "?request=ID" has only the bundles of that request id.
// Refusals are RFC 9457 problem details; no answer may be stored by caches.
func Handler(store Store, opts *HandlerOptions) (http.Handler, error) {
	if store == nil {
		return nil, errors.New("capture: Handler: the store is nil")
	}
	if opts == nil {
		opts = &HandlerOptions{}
	}
	return &handler{store, opts.Authorize}, nil
}

type handler struct {
	store     Store
	authorize func(*http.Request) (string, error)
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	problem.Guard(header)
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	err := errors.New("nobody is allowed")
	if h.authorize != nil {
		_, err = h.authorize(r)
	}
	if err != nil {
		problem.Write(w, r, problem.Problem{Status: http.StatusForbidden})
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		problem.Write(w, r, problem.Problem{Status: http.StatusMethodNotAllowed})
		return
	}
	name := path.Base(r.URL.Path)
	_, redirect, ok := page.Route(r)
	switch _, err := NameTime(name); {
	case err == nil:
		h.bundle(w, r, name)
	case !ok:
		refuse(w, r, fs.ErrNotExist)
	case redirect:
		page.Redirect(w, r)
	default:
		h.list(w, r)
	}
}

func (h *handler) bundle(w http.ResponseWriter, r *http.Request, name string) {
	f, err := h.store.Open(name)
	if err != nil {
		refuse(w, r, err)
		return
	}
	defer f.Close()
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Disposition", `attachment; filename="`+name+`"`) // a name needs no escaping
	if info, err := f.Stat(); err == nil {
		header.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	}
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, f)
	}
}

func (h *handler) list(w http.ResponseWriter, r *http.Request) {
	list, err := List(h.store)
	if err != nil {
		refuse(w, r, err)
		return
	}
	shown := []Summary{}
	for _, s := range list {
		if id := r.URL.Query().Get("request"); id == "" || s.RequestID == id {
			shown = append(shown, s)
		}
	}
	if accept.Choose(r.Header["Accept"], "application/json", "text/html") == "text/html" {
		body, err := page.Execute(listPage, shown)
		if err != nil {
			refuse(w, r, err)
			return
		}
		page.Page{Title: "Captured requests", Body: body}.Write(w, r, http.StatusOK)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string][]Summary{"bundles": shown}) // a client that has gone needs no answer
}

var listPage = page.Template("captures", `<h1>Captured requests</h1>
<table><tr><th>time<th>route<th>reason<th>status<th>request<th>build<th>file</tr>
{{range .}}<tr><td>{{time .Time}}<td>{{.Route}}<td>{{.Reason}}<td>{{.Status}}<td>{{.RequestID}}<td>{{.Build}}<td><a href="{{.Name}}">{{.Bytes}} bytes</a></tr>
{{else}}<tr><td colspan="7">There is none.</tr>
{{end}}</table>
`, nil)

// refuse answers without the text of err, which may hold paths of the store.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	if errors.Is(err, fs.ErrNotExist) {
		status = http.StatusNotFound
	}
	problem.Write(w, r, problem.Problem{Status: status})
}
