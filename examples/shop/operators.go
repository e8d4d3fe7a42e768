package main

import (
	"fmt"
	"html/template"
	"net/http"
	"runtime/debug"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/downtime/status"
	"github.com/upkeep-go/upkeep/flags"
	"github.com/upkeep-go/upkeep/pkgmgmt/sbom"
	"github.com/upkeep-go/upkeep/version"
)

// operators returns the pages for operators. They are on a listener of their own, on loopback.
func (s *shop) operators() (http.Handler, error) {
	maintenance, err := status.Handler(s.guard, &status.Options{
		Service:   "The shop",
		Authorize: func(*http.Request) (who string, err error) { return "an operator", nil },
	})
	if err != nil {
		return nil, err
	}
	build, _ := debug.ReadBuildInfo()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.links)
	mux.Handle("/maintenance/", maintenance)
	mux.Handle("GET /version", version.Handler(s.info, &version.HandlerOptions{
		Detail:   func(*http.Request) version.Level { return version.LevelFull },
		Sections: map[string]func() string{"flags": s.flags.Revision, "windows": s.guard.Revision},
	}))
	mux.Handle("GET /sbom", sbom.Handler(build, &sbom.Options{Name: s.info.Name}))
	mux.HandleFunc("GET /explain", func(w http.ResponseWriter, r *http.Request) {
		subject := flags.Attributes{openfeature.TargetingKey: r.FormValue("user"), "email": r.FormValue("email")}
		fmt.Fprintln(w, s.flags.Explain(r.Context(), r.FormValue("flag"), subject))
	})
	mux.HandleFunc("GET /changes", func(w http.ResponseWriter, r *http.Request) {
		changes, err := s.past.lastHour(r.Context())
		if err != nil {
			s.log.ErrorContext(r.Context(), "history", "err", err)
			http.Error(w, "the history cannot be read", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, changes)
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]map[string]float64{"flags": s.flags.Stats(), "downtime": s.guard.Stats(), "observe": s.obs.Stats()})
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.obs.Health()) })
	return mux, nil
}

// linksPage has relative links only, so that it works behind any address.
var linksPage = template.Must(template.New("links").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>The shop, for operators</title>
<style>body { font: 1.1em/1.6 system-ui, sans-serif; max-width: 45em; margin: 2em auto; padding: 0 1em } code { overflow-wrap: anywhere }</style>
<h1>The shop, for operators</h1>
<p>{{.Info}}</p>
<ul>
<li><a href="maintenance/">Maintenance</a>: which windows are near, and what they wait for
<li><a href="changes">Changes</a> in the last hour: starts, edits of flags, windows, failed requests
<li><a href="explain?flag=express-checkout&amp;user=42">Why user 42</a> gets the express checkout, or does not
<li><a href="version">Version</a>: what exactly is running
<li><a href="sbom">Bill of materials</a>: the modules in it
<li><a href="health">Health</a> and <a href="stats">statistics</a>
</ul>
<p>The storefront is <a href="{{.Store}}">{{.Store}}</a>.
Its flags are in <code>{{.Flags}}</code>, its windows in <code>{{.Windows}}</code>: an edit takes effect within a second.</p>
</html>
`))

func (s *shop) links(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	err := linksPage.Execute(w, map[string]string{
		"Info": s.info.String(), "Store": s.storeURL,
		"Flags": s.docs.path("flags.yaml"), "Windows": s.docs.path("windows.yaml"),
	})
	if err != nil {
		s.log.ErrorContext(r.Context(), "links", "err", err)
	}
}
