package compat

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/live"
	"github.com/upkeep-go/upkeep/version"
)

// Options configure a policy apart from its rules. Nil options are the defaults.
type Options struct {
	// Self is the version of this program, for Rule.Skew. Empty means the version of
	// version.Current. If it cannot be ordered, as (devel), the result of a skew is unknown. That
	// is logged once.
	Self string

	// Poll is the time between loads by OpenPolicy, with a jitter of a tenth. Zero means
	// 15s.
	Poll time.Duration

	// LastGood is the path of a file in which OpenPolicy keeps the last accepted document,
	// for a start without the source. Empty means none.
	LastGood string

	// Fallback is OpenPolicy's document if both the source and LastGood lack one. Empty means
	// none.
	Fallback []byte

	// Logger gets one record for each version that breaks a rule, at level Info in
	// StageObserve and Warn in the other stages, and the state of OpenPolicy's document. Nil
	// means slog.Default().
	Logger *slog.Logger
}

// A Policy checks peers by its [Rules]. Only [Policy.SetRules] changes the rules of a policy
// from [New] or [ParsePolicy]. A policy from [OpenPolicy] follows a document. It is safe for
// concurrent use.
type Policy struct {
	logger  *slog.Logger
	self    peer
	current atomic.Pointer[state]
	keeper  *live.Keeper[state] // nil without a source

	counts   [outcomes]atomic.Uint64
	judged   atomic.Uint64
	unlogged atomic.Uint64
	logged   logged
}

type state struct {
	revision string
	sides    [2]*table
}

// New returns a policy. Its error is [Faults] with all faults.
func New(rules Rules, opts *Options) (*Policy, error) {
	p := newPolicy(opts)
	if err := p.setRules(rules); err != nil {
		return nil, err
	}
	return p, nil
}

// ParsePolicy returns a policy from a document in JSON or YAML, with the names of the JSON
// tags of [Rules]. A date is a day, 2027-03-31, or a time of RFC 3339. The name is used in
// errors. An unknown field is a fault. The error is [Faults].
//
//	peers:
//	  shop:
//	    - minimum: v1.4.0
//	      stage: enforce
//	    - minimum: v1.6.0
//	      stage: warn
//	      sunset: 2027-03-31
func ParsePolicy(name string, data []byte, opts *Options) (*Policy, error) {
	p := newPolicy(opts)
	s, err := p.parse(name, data)
	if err != nil {
		return nil, err
	}
	p.use(s)
	return p, nil
}

// OpenPolicy returns a policy that follows a source's document until [Policy.Close]. The
// document has the form of [ParsePolicy]. If it cannot be loaded or has a fault, the earlier
// rules stay in effect, and [Policy.Problems] has the reason.
//
// The first document comes from the source, else from Options.LastGood, else from
// Options.Fallback. Without any of them OpenPolicy returns the source's error, which wraps
// [Faults] for a document with faults. ctx bounds only the start.
func OpenPolicy(ctx context.Context, src Source, opts *Options) (*Policy, error) {
	if src == nil {
		return nil, errors.New("compat: the source is nil")
	}
	o := *cmp.Or(opts, new(Options))
	p := newPolicy(opts)
	p.keeper = live.Start(context.WithoutCancel(ctx), src, live.Options[state]{
		Parse: func(name string, data []byte, _ *state) (*state, []error, error) {
			s, err := p.parse(name, data)
			return s, nil, err
		},
		OnUpdate: func(s *live.Snapshot[state]) { p.use(s.Value) },
		Poll:     o.Poll,
		LastGood: o.LastGood,
		Fallback: o.Fallback,
		Logger:   p.logger,
	})
	if err := p.keeper.Ready(ctx); err != nil {
		_ = p.keeper.Close()
		return nil, fmt.Errorf("compat: %w", err)
	}
	return p, nil
}

func newPolicy(opts *Options) *Policy {
	o := *cmp.Or(opts, new(Options))
	if o.Self == "" {
		o.Self = version.Current().Version
	}
	o.Logger = cmp.Or(o.Logger, slog.Default())
	return &Policy{logger: o.Logger, self: newPeer("", o.Self)}
}

// SetRules replaces the rules of the policy. If they have faults it changes nothing and
// returns [Faults]. Statistics go on. A policy of [OpenPolicy] returns an error, because only
// its document changes it.
func (p *Policy) SetRules(rules Rules) error {
	if p.keeper != nil {
		return errors.New("compat: the rules come from a source: change its document")
	}
	return p.setRules(rules)
}

func (p *Policy) setRules(rules Rules) error {
	set, faults := compile(rules, place{})
	if len(faults) > 0 {
		return faults
	}
	data, _ := json.Marshal(rules) // it fails only for times that JSON cannot write; the revision is of empty rules then
	p.use(p.newState(set, data))
	return nil
}

func (p *Policy) parse(name string, data []byte) (*state, error) {
	set, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	return p.newState(set, data), nil
}

