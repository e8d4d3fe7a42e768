package capture

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// A Redactor takes out of bundles what a [Redaction] does not allow. It may be used
// by several goroutines at once.
type Redactor struct {
	key   []byte
	id    string
	rules *rules
	say   Redaction // the rules as they stand in a bundle
	known map[string]bool
}

// NewRedactor checks the rules; nil allows the least. The error is [Faults].
func NewRedactor(r *Redaction) (*Redactor, error) {
	if r == nil {
		r = &Redaction{}
	}
	c, err := newRules(r)
	if err != nil {
		return nil, err
	}
	red := &Redactor{key: slices.Clone(r.Key), rules: c, say: *r}
	red.say.Key = nil
	switch n := len(r.Key); {
	case n == 0:
		red.key = make([]byte, 32)
		_, _ = rand.Read(red.key) // never fails
	case n < 16:
		return nil, Faults{{Field: "Key", Rule: strings.Repeat("*", n), Err: fmt.Errorf("%d bytes are too few, 16 are the least", n)}}
	}
	red.id = newMask(red.key).hexDigest("key", "", 8)
	return red, nil
}

// KeyID tells keys apart and says nothing of them. It stands in [Seal].
func (r *Redactor) KeyID() string { return r.id }

// Pseudonym is what stands in bundles for s: a customer's number, an e-mail address.
// It is for finding and for [Erase].
func (r *Redactor) Pseudonym(s string) string { return r.mask().text(s) }

func (r *Redactor) mask() *mask {
	m := newMask(r.key)
	for s := range r.known {
		m.know(s)
	}
	m.remember = r.rules.words
	return m
}

// Redact replaces, in place, what the rules do not name, and seals the bundle.
// A bundle that has this Redactor's seal, of the same key and rules, and was not changed since,
// stays as it is, so redacting twice is redacting once. The error is that of
// encoding the bundle as JSON.
func (r *Redactor) Redact(b *Bundle) error {
	b.complete()
	d := &b.Log.Details
	if d.Seal != nil && d.Seal.Key == r.id {
		if s, err := r.seal(b); err == nil && hmac.Equal([]byte(s.MAC), []byte(d.Seal.MAC)) {
			d.Seal = s // with the rules that the MAC is of
			return nil
		}
	}
	// What an earlier redaction hid is not known here.
	notes := d.Seal == nil
	m, c := r.mask(), r.rules
	for _, id := range []string{d.RequestID, d.TraceID} {
		if len(id) >= 16 { // a shorter one may be something else elsewhere
			m.know(id)
		}
	}
	d.RequestID, d.TraceID, d.Route = safe(d.RequestID), safe(d.TraceID), safe(d.Route)
	d.Reason, d.Build, d.Go = oneOf(d.Reason, ReasonFailed, ReasonPanicked, ReasonSlow, ReasonAsked), safe(d.Build), safe(d.Go)
	b.Log.Creator = har.Creator{Name: safe(b.Log.Creator.Name), Version: safe(b.Log.Creator.Version)}
	for i := range b.Log.Entries {
		m.entry(&b.Log.Entries[i], d.Route, i == 0, c)
	}
	for i := range d.Values {
		m.value(&d.Values[i], c)
	}
	for i := range d.Flags {
		m.flag(&d.Flags[i], c)
	}
	// What people wrote comes last: words that were hidden above are hidden there too.
	for i := range d.Logs {
		m.log(&d.Logs[i], c)
	}
	for i := range d.Logs {
		d.Logs[i].Message = m.prose(d.Logs[i].Message, c)
	}
	for i := range b.Log.Entries {
		if x := &b.Log.Entries[i].Exchange; m.proseList(x.Error, c) && i > 0 {
			x.Hidden = append(x.Hidden, "error")
		}
	}
	for i := range d.Values {
		v := &d.Values[i]
		v.Hidden = m.proseList(v.Error, c) || v.Hidden
		v.Unrecordable = m.prose(v.Unrecordable, c)
	}
	for i := range d.Flags {
		f := &d.Flags[i]
		text := m.prose(f.ErrorText, c)
		f.ErrorText, f.Hidden = text, f.Hidden || text != f.ErrorText
	}
	if e := d.Error; e != nil {
		e.Type = typeName(e.Type)
		m.proseList(e.Texts, c)
	}
	if p := d.Panic; p != nil {
		p.Type, p.Stack = typeName(p.Type), stack(p.Stack)
		if p.Runtime {
			// Types and numbers, of which small ones stay.
			p.Text = longNumber.ReplaceAllStringFunc(safe(p.Text), func(s string) string { return string(m.appendDigits(nil, s)) })
		} else {
			p.Text = m.prose(p.Text, c)
		}
	}
	d.Seal = &Seal{Notes: notes}
	s, err := r.seal(b)
	if d.Seal = s; err != nil {
		d.Seal = nil
	}
	return err
}

