package apicheck

import (
	"cmp"
	"context"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/exp/apidiff"
)

// compare does a job. The caches are below work.
func (j *job) compare(ctx context.Context, work string) (v Verdict, err error) {
	excludedBy := map[string]string{}
	excluded := func(pkg string) bool {
		for _, e := range j.Exclude {
			if e.matches(pkg) {
				excludedBy[pkg] = e.Reason
				return true
			}
		}
		return false
	}
	defer func() {
		for _, pkg := range slices.Sorted(maps.Keys(excludedBy)) {
			v.Excluded = append(v.Excluded, Exclusion{Packages: pkg, Reason: excludedBy[pkg]})
		}
	}()
	var problems []string
	found := func(s side, texts []string) {
		for _, text := range texts {
			problems = append(problems, shown(s.Version+": "+withoutFolder(text, work)))
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

	left := changedFiles(old, new)
	for i, platform := range j.Platforms {
		if i > 0 && len(left.names(excluded)) == 0 && !left.hidden(excluded) {
			break
		}
		before, faults, err := old.load(ctx, work, platform, excluded)
		if found(j.Old, faults); err != nil {
			return v, err
		}
		after, faults, err := new.load(ctx, work, platform, excluded)
		if found(j.New, faults); err != nil {
			return v, err
		}
		if len(problems) > 0 {
			return Verdict{Bump: BumpUnknown, Problems: problems[:min(len(problems), maxProblems)]}, nil
		}
		left.decided(before, after)
		report := apidiff.ModuleChanges(&apidiff.Module{Path: old.Path, Packages: values(before.packages)}, &apidiff.Module{Path: new.Path, Packages: values(after.packages)})
		shows := exposed(before, after)
		for _, c := range slices.Concat(report.Changes, hiddenChanges(old.Path, before, after, shows), genericChanges(old.Path, before, after, shows), packageNameChanges(before, after)) {
			change := Change{Message: shown(plain(c.Message)), Compatible: c.Compatible}
			if slices.Contains(v.Changes, change) {
				continue
			}
			if i > 0 {
				change.Platform = platform
			}
			v.Changes = append(v.Changes, change)
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
	if names := left.names(excluded); len(names) > 0 {
		for _, name := range names[:min(len(names), maxProblems)] {
			v.Problems = append(v.Problems, shown(name+" has changed, and no platform that is judged compiles it"))
		}
		if v.Bump != BumpMajor {
			v.Bump, v.Changes = BumpUnknown, nil
		}
	}
	return v, nil
}

// plain puts better words in place of "changed from T to T": types that are written alike.
func plain(message string) string {
	place, types, ok := strings.Cut(message, "changed from ")
	if half := (len(types) - len(" to ")) / 2; ok && half > 0 && types[:half]+" to "+types[:half] == types {
		return place + "changed, though it is still written " + types[:half]
	}
	return message
}

// changed are the Go files that differ, and what is known of them.
type changed struct {
	module       string
	before, then map[string]bool // files of the old and the new version that nothing has compiled yet
	public       map[string]bool // folders that others can import from, in either version
	reached      map[string]bool // folders whose packages take part
}

func changedFiles(old, new *source) *changed {
	c := &changed{module: old.Path, before: map[string]bool{}, then: map[string]bool{}, public: map[string]bool{}, reached: map[string]bool{}}
	differ := func(mine, others *source, into map[string]bool) {
		for name, f := range mine.files {
			if other, ok := others.files[name]; (!ok || other.hash != f.hash) && !f.out {
				into[name] = true
			}
			if !f.out && !isInternal(path.Dir(name)) {
				c.public[path.Dir(name)] = true
			}
		}
	}
	differ(old, new, c.before)
	differ(new, old, c.then)
	return c
}

// decided strikes out what a platform has compiled on the side that it stands on.
func (c *changed) decided(before, after *surface) {
	for name := range before.compiled {
		delete(c.before, name)
	}
	for name := range after.compiled {
		delete(c.then, name)
	}
	maps.Copy(c.reached, before.reached)
	maps.Copy(c.reached, after.reached)
}

// hidden tells whether internal packages have changed that nothing imports on the
// platforms so far. On another one they may be part of the API.
func (c *changed) hidden(excluded func(string) bool) bool {
	return len(c.among(isInternal, excluded)) > 0
}

// names are the files that have changed without being judged, as far as they can matter:
// an internal package that nothing imports cannot.
func (c *changed) names(excluded func(string) bool) []string {
	return c.among(func(dir string) bool { return c.public[dir] || c.reached[dir] }, excluded)
}

func (c *changed) among(folder, excluded func(string) bool) []string {
	all := map[string]bool{}
	for _, files := range []map[string]bool{c.before, c.then} {
		for name := range files {
			if dir := path.Dir(name); folder(dir) && !excluded(path.Join(c.module, dir)) {
				all[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}
