package version

import (
	"cmp"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

const (
	maxValue = 256
	maxText  = 4096
)

// Info is the identity of a program. Unknown fields are empty. Functions that return an Info
// share no memory between calls, and functions that take one do not keep its memory.
type Info struct {
	// Name of the service. Name, Version, Revision and Environment have at most 256 bytes.
	Name string

	// Version as it was given: v1.4.2, 1.4.2, build-4711.
	Version string

	// Kind of Version; see [KindOf].
	Kind Kind

	// Dirty reports whether the working tree was modified when the program was built.
	// False also means unknown if Origins["dirty"] is OriginUnknown.
	Dirty bool

	// Revision is the commit: the full hash from the toolchain, or the twelve digits of a
	// pseudo-version.
	Revision string

	// Time of the commit, in UTC. It is not the time of the build.
	Time time.Time

	// Environment that the service runs in: production, staging.
	Environment string

	// Package is the path of the main package, Module that of its module.
	Package string
	Module  string

	// ModuleVersion and ModuleSum are recorded by the toolchain for the main module. Only a
	// program that was installed as path@version has a sum.
	ModuleVersion string
	ModuleSum     string

	// GoVersion of the toolchain: go1.26.8.
	GoVersion string

	// Platform is operating system and architecture: linux/amd64.
	Platform string

	// Deps are the modules that the program was built from, sorted by path.
	// Nil means unknown, empty means none.
	Deps []Module

	// Settings of the build, from an allow-list with target, race, tags, trimpath, vcs and
	// others, but no compiler or linker flags. Nil means unknown.
	Settings map[string]string

	// Origins has the source of each field, by its name in JSON.
	Origins map[string]Origin

	// Conflicts are the contradictions between sources. They never change a field.
	Conflicts []Conflict
}

// A Module is one dependency.
type Module struct {
	Path    string  `json:"path"`
	Version string  `json:"version,omitempty"`
	Sum     string  `json:"sum,omitempty"`     // h1:…; empty in vendored builds and for directories
	Replace *Module `json:"replace,omitempty"` // what was built instead; its Replace is nil
}

// A Conflict is a contradiction between two sources about one field.
type Conflict struct {
	Field  string `json:"field"`  // by its name in JSON
	Reason string `json:"reason"` // a sentence for people
}

// String returns "field: reason".
func (c Conflict) String() string { return c.Field + ": " + c.Reason }

// Options are values that the program sets. Empty fields come from the other sources.
type Options struct {
	Name        string
	Version     string
	Revision    string
	Time        time.Time // of the commit
	Environment string

	// Getenv reads the environment. Nil means os.Getenv for New, and no environment for
	// FromBuildInfo.
	Getenv func(key string) string
}

// current is read once: a program does not change while it runs.
var current = sync.OnceValue(func() Info { return New(nil) })

// Current returns the identity of the running program. The first call reads the build info
// and the environment. Each call returns its own copy. It never fails.
func Current() Info { return current().clone() }

// New is Current with options. It reads build info and environment at each call.
func New(opts *Options) Info {
	o := *cmp.Or(opts, new(Options))
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	bi, _ := debug.ReadBuildInfo() // nil for programs not built by the go command
	info := resolve(bi, linkedHere(), o)
	if info.GoVersion == "" {
		info.GoVersion = cleantext.Line(runtime.Version(), maxText)
		info.Origins["goVersion"] = OriginRuntime
	}
	if info.Platform == "" {
		info.Platform = runtime.GOOS + "/" + runtime.GOARCH
		info.Origins["platform"] = OriginRuntime
	}
	return info
}

// dirtyText is "true", "false", or empty if unknown.
func (i Info) dirtyText() string {
	switch origin := i.Origins["dirty"]; {
	case i.Dirty:
		return "true"
	case origin == "" || origin == OriginUnknown:
		return ""
	}
	return "false"
}

func (i Info) clone() Info {
	i.Deps = cloneModules(i.Deps)
	i.Settings = maps.Clone(i.Settings)
	i.Origins = maps.Clone(i.Origins)
	i.Conflicts = slices.Clone(i.Conflicts)
	return i
}

func cloneModules(modules []Module) []Module {
	modules = slices.Clone(modules)
	for i := range modules {
		if r := modules[i].Replace; r != nil {
			modules[i].Replace = &Module{Path: r.Path, Version: r.Version, Sum: r.Sum}
		}
	}
	return modules
}

// tidy returns a copy with clean text, the kind, filtered settings and sorted modules.
func (i Info) tidy() Info {
	i.Name = cleantext.Line(i.Name, maxValue)
	i.Version = cleantext.Line(i.Version, maxValue)
	i.Kind = KindOf(i.Version)
	i.Dirty = i.Dirty || isDirty(i.Version)
	i.Revision = cleantext.Line(i.Revision, maxValue)
	i.Time = cleanTime(i.Time)
	i.Environment = cleantext.Line(i.Environment, maxValue)
	i.Package = cleantext.Line(i.Package, maxText)
	i.Module = cleantext.Line(i.Module, maxText)
	i.ModuleVersion = cleantext.Line(i.ModuleVersion, maxText)
	i.ModuleSum = cleantext.Line(i.ModuleSum, maxText)
	i.GoVersion = cleantext.Line(i.GoVersion, maxText)
	i.Platform = cleantext.Line(i.Platform, maxText)
	i.Deps = tidyModules(cloneModules(i.Deps))
	i.Settings = cleanSettings(i.Settings)
	origins := i.Origins
	i.Origins = make(map[string]Origin, len(origins))
	for field, origin := range origins {
		i.Origins[cleantext.Line(field, maxValue)] = Origin(cleantext.Line(string(origin), maxValue))
	}
	i.Conflicts = slices.Clone(i.Conflicts)
	for n, c := range i.Conflicts {
		i.Conflicts[n] = Conflict{Field: cleantext.Line(c.Field, maxValue), Reason: cleantext.Line(c.Reason, maxText)}
	}
	return i
}

// tidyModules changes the modules in place, so the caller must own them.
func tidyModules(modules []Module) []Module {
	for n := range modules {
		modules[n].tidy()
		if r := modules[n].Replace; r != nil {
			r.tidy()
		}
	}
	modules = slices.DeleteFunc(modules, func(m Module) bool { return m.Path == "" })
	slices.SortStableFunc(modules, func(a, b Module) int { return strings.Compare(a.Path, b.Path) })
	return modules
}

func (m *Module) tidy() {
	m.Path = cleantext.Line(m.Path, maxText)
	m.Version = cleantext.Line(m.Version, maxText)
	m.Sum = cleantext.Line(m.Sum, maxText)
}

func cleanTime(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Second)
	if t.IsZero() || t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}
