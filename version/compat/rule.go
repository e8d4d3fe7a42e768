package compat

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
)

// A Stage says what a broken [Rule] does.
type Stage string

const (
	// StageObserve counts and logs who breaks the rule. It is the default.
	StageObserve Stage = "observe"
	// StageWarn also tells the peer, in headers of the answer.
	StageWarn Stage = "warn"
	// StageEnforce refuses the peer.
	StageEnforce Stage = "enforce"
)

// rank orders the stages; -1 is none.
func (s Stage) rank() int {
	return slices.Index([]Stage{StageObserve, StageWarn, StageEnforce}, s)
}

// Rules are the data of a [Policy]: a document in JSON, or a literal.
type Rules struct {
	// Header is the header that the peer tells its version in. When empty it
	// is User-Agent for Require and X-Version for Expect. A header of your
	// own may also hold a version alone, v1.4.2, which has no name.
	Header string `json:"header,omitempty"`

	// Default holds for every peer whose name is not in Peers, and for one
	// that tells no name. In a User-Agent that is anybody, curl/8.5.0 and
	// browsers too, whose versions are judged by the same numbers.
	Default []Rule `json:"default,omitempty"`

	// Peers hold in place of Default for those who tell that name, as it is
	// written: the name of a client in its User-Agent. An empty list asks
	// nothing of the peer.
	Peers map[string][]Rule `json:"peers,omitempty"`
}

// A Rule says which versions fit, and what becomes of those that do not. It
// needs at least one of Minimum, Require, Block, Skew and Strict; the version
// must satisfy them all. The package comment says how versions are judged.
//
// Of several rules for a peer all are looked at; when more than one is broken
// the one of the highest stage counts, of these the first.
type Rule struct {
	// Stage is how far the rule has come; empty is StageObserve.
	Stage Stage `json:"stage,omitempty"`

	// Minimum is the lowest version that fits: v1.4.0.
	Minimum string `json:"minimum,omitempty"`

	// Require is a constraint for what a minimum cannot say:
	// ">=1.4 <3 || >=3.2". Mind that "1.4.0" alone means exactly that one.
	Require string `json:"require,omitempty"`

	// Block lists bad versions: v1.4.3, "1.5.0 - 1.5.2", 1.6 for all of 1.6,
	// or the very text of a version that has no order: build-4711.
	Block []string `json:"block,omitempty"`

	// Skew says how far the peer may be from Options.Self. In Require the
	// peer is the client, in Expect the server.
	Skew *Skew `json:"skew,omitempty"`

	// Strict makes the rule broken by a peer that tells no version, or one of
	// which it cannot be told whether it fits. That also hits health probes,
	// browsers and their preflights: mount Require around the API only. Who
	// tells nothing that can be read has no name, and gets Rules.Default: what
	// nobody is to get around stands there too.
	Strict bool `json:"strict,omitempty"`

	// Reason is told to those who break the rule: one line, at most 512 bytes.
	Reason string `json:"reason,omitempty"`

	// Deprecation is when peers that break the rule began to be, or will be,
	// out of favour, and Sunset when they are expected to be refused. In
	// StageWarn they are the headers Deprecation (RFC 9745) and Sunset (RFC
	// 8594). Sunset must not be the earlier one. Both inform: on that day
	// nothing happens until somebody changes Stage. Zero is not told.
	Deprecation time.Time `json:"deprecation,omitzero"`
	Sunset      time.Time `json:"sunset,omitzero"`

	// Link is the address of a page that says more, sent as a Link header: in
	// StageWarn with the relations deprecation and sunset, for whichever date
	// is given, else and in StageEnforce with the relation help.
	Link string `json:"link,omitempty"`
}

// maxReason bounds Rule.Reason, in bytes.
const maxReason = 512

// rule is a Rule made ready.
type rule struct {
	Rule
	required string       // what it wants, in words, except for Skew
	within   []constraint // Minimum and Require
	block    []constraint
	blocked  []string // texts of Block, without a leading v
}

// A compiler makes rules ready and gathers what is wrong with them.
type compiler struct {
	file   string
	places map[string]string // in the file, of fields
	faults Faults
	skews  bool // some rule has a Skew
}

func (c *compiler) fault(field string, err error) {
	file := c.file
	for part := field; c.places != nil; part = part[:strings.LastIndexAny(part, ".[")] {
		if place := c.places[part]; place != "" {
			file = place
			break
		}
		if !strings.ContainsAny(part, ".[") {
			break
		}
	}
	c.faults = append(c.faults, &Fault{File: file, Field: field, Err: err})
}

func (c *compiler) rules(rules Rules) (byDefault []*rule, peers map[string][]*rule, header string) {
	if rules.Header != "" && !isToken(rules.Header) {
		c.fault("header", fmt.Errorf("%q is no header name", rules.Header))
	}
	byDefault = c.list("default", rules.Default)
	peers = make(map[string][]*rule, len(rules.Peers))
	some := len(byDefault) > 0
	for _, name := range slices.Sorted(maps.Keys(rules.Peers)) {
		field := "peers." + name
		if !isToken(name) {
			field = "peers"
			c.fault(field, fmt.Errorf("%q is no name that a peer could tell: it must be a token of at most %d bytes, as Info.UserAgent makes them", name, maxToken))
		}
		if rules.Peers[name] == nil {
			c.fault(field, errors.New("has no list; an empty one asks nothing of the peer"))
		}
		peers[name] = c.list(field, rules.Peers[name])
		some = some || len(peers[name]) > 0
	}
	if !some {
		c.fault("", errors.New("there is no rule"))
	}
	return byDefault, peers, http.CanonicalHeaderKey(rules.Header)
}

