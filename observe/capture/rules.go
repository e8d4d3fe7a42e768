package capture

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Redaction says what may be written as it is. Its zero allows the least: a bundle then
// holds the shape of what was sent, and pseudonyms. Rules only add to what is readable.
//
// Without a rule these stay: methods, status codes, protocol versions; the literal parts of
// the request's route; names of headers, fields, cookies and of parameters with a "=", when
// they look like names; the well-known words of content types and caching; true, false, null,
// zero and what is empty; keys, variants and reasons of flags; names of values; functions and
// lines of a stack; what the Go runtime says when it panics; the standard library's sentinel
// errors; type, title and status of a problem (RFC 9457) that says no more than its status;
// version and flags of a traceparent; the ids of the request and the trace, which the client may have
// chosen, also elsewhere when they have 16 bytes or more.
//
// A name is made of words that can be spoken, acronyms, and technical terms, and has up to three
// other digits: "user_id", "lineItems2", "userIDs", "sha256sum", "PHPSESSID", "__Host-session".
// Names stay because a handler finds nothing in a body whose names are others. So "Kowalski" and
// "hunter2" stay as keys of a map, unless another key of the same object does not look like a
// name, such as an e-mail address: then all of them are hidden. Names in a GraphQL document stay,
// too (in the member "query" of a JSON body, the parameter "query", or a body of type
// application/graphql); its strings and numbers are hidden.
//
// Redaction of a body takes a bounded time. In one body at most 2,000 IPv6 addresses and 255 unusual
// links, with escapes in the path or an address in brackets, become others of their kind. Further
// ones are replaced word by word.
type Redaction struct {
	// Key makes the pseudonyms, by HMAC-SHA256. With it the same thing has the same
	// pseudonym in all bundles, and replay can tell whether an answer is the recorded
	// one. Whoever has it can find out whom a pseudonym stands for by trying, so it
	// belongs with the secrets and never beside the bundles. At least 16 bytes; nil: a
	// random one for this process.
	Key []byte `json:"-"`

	// Headers names headers whose values stay, in requests and responses of both
	// directions: "X-Tenant-Tier". Others that have a known shape are redacted in
	// that; those whose names are no names are left out.
	Headers []string `json:"headers,omitempty"`

	// Fields names parameters of queries, forms and routes, cookies, and attributes
	// of log records ("page", or "cart.size" in a group), whose values stay, and parameters
	// without a "=" that stay.
	Fields []string `json:"fields,omitempty"`

	// JSON lists paths into JSON bodies of requests and responses of both directions,
	// and into results of observe.Value, where what is there stays with all that is in it:
	// "$.items[*].sku". The syntax is that part of JSONPath (RFC 9535) that has names
	// ($.a, $['a']), indices, wildcards and descendants ($..a).
	JSON []string `json:"json,omitempty"`

	// URLs lists patterns of URLs that the service serves, calls or sends, as http.ServeMux
	// has them without the method: of "prices.internal/prices/{sku}" the host and the
	// word prices stay. "/prices/{sku}" is for any host, and hides it.
	URLs []string `json:"urls,omitempty"`

	// Flags names feature flags whose values stay. Of others only booleans do.
	Flags []string `json:"flags,omitempty"`

	// Values names results of observe.Value that stay whole, such as "now".
	Values []string `json:"values,omitempty"`

	// Words keeps plain words in log messages and in the texts of panics and errors:
	// of "no price for \"tea\", user=ann" it keeps "no price for" and "user". What is
	// quoted, follows a "=" or an ":" without a space, has digits, or is one of the words
	// that were hidden elsewhere in the bundle, is still replaced. False hides all.
	Words bool `json:"words,omitempty"`
}

// rules are a Redaction made fast.
type rules struct {
	headers, fields, flags, values map[string]bool
	json                           []jsonPath
	names                          map[string]bool // that JSON paths have
	urls                           []urlPattern
	words                          bool
}

