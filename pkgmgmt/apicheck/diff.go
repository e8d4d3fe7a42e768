package apicheck

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/exp/apidiff"
)

// compare does a job with caches below work.
func (j *job) compare(ctx context.Context, work string) (v Verdict, err error) {
	excludedBy, free := map[string]string{}, &freeConstants{exclude: j.Exclude}
	excluded := func(pkg string) bool {
		for _, e := range j.Exclude {
			if len(e.Constants) == 0 && e.matches(pkg) {
				excludedBy[pkg] = e.Reason
				return true
			}
		}
		return false
	}
	defer func() {
		for _, pkg := range sortedKeys(excludedBy) {
			v.Excluded = append(v.Excluded, Exclusion{Packages: pkg, Reason: excludedBy[pkg]})
		}
		v.Excluded = append(v.Excluded, free.excluded()...)
	}()
	var problems []string
	found := func(s side, texts []string) {
		for _, text := range texts {
			problems = append(problems, shown(s.Version+": "+j.normalize(text, work)))
		}
	}
	old, faults, err := fetch(ctx, work, "old", j.Old)
	if found(j.Old, faults); err != nil {
		return v, err
	}
	new, faults, err := fetch(ctx, work, "new", j.New)
	if found(j.New, faults); err != nil {
		return v, err
	}
	if len(problems) > 0 {
		return Verdict{Bump: BumpUnknown, Problems: problems}, nil
	}

	left := differing(old, new, excluded)
	variants := left.variants(j.Platforms)
	add := func(i int, all []apidiff.Change) {
		for _, c := range all {
			change := Change{Message: shown(plain(c.Message)), Compatible: c.Compatible}
			if slices.Contains(v.Changes, change) {
				continue
			}
			if i > 0 {
				change.Platform = variants[i].String()
			}
			v.Changes = append(v.Changes, change)
		}
	}
	for i, tries := 0, 0; i >= 0 && tries < maxTries; i = left.next(variants, len(j.Platforms)) {
		before, faults, err := old.load(ctx, work, variants[i], excluded)
		if err != nil {
			return v, err
		}
		after, more, err := new.load(ctx, work, variants[i], excluded)
		if err != nil {
			return v, err
		}
		if len(faults)+len(more) > 0 {
			if i >= len(j.Platforms) { // another variant may show the same differences
				tries++
				left.tried(variants[i])
				continue
			}
			found(j.Old, faults)
			found(j.New, more)
			return Verdict{Bump: BumpUnknown, Problems: problems[:min(len(problems), maxProblems)]}, nil
		}
		left.judge(variants[i])
		add(i, free.without(old.Path, before, after, withoutC(changes(old.Path, before, after))))
	}
	for i := range variants {
		all, texts := left.guess(variants[i], free)
		add(i, all)
		for _, text := range texts {
			if text = shown(text); !slices.Contains(v.Problems, text) && len(v.Problems) < maxProblems {
				v.Problems = append(v.Problems, text)
			}
		}
	}
	v.Bump = BumpPatch
	if len(v.Changes) > 0 {
		slices.SortFunc(v.Changes, func(a, b Change) int {
			return cmp.Or(cmp.Compare(a.Message, b.Message), cmp.Compare(a.Platform, b.Platform))
		})
		incompatible := v.Incompatible()
		v.Changes = append(incompatible, slices.DeleteFunc(v.Changes, func(c Change) bool { return !c.Compatible })...)
		v.Bump = BumpMinor
		if len(incompatible) > 0 {
			v.Bump = BumpMajor
		}
	}
	// An incompatible change decides, even if other parts cannot be judged.
	if len(v.Problems) > 0 && v.Bump != BumpMajor {
		v.Bump, v.Changes = BumpUnknown, nil
	}
	return v, nil
}

// changes returns all differences between two surfaces. Types and constraints that the compiler
// treats as the same get the same names first, because apidiff compares names.
func changes(module string, before, after *surface) []apidiff.Change {
	if names := correspond(module, before, after).renamed(); len(names) > 0 {
		after = after.translated(module, names, nil, false)
	}
	all := slices.Concat(genericChanges(module, before, after, exposed(before, after)), packageNameChanges(before, after))
	if relaxed := correspond(module, before, after).relaxed(); len(relaxed) > 0 {
		before, after = before.translated(module, nil, relaxed, false), after.translated(module, nil, relaxed, false)
	}
	found, ok := diff(module, before, after)
	if !ok {
		before, after = before.translated(module, nil, nil, true), after.translated(module, nil, nil, true)
		if found, ok = diff(module, before, after); !ok {
			panic("apidiff: unreachable")
		}
	}
	return append(found, all...)
}

// withoutC removes the changes of constants with values of C. They are compared by their text.
func withoutC(all []apidiff.Change) []apidiff.Change {
	return slices.DeleteFunc(all, func(c apidiff.Change) bool {
		_, values, ok := strings.Cut(c.Message, ": value changed from ")
		return ok && (strings.HasPrefix(values, "unknown ") || strings.HasSuffix(values, " unknown"))
	})
}

// diff compares two surfaces by apidiff. apidiff panics at a removed method of an embedded
// interface literal. Then ok is false, and the receivers need names.
func diff(module string, before, after *surface) (all []apidiff.Change, ok bool) {
	defer func() {
		if r := recover(); r != nil && r != "unreachable" {
			panic(r)
		}
	}()
	report := apidiff.ModuleChanges(&apidiff.Module{Path: module, Packages: values(before.packages)}, &apidiff.Module{Path: module, Packages: values(after.packages)})
	return slices.Concat(report.Changes, hiddenChanges(module, before, after, exposed(before, after))), true
}

// maxTries bounds the variants that are tried and do not load.
const maxTries = 8

// normalize removes from a text what differs between runs.
func (j *job) normalize(text, work string) string {
	if j.Registry != "" {
		text = strings.ReplaceAll(text, j.Registry, "the registry")
	}
	return downloading.ReplaceAllString(withoutFolder(text, work), "")
}

// downloading matches progress lines, which the go command prints in any order.
var downloading = regexp.MustCompile(`go: downloading [^\n]*\n?`)

// plain replaces "changed from T to T", for types with the same text, by a clearer message.
func plain(message string) string {
	place, types, ok := strings.Cut(message, "changed from ")
	if half := (len(types) - len(" to ")) / 2; ok && half > 0 && types[:half]+" to "+types[:half] == types {
		return place + "changed, although its text is still " + types[:half]
	}
	return message
}
