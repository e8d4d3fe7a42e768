package apicheck_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
)

// Releases of popular modules, with the bump of each pair. TestRealConsumers compiles users of
// those that need a larger bump than their release has.
var realPairs = []struct {
	path, old, new string
	want           apicheck.Bump
}{
	{"golang.org/x/mod", "v0.41.0", "v0.42.0", apicheck.BumpPatch},
	{"github.com/spf13/pflag", "v1.0.10", "v1.1.0", apicheck.BumpMinor},
	{"github.com/nats-io/nats.go", "v1.54.0", "v1.55.0", apicheck.BumpMinor},
	{"github.com/nats-io/nats.go", "v1.53.0", "v1.53.1", apicheck.BumpPatch},
	{"github.com/gofiber/fiber/v2", "v2.52.11", "v2.52.12", apicheck.BumpPatch},
	{"github.com/gofiber/fiber/v2", "v2.52.9", "v2.52.10", apicheck.BumpPatch},
	{"github.com/aws/aws-sdk-go-v2", "v1.47.7", "v1.47.8", apicheck.BumpPatch},
	{"github.com/aws/smithy-go", "v1.28.8", "v1.28.9", apicheck.BumpPatch},
	{"github.com/aws/aws-sdk-go-v2/service/sqs", "v1.52.11", "v1.53.0", apicheck.BumpPatch},
	{"github.com/go-chi/chi/v5", "v5.3.2", "v5.4.0", apicheck.BumpMajor},
	{"google.golang.org/grpc", "v1.83.1", "v1.83.2", apicheck.BumpPatch},
	{"google.golang.org/protobuf", "v1.36.11", "v1.36.12", apicheck.BumpMinor},
	{"github.com/stretchr/testify", "v1.12.0", "v1.12.1", apicheck.BumpPatch},
	{"github.com/stretchr/testify", "v1.10.0", "v1.11.0", apicheck.BumpMajor},
	{"go.uber.org/zap", "v1.27.1", "v1.28.0", apicheck.BumpMinor},
	{"go.uber.org/fx", "v1.23.0", "v1.24.0", apicheck.BumpMinor},
	{"go.uber.org/atomic", "v1.11.0", "v1.12.0", apicheck.BumpMinor},
	{"github.com/spf13/cobra", "v1.10.1", "v1.10.2", apicheck.BumpPatch},
	{"golang.org/x/sys", "v0.49.0", "v0.50.0", apicheck.BumpMajor},
	{"golang.org/x/net", "v0.61.0", "v0.62.0", apicheck.BumpPatch},
	{"golang.org/x/time", "v0.15.0", "v0.16.0", apicheck.BumpPatch},
	{"golang.org/x/tools", "v0.51.0", "v0.52.0", apicheck.BumpPatch},
	{"github.com/fsnotify/fsnotify", "v1.9.0", "v1.10.0", apicheck.BumpPatch},
	{"github.com/fsnotify/fsnotify", "v1.10.0", "v1.10.1", apicheck.BumpPatch},
	{"github.com/mattn/go-sqlite3", "v1.14.52", "v1.14.53", apicheck.BumpPatch},
	{"github.com/mattn/go-isatty", "v0.0.23", "v0.0.24", apicheck.BumpPatch},
	{"github.com/shirou/gopsutil/v4", "v4.26.9", "v4.26.10", apicheck.BumpMinor},
	{"github.com/klauspost/compress", "v1.18.0", "v1.18.1", apicheck.BumpMinor},
	{"github.com/samber/lo", "v1.52.0", "v1.53.0", apicheck.BumpMajor},
	{"go.etcd.io/bbolt", "v1.4.2", "v1.4.3", apicheck.BumpPatch},
	{"github.com/prometheus/client_golang", "v1.23.1", "v1.23.2", apicheck.BumpPatch},
	{"github.com/rs/zerolog", "v1.34.0", "v1.35.0", apicheck.BumpMinor},
	{"github.com/golang-jwt/jwt/v5", "v5.2.3", "v5.3.0", apicheck.BumpMinor},
	{"github.com/hashicorp/golang-lru/v2", "v2.0.6", "v2.0.7", apicheck.BumpMinor},
	{"github.com/miekg/dns", "v1.1.72", "v1.1.73", apicheck.BumpPatch},
	{"github.com/coder/websocket", "v1.8.14", "v1.8.15", apicheck.BumpPatch},
	{"github.com/BurntSushi/toml", "v1.5.0", "v1.6.0", apicheck.BumpPatch},
	{"go.opentelemetry.io/otel", "v1.46.0", "v1.47.0", apicheck.BumpMinor},
}