func newRules(r *Redaction) (*rules, error) {
	c := &rules{
		headers: map[string]bool{}, fields: set(r.Fields), flags: set(r.Flags),
		values: set(r.Values), names: map[string]bool{}, words: r.Words,
	}
	for _, name := range r.Headers {
		c.headers[strings.ToLower(name)] = true
	}
	var faults Faults
	check := func(field string, i int, rule string, err error) {
		if err != nil {
			faults = append(faults, &Fault{Field: fmt.Sprintf("%s[%d]", field, i), Rule: rule, Err: err})
		}
	}
	for i, rule := range r.JSON {
		p, err := newJSONPath(rule)
		check("JSON", i, rule, err)
		c.json = append(c.json, p)
		for _, step := range p {
			if name, ok := step.at.(string); ok {
				c.names[name] = true
			}
		}
	}
	for i, rule := range r.URLs {
		p, err := newURLPattern(rule)
		check("URLs", i, rule, err)
		c.urls = append(c.urls, p)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return c, nil
}

// A jsonPath is a list of steps from the root.
type jsonPath []jsonStep

type jsonStep struct {
	at      any  // a name or an index; nil is a wildcard
	descend bool // any number of steps before this one
}

// allows reports whether what is at a place, or what it is in, is on the path. A place is
// the names and indices from the root.
func (p jsonPath) allows(at []any) bool {
	if len(p) == 0 {
		return true
	}
	if len(at) == 0 {
		return false
	}
	step := p[0]
	return (step.at == nil || step.at == at[0]) && p[1:].allows(at[1:]) || step.descend && p.allows(at[1:])
}

func newJSONPath(s string) (jsonPath, error) {
	rest, ok := strings.CutPrefix(s, "$")
	if !ok {
		return nil, errors.New("a JSONPath begins with $")
	}
	p := jsonPath{}
	descents := 0
	for rest != "" {
		var step jsonStep
		if after, ok := strings.CutPrefix(rest, ".."); ok {
			step.descend, rest = true, after
			if descents++; descents > 2 {
				return nil, errors.New("more than two descendant segments")
			}
			if !strings.HasPrefix(rest, "[") {
				rest = "." + rest
			}
		}
		switch rest[0] {
		case '.':
			rest = rest[1:]
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			if end == 0 {
				return nil, errors.New("a name is missing after a dot")
			}
			var name string
			if name, rest = rest[:end], rest[end:]; name != "*" {
				step.at = name
				if strings.ContainsAny(name, " '\"]*?@(),:") {
					return nil, fmt.Errorf("%q must be written ['…']", name)
				}
			}
		case '[':
			var err error
			if step.at, rest, err = bracket(rest[1:]); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("%q follows where a dot or a bracket must", rest[:1])
		}
		if p = append(p, step); len(p) > 32 {
			return nil, errors.New("more than 32 steps")
		}
	}
	return p, nil
}

// bracket reads what is behind a "[".
func bracket(s string) (at any, rest string, err error) {
	if s != "" && (s[0] == '\'' || s[0] == '"') {
		name, rest, ok := strings.Cut(s[1:], s[:1]+"]")
		if !ok {
			return nil, "", errors.New("a quoted name does not end")
		}
		if strings.Contains(name, `\`) {
			return nil, "", errors.New("escapes in names are not known here")
		}
		return name, rest, nil
	}
	inside, rest, ok := strings.Cut(s, "]")
	if !ok {
		return nil, "", errors.New("a bracket is not closed")
	}
	if inside == "*" {
		return nil, rest, nil
	}
	n, err := strconv.ParseUint(inside, 10, 31)
	if err != nil {
		return nil, "", fmt.Errorf("[%s] is neither an index, a wildcard nor a quoted name", inside)
	}
	return int(n), rest, nil
}

// A urlPattern is a host, if any, and a path.
type urlPattern struct {
	host string
	path string
}

func newURLPattern(s string) (urlPattern, error) {
	i := strings.IndexByte(s, '/')
	if i < 0 {
		return urlPattern{}, errors.New("a pattern has a path, if only /")
	}
	if strings.ContainsAny(s, " \t?#@") || strings.Contains(s, "://") {
		return urlPattern{}, errors.New("a pattern is [HOST]/[PATH]")
	}
	p := urlPattern{host: strings.ToLower(s[:i]), path: s[i:]}
	for segment := range strings.SplitSeq(p.path, "/") {
		if strings.HasPrefix(segment, "{") != strings.HasSuffix(segment, "}") {
			return urlPattern{}, fmt.Errorf("%q is no wildcard", segment)
		}
	}
	return p, nil
}

// fit says what the segments of a URL's path are: by the route if it matches, else by
// that of the rules' patterns that has the most literal parts; nil when none matches. It
// also reports whether the host stays.
func (c *rules) fit(u *url.URL, segments []string, method, route string) (parts []pathPart, hostStays bool) {
	most := -1
	if route != "" && method != http.MethodConnect {
		if found, ok := matchPath(segments, route); ok {
			parts, most = found, len(segments)+1 // the route is what it was
		}
	}
	if c == nil {
		return parts, false
	}
	for _, p := range c.urls {
		if p.host != "" && !strings.EqualFold(p.host, u.Hostname()) && !strings.EqualFold(p.host, u.Host) {
			continue
		}
		found, ok := matchPath(segments, p.path)
		if !ok {
			continue
		}
		hostStays = hostStays || p.host != ""
		literals := 0
		for _, part := range found {
			if part.literal {
				literals++
			}
		}
		if literals > most {
			parts, most = found, literals
		}
	}
	return parts, hostStays
}

// places returns what reports whether the JSON paths allow what is at a place; nil when there
// are no paths.
func (c *rules) places() func(at []any) bool {
	if len(c.json) == 0 {
		return nil
	}
	return func(at []any) bool {
		return slices.ContainsFunc(c.json, func(p jsonPath) bool { return p.allows(at) })
	}
}

func (c *rules) field(name string) bool { return c != nil && c.fields[name] }

// A pathPart is what a segment of a path is by the pattern of its route.
type pathPart struct {
	literal bool
	name    string // of the wildcard
}

func (p pathPart) stays(c *rules) bool { return p.literal || p.name != "" && c.field(p.name) }

// matchPath takes the wildcards of http.ServeMux, {name}, {name...} and {$}, a subtree
// by its last slash, and :name and *name as other routers have them.
func matchPath(segments []string, pattern string) ([]pathPart, bool) {
	if !strings.HasPrefix(pattern, "/") {
		return nil, false
	}
	end, exact := strings.CutSuffix(pattern, "{$}")
	parts := strings.Split(end, "/")
	found := make([]pathPart, len(segments))
	for i, segment := range segments {
		if i >= len(parts) {
			return nil, false
		}
		part := parts[i]
		name, rest := "", false
		switch {
		case i == len(parts)-1 && i > 0 && part == "":
			rest = !exact && segment != ""
		case strings.HasPrefix(part, "{") && strings.HasSuffix(part, "}"):
			name, rest = strings.CutSuffix(part[1:len(part)-1], "...")
		case strings.HasPrefix(part, ":"):
			name = part[1:]
		case strings.HasPrefix(part, "*"):
			name, rest = part[1:], true
		}
		if rest {
			for ; i < len(found); i++ {
				found[i].name = name
			}
			return found, true
		}
		if found[i].name = name; name != "" {
			continue
		}
		if decoded, err := url.PathUnescape(segment); err != nil || decoded != part {
			return nil, false
		}
		found[i].literal = true
	}
	return found, len(segments) == len(parts)
}
