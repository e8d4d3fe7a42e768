package version

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/accept"
	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/internal/problem"
)

// Level is how much [Handler] shows.
type Level int

const (
	// LevelMinimal shows name, version, revision and time.
	LevelMinimal Level = iota
	// LevelStandard also shows kind, dirty, environment, package, module,
	// toolchain and platform.
	LevelStandard
	// LevelFull also shows dependencies, settings, origins and conflicts, and allows the
	// format of "go version -m".
	LevelFull
)

// String returns "minimal", "standard" or "full".
func (l Level) String() string {
	if l < LevelMinimal || l > LevelFull {
		return "Level(" + strconv.Itoa(int(l)) + ")"
	}
	return []string{"minimal", "standard", "full"}[l]
}

// HandlerOptions make [Handler] show more than the minimum. Nil options are the defaults.
type HandlerOptions struct {
	// Detail returns the level for a request. It is called concurrently and must be quick.
	// Nil means LevelMinimal, and so does an unknown level.
	Detail func(*http.Request) Level

	// Sections are further values by name, such as the revision of the flag document. They
	// are shown at every level, in JSON and text, and change the ETag. Each function is
	// called for each request, concurrently, and must be quick. An empty value or a panic
	// means unknown. Values are cut at 4 KiB.
	Sections map[string]func() string
}

// The media types of Handler, in its order of preference.
const (
	mediaJSON      = "application/json"
	mediaText      = "text/plain"
	mediaBuildInfo = "text/x-go-buildinfo"
)

// Handler serves the identity of the program for GET and HEAD. It writes JSON (see
// [Info.MarshalJSON]) unless the request prefers text/plain or, at LevelFull,
// text/x-go-buildinfo, the format of "go version -m". [Parse] reads the JSON and the build
// info.
//
// Responses have a strong ETag and must be revalidated. With Detail they are private. The
// status is 406 if the request accepts none of the formats and 405 for other methods, both
// with problem+json (RFC 9457). Mount it where only operators can reach it.
func Handler(info Info, opts *HandlerOptions) http.Handler {
	o := *cmp.Or(opts, new(HandlerOptions))
	h := &handler{detail: o.Detail, control: "no-cache"}
	if o.Detail != nil {
		h.control = "private, no-cache"
	}
	for _, name := range slices.Sorted(maps.Keys(o.Sections)) {
		if value := o.Sections[name]; value != nil {
			name = cleantext.Line(name, maxValue)
			h.sections = append(h.sections, section{name, marshal(name), value})
		}
	}
	info = info.tidy()
	for level := range h.answers {
		members := info.members(Level(level))
		var text strings.Builder
		writeText(&text, members)
		h.answers[level] = map[string]answer{
			mediaJSON: newAnswer(mediaJSON, indented(members)),
			mediaText: newAnswer(mediaText+"; charset=utf-8", text.String()),
		}
	}
	h.answers[LevelFull][mediaBuildInfo] = newAnswer(mediaBuildInfo+"; charset=utf-8", info.BuildInfo().String())
	return h
}

type handler struct {
	detail   func(*http.Request) Level // may be nil
	control  string                    // the header Cache-Control
	sections []section
	answers  [LevelFull + 1]map[string]answer // without sections, by media type
}

type section struct {
	name   string
	member []byte // the name in JSON
	value  func() string
}

type answer struct {
	contentType string
	body        []byte
	etag        string
}

func newAnswer(contentType, body string) answer {
	return answer{contentType, []byte(body), etagOf([]byte(body))}
}

func etagOf(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, r, http.StatusMethodNotAllowed, "version answers GET and HEAD")
		return
	}
	level := LevelMinimal
	if h.detail != nil {
		if level = h.detail(r); level < LevelMinimal || level > LevelFull {
			level = LevelMinimal
		}
	}
	offers := []string{mediaJSON, mediaText, mediaBuildInfo}
	if level < LevelFull {
		offers = offers[:2]
	}
	media := accept.Choose(r.Header["Accept"], offers...)
	if media == "" {
		refuse(w, r, http.StatusNotAcceptable, "version answers in application/json and text/plain, and to those who may see everything in text/x-go-buildinfo")
		return
	}
	a := h.withSections(h.answers[level][media], media)
	header := w.Header()
	header.Set("Cache-Control", h.control)
	header.Set("Content-Type", a.contentType)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("ETag", a.etag)
	header.Add("Vary", "Accept")
	if r.Header["If-None-Match"] != nil || r.Header["If-Match"] != nil || r.Header["Range"] != nil {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
		return
	}
	// ServeContent would copy the body through a buffer of 32 KiB, which takes 10 µs for 300
	// dependencies.
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(a.body) // fails only if the client has gone
	}
}

func (h *handler) withSections(a answer, media string) answer {
	if len(h.sections) == 0 || media == mediaBuildInfo {
		return a
	}
	added := append(make([]byte, 0, 512), a.etag...)
	separator := ",\n  \"sections\": {\n    "
	for _, s := range h.sections {
		if media == mediaText {
			added = append(added, "section "+s.name+": "+orUnknown(s.read())+"\n"...)
			continue
		}
		added = append(append(append(added, separator...), s.member...), ": "...)
		if value := s.read(); value == "" {
			added = append(added, "null"...)
		} else {
			added = append(added, marshal(value)...)
		}
		separator = ",\n    "
	}
	body := a.body
	if media == mediaJSON {
		body = bytes.TrimSuffix(body, []byte("\n}\n"))
		added = append(added, "\n  }\n}\n"...)
	}
	return answer{a.contentType, slices.Concat(body, added[len(a.etag):]), etagOf(added)}
}

func (s section) read() (value string) {
	defer func() {
		if recover() != nil {
			value = ""
		}
	}()
	return cleantext.Line(s.value(), maxText)
}

// refuse writes problem details, always as JSON.
func refuse(w http.ResponseWriter, r *http.Request, status int, detail string) {
	problem.Write(w, &http.Request{Method: r.Method}, problem.Problem{Status: status, Detail: detail})
}
