package capture

import (
	"cmp"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/upkeep-go/upkeep/observe/capture/har"
)

// Again returns a Redactor that takes for pseudonyms what stands for something hidden
// in the bundle b, which this one has redacted: what a replay answers with them is then
// redacted to what was recorded.
func (r *Redactor) Again(b *Bundle) *Redactor {
	next := *r
	k := known{rules: r.rules, texts: map[string]bool{}}
	d := &b.Log.Details
	for i := range b.Log.Entries {
		e := &b.Log.Entries[i]
		route := ""
		if i == 0 { // the request only: what was answered is to be found out
			e, route = &Entry{Entry: har.Entry{Request: e.Request}, Exchange: Exchange{RequestBody: e.Exchange.RequestBody}}, d.Route
		}
		k.entry(e, route)
	}
	for i := range d.Values {
		if v := &d.Values[i]; !r.rules.values[v.Name] {
			k.json(string(v.Result), 0, r.rules.stays, r.rules.names)
		}
	}
	for i := range d.Flags {
		if f := &d.Flags[i]; !r.rules.flags[f.Key] {
			k.json(string(f.Value), 0, nowhere, nil)
		}
		k.text(d.Flags[i].Targeting)
	}
	for i := range d.Values { // last, as prose is redacted last
		for _, text := range d.Values[i].Error {
			k.prose(text)
		}
	}
	next.known = k.texts
	return &next
}

// known collects the pseudonyms of a bundle. What was kept is none: where the same word
// was hidden in an answer, it must be hidden again.
type known struct {
	rules *rules
	texts map[string]bool
}

// text is for what mask.text made.
func (k *known) text(s string) {
	if s == "" {
		return
	}
	k.texts[s] = true
	if !k.whole(s) {
		eachChunk(s, k.chunk)
	}
}

func (k *known) whole(s string) bool {
	if _, ok := timeOf(s); ok {
		return true
	}
	u, ok := urlOf(s)
	if ok {
		k.url(u, "", "", nil)
	}
	return ok
}

func (k *known) chunk(s string) string {
	k.texts[s] = true
	switch _, err := netip.ParseAddr(s); {
	case isUUID(s), err == nil, k.whole(s):
	case isEmail(s):
		at := strings.LastIndexByte(s, '@')
		k.words(s[:at])
		k.host(s[at+1:])
	default:
		k.words(s)
	}
	return ""
}

// words are known in lower case: a pseudonym has one for all cases.
func (k *known) words(s string) {
	eachWord(s, func(word string) string {
		k.texts[strings.ToLower(word)] = true
		return ""
	})
}

func (k *known) host(s string) {
	if s == "" {
		return
	}
	k.texts[s] = true
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return
	}
	labels := strings.Split(s, ".")
	k.words(strings.Join(labels[:max(1, len(labels)-1)], ".")) // the last is "example"
}

// url is for what mask.url made, with the same rules.
func (k *known) url(u *url.URL, method, route string, c *rules) {
	k.query(u.RawQuery, c)
	k.text(u.Fragment)
	if u.Opaque != "" {
		k.text(u.Opaque)
		return
	}
	segments := strings.Split(u.EscapedPath(), "/")
	parts, hostStays := c.fit(u, segments, method, route)
	for i, segment := range segments {
		if s, err := url.PathUnescape(segment); err == nil && (parts == nil || !parts[i].stays(c)) {
			k.text(s)
		}
	}
	if !hostStays && !strings.EqualFold(u.Hostname(), "localhost") {
		k.host(u.Hostname())
	}
}

func (k *known) query(raw string, c *rules) {
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, has := strings.Cut(pair, "=")
		if name = unescape(name); has {
			k.pair(name, unescape(value), c)
		} else if !c.field(name) {
			k.text(name)
		}
	}
}

func (k *known) pair(name, value string, c *rules) {
	if c.field(name) {
		return
	}
	if !isName(name) {
		k.text(name)
	}
	k.text(value)
}

// json takes what does not stay.
func (k *known) json(data string, problem int, stays func([]place) bool, names map[string]bool) {
	roots, err := parseJSON(data)
	if err != nil {
		k.text(data)
		return
	}
	for _, root := range roots {
		root.keepProblem(problem)
		k.node(root, nil, stays, names)
	}
}

func (k *known) node(n *node, at []place, stays func([]place) bool, names map[string]bool) {
	if n.stays || stays(at) {
		return
	}
	if n.kind == 's' || n.kind == 'n' {
		k.text(n.text)
	}
	isMap := slices.ContainsFunc(n.names, func(name string) bool { return !isName(name) })
	for i, member := range n.list {
		here := append(at[:len(at):len(at)], place{index: i, isIndex: true})
		if n.kind == '{' {
			here[len(at)] = place{name: n.names[i]}
			if isMap && !names[n.names[i]] && !stays(here) {
				k.text(n.names[i])
			}
		}
		k.node(member, here, stays, names)
	}
}

func (k *known) entry(e *Entry, route string) {
	q, a := &e.Request, &e.Response
	if u, err := url.Parse(q.URL); err == nil {
		k.url(u, q.Method, route, k.rules)
	}
	for _, c := range append(slices.Clone(q.Cookies), a.Cookies...) {
		k.pair(c.Name, c.Value, k.rules)
	}
	for _, h := range append(slices.Clone(q.Headers), a.Headers...) {
		k.header(strings.ToLower(h.Name), h.Value)
	}
	if p := q.PostData; p != nil {
		if body := e.Exchange.RequestBody; body != nil && body.Kind == KindForm {
			k.query(p.Text, k.rules)
		} else {
			k.json(p.Text, 0, k.rules.stays, k.rules.names)
		}
	}
	k.json(a.Content.Text, problemStatus(mediaType(cmp.Or(headerOf(a.Headers, "Content-Type"), a.Content.MimeType)), a.Status), k.rules.stays, k.rules.names)
}

func (k *known) header(name, value string) {
	switch {
	case k.rules.headers[name], wellKnown[name], strings.HasSuffix(name, "cookie"):
		return
	case isTraceContext[name]:
		if parts := traceContext.FindStringSubmatch(value); parts != nil {
			value = parts[2]
		}
	case isLink[name]:
		if u, err := url.Parse(value); err == nil {
			k.url(u, "", "", k.rules)
			return
		}
	case isAuthorization[name]:
		if scheme, rest, ok := strings.Cut(value, " "); ok && schemes[strings.ToLower(scheme)] {
			value = rest
		}
	}
	k.text(value)
}

// prose is for what mask.prose made: the words of a sentinel are none that were hidden,
// nor are plain words, but for those that are elsewhere too.
func (k *known) prose(s string) {
	if prefix, _, ok := cutSentinel(s); ok {
		if prefix != "" {
			k.prose(prefix)
		}
		return
	}
	if !k.rules.words {
		k.text(s)
		return
	}
	quoted := func(s string) string {
		k.text(s)
		return ""
	}
	eachProse(s, k.plain, quoted, k.chunk)
}

func (k *known) plain(s string) bool {
	ok := isPlain(s)
	eachWord(s, func(word string) string {
		ok = ok && !k.texts[strings.ToLower(word)]
		return ""
	})
	return ok
}
