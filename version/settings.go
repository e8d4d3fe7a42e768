package version

import (
	"runtime/debug"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// shownSettings are the build settings that may leave the program. It is an
// allow-list: -ldflags, -gcflags, -asmflags and the CGO_*FLAGS carry values
// and paths of the build machine, secrets among them, and -pgo is a path.
var shownSettings = map[string]bool{
	"-asan":          true,
	"-buildmode":     true,
	"-compiler":      true,
	"-cover":         true,
	"-msan":          true,
	"-race":          true,
	"-tags":          true,
	"-trimpath":      true,
	"CGO_ENABLED":    true,
	"DefaultGODEBUG": true,
	"GO386":          true,
	"GOAMD64":        true,
	"GOARCH":         true,
	"GOARM":          true,
	"GOARM64":        true,
	"GOEXPERIMENT":   true,
	"GOFIPS140":      true,
	"GOMIPS":         true,
	"GOMIPS64":       true,
	"GOOS":           true,
	"GOPPC64":        true,
	"GORISCV64":      true,
	"GOWASM":         true,
	"vcs":            true,
	"vcs.modified":   true,
	"vcs.revision":   true,
	"vcs.time":       true,
}

// cleanSettings keeps the settings that may be shown.
func cleanSettings(settings map[string]string) map[string]string {
	shown := make(map[string]string, len(settings))
	for key, value := range settings {
		if shownSettings[key] {
			shown[key] = cleantext.Line(value, maxText)
		}
	}
	return shown
}

// setting gives the raw value of a setting.
func setting(bi *debug.BuildInfo, key string) string {
	for _, s := range bi.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
