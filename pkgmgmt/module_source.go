package pkgmgmt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// A ModuleSource knows what is not in a program's build information. [Proxy] reads it from any
// module proxy.
type ModuleSource interface {
	// Status tells what is known of a version of a module, whose path and version may be
	// any text. It is called by several goroutines at once, and must return soon after
	// its context ends.
	//
	// A registry that is not in charge of the module answers with the zero Status, and
	// nothing is judged. One that is and does not have it says so by an error that is
	// [fs.ErrNotExist]: what runs is not what it should come from.
	Status(ctx context.Context, path, version string) (Status, error)
}

// A Status is what a registry knows of a version of a module. What is zero is not known.
type Status struct {
	Time time.Time // of the version: its commit or its publication, as the registry has it
	Sum  string    // of the version's content: "h1:…", as in go.sum

	// Latest is the version that "go get module@latest" gives.
	Latest     string
	LatestTime time.Time

	Deprecated string // the author's notice for the module, when it is deprecated
	Retracted  string // the author's reason, or some text when none is given
}

// ModuleSources are asked in their order, until one is in charge. An error is an answer: the
// next ones are not asked, so that names of private modules stay where they belong.
type ModuleSources []ModuleSource

// Status gives the first answer that is not the zero Status.
func (rs ModuleSources) Status(ctx context.Context, path, version string) (Status, error) {
	for _, r := range rs {
		if st, err := r.Status(ctx, path, version); err != nil || st != (Status{}) {
			return st, err
		}
	}
	return Status{}, nil
}

// CheckWith does what Check does, and also holds the modules against what a registry
// knows: versions that are retracted, modules that are deprecated, ages, and contents
// that differ. What the registry cannot tell, because it does not have a module or does
// not answer, is a violation, [RuleUnverifiable].
//
// It asks for up to eight modules at a time, and returns soon after ctx ends. Without a
// registry it is Check.
func (pol *Policy) CheckWith(ctx context.Context, bi *debug.BuildInfo, reg ModuleSource) []Violation {
	if v, ok := unverifiable(bi); ok {
		return []Violation{v}
	}
	if reg == nil {
		return pol.Check(bi)
	}
	answers, now := ask(ctx, reg, wanted(nil, bi)), time.Now()
	var violations []Violation
	for _, dep := range bi.Deps {
		if dep != nil {
			violations = pol.checkWith(dep, answers, now, violations)
		}
	}
	return violations
}

// An answer is what a registry said.
type answer struct {
	Status
	err error
}

// asking is how many modules a registry is asked for at a time.
const asking = 8

// ask asks a registry for each module once.
func ask(ctx context.Context, reg ModuleSource, modules map[module.Version]bool) map[module.Version]answer {
	answers := make(map[module.Version]answer, len(modules))
	if reg == nil {
		return answers
	}
	var mu sync.Mutex
	var busy sync.WaitGroup
	places := make(chan struct{}, asking)
	for m := range modules {
		places <- struct{}{}
		busy.Go(func() {
			defer func() { <-places }()
			a := answer{err: ctx.Err()}
			if a.err == nil {
				a.Status, a.err = reg.Status(ctx, m.Path, m.Version)
			}
			mu.Lock()
			defer mu.Unlock()
			answers[m] = a
		})
	}
	busy.Wait()
	return answers
}

// wanted adds the modules of a program that a registry can be asked for.
func wanted(modules map[module.Version]bool, bi *debug.BuildInfo) map[module.Version]bool {
	if modules == nil {
		modules = map[module.Version]bool{}
	}
	for _, dep := range bi.Deps {
		if dep == nil {
			continue
		}
		if m := built(dep); semver.IsValid(m.Version) && !modfile.IsDirectoryPath(m.Path) {
			modules[m] = true
		}
	}
	return modules
}

// built is the module whose source was compiled.
func built(dep *debug.Module) module.Version {
	if r := dep.Replace; r != nil {
		return module.Version{Path: r.Path, Version: r.Version}
	}
	return module.Version{Path: dep.Path, Version: dep.Version}
}

