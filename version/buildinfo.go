package version

import (
	"cmp"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"runtime/debug"
	"slices"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// FromBuildInfo returns the identity that a build info describes. It may be nil. The running
// program is not read, and the environment only through Options.Getenv. Linker variables come
// from the recorded -ldflags, which a build with -trimpath does not record.
func FromBuildInfo(bi *debug.BuildInfo, opts *Options) Info {
	o := *cmp.Or(opts, new(Options))
	var link linked
	if bi != nil {
		link = linkedBy(setting(bi, "-ldflags"))
	}
	return resolve(bi, link, o)
}

// ReadFile returns the identity of the Go program in a file, without running it. Its error
// wraps the file system's error or [ErrNotGoProgram].
func ReadFile(path string) (Info, error) {
	// Opening a pipe would wait for its writer.
	if stat, err := os.Stat(path); err != nil {
		return Info{}, fmt.Errorf("version: %w", err)
	} else if !stat.Mode().IsRegular() {
		return Info{}, fmt.Errorf("version: %s: %w: not a regular file", path, ErrNotGoProgram)
	}
	bi, err := buildinfo.ReadFile(path)
	if fault, ok := errors.AsType[*fs.PathError](err); ok {
		return Info{}, fmt.Errorf("version: %w", fault)
	}
	if err != nil {
		return Info{}, fmt.Errorf("version: %s: %w: %s", path, ErrNotGoProgram, cleantext.Line(err.Error(), maxText))
	}
	return FromBuildInfo(bi, nil), nil
}

// BuildInfo converts the identity to the standard library's type. It has the settings of the
// allow-list, and the main module with the version that the toolchain recorded. Its String has
// the format of "go version -m", which [debug.ParseBuildInfo] and [Parse] read.
func (i Info) BuildInfo() *debug.BuildInfo {
	i = i.tidy()
	bi := &debug.BuildInfo{
		GoVersion: i.GoVersion,
		Path:      i.Package,
		Main:      debug.Module{Path: i.Module, Version: i.ModuleVersion, Sum: i.ModuleSum},
	}
	for _, m := range i.Deps {
		dep := &debug.Module{Path: m.Path, Version: m.Version, Sum: m.Sum}
		if r := m.Replace; r != nil {
			dep.Replace = &debug.Module{Path: r.Path, Version: r.Version, Sum: r.Sum}
		}
		bi.Deps = append(bi.Deps, dep)
	}
	for _, key := range slices.Sorted(maps.Keys(i.Settings)) {
		bi.Settings = append(bi.Settings, debug.BuildSetting{Key: key, Value: i.Settings[key]})
	}
	return bi
}

// shownSettings is an allow-list, because compiler and linker flags contain values and paths
// of the build machine, even secrets, and -pgo is a path.
var shownSettings = []string{
	"-asan", "-buildmode", "-compiler", "-cover", "-msan", "-race", "-tags",
	"-trimpath", "CGO_ENABLED", "DefaultGODEBUG", "GO386", "GOAMD64", "GOARCH", "GOARM",
	"GOARM64", "GOEXPERIMENT", "GOFIPS140", "GOMIPS", "GOMIPS64", "GOOS", "GOPPC64",
	"GORISCV64", "GOWASM", "vcs", "vcs.modified", "vcs.revision", "vcs.time",
}

func cleanSettings(settings map[string]string) map[string]string {
	if settings == nil {
		return nil
	}
	shown := make(map[string]string, len(settings))
	for _, key := range shownSettings {
		if value, ok := settings[key]; ok {
			shown[key] = cleantext.Line(value, maxText)
		}
	}
	return shown
}

func setting(bi *debug.BuildInfo, key string) string {
	for _, s := range bi.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
