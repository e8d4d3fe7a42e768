package version

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// Level is how much [Handler] tells.
type Level int

const (
	// LevelMinimal shows name, version, revision and time.
	LevelMinimal Level = iota
	// LevelStandard also shows kind, dirty, environment, package, module,
	// toolchain and platform.
	LevelStandard
	// LevelFull also shows dependencies, settings, origins and conflicts, and
	// answers in the format of "go version -m".
	LevelFull
)

// HandlerOptions open more than the minimum.
type HandlerOptions struct {
	// Detail decides for each request how much it is shown. It is called
	// concurrently and must be quick. When nil, and for a level that is not
	// one of the three, the answer is LevelMinimal.
	Detail func(*http.Request) Level

	// Sections are small values that the service knows besides, by name: the
	// revision of its flag document, of its maintenance windows. They are
	// shown at every level, in JSON and text, and change the ETag, so that
	// one look tells whether all replicas have the same. Each is called for
	// each request, concurrently, and must be quick. An empty value is
	// unknown, and so is that of a section that panics; a value is cut at
	// 4 KiB.
	Sections map[string]func() string
}

// Handler answers GET and HEAD with what the program is: JSON (see
// [Info.MarshalJSON] for the names) unless the request prefers text/plain
// or, at LevelFull, text/x-go-buildinfo, which is the format of
// "go version -m" for [debug.ParseBuildInfo] and other tools. [Parse] reads
// the JSON and the build info.
//
// Answers have a strong ETag and must be revalidated; the ones that Detail
// may have opened are marked private. A request that accepts none of the
// formats gets 406, another method 405, both as problem+json (RFC 9457).
//
// Mount it where operators reach it and the public does not, all the more
// with Detail.
func Handler(info Info, opts *HandlerOptions) http.Handler {
	h := &handler{info: info.tidy(), control: "no-cache"}
	if opts == nil {
		return h
	}
	if opts.Detail != nil {
		h.detail = opts.Detail
		h.control = "private, no-cache"
	}
	for _, name := range slices.Sorted(maps.Keys(opts.Sections)) {
		if value := opts.Sections[name]; value != nil {
			h.sections = append(h.sections, section{cleantext.Line(name, maxValue), value})
		}
	}
	return h
}

type handler struct {
	info     Info
	detail   func(*http.Request) Level
	control  string
	sections []section
	// answers are the last ones given: one each of level and format.
	answers [LevelFull + 1][formats]atomic.Pointer[answer]
}

type section struct {
	name  string
	value func() string
}

// read asks the service.
func (s section) read() (value string) {
	defer func() {
		if recover() != nil {
			value = ""
		}
	}()
	return cleantext.Line(s.value(), maxText)
}

// answer is a body ready to be sent.
type answer struct {
	sections []string // the values it was made of
	body     []byte
	etag     string
	length   string
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "version answers GET and HEAD")
		return
	}
	level := LevelMinimal
	if h.detail != nil {
		if level = h.detail(r); level < LevelMinimal || level > LevelFull {
			level = LevelMinimal
		}
	}
	f, ok := negotiate(r.Header["Accept"], level)
	if !ok {
		w.Header().Add("Vary", "Accept")
		refuse(w, http.StatusNotAcceptable, "version answers in application/json and text/plain, and to those who may see everything in text/x-go-buildinfo")
		return
	}
	a := h.answer(level, f)

	// One array for all values: a header that is shared between requests
	// could be changed by what stands around this handler.
	header := w.Header()
	values := &[6]string{h.control, a.etag, f.contentType(), "nosniff", a.length, "Accept"}
	header["Cache-Control"] = values[0:1:1]
	header["Etag"] = values[1:2:2]
	if vary, ok := header["Vary"]; ok {
		header["Vary"] = append(vary, "Accept")
	} else {
		header["Vary"] = values[5:6:6]
	}
	if etagMatches(r.Header["If-None-Match"], a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header["Content-Type"] = values[2:3:3]
	header["X-Content-Type-Options"] = values[3:4:4]
	header["Content-Length"] = values[4:5:5]
	if r.Method == http.MethodGet {
		_, _ = w.Write(a.body) // the client went away: there is nobody to tell
	}
}

// answer gives the last answer again, unless a section says something new.
func (h *handler) answer(level Level, f format) *answer {
	slot := &h.answers[level][f]
	last := slot.Load()
	if f == formatBuildInfo || len(h.sections) == 0 {
		if last == nil {
			last = h.render(level, f, nil)
			slot.Store(last)
		}
		return last
	}
	var values []string // from the first one that differs
	for n, s := range h.sections {
		value := s.read()
		if values == nil {
			if last != nil && last.sections[n] == value {
				continue
			}
			values = make([]string, n, len(h.sections))
			if last != nil {
				copy(values, last.sections)
			}
		}
		values = append(values, value)
	}
	if values != nil {
		last = h.render(level, f, values)
		slot.Store(last)
	}
	return last
}

func (h *handler) render(level Level, f format, values []string) *answer {
	var body []byte
	switch f {
	case formatBuildInfo:
		body = []byte(h.info.BuildInfo().String())
	case formatText:
		var b strings.Builder
		writeText(&b, h.info.members(level))
		for n, s := range h.sections {
			writeText(&b, []member{{"section " + s.name, sectionValue(values[n])}})
		}
		body = []byte(b.String())
	default:
		members := h.info.members(level)
		if len(h.sections) > 0 {
			sections := make([]member, len(h.sections))
			for n, s := range h.sections {
				sections[n] = member{s.name, sectionValue(values[n])}
			}
			object, err := appendObject(nil, sections)
			if err == nil {
				members = append(members, member{"sections", json.RawMessage(object)})
			}
		}
		var indented bytes.Buffer
		compact, err := appendObject(nil, members)
		if err == nil {
			err = json.Indent(&indented, compact, "", "  ")
		}
		if err != nil {
			// Every member is of a type that JSON can write.
			panic("version: " + err.Error())
		}
		indented.WriteByte('\n')
		body = indented.Bytes()
	}
	sum := sha256.Sum256(body)
	return &answer{
		sections: values,
		body:     body,
		etag:     `"` + hex.EncodeToString(sum[:16]) + `"`,
		length:   strconv.Itoa(len(body)),
	}
}

func sectionValue(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// etagMatches tells whether If-None-Match names the tag, by the weak
// comparison of RFC 9110 section 13.1.2.
func etagMatches(headers []string, etag string) bool {
	for _, list := range headers {
		for tag := range strings.SplitSeq(list, ",") {
			tag = strings.Trim(tag, " \t")
			if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}

// refuse answers with a problem detail (RFC 9457).
func refuse(w http.ResponseWriter, status int, detail string) {
	problem, err := appendObject(nil, []member{
		{"type", "about:blank"},
		{"title", http.StatusText(status)},
		{"status", status},
		{"detail", detail},
	})
	if err != nil {
		panic("version: " + err.Error()) // constants only
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(problem, '\n'))
}