// Again returns a Redactor that takes for pseudonyms what stands for something hidden in
// the bundle b, which this one has redacted: the answers of a replay are then redacted to
// what was recorded.
func (r *Redactor) Again(b *Bundle) *Redactor {
	m, c := newMask(r.key), r.rules
	m.collect, m.remember = true, c.words
	d := &b.Log.Details
	for i := range b.Log.Entries {
		e := &Entry{Entry: b.Log.Entries[i].Entry} // b stays as it is
		if i == 0 {
			e.Response = har.Response{} // it is to be found out
		}
		m.entry(e, d.Route, i == 0, c)
	}
	for _, v := range d.Values {
		m.value(&v, c)
	}
	for _, f := range d.Flags {
		if !c.flags[f.Key] {
			m.rawJSON(f.Value, nil, nil)
		}
		m.text(f.Targeting)
	}
	for _, v := range d.Values { // last, as prose is redacted last
		for _, text := range v.Error {
			m.prose(text, c)
		}
	}
	again := *r
	again.known = m.known
	return &again
}

// seal is the seal of a bundle as it is. It has another one, of which only Notes counts.
func (r *Redactor) seal(b *Bundle) (*Seal, error) {
	c, s := *b, &Seal{Key: r.id, Rules: r.say, Notes: b.Log.Details.Seal.Notes}
	c.Log.Details.Seal = s
	c.complete()
	mac := hmac.New(sha256.New, r.key)
	mac.Write([]byte("seal\x00"))
	err := har.EncodeTo(mac, &c)
	s.MAC = hex.EncodeToString(mac.Sum(nil)[:16])
	return s, err
}

func (m *mask) entry(e *Entry, route string, inbound bool, c *rules) {
	e.Started = e.Started.UTC()
	q, a, x := &e.Request, &e.Response, &e.Exchange
	m.tries = maxTries
	if m.own = !inbound; m.own {
		route = "" // that of the request that came
	}
	var hidden []string // of the request
	if u, err := url.Parse(q.URL); err == nil {
		q.URL = m.url(u, q.Method, route, c)
		hidden = append(hidden, hiddenParts(u, q.URL)...)
	} else {
		q.URL = "/" + url.PathEscape(m.text(q.URL))
		hidden = append(hidden, "path")
	}
	_, query, _ := strings.Cut(q.URL, "?")
	query, _, _ = strings.Cut(query, "#")
	q.QueryString = nil
	for _, p := range params(query) {
		q.QueryString = append(q.QueryString, har.NameValue{Name: p.Name, Value: p.Value})
	}
	if !slices.Contains(methods, q.Method) {
		hidden = append(hidden, "method")
		q.Method = m.wordsOf(q.Method)
		if !har.IsMethod(q.Method) {
			q.Method = "OTHER"
		}
	}
	q.HTTPVersion, a.HTTPVersion = isProto.FindString(q.HTTPVersion), isProto.FindString(a.HTTPVersion)
	a.StatusText = http.StatusText(a.Status)

	sent := message{headers: q.Headers, body: x.RequestBody}
	if q.PostData != nil {
		sent.text, sent.mediaType = q.PostData.Text, q.PostData.MimeType
	}
	mimeType := m.wellKnown(safe(sent.mediaType))
	if m.body(&sent, c) {
		hidden = append(hidden, "body")
	}
	q.Headers = m.headers(sent.headers, c, &hidden)
	q.Cookies = cookies(q.Headers, "Cookie")
	if q.PostData != nil {
		q.PostData = &har.PostData{MimeType: mimeType, Params: sent.params, Text: sent.text}
	}
	m.own = inbound
	got := message{text: a.Content.Text, headers: a.Headers, body: x.ResponseBody, mediaType: a.Content.MimeType, status: a.Status}
	if a.Content.Encoding == "base64" {
		got.text, got.mediaType = "\x00"+got.text, "" // binary, whatever it is called
	}
	var hiddenAnswer []string
	if m.body(&got, c) {
		hiddenAnswer = append(hiddenAnswer, "body")
	}
	a.Headers = m.headers(got.headers, c, &hiddenAnswer)
	a.Cookies = cookies(a.Headers, "Set-Cookie")
	a.Content = har.Content{Size: a.Content.Size, MimeType: m.wellKnown(safe(a.Content.MimeType)), Text: got.text}
	a.RedirectURL = headerOf(a.Headers, "Location")
	if _, err := url.Parse(a.RedirectURL); err != nil {
		a.RedirectURL = ""
	}
	m.own = false
	x.RequestBody, x.ResponseBody = sent.body, got.body
	if x.Hidden = hiddenAnswer; inbound {
		x.Hidden = hidden
	}
}

