package capture

import (
	"net/http"
	"strconv"
	"strings"
)

// problemStatus is the status of a response that is a problem by RFC 9457, or 0.
func problemStatus(typ string, status int) int {
	if typ == "application/problem+json" && http.StatusText(status) != "" {
		return status
	}
	return 0
}

// keepProblem lets stay what a problem of this status says when it says no more than that:
// the type about:blank, the status's own words and number (RFC 9457 section 4.2.1). All of it
// is told by the status, which the bundle has, so nothing that was sent comes with it.
func (n *node) keepProblem(status int) {
	if status == 0 || n.kind != '{' {
		return
	}
	for i, member := range n.list {
		switch n.names[i] {
		case "type":
			member.stays = member.kind == 's' && member.text == "about:blank"
		case "title":
			member.stays = member.kind == 's' && member.text == http.StatusText(status)
		case "status":
			member.stays = member.kind == 'n' && member.text == strconv.Itoa(status)
		}
	}
}

// What a browser gets of package observe when a handler panics, around the request's id.
const (
	pageHead = "<!doctype html><title>Internal Server Error</title><h1>Something went wrong</h1>" +
		"<p>If you report this, please give this id: <code>"
	pageTail = "</code></p>\n"
)

// page redacts that page, or reports that it is another.
func (m *mask) page(s string) (string, bool) {
	rest, ok := strings.CutPrefix(s, pageHead)
	if !ok {
		return "", false
	}
	id, ok := strings.CutSuffix(rest, pageTail)
	if !ok {
		return "", false
	}
	return pageHead + m.text(id) + pageTail, true
}
