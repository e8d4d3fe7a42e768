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

// A ModuleSource has facts that build information lacks. [Proxy] reads them from any module
// proxy.
type ModuleSource interface {
	// Status returns the status of a module's version. Path and version may be any text. It
	// is called concurrently and must return soon after its context ends.
	//
	// A source that is not responsible for the module returns the zero Status, and the
	// module is not checked. A responsible source without the version returns an error that
	// is [fs.ErrNotExist]. That is a violation, because the program should have been built
	// from this source.
	Status(ctx context.Context, path, version string) (Status, error)
}

// A Status is what a module source knows about a version. Zero fields are unknown.
type Status struct {
	Time time.Time // of the version: its commit or its publication, as the source reports it
	Sum  string    // of the content: "h1:…", as in go.sum

	// Latest is the version that "go get module@latest" selects.
	Latest     string
	LatestTime time.Time

	Deprecated string // the author's message; Empty means not deprecated
	Retracted  string // the author's reason, or another text; Empty means not retracted
}

// ModuleSources are asked in order until one is responsible. After an error the next ones are
// not asked, so that names of private modules do not reach public servers.
type ModuleSources []ModuleSource

// Status returns the first Status that is not zero, or the first error.
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

// asking is how many modules are asked for at once.
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

// wanted adds the modules of a program that a source can know.
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

// behind reports whether there is a later version than the one that runs.
func behind(version, latest string) bool {
	return semver.IsValid(version) && semver.IsValid(latest) && semver.Compare(version, latest) < 0
}
