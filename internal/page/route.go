package page

import (
	"net/http"
	pathpkg "path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Route returns the resource that a request asks for. The handler may be mounted under any
// prefix, stripped or not. routes are the paths of the resources below the handler, such as
// "status.json"; the index is "". Links of the index are relative, so its path must end with a
// slash. Without one redirect is true; answer with [Redirect] then.
//
// ok is false if the path ends in an unknown resource. The last element belongs to the prefix
// if it ends the pattern that an [http.ServeMux] matched, or if it contains no dot.
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
		// http.StripPrefix leaves it empty. RequestURI still has the slash.
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

// Redirect redirects the client to the same path with a slash at its end. The location is
// relative, so it is right behind proxies that strip a prefix.
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