func (m *mask) value(v *Value, c *rules) {
	before := m.hides
	defer func() { v.Hidden = m.hides != before }()
	v.Name, v.Dynamic = safe(v.Name), typeName(v.Dynamic)
	if len(v.Result) == 0 || c.values[v.Name] && json.Valid(v.Result) {
		return
	}
	result := m.rawJSON(v.Result, c.places(), c.names)
	if v.Type != nil && m.hides != before && !decodes(v.Type, result) && decodes(v.Type, v.Result) {
		if fit, ok := m.fitted(v.Result, v.Type, c); ok {
			result = fit
		}
	}
	v.Result = result
}

// rawJSON is for JSON inside of the bundle, which must stay valid.
func (m *mask) rawJSON(data json.RawMessage, stays func([]any) bool, names map[string]bool) json.RawMessage {
	m.tries = maxTries
	if json.Valid(data) {
		if text, ok := m.json(string(data), 0, stays, names); ok {
			return json.RawMessage(text)
		}
	}
	m.hides++
	return json.RawMessage("null")
}

func (m *mask) flag(f *Flag, c *rules) {
	before := m.hides
	f.Key, f.Type = safe(f.Key), oneOf(f.Type, FlagTypeBool, FlagTypeString, FlagTypeFloat, FlagTypeInt, FlagTypeObject)
	f.Variant, f.Reason, f.ErrorCode, f.Provider = m.name(f.Variant), m.name(f.Reason), m.name(f.ErrorCode), m.name(f.Provider)
	if !c.flags[f.Key] || !json.Valid(f.Value) {
		f.Value = m.rawJSON(f.Value, nil, nil)
	}
	f.Hidden = m.hides != before
	f.Targeting = m.text(f.Targeting) // which the evaluation was given
}

func (m *mask) log(l *LogRecord, c *rules) {
	l.Time, l.Source = l.Time.UTC(), safe(l.Source)
	if !isLevel.MatchString(l.Level) {
		l.Level = m.text(l.Level)
	}
	if len(l.Attrs) == 0 {
		return
	}
	if len(c.fields) == 0 {
		l.Attrs = m.rawJSON(l.Attrs, nil, nil)
		return
	}
	l.Attrs = m.rawJSON(l.Attrs, func(at []any) bool {
		path, isField := make([]string, len(at)), false
		for i, step := range at {
			path[i], isField = step.(string)
		}
		return isField && c.fields[strings.Join(path, ".")]
	}, c.fields)
}

// proseList reports whether it changed any of the texts.
func (m *mask) proseList(list []string, c *rules) (changed bool) {
	for i, text := range list {
		list[i] = m.prose(text, c)
		changed = changed || list[i] != text
	}
	return changed
}

var (
	isLevel = regexp.MustCompile(`^(DEBUG|INFO|WARN|ERROR)([+-][0-9]{1,3})?$`)
	isProto = regexp.MustCompile(`^HTTP/[0-9](\.[0-9])?$`)
)

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"}

func oneOf[S ~string](s S, known ...S) S {
	if slices.Contains(known, s) {
		return s
	}
	return ""
}

// safe is for texts that the program gives: they need only be valid and bounded.
func safe(s string) string { return strings.ToValidUTF8(s[:min(len(s), 1024)], "_") }

// typeName is for names that package reflect gives; those of unnamed types may hold
// a lot.
func typeName(s string) string { return safe(s[:min(len(s), 256)]) }