// TestRealPairs compares releases. It skips those that cannot be downloaded.
func TestRealPairs(t *testing.T) {
	t.Parallel()
	needGo(t)
	proxy := environmentProxy(t)
	pairs := realPairs[:testsize.Pick(0, 2, len(realPairs))]
	for _, c := range pairs {
		t.Run(c.path+"@"+c.new, func(t *testing.T) {
			for _, version := range []string{c.old, c.new} {
				if out, err := exec.CommandContext(t.Context(), "go", "mod", "download", c.path+"@"+version).CombinedOutput(); err != nil {
					t.Skipf("%s@%s is not to be had here: %s", c.path, version, out)
				}
			}
			v, err := apicheck.Compare(t.Context(), apicheck.Module{Path: c.path, Version: c.old, Proxy: proxy}, apicheck.Module{Path: c.path, Version: c.new, Proxy: proxy})
			require.NoError(t, err)
			require.Equal(t, c.want, v.Bump, "%s", v)
		})
	}
}

// TestRealConsumers compiles users of declarations that real releases removed or changed. They
// compile with the old version only.
func TestRealConsumers(t *testing.T) {
	t.Parallel()
	needGo(t)
	if !testsize.Long() {
		t.Skip("downloads several modules")
	}
	for _, c := range []struct{ path, old, new, platform, source string }{
		{"golang.org/x/sys", "v0.49.0", "v0.50.0", "windows/386", "import \"golang.org/x/sys/windows\"\nvar V = windows.MemoryBasicInformation{}.PartitionId\n"},
		{"github.com/go-chi/chi/v5", "v5.3.2", "v5.4.0", "linux/amd64", "import (\"net/http\"; \"github.com/go-chi/chi/v5/middleware\")\nvar F func(string) func(http.Handler) http.Handler = middleware.ClientIPFromHeader\n"},
		{"github.com/stretchr/testify", "v1.10.0", "v1.11.0", "linux/amd64", "import \"github.com/stretchr/testify/suite\"\nvar F = suite.SuiteInformation{}.Passed\n"},
		{"github.com/samber/lo", "v1.52.0", "v1.53.0", "linux/amd64", "import \"github.com/samber/lo\"\nvar F = lo.Batch[int]\n"},
	} {
		t.Run(c.path, func(t *testing.T) {
			for version, want := range map[string]bool{c.old: true, c.new: false} {
				if out, err := exec.CommandContext(t.Context(), "go", "mod", "download", c.path+"@"+version).CombinedOutput(); err != nil {
					t.Skipf("%s@%s is not to be had here: %s", c.path, version, out)
				}
				dir := folders(t, "-- go.mod --\nmodule consumer.example\n\ngo 1.26\n\nrequire "+c.path+" "+version+"\n-- c.go --\npackage c\n"+c.source)
				goos, goarch, _ := strings.Cut(c.platform, "/")
				cmd := exec.CommandContext(t.Context(), "go", "build", ".")
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GOOS="+goos, "GOARCH="+goarch)
				out, err := cmd.CombinedOutput()
				require.Equal(t, want, err == nil, "%s: %s", version, out)
			}
		})
	}
}