func (pol *Policy) checkWith(dep *debug.Module, answers map[module.Version]answer, now time.Time, violations []Violation) []Violation {
	before := len(violations)
	violations = pol.check(dep, violations)
	m := built(dep)
	found := func(rule Rule, reason, fix string) {
		violations = append(violations, Violation{Module: m.Path, Version: m.Version, Rule: rule, Reason: reason, Fix: fix})
	}
	a, asked := answers[m]
	switch {
	case !asked && slices.ContainsFunc(violations[before:], func(v Violation) bool { return v.Rule == RuleReplace }):
		return violations
	case !asked && modfile.IsDirectoryPath(m.Path):
		violations = append(violations, Violation{
			Module: dep.Path, Rule: RuleUnverifiable, Reason: "is replaced by the folder " + m.Path + ", which no registry knows",
			Fix: "remove the replace directive of " + dep.Path + " from go.mod",
		})
		return violations
	case !asked:
		found(RuleUnverifiable, "is not built from a version that a registry could know", "build with a published version of "+m.Path)
		return violations
	case errors.Is(a.err, fs.ErrNotExist):
		found(RuleUnverifiable, "is not in the registry", "publish this version, or build with one that is published")
		return violations
	case a.err != nil:
		found(RuleUnverifiable, "cannot be checked: "+clean(a.err.Error()), "check again when the registry answers")
		return violations
	case a.Status == (Status{}):
		return violations
	}
	update := "go get " + m.Path + "@latest"
	if a.Latest != "" {
		update = "go get " + m.Path + "@" + clean(a.Latest)
	}
	if sum := sumOf(dep); sum != "" && a.Sum != "" && sum != a.Sum {
		found(RuleSum, "is built from "+clean(sum)+", and the registry has "+clean(a.Sum), "find out which one is true before anything else; then build again with an empty module cache")
	}
	if a.Retracted != "" && !pol.accepts(dep.Path, RuleRetracted) {
		found(RuleRetracted, "is retracted: "+clean(a.Retracted), update)
	}
	if a.Deprecated != "" && !pol.accepts(dep.Path, RuleDeprecated) {
		found(RuleDeprecated, "is deprecated: "+clean(a.Deprecated), "replace "+m.Path+" as its notice says")
	}
	if pol == nil {
		return violations
	}
	for rl := range pol.rulesFor(dep.Path) {
		if (rl.minAge.d > 0 || rl.maxBehind.d > 0) && a.Time.IsZero() {
			found(RuleUnverifiable, because("is of an age that the registry does not tell", rl.reason), "ask a registry that tells times")
			continue
		}
		if old := now.Sub(a.Time); rl.minAge.d > old {
			found(RuleAge, because(fmt.Sprintf("%s, and must be at least %s old", oldness(old), rl.minAge.text), rl.reason),
				"use an older version, or wait until "+a.Time.Add(rl.minAge.d).UTC().Format(time.DateTime)+" UTC")
		}
		if rl.maxBehind.d > 0 && a.LatestTime.IsZero() && behind(m.Version, a.Latest) {
			found(RuleUnverifiable, because("is behind "+clean(a.Latest)+", of an age that the registry does not tell", rl.reason), "ask a registry that tells times")
			continue
		}
		if rl.maxBehind.d > 0 && a.LatestTime.Sub(a.Time) > rl.maxBehind.d && behind(m.Version, a.Latest) {
			found(RuleAge, because(fmt.Sprintf("is %s older than %s, and may be %s", days(a.LatestTime.Sub(a.Time)), clean(a.Latest), rl.maxBehind.text), rl.reason), update)
		}
	}
	return violations
}

func (pol *Policy) accepts(path string, what Rule) bool {
	if pol == nil {
		return false
	}
	for rl := range pol.rulesFor(path) {
		if slices.Contains(rl.accept, what) {
			return true
		}
	}
	return false
}

func sumOf(dep *debug.Module) string {
	if dep.Replace != nil {
		return dep.Replace.Sum
	}
	return dep.Sum
}

// behind tells whether there is a later version than the one that runs.
func behind(version, latest string) bool {
	return semver.IsValid(version) && semver.IsValid(latest) && semver.Compare(version, latest) < 0
}

func oldness(d time.Duration) string {
	if d < 0 {
		return "has a date in the future"
	}
	return "is " + days(d) + " old"
}

func days(d time.Duration) string {
	switch n := int(d / (24 * time.Hour)); {
	case n == 0:
		return "less than a day"
	case n == 1:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", n)
	}
}

// clean makes a text that comes from elsewhere fit for one line of a log or table.
func clean(text string) string {
	const most = 1 << 10
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD"))
}
