package downtime

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/accept"
	"github.com/upkeep-go/upkeep/internal/page"
	"github.com/upkeep-go/upkeep/internal/problem"
)

// refusals answers refused requests, through the application's CORS middleware if there is one.
type refusals struct {
	opts *Options
	link string       // Options.StatusURL as a header; may be empty
	cors http.Handler // calls answerInside; nil: without Options.CORS

	mu   sync.Mutex
	made map[closure]*bodies
}

// maxMade bounds the cached bodies.
const maxMade = 64

func newRefusals(opts *Options) *refusals {
	f := &refusals{opts: opts, made: map[closure]*bodies{}}
	if opts.StatusURL != "" {
		f.link = "<" + opts.StatusURL + `>; rel="status"`
	}
	if opts.CORS != nil {
		f.cors = opts.CORS(http.HandlerFunc(f.answerInside))
	}
	return f
}

func (f *refusals) answer(w http.ResponseWriter, r *http.Request, c closure) {
	if f.cors == nil {
		f.write(w, r, c)
		return
	}
	f.cors.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), refusalKey{}, c)))
}

type refusalKey struct{}

// answerInside is the handler inside of the CORS middleware.
func (f *refusals) answerInside(w http.ResponseWriter, r *http.Request) {
	c, ok := r.Context().Value(refusalKey{}).(closure)
	switch {
	case !ok: // the middleware has replaced the context
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
	case isPreflight(r): // the middleware has set its headers
		w.WriteHeader(http.StatusNoContent)
	default:
		f.write(w, r, c)
	}
}

// isPreflight reports whether the request is a CORS preflight (Fetch §4.8).
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header["Origin"] != nil && r.Header["Access-Control-Request-Method"] != nil
}

// smallBody is the length up to which net/http reads the rest of a refused HTTP/1 request, to reuse the
// connection.
const smallBody = 64 << 10

// eventStream is the media type of server-sent events (HTML §9.2).
const eventStream = "text/event-stream"

// prefersEvents reports whether Accept prefers server-sent events to everything else.
func prefersEvents(header []string) bool {
	for _, line := range header {
		if strings.IndexByte(line, '-') >= 0 && strings.Contains(strings.ToLower(line), "event-stream") {
			return accept.Choose(header, problem.MediaType, "application/json", problem.HTML, "application/xhtml+xml", problem.Text, eventStream) == eventStream
		}
	}
	return false
}

func (f *refusals) write(w http.ResponseWriter, r *http.Request, c closure) {
	wait := f.opts.retryAfter(c)
	retry := strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10)
	b := f.bodies(c)
	code := http.StatusServiceUnavailable
	h := w.Header()
	var contentType string
	var parts [5][]byte // of the body
	switch media := problem.Negotiate(r.Header["Accept"]); {
	case r.Method == http.MethodGet && prefersEvents(r.Header["Accept"]):
		// After any other status, a browser's EventSource does not come back (HTML §9.2.2). It does
		// not read Retry-After.
		code, contentType = http.StatusOK, eventStream
		parts = [5][]byte{strconv.AppendInt([]byte("retry: "), wait.Milliseconds(), 10), []byte("\nevent: maintenance\ndata: "), b.json, {'\n'}}
	case media == problem.HTML:
		contentType = "text/html; charset=utf-8"
		now := time.Now().UTC().AppendFormat(nil, page.InstantLayout)
		parts = [5][]byte{b.page[0], now, b.page[1], []byte(retry), b.page[2]}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			parts = [5][]byte{b.sent[0], now, b.sent[1]} // a page can only reload itself with GET
		}
		h.Set("Content-Security-Policy", pagePolicy)
	case media == problem.Text:
		contentType, parts[0] = "text/plain; charset=utf-8", b.text
	default:
		contentType, parts[0] = problem.MediaType, b.json
	}
	length := 0
	for _, part := range parts {
		length += len(part)
	}
	if code == http.StatusServiceUnavailable {
		h.Set("Retry-After", retry)
	}
	problem.Guard(h)
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(length))
	h.Add("Vary", "Accept")
	if f.link != "" {
		h.Add("Link", f.link)
	}
	exposeRetryAfter(h)
	if r.ProtoMajor == 1 && (r.ContentLength < 0 || r.ContentLength > smallBody) {
		h.Set("Connection", "close") // otherwise the server reads part of the body before it answers
	}
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		for _, part := range parts {
			if len(part) > 0 {
				_, _ = w.Write(part) // fails if the client has gone
			}
		}
	}
}

var pagePolicy = page.Policy("'none'")

