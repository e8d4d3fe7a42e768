package apicheck

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/exp/apidiff"
)

// compare does a job. The caches are below work.
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
			problems = append(problems, shown(s.Version+": "+j.steady(text, work)))
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
	add := func(i int, changes []apidiff.Change) {
		for _, c := range changes {
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
			if i >= len(j.Platforms) { // others may show the same
				tries++
				left.tried(variants[i])
				continue
			}
			found(j.Old, faults)
			found(j.New, more)
			return Verdict{Bump: BumpUnknown, Problems: problems[:min(len(problems), maxProblems)]}, nil
		}
		left.judge(variants[i])
		report := apidiff.ModuleChanges(&apidiff.Module{Path: old.Path, Packages: values(before.packages)}, &apidiff.Module{Path: new.Path, Packages: values(after.packages)})
		shows := exposed(before, after)
		add(i, slices.Concat(free.without(old.Path, before, after, report.Changes), hiddenChanges(old.Path, before, after, shows), genericChanges(old.Path, before, after, shows), packageNameChanges(before, after)))
	}
	for i := range variants {
		changes, texts := left.guess(variants[i], free)
		add(i, changes)
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
	// What is incompatible stays so, whatever the rest holds.
	if len(v.Problems) > 0 && v.Bump != BumpMajor {
		v.Bump, v.Changes = BumpUnknown, nil
	}
	return v, nil
}

// maxTries bounds how many variants are tried that do not load.
const maxTries = 8

// steady takes out of a text what differs from run to run.
func (j *job) steady(text, work string) string {
	if j.Registry != "" {
		text = strings.ReplaceAll(text, j.Registry, "the registry")
	}
	return downloading.ReplaceAllString(withoutFolder(text, work), "")
}

// downloading is progress, which the go command prints in any order.
var downloading = regexp.MustCompile(`go: downloading [^\n]*\n?`)

// plain puts better words in place of "changed from T to T": types that are written alike.
func plain(message string) string {
	place, types, ok := strings.Cut(message, "changed from ")
	if half := (len(types) - len(" to ")) / 2; ok && half > 0 && types[:half]+" to "+types[:half] == types {
		return place + "changed, though it is still written " + types[:half]
	}
	return message
}
