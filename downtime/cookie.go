package downtime

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/page"
	"github.com/upkeep-go/upkeep/internal/problem"
	"github.com/upkeep-go/upkeep/internal/token"
)

const (
	maxForm   = 16 << 10 // bytes of a form
	maxCookie = 3800     // bytes of a token that all browsers keep in a cookie
)

// BypassHandler stores an operator's token in the cookie of a [Bypass]. GET shows a form and the subject
// of the current cookie. POST with the form field "token" verifies the token and sets the cookie until
// the token expires. POST with the field "leave", and DELETE, remove it. POST and DELETE from a page of
// another origin are refused by [http.CrossOriginProtection].
//
// The cookie is Secure, HttpOnly and SameSite=Strict. It is for the application's host: mount
// the handler there, and not behind the guard, which takes the cookie off the request:
//
//	root.Handle("/-/bypass", g.BypassHandler())
//	root.Handle("/", g.Handler(mux))
//
// The handler may be public, because it only accepts signed tokens. Without Options.Bypass, or without
// keys, it answers 404.
func (g *Guard) BypassHandler() http.Handler {
	if g.bypass == nil || g.bypass.verifier == nil {
		return http.NotFoundHandler()
	}
	return page.Protect(&bypassHandler{g, g.bypass})
}

type bypassHandler struct {
	guard  *Guard
	bypass *bypass
}

func (h *bypassHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Referrer-Policy", "no-referrer")
	problem.Guard(header)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h.form(w, r, http.StatusOK, h.state(r))
	case http.MethodPost:
		h.post(w, r)
	case http.MethodDelete:
		h.clear(w)
		w.WriteHeader(http.StatusNoContent)
	default:
		header.Set("Allow", "GET, HEAD, POST, DELETE")
		problem.Write(w, r, problem.Problem{Status: http.StatusMethodNotAllowed, Detail: "the methods are GET, HEAD, POST and DELETE"})
	}
}

func (h *bypassHandler) state(r *http.Request) string {
	cookie, err := r.Cookie(h.bypass.opts.Cookie)
	if err != nil {
		return ""
	}
	claims, _, err := h.verify(cookie.Value)
	if err != nil {
		return "Your cookie is not good any more."
	}
	return fmt.Sprintf("As %s you bypass window %s until %s.",
		claims.Subject, claims.Text("window"), claims.Expires.Format("2 January 2006, 15:04 MST"))
}

// verify returns the claims of a token, or a text about its fault. The text of a token without a valid
// signature only says that it is refused.
func (h *bypassHandler) verify(text string) (*token.Claims, string, error) {
	claims, err := h.bypass.verifier.Verify(text, time.Now())
	var refused *token.Error
	switch {
	case errors.As(err, &refused) && refused.Signed():
		return nil, "The token is refused: " + string(refused.Reason) + ".", err
	case err != nil:
		return nil, "The token is refused.", err
	}
	if s := h.guard.view.Load().schedule; s == nil || s.Window(claims.Text("window")) == nil {
		return nil, "The token is refused: there is no such window.", ErrUnknownWindow
	}
	return claims, "", nil
}

func (h *bypassHandler) post(w http.ResponseWriter, r *http.Request) {
	// Not r.PostForm, because an earlier reader may have added the query to it.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	form, parseErr := url.ParseQuery(string(body))
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); err != nil || parseErr != nil ||
		!strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded") {
		h.form(w, r, http.StatusBadRequest, "The form cannot be read.")
		return
	}
	if form.Get("leave") != "" {
		h.clear(w)
		h.back(w)
		return
	}
	text := strings.TrimSpace(form.Get("token"))
	claims, why, err := h.verify(text)
	if err == nil && len(text) > maxCookie {
		h.form(w, r, http.StatusBadRequest, "The token is too long for a cookie. It is good in the header "+h.bypass.opts.Header+".")
		return
	}
	if err != nil {
		h.bypass.denied.Add(1)
		h.form(w, r, http.StatusForbidden, why)
		return
	}
	http.SetCookie(w, h.cookie(text, max(1, int(time.Until(claims.Expires)/time.Second))))
	h.back(w)
}

// back redirects a browser to the form. The location is "?", the current path, because a prefix may have
// been stripped.
func (h *bypassHandler) back(w http.ResponseWriter) {
	w.Header().Set("Location", "?")
	w.WriteHeader(http.StatusSeeOther)
}

func (h *bypassHandler) clear(w http.ResponseWriter) { http.SetCookie(w, h.cookie("", -1)) }

func (h *bypassHandler) cookie(value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: h.bypass.opts.Cookie, Value: value, Path: "/", MaxAge: age,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

func (h *bypassHandler) form(w http.ResponseWriter, r *http.Request, code int, notice string) {
	body, err := page.Execute(bypassPage, notice)
	if err != nil {
		panic("downtime: the page of a bypass: " + err.Error()) // a text alone
	}
	page.Page{Title: "Bypass a maintenance window", Lone: true, Body: body}.Write(w, r, code)
}

var bypassPage = page.Template("bypass", `<main class="card">
<h1>Bypass a maintenance window</h1>
{{with .}}<p class="message" role="status">{{.}}</p>
{{end}}<form method="post">
<label for="token">Token</label>
<textarea id="token" name="token" rows="6" required spellcheck="false" autocomplete="off"></textarea>
<p><button>Use the token</button></p>
</form>
<form method="post"><p><button name="leave" value="1">Forget the token</button></p></form>
</main>
`, nil)