func (c *compiler) list(field string, rules []Rule) []*rule {
	list := make([]*rule, len(rules))
	for i := range rules {
		list[i] = c.rule(fmt.Sprintf("%s[%d]", field, i), rules[i])
	}
	return list
}

func (c *compiler) rule(field string, from Rule) *rule {
	r := &rule{Rule: from}
	if r.Stage == "" {
		r.Stage = StageObserve
	}
	if r.Stage.rank() < 0 {
		c.fault(field+".stage", fmt.Errorf("must be observe, warn or enforce, got %q", from.Stage))
	}
	var wants []string
	if r.Minimum != "" {
		if v, why := parseVersion(r.Minimum); v == nil {
			c.fault(field+".minimum", fmt.Errorf("%q is no version that could be compared: it %s", r.Minimum, why))
		} else if v.Metadata() != "" {
			c.fault(field+".minimum", fmt.Errorf("%q must not have build metadata, which is not compared", r.Minimum))
		} else if set, err := parseConstraint(">=" + v.String()); err != nil {
			c.fault(field+".minimum", err)
		} else {
			r.within = append(r.within, set)
			wants = append(wants, set.text)
		}
	}
	if r.Require != "" {
		if set, err := parseConstraint(r.Require); err != nil {
			c.fault(field+".require", err)
		} else {
			r.within = append(r.within, set)
			wants = append(wants, set.text)
		}
	}
	for i, text := range r.Block {
		set, err := parseConstraint(text)
		switch {
		case strings.TrimSpace(text) == "":
			c.fault(fmt.Sprintf("%s.block[%d]", field, i), errors.New("must not be empty"))
			continue
		case err == nil:
			r.block = append(r.block, set)
		case !bare(text):
			c.fault(fmt.Sprintf("%s.block[%d]", field, i), err)
			continue
		}
		r.blocked = append(r.blocked, strings.TrimPrefix(text, "v"))
		wants = append(wants, "not "+strings.Join(strings.Fields(text), " "))
	}
	if r.Skew != nil {
		skew := *r.Skew
		r.Skew, c.skews = &skew, true
		if skew.Minor < 0 {
			c.fault(field+".skew.minor", fmt.Errorf("must not be negative, got %d", skew.Minor))
		}
	}
	if r.Minimum == "" && r.Require == "" && len(r.Block) == 0 && r.Skew == nil {
		if !r.Strict {
			c.fault(field, errors.New("needs one of minimum, require, block, skew and strict"))
		}
		wants = append(wants, "a version that can be compared")
	}
	r.required = strings.Join(wants, ", ")
	if len(r.Reason) > maxReason || !printable(r.Reason) {
		c.fault(field+".reason", fmt.Errorf("must be one line of at most %d bytes", maxReason))
	}
	if !r.Sunset.IsZero() && r.Sunset.Before(r.Deprecation) {
		c.fault(field+".sunset", errors.New("must not be earlier than deprecation (RFC 9745 section 4)"))
	}
	if r.Link != "" {
		if _, err := url.Parse(r.Link); err != nil || strings.ContainsFunc(r.Link, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`<>"`, c) }) {
			c.fault(field+".link", fmt.Errorf("%q is no address", r.Link))
		}
	}
	return r
}

// wants says in words which versions fit the rule.
func (r *rule) wants(self *semver.Version, s side) string {
	if r.Skew == nil {
		return r.required
	}
	skew := r.Skew.String()
	if self != nil {
		skew = r.Skew.around(self, s)
	}
	if r.required == "" {
		return skew
	}
	return r.required + ", " + skew
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\uFFFD' })
}

// A peer is what a program tells of itself.
type peer struct {
	name, version string // tokens, or empty
	unread        string // why nothing could be read; empty when something was
	semver        *semver.Version
	incomparable  string // why semver is nil
	dirty         bool
}

func newPeer(name, ver string) peer {
	p := peer{name: name, version: ver}
	p.semver, p.incomparable = parseVersion(ver)
	p.dirty = p.semver != nil && isDirty(p.semver)
	return p
}

// judge says what breaks the rule, or else why it cannot be told whether
// something does.
func (r *rule) judge(p peer, self *semver.Version, selfWhy string, side side) (broken, unknown string) {
	if p.unread != "" {
		return "", p.unread
	}
	if p.version != "" {
		for _, text := range r.blocked {
			if text == strings.TrimPrefix(p.version, "v") {
				return "is blocked", ""
			}
		}
	}
	if p.semver == nil {
		return "", p.incomparable
	}
	for _, set := range r.block {
		if set.hits(p.semver) {
			return "is blocked by " + set.text, ""
		}
	}
	for _, set := range r.within {
		if why := set.allows(p.semver); why != "" {
			return why, ""
		}
	}
	if p.dirty && len(r.within)+len(r.block) > 0 {
		unknown = "was built from changed files"
	}
	switch {
	case r.Skew == nil:
	case self == nil:
		unknown = "is to be compared with a version that " + selfWhy
	case side == clients:
		broken = r.Skew.apart(p.semver, self)
	default:
		// The rule speaks of the client, and that is this program.
		if why := r.Skew.apart(self, p.semver); why != "" {
			broken = "has a client, v" + self.String() + ", that " + why
		}
	}
	return broken, unknown
}
