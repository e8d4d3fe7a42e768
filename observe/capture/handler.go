package capture

import (
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

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
// the name of a bundle is a download of that bundle. The prefix itself, with or without a
// slash at its end, is the list, the newest first, as JSON ({"bundles": […]} of [Summary])
// or as HTML for a browser; "?request=ID" has only the bundles of that request id.
// Refusals are RFC 9457 problem details; no answer may be stored by caches.
func Handler(store Store, opts *HandlerOptions) (http.Handler, error) {
	if store == nil {
		return nil, errors.New("capture: Handler: the store is nil")
	}
	if opts == nil {
		opts = &HandlerOptions{}
	}
	return &handler{store: store, authorize: opts.Authorize}, nil
}

type handler struct {
	store     Store
	authorize func(*http.Request) (string, error)
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	problem.Guard(header)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	if !h.allows(r) {
		problem.Write(w, r, problem.Problem{Status: http.StatusForbidden})
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		problem.Write(w, r, problem.Problem{Status: http.StatusMethodNotAllowed})
		return
	}
	name := path.Base(r.URL.Path)
	if _, err := NameTime(name); err == nil {
		h.bundle(w, r, name)
	} else if _, _, ok := page.Route(r); ok {
		h.list(w, r)
	} else {
		problem.Write(w, r, problem.Problem{Status: http.StatusNotFound})
	}
}

func (h *handler) allows(r *http.Request) bool {
	if h.authorize == nil {
		return false
	}
	_, err := h.authorize(r)
	return err == nil
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
	var body strings.Builder
	contentType := "application/json"
	if accept.Choose(r.Header["Accept"], "application/json", "text/html") == "text/html" {
		contentType = "text/html; charset=utf-8"
		err = listPage.Execute(&body, map[string]any{"Base": linkBase(r), "Bundles": shown})
	} else {
		err = json.NewEncoder(&body).Encode(map[string][]Summary{"bundles": shown})
	}
	if err != nil {
		refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = io.WriteString(w, body.String())
}

// linkBase is what a link of the list begins with: the last part of the path that the
// browser asked for, unless that ends with a slash.
func linkBase(r *http.Request) string {
	asked, _, _ := strings.Cut(r.RequestURI, "?")
	if asked == "" {
		asked = r.URL.EscapedPath()
	}
	if last := asked[strings.LastIndexByte(asked, '/')+1:]; last != "" {
		return last + "/"
	}
	return ""
}

var listPage = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><title>Captured requests</title>
<style>body{font-family:sans-serif}td,th{text-align:left;padding:.2em 1em .2em 0}</style>
<h1>Captured requests</h1>
<table><tr><th>time<th>route<th>reason<th>status<th>request<th>build<th>file</tr>
{{range .Bundles}}<tr><td>{{.Time.Format "2006-01-02 15:04:05"}}<td>{{.Route}}<td>{{.Reason}}<td>{{.Status}}<td>{{.RequestID}}<td>{{.Build}}<td><a href="{{$.Base}}{{.Name}}">{{.Bytes}} bytes</a></tr>
{{else}}<tr><td colspan="7">There is none.</tr>
{{end}}</table>
`))

// refuse answers without the text of err, which may hold paths of the store.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	if errors.Is(err, fs.ErrNotExist) {
		status = http.StatusNotFound
	}
	problem.Write(w, r, problem.Problem{Status: status})
}
