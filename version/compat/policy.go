package compat

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/upkeep-go/upkeep/version"
)

// Options say what is not in the rules.
type Options struct {
	// Self is the version of this program, which Rule.Skew compares with.
	// When empty it is that of version.Current. With one that has no order,
	// such as the (devel) of a build without its repository, a skew can tell
	// nothing: it is logged once, and every peer passes but by Strict.
	Self string

	// Logger is told once of each version that breaks a rule: at level Info
	// in StageObserve, Warn after that; and of a Self that cannot be compared.
	// When nil it is slog.Default().
	Logger *slog.Logger
}

// A Policy judges peers by [Rules]. It is made by [New] or [ParsePolicy] and
// may be used by any number of goroutines. It starts none.
type Policy struct {
	logger   *slog.Logger
	self     *semver.Version
	selfText string
	selfWhy  string // why self is nil
	current  atomic.Pointer[compiled]
	counts   [outcomes]atomic.Uint64
	judged   atomic.Uint64
	unlogged atomic.Uint64
	told     told
}

// compiled are rules made ready, with the verdicts that they gave.
type compiled struct {
	byDefault []*rule
	peers     map[string][]*rule
	sides     [2]table
}

// A side says whom a policy judges.
type side int

const (
	clients side = iota // by Require
	servers             // by Expect
)

func (s side) String() string {
	if s == clients {
		return "client"
	}
	return "server"
}

// New makes a policy. The error is [Faults], all of them.
func New(rules Rules, opts *Options) (*Policy, error) {
	return newPolicy("", nil, rules, opts)
}

// ParsePolicy reads the rules from a document, JSON or YAML with the names of
// the JSON tags of [Rules], and makes a policy. A date is a day, 2027-03-31,
// or a time of RFC 3339. name is what errors call the document. A field that
// is not in Rules is an error. The error is [Faults], with their places.
//
//	peers:
//	  shop:
//	    - minimum: v1.4.0
//	      stage: enforce
//	    - minimum: v1.6.0
//	      stage: warn
//	      sunset: 2027-03-31
func ParsePolicy(name string, data []byte, opts *Options) (*Policy, error) {
	rules, places, err := parseRules(name, data)
	if err != nil {
		return nil, err
	}
	return newPolicy(name, places, rules, opts)
}

func newPolicy(name string, places map[string]string, rules Rules, opts *Options) (*Policy, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	p := &Policy{logger: o.Logger}
	if o.Self == "" {
		o.Self = version.Current().Version
	}
	p.selfText = cut(o.Self)
	p.self, p.selfWhy = parseVersion(o.Self)
	if err := p.update(name, places, rules); err != nil {
		return nil, err
	}
	return p, nil
}

// Update puts other rules in place of those of the policy, for a bad version
// that must be blocked now. Rules with faults change nothing; the error is
// [Faults]. Statistics go on.
func (p *Policy) Update(rules Rules) error { return p.update("", nil, rules) }

// UpdateDocument is Update with the rules of a document, as [ParsePolicy] reads
// it.
func (p *Policy) UpdateDocument(name string, data []byte) error {
	rules, places, err := parseRules(name, data)
	if err != nil {
		return err
	}
	return p.update(name, places, rules)
}

func (p *Policy) update(name string, places map[string]string, rules Rules) error {
	compiler := compiler{file: name, places: places}
	c := new(compiled)
	var header string
	c.byDefault, c.peers, header = compiler.rules(rules)
	if len(compiler.faults) > 0 {
		return compiler.faults
	}
	for s, usual := range []string{clients: "User-Agent", servers: "X-Version"} {
		t := &c.sides[s]
		t.init(p, c, side(s))
		t.header = usual
		if header != "" {
			t.header = header
		}
		t.missing = t.verdict("", newPeer("", ""))
		t.missing.outcome = max(t.missing.outcome, outcomeMissing)
		t.overlong = t.verdict("", peer{unread: "tells more than can be read"})
	}
	p.current.Store(c)
	if p.self == nil && compiler.skews {
		p.log(context.Background(), slog.LevelWarn, "rules with a skew tell nothing: this program's own version "+p.selfWhy, slog.String("version", p.selfText))
	}
	return nil
}

// CheckClient judges what a client tells in its header, where requests do not
// come by HTTP. It is nil, or a [*UnfitError] whatever the stage. It is not
// counted, logged or cached.
func (p *Policy) CheckClient(header string) error { return p.check(header, clients) }

// CheckServer judges what a server tells in its header, as CheckClient does.
func (p *Policy) CheckServer(header string) error { return p.check(header, servers) }

func (p *Policy) check(header string, s side) error {
	if v := p.current.Load().sides[s].judge(header); v.unfit != nil {
		return v.error()
	}
	return nil
}

// Stats counts what the policy did, requests and responses together:
//
//   - fit: the peer fits, or nothing is asked of it;
//   - unknown: it tells a version of which it cannot be told whether it fits,
//     and passed; missing: it tells none, be it with a name, and passed;
//   - observed, warned, refused: it breaks a rule of that stage;
//   - judged: verdicts that were worked out, and not known from before;
//   - unlogged: requests whose broken rule should have been logged, when the
//     hour's log lines were used up.
func (p *Policy) Stats() map[string]float64 {
	stats := map[string]float64{"judged": float64(p.judged.Load()), "unlogged": float64(p.unlogged.Load())}
	for o := range outcomes {
		stats[o.String()] = float64(p.counts[o].Load())
	}
	return stats
}

// told remembers what was logged.
type told struct {
	mu    sync.Mutex
	since time.Time
	what  map[toldKey]struct{}
}

type toldKey struct {
	side          side
	peer, version string
	stage         Stage
}

// maxTold bounds the versions that are logged in an hour.
const maxTold = 256

// first is true for what is to be logged, and full when there is no more room.
func (t *told) first(key toldKey) (first, full bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.what[key]; known {
		return false, false
	}
	if len(t.what) >= maxTold {
		if time.Since(t.since) < time.Hour {
			return false, true
		}
		t.what = nil // what is still in use is logged again
	}
	if t.what == nil {
		t.what, t.since = make(map[toldKey]struct{}), time.Now()
	}
	t.what[key] = struct{}{}
	return true, false
}

// count counts a verdict that is used, and logs it the first time.
func (p *Policy) count(ctx context.Context, v *verdict, s side) {
	p.counts[v.outcome].Add(1)
	if v.unfit == nil || v.logged.Load() {
		return
	}
	u := v.unfit
	first, full := p.told.first(toldKey{s, u.Peer, u.Version, u.Stage})
	if full {
		p.unlogged.Add(1)
		return
	}
	v.logged.Store(true)
	if !first {
		return
	}
	level := slog.LevelWarn
	if u.Stage == StageObserve {
		level = slog.LevelInfo
	}
	// Every attribute is a token of the peer or text of the policy.
	p.log(ctx, level, "a "+s.String()+" does not fit",
		slog.String("peer", u.Peer), slog.String("version", u.Version), slog.String("stage", string(u.Stage)),
		slog.String("why", u.Why), slog.String("required", u.Required))
}

func (p *Policy) log(ctx context.Context, level slog.Level, message string, attrs ...slog.Attr) {
	logger := p.logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.LogAttrs(ctx, level, message, attrs...)
}