func (p *Policy) newState(set *ruleset, data []byte) *state {
	sum := sha256.Sum256(data)
	return &state{
		revision: hex.EncodeToString(sum[:8]),
		sides:    [2]*table{clients: newTable(set, p.self, clients), servers: newTable(set, p.self, servers)},
	}
}

func (p *Policy) use(s *state) {
	p.current.Store(s)
	if p.self.semver == nil && s.sides[clients].rules.skews {
		p.logger.Warn("rules with a skew have no effect: the version of this program "+p.self.incomparable, "version", shown(p.self.version))
	}
}

// Close stops following a document. The rules stay in effect. It may be called twice.
func (p *Policy) Close() error {
	if p.keeper == nil {
		return nil
	}
	return p.keeper.Close()
}

// Revision identifies the document or the rules in effect.
func (p *Policy) Revision() string { return p.current.Load().revision }

// Problems returns why the document cannot be loaded, why it was refused, and why the last
// good copy cannot be written.
func (p *Policy) Problems() []error {
	if p.keeper == nil {
		return nil
	}
	problems := p.keeper.Problems()
	if err := p.keeper.Status().SaveErr; err != nil {
		problems = append(problems, fmt.Errorf("last good copy: %w", err))
	}
	return problems
}

// CheckClient is nil, or an uncounted, unlogged [*UnfitError] whatever the stage.
func (p *Policy) CheckClient(header string) error { return p.check(header, clients) }

// CheckServer checks the header of a server in the same way.
func (p *Policy) CheckServer(header string) error { return p.check(header, servers) }

func (p *Policy) check(header string, s side) error {
	if v := p.current.Load().sides[s].judge(header); v.unfit != nil {
		return v.error()
	}
	return nil
}

// Stats returns how the checks of requests and responses ended, since the policy was made:
//
//	fit                       checks whose peer fits, or that no rule applies to
//	unknown                   checks whose peer has a version that cannot be judged, and that passed
//	missing                   checks whose peer has no version, and that passed
//	observed                  checks whose peer breaks a rule of the stage observe
//	warned                    checks whose peer breaks a rule of the stage warn
//	refused                   checks whose peer breaks a rule of the stage enforce, and was refused
//	judged                    verdicts that were not in the cache
//	unlogged                  verdicts that were not logged, because the hour's log lines
//	                          were used up
//	document_updates          documents accepted
//	document_failures         load attempts that failed or whose document was refused
//	document_age_seconds      seconds since the document in effect was accepted
//	document_checked_seconds  seconds since the source last returned an acceptable document;
//	                          -1 means never
//	problems                  number of Problems
//
// The last five are only there for a policy that follows a document.
func (p *Policy) Stats() map[string]float64 {
	stats := map[string]float64{"judged": float64(p.judged.Load()), "unlogged": float64(p.unlogged.Load())}
	for o := range outcomes {
		stats[o.String()] = float64(p.counts[o].Load())
	}
	if p.keeper == nil {
		return stats
	}
	s := p.keeper.Status()
	stats["document_updates"] = float64(s.Updates)
	stats["document_failures"] = float64(s.Failures)
	stats["document_age_seconds"] = time.Since(p.keeper.Snapshot().Since).Seconds()
	stats["document_checked_seconds"] = -1
	if !s.Checked.IsZero() {
		stats["document_checked_seconds"] = time.Since(s.Checked).Seconds()
	}
	stats["problems"] = float64(len(p.Problems()))
	return stats
}

func (p *Policy) look(ctx context.Context, h http.Header, s side) (v *verdict, header string) {
	t := p.current.Load().sides[s]
	v, judged := t.look(h[t.header])
	if judged {
		p.judged.Add(1)
	}
	p.counts[v.outcome].Add(1)
	if v.unfit == nil || v.logged.Load() {
		return v, t.header
	}
	u := v.unfit
	first, full := p.logged.first(logKey{s, u.Peer, u.Version, u.Stage})
	if full {
		p.unlogged.Add(1)
		return v, t.header
	}
	v.logged.Store(true)
	if first {
		level := slog.LevelWarn
		if u.Stage == StageObserve {
			level = slog.LevelInfo
		}
		// Each attribute is a token of the peer or a text of the policy.
		p.logger.LogAttrs(ctx, level, "a "+s.String()+" does not fit",
			slog.String("peer", u.Peer), slog.String("version", u.Version), slog.String("stage", string(u.Stage)),
			slog.String("why", u.Why), slog.String("required", u.Required))
	}
	return v, t.header
}

type logged struct {
	mu    sync.Mutex
	since time.Time
	what  map[logKey]struct{}
}

type logKey struct {
	side          side
	peer, version string
	stage         Stage
}

const maxLogged = 256

// first reports whether to log the peer, and whether the hour's records are used up.
func (l *logged) first(key logKey) (first, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.what[key]; known {
		return false, false
	}
	if len(l.what) >= maxLogged {
		if time.Since(l.since) < time.Hour {
			return false, true
		}
		l.what = nil // versions that are still in use are logged again
	}
	if l.what == nil {
		l.what, l.since = make(map[logKey]struct{}), time.Now()
	}
	l.what[key] = struct{}{}
	return true, false
}
