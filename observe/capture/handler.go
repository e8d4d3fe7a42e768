package capture

import (
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
)

// Handler lists the bundles of a store and serves them. It belongs on a listener for
// operators. authorize says who may; nil denies everyone, since a bundle, redacted
// as it is, tells a lot.
//
// A path that ends with a slash, or is empty, is the list, the newest first, as JSON
// ({"bundles": […]} of [Summary]) or as HTML for a browser; "?request=ID" has only those
// of that request id. Of any other path the last part is the name of a bundle, which
// comes as a download. Wherever it is mounted, nothing before that part matters.
// Refusals are RFC 9457 problem+json; nothing may be stored by caches.
func Handler(store Store, authorize func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		switch {
		case authorize == nil || !authorize(r):
			problem(w, http.StatusForbidden)
			return
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			problem(w, http.StatusMethodNotAllowed)
			return
		}
		name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		if name == "" {
			serveList(w, r, store)
			return
		}
		serveBundle(w, r, store, name)
	})
}

func serveBundle(w http.ResponseWriter, r *http.Request, store Store, name string) {
	if _, err := NameTime(name); err != nil {
		problem(w, http.StatusNotFound)
		return
	}
	f, err := store.Open(name)
	if err != nil {
		refuse(w, err)
		return
	}
	defer f.Close()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	// The name is one of ours and needs no escaping.
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	if info, err := f.Stat(); err == nil {
		h.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	}
	if r.Method == http.MethodHead {
		return
	}
	_, _ = io.Copy(w, f)
}

var listPage = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><title>Captured requests</title>
<style>body{font-family:sans-serif}td,th{text-align:left;padding:.2em 1em .2em 0}</style>
<h1>Captured requests</h1>
<table><tr><th>time<th>route<th>reason<th>status<th>request<th>build<th>file</tr>
{{range .}}<tr><td>{{.Time.Format "2006-01-02 15:04:05"}}<td>{{.Route}}<td>{{.Reason}}<td>{{.Status}}<td>{{.RequestID}}<td>{{.Build}}<td><a href="{{.Name}}">{{.Bytes}} bytes</a></tr>
{{else}}<tr><td colspan="7">There is none.</tr>
{{end}}</table>
`))

func serveList(w http.ResponseWriter, r *http.Request, store Store) {
	list, err := List(store)
	if err != nil {
		refuse(w, err)
		return
	}
	if id := r.URL.Query().Get("request"); id != "" {
		kept := list[:0]
		for _, s := range list {
			if s.RequestID == id {
				kept = append(kept, s)
			}
		}
		list = kept
	}
	var page strings.Builder
	if accept := r.Header.Get("Accept"); strings.Contains(accept, "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		err = listPage.Execute(&page, list)
	} else {
		w.Header().Set("Content-Type", "application/json")
		err = json.NewEncoder(&page).Encode(map[string][]Summary{"bundles": some(list)})
	}
	if err != nil {
		refuse(w, err)
		return
	}
	_, _ = io.WriteString(w, page.String())
}

// refuse tells nothing of the store's paths.
func refuse(w http.ResponseWriter, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		problem(w, http.StatusNotFound)
		return
	}
	problem(w, http.StatusInternalServerError)
}

func problem(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
	}{"about:blank", http.StatusText(status), status})
}
