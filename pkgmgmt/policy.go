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

// PolicyOptions configure [OpenPolicy]. Nil options are the defaults.
type PolicyOptions struct {
	// Poll is the time between loads of the document, with a jitter of a tenth. Zero means
	// 15s.
	Poll time.Duration

	// LastGood is the path of a file that keeps the last accepted document, for a start
	// without the source. Empty means none.
	LastGood string

	// Fallback is the document if neither the source nor LastGood has one, usually an
	// embedded one. Empty means none.
	Fallback []byte

	// Logger logs updates, refused documents and failures of the source. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// A Policy says which modules a program may be built from. A policy of [ParsePolicy] never
// changes, a policy of [OpenPolicy] follows a document. It is safe for concurrent use.
type Policy struct {
	current atomic.Pointer[rules]
	keeper  *live.Keeper[rules] // nil without a source
}

// ParsePolicy reads a policy in JSON or YAML. The package comment describes it. The name is
// used in errors. The error is [Faults] with all faults.
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

// OpenPolicy returns a policy that follows a source's document until [Policy.Close]. The
// document has the form of [ParsePolicy]. If it cannot be loaded or has a fault, the earlier
// rules stay in effect, and [Policy.Problems] has the reason.
//
// The first document comes from the source, else from PolicyOptions.LastGood, else from
// PolicyOptions.Fallback. Without any of them OpenPolicy returns the source's error, which
// wraps [Faults] for a document with faults. ctx bounds only the start.
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

// Close stops following the document. The rules stay in effect. It may be called twice. It
// does nothing for a policy without a source.
func (pol *Policy) Close() error {
	if pol.keeper == nil {
		return nil
	}
	return pol.keeper.Close()
}

// Revision identifies the document in effect.
func (pol *Policy) Revision() string {
	if pol.keeper == nil {
		return pol.current.Load().revision
	}
	return pol.keeper.Snapshot().Revision
}

// Problems returns why the document cannot be loaded, why it was refused, and why the last
// good copy cannot be written.
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

// Stats returns numbers about the document. They are empty for a policy without a source:
//
//	document_updates          documents accepted
//	document_failures         load attempts that failed or whose document was refused
//	document_age_seconds      seconds since the document in effect was accepted
//	document_checked_seconds  seconds since the source last returned an acceptable document;
//	                          -1 means never
//	problems                  number of Problems
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

// rules returns the rules in effect. For a nil policy they are empty.
func (pol *Policy) rules() *rules {
	if pol == nil {
		return &rules{}
	}
	return pol.current.Load()
}

// Check returns the violations of the policy by the modules in a build information, in its
// order. Nil means none. The main module is not checked.
//
// If bi is nil or has no modules, as in the test binary of a library or after a build tool
// that records no modules, there is one violation, [RuleUnverifiable]. There is also one if the
// policy has rules about ages, because only [Policy.CheckWith] can check those.
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

// CheckWith is Check and further checks with a module source: retracted versions, deprecated
// modules, ages, and content that differs. If the source does not have a module or does not
// respond, that is a violation, [RuleUnverifiable].
//
// It asks for up to eight modules at once, and returns soon after ctx ends. Nil source means
// Check.
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

// Unmatched returns a warning, with its place in the document, for each rule and each entry
// of allow that matches no module of these programs. The module may be gone, or the pattern
// may be misspelled. Nil programs match nothing.
func (pol *Policy) Unmatched(builds ...*debug.BuildInfo) Faults {
	return pol.rules().unmatched(builds)
}