// exposeRetryAfter lets pages of other origins read Retry-After, if they may read the response.
func exposeRetryAfter(h http.Header) {
	const expose = "Access-Control-Expose-Headers"
	if h.Get("Access-Control-Allow-Origin") == "" {
		return
	}
	exposed := strings.Join(h[expose], ", ")
	for name := range strings.SplitSeq(exposed, ",") {
		name = strings.TrimSpace(name)
		if strings.EqualFold(name, "Retry-After") ||
			name == "*" && h.Get("Access-Control-Allow-Credentials") != "true" { // with credentials * is a name (Fetch §3.3.4)
			return
		}
	}
	if exposed != "" {
		exposed += ", "
	}
	h.Set(expose, exposed+"Retry-After")
}

// bodies are the cached texts of the refusals of one closure.
type bodies struct {
	json []byte // one line
	text []byte
	page [3][]byte // around the time and the seconds until the page reloads itself
	sent [2][]byte // the same for other methods than GET, around the time
}

func (f *refusals) bodies(c closure) *bodies {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.made[c]
	if b == nil {
		if len(f.made) >= maxMade {
			clear(f.made) // each view has new occurrences
		}
		b = newBodies(c, f.opts, time.Now())
		f.made[c] = b
	}
	return b
}

func newBodies(c closure, opts *Options, now time.Time) *bodies {
	by := c.by
	w := by.Window
	data := struct {
		Service, State, Heading, Reason, StatusURL string
		From, To                                   time.Time
		Ends, Late, Sent                           bool
	}{Service: opts.Service, State: "Maintenance", Heading: "Down for maintenance", Reason: by.reason(), StatusURL: opts.StatusURL}
	if w.Title != "" {
		data.Heading = w.Title
	}
	if w.Mode == schedule.ModeReadOnly {
		data.State = "Maintenance, read-only"
	}
	members := map[string]any{"mode": w.Mode.String()}
	text := data.Heading + "\n\n" + data.Reason + "\n"
	for name, value := range map[string]string{"window": w.ID, "window_title": w.Title, "status_url": opts.StatusURL} {
		if value != "" {
			members[name] = value
		}
	}
	if end := c.end(); !end.IsZero() {
		members["start"] = by.Start.UTC()
		data.From, data.To, data.Ends, data.Late = by.Start, end.In(w.Timezone), now.Before(end), !now.Before(end)
		if data.Ends { // otherwise unknown
			members["end"] = end.UTC()
			text += "Until " + page.Zoned(data.To) + ".\n"
		} else {
			text += "It takes longer than planned.\n"
		}
	}
	if opts.StatusURL != "" {
		text += "Status: " + opts.StatusURL + "\n"
	}
	p := problem.Problem{Status: http.StatusServiceUnavailable, Detail: by.reason(), Members: members}
	body, err := page.Execute(refusalPage, data)
	if err != nil {
		panic("downtime: the page of a refusal: " + err.Error()) // it only has texts and times
	}
	// The page is rendered with placeholders for time and wait, which are then cut out.
	html := page.Page{Title: data.Heading, Lone: true, Reload: cutWait, Body: body}.HTML(cutNow)
	head, rest, _ := bytes.Cut(html, []byte(page.Instant(cutNow)))
	mid, rest, _ := bytes.Cut(rest, []byte(strconv.Itoa(int(cutWait/time.Second))))
	b := &bodies{json: p.JSON(), text: []byte(text), page: [3][]byte{head, mid, rest}}
	data.Sent = true
	if body, err = page.Execute(refusalPage, data); err != nil {
		panic("downtime: the page of a refusal: " + err.Error())
	}
	head, rest, _ = bytes.Cut(page.Page{Title: data.Heading, Lone: true, Body: body}.HTML(cutNow), []byte(page.Instant(cutNow)))
	b.sent = [2][]byte{head, rest}
	return b
}

var cutNow = time.Unix(0, 0)

const cutWait = 987654321 * time.Second

// refusalPage shows what is closed and until when. The remaining time is not a live region, because
// screen readers would repeat it.
var refusalPage = page.Template("refusal", `<main class="card">
{{with .Service}}<p class="kicker">{{.}}</p>
{{end}}<p class="tag busy">{{.State}}</p>
<h1>{{.Heading}}</h1>
<p class="message">{{.Reason}}</p>
{{if .Ends}}<p class="countdown" role="timer" data-to="{{instant .To}}" data-say="Ends in" data-over="Ends any moment now" hidden></p>
<div class="bar" aria-hidden="true" data-from="{{instant .From}}" data-to="{{instant .To}}" hidden><div></div></div>
<dl>
<dt>Until</dt><dd>{{time .To}}</dd>
</dl>
{{else if .Late}}<p class="countdown">It takes longer than planned.</p>
{{end}}<footer>
{{if .Sent}}<p>What you sent was not accepted. Go back and send it again when the maintenance is over.</p>
{{else}}<p>This page reloads itself when it is time to try again.</p>
{{end}}<p data-zone hidden></p>
{{with .StatusURL}}<p><a href="{{.}}" rel="status">Status of the service</a></p>
{{end}}</footer>
</main>
`, nil)
