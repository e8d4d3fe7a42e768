package compat

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/upkeep-go/upkeep/internal/problem"
)

// An UnfitError describes a peer that breaks a rule. [Policy.CheckClient] and
// [Policy.CheckServer] return it at each stage, the transport of [Expect] only at
// [StageEnforce].
type UnfitError struct {
	Peer     string // name in the header, or empty
	Version  string // version in the header, or empty
	Required string // the rule's requirement: ">=1.4.0, not v1.4.3"
	Why      string // the reason: "does not satisfy >=1.4.0"
	Reason   string // Rule.Reason
	Link     string // Rule.Link
	Stage    Stage  // of the rule
}

// Error returns peer, version and requirement:
//
//	compat: shop v1.3.0 does not satisfy >=1.4.0: orders lose their currency
func (e *UnfitError) Error() string { return "compat: " + e.detail() }

func (e *UnfitError) detail() string {
	text := cmp.Or(e.Peer, "the peer")
	if e.Version != "" {
		text += " " + e.Version
	}
	text += " " + e.Why
	if !strings.Contains(e.Why, e.Required) {
		text += "; needed is " + e.Required
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

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

// A verdict is the result for one header. It is immutable.
type verdict struct {
	outcome     outcome
	unfit       *UnfitError // nil if no rule is broken
	deprecation string
	sunset      string
	link        string
	body        []byte // of a refusal
	logged      atomic.Bool
}

const maxKept = 1024

type table struct {
	rules    *ruleset
	self     peer // this program
	side     side
	header   string // in canonical form, the key in http.Header
	missing  *verdict
	overlong *verdict

	mu   sync.RWMutex
	kept map[string]*verdict // by header, at most maxKept
}

func newTable(rules *ruleset, self peer, s side) *table {
	usual := [...]string{clients: "User-Agent", servers: "X-Version"}[s]
	t := &table{rules: rules, self: self, side: s, header: cmp.Or(rules.header, usual), kept: map[string]*verdict{}}
	t.missing = t.verdict(newPeer("", ""))
	t.missing.outcome = max(t.missing.outcome, outcomeMissing)
	t.overlong = t.verdict(peer{unread: "sends a longer header than is read"})
	return t
}

func (t *table) look(values []string) (v *verdict, judged bool) {
	if len(values) == 0 || values[0] == "" {
		return t.missing, false
	}
	header := values[0]
	if len(header) > maxHeader {
		return t.overlong, false
	}
	t.mu.RLock()
	v = t.kept[header]
	t.mu.RUnlock()
	if v != nil {
		return v, false
	}
	header = strings.Clone(header) // so that the connection's buffer is not kept
	v = t.judge(header)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.kept) >= maxKept {
		for any := range t.kept { // in random order
			delete(t.kept, any)
			break
		}
	}
	t.kept[header] = v
	return v, true
}

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
		p.unread = "sends no readable name or version"
	}
	return t.verdict(p)
}

func (t *table) verdict(p peer) *verdict {
	v := new(verdict)
	var worst *rule
	for _, r := range t.rules.of(p.name) {
		broken, unknown := r.judge(p, t.self, t.side)
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
				Peer: p.name, Version: p.version, Required: r.wants(t.self.semver, t.side), Why: broken,
				Reason: r.Reason, Link: r.Link, Stage: r.Stage,
			}
		}
	}
	if worst == nil {
		return v
	}
	v.outcome = outcomeObserved + outcome(worst.Stage.rank())
	switch {
	case t.side == servers: // a client sends no response
	case worst.Stage == StageWarn:
		v.warning(worst)
	case worst.Stage == StageEnforce:
		v.refusal()
	}
	return v
}

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

// link returns a Link header (RFC 8288 section 3), or "" without an address.
func link(address string, relations ...string) string {
	if address == "" {
		return ""
	}
	return "<" + address + `>; rel="` + strings.Join(relations, " ") + `"`
}

func (v *verdict) refusal() {
	members := map[string]any{"required": v.unfit.Required}
	for name, value := range map[string]string{"peer": v.unfit.Peer, "version": v.unfit.Version, "link": v.unfit.Link} {
		if value != "" {
			members[name] = value
		}
	}
	p := problem.Problem{Status: http.StatusBadRequest, Detail: v.unfit.detail(), Members: members}
	v.body = p.JSON()
	v.link = link(v.unfit.Link, "help")
}

func (v *verdict) error() error {
	u := *v.unfit
	return &u
}
