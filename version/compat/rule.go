package compat

import (
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

// A Rule says which versions fit. It needs at least one of Minimum, Require, Block, Skew
// and Strict; the version must satisfy them all. The package comment says how versions are
// judged.
//
// When a peer breaks several rules, the first of the highest stage counts.
type Rule struct {
	// Stage is how far the rule has come; empty is StageObserve.
	Stage Stage `json:"stage,omitempty"`

	// Minimum is the lowest version that fits: v1.4.0.
	Minimum string `json:"minimum,omitempty"`

	// Require is a constraint: ">=1.4 <3 || >=3.2". "1.4.0" alone means exactly that one.
	Require string `json:"require,omitempty"`

	// Block lists bad versions: v1.4.3 with its prereleases, 1.6.0-rc1 alone, "1.5.0 -
	// 1.5.2", 1.6 for all of 1.6, or a version without an order: build-4711.
	Block []string `json:"block,omitempty"`

	// Skew says how far the peer may be from Options.Self. The peer of Require is the
	// client, that of Expect the server.
	Skew *Skew `json:"skew,omitempty"`

	// Strict makes a peer without a version, or with an unknown result, break the rule.
	// That also hits health probes, browsers and their preflights: mount Require around
	// the API only. A peer whose header cannot be read gets Rules.Default.
	Strict bool `json:"strict,omitempty"`

	// Reason is told to those who break the rule: one line, at most 512 bytes.
	Reason string `json:"reason,omitempty"`

	// Deprecation is when the peers are deprecated, and Sunset, which must not be earlier,
	// when they are expected to be refused. In StageWarn they are the headers Deprecation
	// (RFC 9745) and Sunset (RFC 8594). Both only inform. Zero is not sent.
	Deprecation time.Time `json:"deprecation,omitzero"`
	Sunset      time.Time `json:"sunset,omitzero"`

	// Link is the address of a page that says more, sent as a Link header with the
	// relations deprecation and sunset for the dates of StageWarn, else help.
	Link string `json:"link,omitempty"`
}

const maxReason = 512

type rule struct {
	Rule
	required string       // what it wants, in words, except for Skew
	within   []constraint // Minimum and Require
	block    []constraint
	blocked  []string // texts of Block, without a leading v
}

func (r *rule) satisfiable() bool {
	for _, set := range slices.Concat(r.within, r.block) {
		for _, v := range set.samples() {
			if !slices.ContainsFunc(r.within, func(c constraint) bool { return c.allows(v) != "" }) &&
				!slices.ContainsFunc(r.block, func(c constraint) bool { return c.hits(v) }) {
				return true
			}
		}
	}
	return len(r.within)+len(r.block) == 0
}

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

const isUnordered = "has a suffix that says nothing about the order"

func (r *rule) judge(p, self peer, side side) (broken, unknown string) {
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
		switch hit := set.hits(p.semver); {
		case set.leavesOpen(p.semver, hit):
			unknown = isUnordered
		case hit:
			return "is blocked by " + set.text, ""
		}
	}
	for _, set := range r.within {
		switch why := set.allows(p.semver); {
		case set.leavesOpen(p.semver, why == ""):
			unknown = isUnordered
		case why != "":
			return why, ""
		}
	}
	if p.dirty && len(r.within)+len(r.block) > 0 {
		unknown = "was built from changed files"
	}
	switch {
	case r.Skew == nil:
	case self.semver == nil:
		unknown = "is to be compared with a version that " + self.incomparable
	case side == clients:
		broken = r.Skew.apart(p.semver, self.semver)
	default:
		// The rule speaks of the client, and that is this program.
		if why := r.Skew.apart(self.semver, p.semver); why != "" {
			broken = "has a client, v" + self.semver.String() + ", that " + why
		}
	}
	return broken, unknown
}
