package pkgmgmt

import (
	"cmp"
	"context"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// A ModuleSource knows what is not in a program's build information. [Proxy] reads it from any
// module proxy.
type ModuleSource interface {
	// Status returns what is known of a version of a module, whose path and version may be
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

type answer struct {
	Status
	err error
}

// asking is how many modules a registry is asked for at a time.
const asking = 8

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

func built(dep *debug.Module) module.Version {
	m := cmp.Or(dep.Replace, dep)
	return module.Version{Path: m.Path, Version: m.Version}
}

// behind tells whether there is a later version than the one that runs.
func behind(version, latest string) bool {
	return semver.IsValid(version) && semver.IsValid(latest) && semver.Compare(version, latest) < 0
}
