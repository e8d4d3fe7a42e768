package version_test

import (
	"flag"
	"os"
	"testing"

	"github.com/upkeep-go/upkeep/version"
	"go.uber.org/goleak"
)

// flagHelper names the variable that makes the test binary a program with a
// -version flag, because flag.ExitOnError ends its process.
const flagHelper = "VERSION_TEST_FLAGS"

func TestMain(m *testing.M) {
	if os.Getenv(flagHelper) != "" {
		flags := flag.NewFlagSet("shop", flag.ExitOnError)
		version.BindFlag(shop(), flags)
		_ = flags.Parse(os.Args[1:])
		os.Exit(3) // -version did not end it
	}
	goleak.VerifyTestMain(m)
}

// env makes a Getenv of pairs.
func env(pairs ...string) func(string) string {
	return func(key string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == key {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// noEnv is an empty environment.
func noEnv(string) string { return "" }

// shop is the identity that most tests use.
func shop() version.Info {
	return version.FromBuildInfo(shopBuild(), &version.Options{Environment: "production"})
}
