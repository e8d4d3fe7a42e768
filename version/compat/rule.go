package compat

import (
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
)

// Stage says what happens if a peer breaks a [Rule].
type Stage string

const (
	// StageObserve counts and logs the peer. It is the default.
	StageObserve Stage = "observe"
	// StageWarn also warns the peer in headers of the response.
	StageWarn Stage = "warn"
	// StageEnforce refuses the peer.
	StageEnforce Stage = "enforce"
)

// rank orders the stages. It returns -1 for an unknown one.
func (s Stage) rank() int {
	return slices.Index([]Stage{StageObserve, StageWarn, StageEnforce}, s)
}

// A Rule says which versions fit. It needs at least one of Minimum, Require, Block, Skew and
// Strict, and a version must satisfy all that are set. The package comment has the rules for
// versions.
//
// If a peer breaks several rules, the first one of the highest stage counts.
type Rule struct {
	// Stage says what happens if a peer breaks the rule. Empty means StageObserve.
	Stage Stage `json:"stage,omitempty"`

	// Minimum is the lowest version that fits: v1.4.0.
	Minimum string `json:"minimum,omitempty"`

	// Require is a constraint: ">=1.4 <3 || >=3.2". "1.4.0" alone means
	// exactly 1.4.0.
	Require string `json:"require,omitempty"`

	// Block lists bad versions: v1.4.3 (blocks its prereleases, too), 1.6.0-rc1 (blocks only
	// that one), "1.5.0 - 1.5.2", 1.6 (blocks all of 1.6), or a version without an order:
	// build-4711.
	Block []string `json:"block,omitempty"`

	// Skew limits the distance between the peer and Options.Self. With Require the peer is
	// the client, with Expect the server.
	Skew *Skew `json:"skew,omitempty"`

	// Strict makes a peer without a version, or with an unknown result, break the rule.
	// That includes health probes, browsers and their preflights, so put Require only around
	// the API. Rules.Default applies to a peer whose header cannot be read.
	Strict bool `json:"strict,omitempty"`

	// Reason is sent to peers that break the rule. It is one line of at most 512 bytes.
	Reason string `json:"reason,omitempty"`

	// Deprecation is the time from which the versions are deprecated. Sunset is the time
	// from which they will be refused; it must not be earlier. StageWarn sends them as the
	// headers Deprecation (RFC 9745) and Sunset (RFC 8594). They only inform. Zero means not
	// sent.
	Deprecation time.Time `json:"deprecation,omitzero"`
	Sunset      time.Time `json:"sunset,omitzero"`

	// Link is the address of a page with details. It is sent as a Link header. Its relations
	// are deprecation and sunset if StageWarn sends these dates, else help.
	Link string `json:"link,omitempty"`
}

const maxReason = 512

type rule struct {
	Rule
	required string       // the requirements as text, without Skew
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
	unread        string // why nothing could be read, or empty
	semver        *semver.Version
	incomparable  string // why semver is nil, or empty
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
		// The rule is about the client, which is this program.
		if why := r.Skew.apart(self.semver, p.semver); why != "" {
			broken = "has a client, v" + self.semver.String() + ", that " + why
		}
	}
	return broken, unknown
}
