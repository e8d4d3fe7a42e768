package page

import (
	"net/http"
	pathpkg "path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Route finds which of its resources a handler is asked for, wherever it is mounted: under any
// prefix, stripped or not. routes are the paths of the resources below the handler, such as
// "status.json"; the index is "". Links of the index are relative, so it must be asked for with a
// slash at its end: where that is missing, redirect says so, and [Redirect] answers.
//
// ok is false for a path that ends in no resource. The last element is taken for the end of the
// prefix if it is the end of the pattern that an [http.ServeMux] found, or a plain word.
func Route(r *http.Request, routes ...string) (route string, redirect, ok bool) {
	path := r.URL.Path
	for _, candidate := range routes {
		if len(candidate) > len(route) && (path == candidate || strings.HasSuffix(path, "/"+candidate)) {
			route = candidate
		}
	}
	last := path[strings.LastIndexByte(path, '/')+1:]
	switch {
	case route != "":
		return route, false, true
	case path == "":
		// As http.StripPrefix leaves it. The server's own path tells the slash.
		asked, _, _ := strings.Cut(r.RequestURI, "?")
		return "", asked != "" && !strings.HasSuffix(asked, "/"), true
	case last == "":
		return "", false, true
	}
	return "", true, strings.HasSuffix(r.Pattern, "/"+last) || path == pathpkg.Clean(path) && isWord(last)
}

func isWord(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r == utf8.RuneError || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_'
	})
}

// Redirect sends a client to the same path with a slash at its end. The location is relative, so
// that it holds behind proxies that strip a prefix of their own.
func Redirect(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	if path == "" {
		path, _, _ = strings.Cut(r.RequestURI, "?")
	}
	location := "./" + path[strings.LastIndexByte(path, '/')+1:] + "/"
	if r.URL.RawQuery != "" {
		location += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusPermanentRedirect)
}
