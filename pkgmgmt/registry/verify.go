package registry

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// A Finding is one thing wrong in a store.
type Finding struct {
	Module  string // Empty if the store could not be listed
	Version string // Empty if the finding concerns the whole module
	Problem string // for example "its .mod is lost"
	Mended  bool   // Verify repaired it
	Err     error  // why reading or repairing failed. Nil if Verify did not try, as for a lost zip
}

// String returns the finding in one line.
func (f Finding) String() string {
	text := strings.TrimSuffix(f.Module+"@"+f.Version, "@") + ": " + f.Problem
	if f.Mended {
		text += " (mended)"
	}
	if f.Err != nil {
		text = strings.TrimSuffix(text, ": ") + ": " + f.Err.Error()
	}
	return strings.TrimPrefix(text, ": ")
}

// Verify reads the whole store, every zip included, and yields what is wrong: lost or changed
// files, lists that disagree with the records, and unfinished versions of dead publishers.
//
// If mend is true, it repairs what it can derive from other files: go.mod and .info from the
// zip and the record, a record from the zip, lists from the records. Publish the same zip again
// to repair a lost or damaged zip. The registry may serve and publish at the same time.
//
// The store must be a [Namer].
func (g *Registry) Verify(ctx context.Context, mend bool) iter.Seq[Finding] {
	return func(yield func(Finding) bool) {
		v := &verification{Registry: g, ctx: ctx, mend: mend, yield: yield}
		namer, ok := g.store.(Namer)
		if !ok {
			yield(Finding{Err: errors.New("the store cannot list its files: it has no Names")})
			return
		}
		modules := map[string]map[string]bool{} // the names of files, by folder
		for name, err := range namer.Names(ctx, "") {
			if err != nil {
				yield(Finding{Err: err})
				return
			}
			if at := strings.Index(name, "/@v/"); at > 0 {
				base := name[:at+len("/@v/")]
				if modules[base] == nil {
					modules[base] = map[string]bool{}
				}
				modules[base][name[len(base):]] = true
			}
		}
		for _, base := range slices.Sorted(maps.Keys(modules)) {
			if !v.module(base, modules[base]) || ctx.Err() != nil {
				return
			}
		}
	}
}

type verification struct {
	*Registry
	ctx   context.Context
	mend  bool
	yield func(Finding) bool
}

func (v *verification) module(base string, files map[string]bool) (more bool) {
	path, err := module.UnescapePath(strings.TrimSuffix(base, "/@v/"))
	if err != nil {
		return true // not a folder of a registry
	}
	versions := map[string]*target{}
	for name := range files {
		if at, ok := fileOf(base + name); ok {
			versions[at.version] = &at
		}
	}
	ascending := slices.Collect(maps.Keys(versions))
	slices.SortFunc(ascending, semver.Compare)
	for _, version := range ascending {
		if !v.version(versions[version]) {
			return false
		}
	}
	for _, name := range []string{listFile, pseudoFile} {
		list, _ := readSmall(v.ctx, v.store, base+name) // v.list reports the error
		for _, version := range lines(list) {
			if versions[version] == nil && module.CanonicalVersion(version) == version && !v.yield(Finding{Module: path, Version: version, Problem: "all of its files are lost"}) {
				return false
			}
		}
		if !v.list(base, path, name, len(versions) > 0) {
			return false
		}
	}
	return true
}

