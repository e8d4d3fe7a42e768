package version

import (
	"runtime/debug"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// shownSettings are the build settings that may leave the program. It is an
// allow-list: -ldflags, -gcflags, -asmflags and the CGO_*FLAGS carry values
// and paths of the build machine, secrets among them, and -pgo is a path.
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
