package compat

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/internal/document"
)

// Rules are the content of a [Policy], from a document or a literal.
type Rules struct {
	// Header is the header with the peer's version. Empty means User-Agent for Require and
	// X-Version for Expect. Headers other than User-Agent may have a version alone: v1.4.2.
	Header string `json:"header,omitempty"`

	// Default applies to peers that are not in Peers, and to peers without a name. With
	// User-Agent that includes curl/8.5.0 and browsers.
	Default []Rule `json:"default,omitempty"`

	// Peers has rules for peers of exactly that name, which then replace Default. An empty
	// list means that every version of the peer fits.
	Peers map[string][]Rule `json:"peers,omitempty"`
}

type ruleset struct {
	header    string // in canonical form; empty means the usual one
	byDefault []*rule
	peers     map[string][]*rule
	skews     bool // whether a rule has a Skew
}

func (s *ruleset) knows(peer string) bool {
	_, ok := s.peers[peer]
	return ok
}

func (s *ruleset) of(peer string) []*rule {
	if rules, ok := s.peers[peer]; ok {
		return rules
	}
	return s.byDefault
}

// A place is a field of rules and, if they come from a document, its node.
type place struct {
	file  string
	node  *document.Node // of the field, or of the map that lacks it
	field string
}

func (p place) at(name string) place {
	if p.field != "" {
		p.field += "."
	}
	p.field += name
	if n := p.node.Get(name); n != nil {
		p.node = n
	}
	return p
}

func (p place) index(i int) place {
	p.field += "[" + strconv.Itoa(i) + "]"
	if p.node != nil && p.node.Kind == document.List && i < len(p.node.Items) {
		p.node = p.node.Items[i]
	}
	return p
}

func (p place) key(name string) place {
	key := p.at(name)
	if p.node != nil && p.node.Kind == document.Map {
		for _, k := range p.node.Keys {
			if k.Text == name {
				key.node = k
			}
		}
	}
	return key
}

func compile(rules Rules, root place) (*ruleset, Faults) {
	c := compiler{set: &ruleset{header: http.CanonicalHeaderKey(rules.Header), peers: make(map[string][]*rule, len(rules.Peers))}}
	if rules.Header != "" && !isToken(rules.Header) {
		c.faultf(root.at("header"), "%q is not a header name", rules.Header)
	}
	c.set.byDefault = c.list(root.at("default"), rules.Default)
	count := len(rules.Default)
	peers := root.at("peers")
	for _, name := range slices.Sorted(maps.Keys(rules.Peers)) {
		at := peers.at(name)
		if !isToken(name) {
			at = peers
			c.faultf(at, "%q is not a name that a peer can send: it must be a token of at most %d bytes, as Info.UserAgent makes them", name, maxToken)
		}
		if rules.Peers[name] == nil {
			c.faultf(peers.key(name), "must be a list of rules; with an empty list every version of the peer fits")
		}
		c.set.peers[name] = c.list(at, rules.Peers[name])
		count += len(rules.Peers[name])
	}
	if count == 0 {
		c.faultf(root, "must have at least one rule")
	}
	return c.set, c.faults
}

type compiler struct {
	set    *ruleset
	faults Faults
}

func (c *compiler) faultf(at place, format string, args ...any) {
	f := &Fault{File: at.file, Rule: ruleOf(at.field), Field: at.field, Err: fmt.Errorf(format, args...)}
	if at.node != nil {
		f.Line, f.Column = at.node.Line, at.node.Column
	}
	c.faults = append(c.faults, f)
}

func (c *compiler) list(at place, rules []Rule) []*rule {
	list := make([]*rule, len(rules))
	for i := range rules {
		list[i] = c.rule(at.index(i), rules[i])
	}
	return list
}

func (c *compiler) rule(at place, from Rule) *rule {
	r, faults := &rule{Rule: from}, len(c.faults)
	if r.Stage == "" {
		r.Stage = StageObserve
	}
	if r.Stage.rank() < 0 {
		c.faultf(at.at("stage"), "must be observe, warn or enforce, got %q", from.Stage)
	}
	var wants []string
	within := func(at place, text string) {
		set, err := parseConstraint(text)
		if err != nil {
			c.faultf(at, "%w", err)
			return
		}
		r.within = append(r.within, set)
		wants = append(wants, set.text)
	}
	if r.Minimum != "" {
		v, why := parseVersion(r.Minimum)
		switch at := at.at("minimum"); {
		case v == nil:
			c.faultf(at, "%q is not a version that can be compared: it %s%s", r.Minimum, why, proposal(r.Minimum))
		case v.Metadata() != "":
			c.faultf(at, "%q must not have build metadata, which is not compared%s", r.Minimum, proposal(r.Minimum))
		default:
			within(at, ">="+v.String())
		}
	}
	if r.Require != "" {
		within(at.at("require"), r.Require)
	}
	for i, text := range r.Block {
		text = strings.Join(strings.Fields(text), " ")
		set, literal, err := parseBlock(text)
		if err != nil {
			c.faultf(at.at("block").index(i), "%w", err)
			continue
		}
		if set != nil {
			r.block = append(r.block, *set)
		}
		r.blocked = append(r.blocked, literal)
		wants = append(wants, "not "+text)
	}
	if faults == len(c.faults) && !r.satisfiable() {
		c.faultf(at, "no version satisfies it: everything that minimum and require allow is blocked, or they exclude each other")
	}
	if r.Skew != nil {
		skew := *r.Skew
		r.Skew, c.set.skews = &skew, true
		if skew.Minor < 0 {
			c.faultf(at.at("skew").at("minor"), "must not be negative, got %d", skew.Minor)
		}
	}
	if r.Minimum == "" && r.Require == "" && len(r.Block) == 0 && r.Skew == nil {
		if !r.Strict {
			c.faultf(at, "needs one of minimum, require, block, skew and strict")
		}
		wants = append(wants, "a version that can be compared")
	}
	r.required = strings.Join(wants, ", ")
	if len(r.Reason) > maxReason || !cleantext.Printable(r.Reason) {
		c.faultf(at.at("reason"), "must be one line of at most %d bytes", maxReason)
	}
	if !r.Sunset.IsZero() && r.Sunset.Before(r.Deprecation) {
		c.faultf(at.at("sunset"), "must not be earlier than deprecation (RFC 9745 section 4)")
	}
	if r.Link != "" && !isLink(r.Link) {
		c.faultf(at.at("link"), "%q is not an address", r.Link)
	}
	return r
}

func isLink(text string) bool {
	_, err := url.Parse(text)
	return err == nil && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`<>"`, c) })
}

func ruleOf(field string) string {
	if i := strings.IndexByte(field, ']'); i >= 0 {
		return field[:i+1]
	}
	return ""
}