// version checks the files of one version, without the lists.
func (v *verification) version(at *target) (more bool) {
	found := func(problem string, mended bool, err error) bool {
		return v.yield(Finding{Module: at.module, Version: at.version, Problem: problem, Mended: mended, Err: err})
	}
	j, _, err := v.readJournal(v.ctx, at.file)
	if errors.Is(err, fs.ErrNotExist) {
		list, _ := readSmall(v.ctx, v.store, at.list())
		if !isListed(list, at.version) {
			return found("it was never acknowledged", false, nil)
		}
		content, err := v.stored(at)
		if err != nil {
			return found("its record and its .zip are lost", false, nil)
		}
		if v.mend {
			err = v.restore(v.ctx, at, content)
		}
		return found("its record is lost", v.mend && err == nil, err)
	}
	if err != nil {
		return found("its record cannot be read", false, err)
	}
	acknowledged, err := v.acknowledged(v.ctx, at, j)
	if err != nil {
		return found("", false, err)
	}
	if !acknowledged {
		if j.Claim != nil && time.Since(j.Claim.Time) < time.Minute {
			return true // its publisher may be alive
		}
		return found("it was never acknowledged", false, nil)
	}
	_, err = v.proveZip(v.ctx, at)
	if err == nil {
		return true
	}
	problem := ""
	if refusal, ok := errors.AsType[*Refusal](err); ok && refusal.cause != nil {
		problem, err = strings.TrimPrefix(refusal.cause.Error(), at.file+": "), nil
	}
	if content, failed := v.stored(at); v.mend && failed == nil && content.sum == j.Sum {
		if err = v.mendSmall(v.ctx, at, j, content); err == nil {
			_, err = v.proveZip(v.ctx, at)
		}
		return found(problem, err == nil, err)
	}
	return found(problem, false, err)
}

func (v *verification) stored(at *target) (*contents, error) {
	zip, err := v.store.Open(v.ctx, at.file+".zip")
	if err != nil {
		return nil, err
	}
	defer zip.Close()
	f, err := v.temp()
	if err != nil {
		return nil, err
	}
	defer discard(f)
	if _, err := io.Copy(f, zip); err != nil {
		return nil, err
	}
	return v.check(v.ctx, module.Version{Path: at.module, Version: at.version}, f)
}

func (v *verification) list(base, path, name string, versions bool) (more bool) {
	old, err := readSmall(v.ctx, v.store, base+name)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return v.yield(Finding{Module: path, Problem: "its " + name + " cannot be read", Err: err})
	}
	want, err := v.rightList(base, name, old)
	if err != nil {
		return v.yield(Finding{Module: path, Err: err})
	}
	has := lines(old)
	if slices.Equal(has, want) && !(missing && name == listFile && versions) {
		return true
	}
	if v.mend {
		err = v.store.Update(v.ctx, base+name, func(old []byte) ([]byte, error) {
			want, err := v.rightList(base, name, old)
			return encodeList(want), err
		})
	}
	found := func(version, problem string) bool {
		return v.yield(Finding{Module: path, Version: version, Problem: problem, Mended: v.mend && err == nil, Err: err})
	}
	if missing {
		return found("", "its "+name+" is lost")
	}
	agree := true
	for _, one := range []struct {
		versions, others []string
		problem          string
	}{{want, has, "it is missing in the " + name}, {has, want, "it must not be in the " + name}} {
		others := setOf(one.others)
		for _, version := range one.versions {
			if !others[version] {
				if agree = false; !found(version, one.problem) {
					return false
				}
			}
		}
	}
	return !agree || found("", "its "+name+" is not sorted, or has a version twice")
}

func setOf(versions []string) map[string]bool {
	set := map[string]bool{}
	for _, version := range versions {
		set[version] = true
	}
	return set
}

// rightList returns the correct list: the versions of the records, and those of the old list
// whose record is lost.
func (v *verification) rightList(base, name string, old []byte) ([]string, error) {
	want, err := v.listable(v.ctx, base, name == pseudoFile)
	if err != nil {
		return nil, err
	}
	known := setOf(want)
	for _, version := range lines(old) {
		escaped, err := module.EscapeVersion(version)
		if err != nil || known[version] || module.CanonicalVersion(version) != version || module.IsPseudoVersion(version) != (name == pseudoFile) {
			continue
		}
		j, _, err := v.readJournal(v.ctx, base+escaped)
		if errors.Is(err, fs.ErrNotExist) || err == nil && j.Claim != nil && !j.Yanked && !j.Blocked { // acknowledged by the list alone
			want = append(want, version)
			known[version] = true
		}
	}
	slices.SortFunc(want, func(a, b string) int { return cmp.Or(semver.Compare(a, b), cmp.Compare(a, b)) })
	return want, nil
}
