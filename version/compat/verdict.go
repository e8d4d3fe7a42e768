package compat

import (
	"bytes"
	"encoding/json"
	"hash/maphash"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

// An outcome is what becomes of a request or response.
type outcome int

const (
	outcomeFit outcome = iota
	outcomeUnknown
	outcomeMissing
	outcomeObserved
	outcomeWarned
	outcomeRefused
	outcomes
)

func (o outcome) String() string {
	return [outcomes]string{"fit", "unknown", "missing", "observed", "warned", "refused"}[o]
}

// A verdict is what a header was found to be. It does not change.
type verdict struct {
	header      string
	outcome     outcome
	unfit       *UnfitError // nil unless a rule is broken
	deprecation string
	sunset      string
	link        string
	body        []byte // of a refusal
	logged      atomic.Bool
}

const (
	sets = 256 // a power of two
	ways = 4
)

// A table holds the rules of one side and the verdicts that they gave. A hit
// takes no lock and allocates nothing. It is as large as it ever gets from the
// start. A new verdict takes an empty place of its set, or else one by chance.
// Sets are chosen by a hash that cannot be foretold.
type table struct {
	policy   *Policy
	rules    *compiled
	side     side
	header   string // in canonical form, so that http.Header is read as a map
	missing  *verdict
	overlong *verdict
	seed     maphash.Seed
	places   [sets][ways]atomic.Pointer[verdict]
}

func (t *table) init(p *Policy, c *compiled, s side) {
	t.policy, t.rules, t.side, t.seed = p, c, s, maphash.MakeSeed()
}

// look gives the verdict for the values of the header.
func (t *table) look(values []string) *verdict {
	if len(values) == 0 || values[0] == "" {
		return t.missing
	}
	header := values[0]
	if len(header) > maxHeader {
		return t.overlong
	}
	set := &t.places[maphash.String(t.seed, header)%sets]
	for i := range set {
		if v := set[i].Load(); v != nil && v.header == header {
			return v
		}
	}
	v := t.judge(strings.Clone(header)) // not the buffer that it was read into
	t.policy.judged.Add(1)
	for i := range set {
		if set[i].CompareAndSwap(nil, v) {
			return v
		}
	}
	set[rand.N(ways)].Store(v)
	return v
}

// judge works out a verdict.
func (t *table) judge(header string) *verdict {
	switch {
	case header == "":
		return t.missing
	case len(header) > maxHeader:
		return t.overlong
	}
	name, ver, ok := parseProduct(header, t.header == "User-Agent", t.rules.knows)
	p := newPeer(name, ver)
	if !ok {
		p.unread = "tells nothing that can be read"
	}
	return t.verdict(header, p)
}

func (c *compiled) knows(name string) bool {
	_, ok := c.peers[name]
	return ok
}

func (t *table) verdict(header string, p peer) *verdict {
	rules := t.rules.byDefault
	if t.rules.knows(p.name) {
		rules = t.rules.peers[p.name]
	}
	v := &verdict{header: header}
	var worst *rule
	for _, r := range rules {
		broken, unknown := r.judge(p, t.policy.self, t.policy.selfWhy, t.side)
		if broken == "" && unknown != "" {
			v.outcome = outcomeUnknown
			if p.version == "" && p.unread == "" {
				v.outcome = outcomeMissing
			}
			if r.Strict {
				broken = unknown
			}
		}
		if broken != "" && (worst == nil || r.Stage.rank() > worst.Stage.rank()) {
			worst = r
			v.unfit = &UnfitError{
				Peer: p.name, Version: p.version, Required: r.wants(t.policy.self, t.side), Why: broken,
				Reason: r.Reason, Link: r.Link, Stage: r.Stage,
			}
		}
	}
	if worst == nil {
		return v
	}
	v.outcome = outcomeObserved + outcome(worst.Stage.rank())
	switch {
	case t.side == servers: // which is not answered
	case worst.Stage == StageWarn:
		v.warning(worst)
	case worst.Stage == StageEnforce:
		v.refusal()
	}
	return v
}

// warning prepares the headers of RFC 9745 and RFC 8594.
func (v *verdict) warning(r *rule) {
	var relations []string
	if !r.Deprecation.IsZero() {
		v.deprecation = "@" + strconv.FormatInt(r.Deprecation.Unix(), 10) // a Date of RFC 9651 section 3.3.7
		relations = append(relations, "deprecation")
	}
	if !r.Sunset.IsZero() {
		v.sunset = r.Sunset.UTC().Format(http.TimeFormat)
		relations = append(relations, "sunset")
	}
	if relations == nil {
		relations = []string{"help"}
	}
	v.link = link(r.Link, relations...)
}

// link gives a Link header (RFC 8288 section 3), or "" without an address. Of
// several relations the parameter holds a list.
func link(address string, relations ...string) string {
	if address == "" {
		return ""
	}
	return "<" + address + `>; rel="` + strings.Join(relations, " ") + `"`
}

// refusal prepares a problem detail (RFC 9457).
func (v *verdict) refusal() {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // it is never read as HTML, and >= should be readable
	err := encoder.Encode(struct {
		Type     string `json:"type"`
		Title    string `json:"title"`
		Status   int    `json:"status"`
		Detail   string `json:"detail"`
		Peer     string `json:"peer,omitempty"`
		Version  string `json:"version,omitempty"`
		Required string `json:"required"`
		Link     string `json:"link,omitempty"`
	}{
		"about:blank", http.StatusText(http.StatusBadRequest), http.StatusBadRequest, v.unfit.detail(),
		v.unfit.Peer, v.unfit.Version, v.unfit.Required, v.unfit.Link,
	})
	if err != nil {
		panic("compat: " + err.Error()) // texts only
	}
	v.body = b.Bytes()
	v.link = link(v.unfit.Link, "help")
}

// error gives the broken rule to a caller, who may change it.
func (v *verdict) error() error {
	u := *v.unfit
	return &u
}
