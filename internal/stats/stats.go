// Package stats says what the statistics of the five packages mean, for the descriptions of
// metrics. Its table is made from the comments of the methods Stats by a test in internal/interop.
package stats

import (
	"reflect"
	"runtime"
	"strings"
)

const module = "github.com/upkeep-go/upkeep/"

// Source names the function that returns statistics: "flags.(*Provider).Stats", with the path
// of its package within this module, or in full for other modules.
func Source(stats func() map[string]float64) string {
	f := runtime.FuncForPC(reflect.ValueOf(stats).Pointer())
	if f == nil {
		return "a function"
	}
	// The method value p.Stats is a function of its own, whose name ends so.
	return strings.TrimPrefix(strings.TrimSuffix(f.Name(), "-fm"), module)
}

// Meaning returns what a statistic means. Empty means that the source is not of this module, or
// lacks the statistic.
func Meaning(source, key string) string { return meanings[source][key] }
