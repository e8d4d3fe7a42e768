package pkgmgmt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/mod/module"

	"github.com/upkeep-go/upkeep/internal/live"
)

// PolicyOptions are what [OpenPolicy] works with. Nil options are the defaults.
type PolicyOptions struct {
	// Poll is the time between loads of the document, varied by a tenth. Zero means 15 s.
	Poll time.Duration

	// LastGood names a file that keeps the last accepted document, for a start without its
	// source. Empty means none.
	LastGood string

	// Fallback is the document for a start with neither source nor last good copy, usually
	// an embedded one. Empty means none.
	Fallback []byte

	// Logger logs what becomes of the document. Nil means slog.Default().
	Logger *slog.Logger
}

// A Policy says which modules a program may be built from. [ParsePolicy] makes one that
// does not change, [OpenPolicy] one that follows a document. It may be used by any number
// of goroutines.
type Policy struct {
	current atomic.Pointer[rules]
	keeper  *live.Keeper[rules] // nil unless there is a source
}

// ParsePolicy reads a policy, JSON or YAML, whose form the package comment gives.
// name is what errors call it. The error is [Faults], all of them.
func ParsePolicy(name string, data []byte) (*Policy, error) {
	rs, err := parseRules(name, data)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	rs.revision = hex.EncodeToString(sum[:8])
	pol := &Policy{}
	pol.current.Store(rs)
	return pol, nil
}

// OpenPolicy makes a policy of a source's document, in the form of [ParsePolicy], and
// follows its changes until [Policy.Close]. A document that cannot be loaded or has a fault
// is refused whole: the rules before it stay in effect, and [Policy.Problems] has the
// reason.
//
// At the start the document comes from the source, else from PolicyOptions.LastGood, else
// from PolicyOptions.Fallback. Without any of them the error is that of the source, which
// wraps [Faults] for a document with faults. ctx bounds the start only.
func OpenPolicy(ctx context.Context, src Source, opts *PolicyOptions) (*Policy, error) {
	if src == nil {
		return nil, errors.New("pkgmgmt: the source is nil")
	}
	var o PolicyOptions
	if opts != nil {
		o = *opts
	}
	pol := &Policy{}
	pol.keeper = live.Start(context.WithoutCancel(ctx), src, live.Options[rules]{
		Parse: func(name string, data []byte, _ *rules) (*rules, []error, error) {
			rs, err := parseRules(name, data)
			return rs, nil, err
		},
		OnUpdate: func(s *live.Snapshot[rules]) { pol.current.Store(s.Value) },
		Poll:     o.Poll,
		LastGood: o.LastGood,
		Fallback: o.Fallback,
		Logger:   o.Logger,
	})
	if err := pol.keeper.Ready(ctx); err != nil {
		_ = pol.keeper.Close()
		return nil, fmt.Errorf("pkgmgmt: %w", err)
	}
	return pol, nil
}

// Close ends the following of a document. The rules stay in effect. It may be called
// twice, and does nothing for a policy without a source.
func (pol *Policy) Close() error {
	if pol.keeper == nil {
		return nil
	}
	return pol.keeper.Close()
}

// Revision names the content of the document in effect.
func (pol *Policy) Revision() string {
	if pol.keeper == nil {
		return pol.current.Load().revision
	}
	return pol.keeper.Snapshot().Revision
}

// Problems returns what is wrong now: the document cannot be loaded or has faults, so that
// the one before is in effect, or the last good copy cannot be written.
func (pol *Policy) Problems() []error {
	if pol.keeper == nil {
		return nil
	}
	var problems []error
	s := pol.keeper.Status()
	if s.Err != nil {
		problems = append(problems, s.Err)
	}
	if s.SaveErr != nil {
		problems = append(problems, fmt.Errorf("last good copy: %w", s.SaveErr))
	}
	return problems
}

// Stats returns figures about the document; a policy without a source has none:
//
//   - document_updates: documents accepted; document_failures: attempts that failed;
//   - document_age_seconds: since the document in effect was accepted;
//     document_checked_seconds: since its source last gave an acceptable one, -1 for
//     never;
//   - problems: as many as Problems returns.
func (pol *Policy) Stats() map[string]float64 {
	if pol.keeper == nil {
		return map[string]float64{}
	}
	s := pol.keeper.Status()
	checked := -1.0
	if !s.Checked.IsZero() {
		checked = time.Since(s.Checked).Seconds()
	}
	return map[string]float64{
		"document_updates": float64(s.Updates), "document_failures": float64(s.Failures),
		"document_age_seconds": time.Since(pol.keeper.Snapshot().Since).Seconds(), "document_checked_seconds": checked,
		"problems": float64(len(pol.Problems())),
	}
}

// rules are those in effect now. A nil policy has none.
func (pol *Policy) rules() *rules {
	if pol == nil {
		return &rules{}
	}
	return pol.current.Load()
}

// Check compares the modules that a program was built from with the policy, and
// returns what violates it in the order of the build information, nil if nothing
// does. The main module itself is not checked.
//
// Where bi is nil or names no modules at all, because it is a library's test binary or
// was built by a tool that records none, there is one violation, [RuleUnverifiable].
// There is one, too, where the policy has rules about ages: [Policy.CheckWith] keeps those.
func (pol *Policy) Check(bi *debug.BuildInfo) []Violation {
	if v, ok := unverifiable(bi); ok {
		return []Violation{v}
	}
	rs := pol.rules()
	var violations []Violation
	for _, dep := range bi.Deps {
		if dep != nil {
			violations = rs.check(dep, Status{}, time.Time{}, violations)
		}
	}
	violations = rs.checkGo(bi, violations)
	if rs.ages {
		violations = append(violations, Violation{
			Rule:   RuleUnverifiable,
			Reason: "the policy has rules about ages, which build information does not tell",
			Fix:    "check with a registry",
		})
	}
	return violations
}

// CheckWith does what Check does, and also holds the modules against what a module source
// knows: versions that are retracted, modules that are deprecated, ages, and contents
// that differ. What the source cannot answer, because it does not have a module or does
// not respond, is a violation, [RuleUnverifiable].
//
// It asks for up to eight modules at a time, and returns soon after ctx ends. Without a
// source it is Check.
func (pol *Policy) CheckWith(ctx context.Context, bi *debug.BuildInfo, src ModuleSource) []Violation {
	if v, ok := unverifiable(bi); ok {
		return []Violation{v}
	}
	if src == nil {
		return pol.Check(bi)
	}
	rs, answers, now := pol.rules(), ask(ctx, src, wanted(map[module.Version]bool{}, bi)), time.Now()
	var violations []Violation
	for _, dep := range bi.Deps {
		if dep != nil {
			violations = rs.checkWith(dep, answers, now, violations)
		}
	}
	return rs.checkGo(bi, violations)
}

// Unmatched returns the rules, and the entries of allow, that match no module of any of
// these programs: what they are about is gone, or misspelled. Each is a warning with its
// place in the document. Programs without build information match nothing.
func (pol *Policy) Unmatched(builds ...*debug.BuildInfo) Faults {
	return pol.rules().unmatched(builds)
}
