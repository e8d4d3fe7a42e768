package layers_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
)

const module = "github.com/upkeep-go/upkeep"

// arrows says what each package may import besides the standard library: packages of
// this module by their folder, others by their module. The five packages never import
// one another; internal packages import none of the five, except internal/interop; nothing
// imports internal/interop or examples.
var arrows = map[string][]string{
	"version":               {"internal/accept", "internal/cleantext", "internal/problem", "internal/resource", masterminds, xmod, otel, otelTrace},
	"version/compat":        {"version", "internal/cleantext", "internal/document", "internal/live", "internal/problem", masterminds, xmod},
	"version/history":       {"version", "internal/atomicfile", "internal/cleantext", "internal/problem", "internal/resource", xmod, xtime},
	"version/cmd/version":   {"version", "version/history"},
	"flags":                 {"flags/jsonlogic", "internal/atomicfile", "internal/document", "internal/guard", "internal/live", masterminds, openfeature, murmur3},
	"flags/jsonlogic":       {}, // only the standard library
	"flags/flagtest":        {"flags", openfeature},
	"flags/ofrep":           {"flags", "internal/document", openfeature},
	"pkgmgmt":               {"internal/cleantext", "internal/document", "internal/live", "internal/modpattern", masterminds, xmod},
	"pkgmgmt/apicheck":      {"pkgmgmt/registry", "internal/cleantext", xmod, xexp, xtools},
	"pkgmgmt/registry":      {"pkgmgmt", "internal/atomicfile", "internal/cleantext", "internal/modpattern", "internal/problem", xmod},
	"pkgmgmt/storetest":     {"pkgmgmt/registry"},
	"pkgmgmt/sbom":          {"internal/problem", xmod, cyclonedx},
	"pkgmgmt/proxytest":     {"pkgmgmt/registry", xmod},
	"downtime":              {"downtime/schedule", "downtime/internal/pattern", "internal/accept", "internal/atomicfile", "internal/cleantext", "internal/document", "internal/live", "internal/page", "internal/problem", "internal/response", "internal/token"},
	"downtime/schedule":     {"downtime/internal/pattern", "internal/document"},
	"downtime/downtimetest": {"downtime", "downtime/schedule"},
	"downtime/cmd/downtime": {"downtime", "downtime/schedule", jwt},
	"downtime/status":       {"downtime", "downtime/schedule", "internal/cleantext", "internal/page", "internal/problem"},
	"downtime/quorum":       {"downtime", "internal/atomicfile"},
	"observe":               {"observe/capture", "observe/capture/har", "observe/tail", "internal/cleantext", "internal/problem", "internal/response", "internal/rerun", "internal/stats", "internal/token", openfeature, otel, otelLog, otelMetric, otelTrace},
	"observe/capture":       {"observe/capture/har", "internal/accept", "internal/atomicfile", "internal/cleantext", "internal/page", "internal/problem"},
	"observe/capture/har":   {}, // only the standard library
	"observe/tail":          {}, // only the standard library
	"observe/replay":        {"observe", "observe/capture", "observe/capture/har", "internal/atomicfile", "internal/rerun", openfeature},
	"internal/document":     {"internal/cleantext", yaml},
	"internal/guard":        {"internal/document"},
	"internal/response":     {},
	"internal/accept":       {},
	"internal/atomicfile":   {},
	"internal/page":         {"internal/problem"},
	"internal/pgtest":       {},
	"internal/problem":      {"internal/accept"},
	"internal/modpattern":   {xmod},
	"internal/live":         {"internal/atomicfile", "internal/document", fsnotify},
	"internal/rerun":        {},
	"internal/stats":        {},
	"internal/resource":     {},
	"internal/cleantext":    {},
	"internal/token":        {jwt},
	"internal/layers":       {xtools},
	"internal/testsize":     {}, // for tests

	"downtime/internal/pattern": {}, // only the standard library
	"flags/internal/evidence":   {}, // only the standard library
}

const (
	cyclonedx   = "github.com/CycloneDX/cyclonedx-go"
	masterminds = "github.com/Masterminds/semver/v3"
	openfeature = "github.com/open-feature/go-sdk"
	otel        = "go.opentelemetry.io/otel"
	otelLog     = "go.opentelemetry.io/otel/log"
	otelMetric  = "go.opentelemetry.io/otel/metric"
	otelTrace   = "go.opentelemetry.io/otel/trace"
	xexp        = "golang.org/x/exp"
	xmod        = "golang.org/x/mod"
	xtime       = "golang.org/x/time"
	xtools      = "golang.org/x/tools"
	yaml        = "go.yaml.in/yaml/v3"
	fsnotify    = "github.com/fsnotify/fsnotify"
	murmur3     = "github.com/twmb/murmur3"
	jwt         = "github.com/golang-jwt/jwt/v5"
)

// localTestArrows are what test files import of this module besides.
var localTestArrows = map[string][]string{
	"downtime":              {"downtime/status"},
	"downtime/cmd/downtime": {"downtime/status"},
	"pkgmgmt":               {"pkgmgmt/proxytest"},
	"pkgmgmt/apicheck":      {"pkgmgmt/proxytest"},
}

// testArrows are what test files and examples may import besides.
var testArrows = []string{
	"internal/testsize",
	"github.com/stretchr/testify", "go.uber.org/goleak", jwt, yaml, xmod, openfeature, otel, otelLog, otelMetric, otelTrace,
	"go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/sdk/log", "go.opentelemetry.io/otel/sdk/metric",
}

// requirements are the modules that the root may require, and why.
var requirements = map[string]string{
	cyclonedx:                             "bills of materials",
	masterminds:                           "versions and constraints written by people",
	openfeature:                           "the provider and hook interfaces",
	otel:                                  "attributes",
	otelLog:                               "the log API",
	otelMetric:                            "the metric API",
	otelTrace:                             "the trace API",
	xmod:                                  "everything that has the shape of a Go module",
	xexp:                                  "apidiff, which compares APIs",
	xtime:                                 "rate, which bounds what clients may send",
	xtools:                                "packages, which loads them",
	yaml:                                  "documents",
	fsnotify:                              "notice of changed files",
	murmur3:                               "bucketing, as flagd has it",
	jwt:                                   "signed tokens, EdDSA only",
	"github.com/stretchr/testify":         "tests",
	"go.uber.org/goleak":                  "tests",
	"go.opentelemetry.io/otel/sdk":        "tests and examples",
	"go.opentelemetry.io/otel/sdk/log":    "tests and examples",
	"go.opentelemetry.io/otel/sdk/metric": "tests and examples",
	"github.com/cespare/xxhash/v2":        "of the OpenTelemetry API",
	"github.com/go-logr/logr":             "of the OpenTelemetry API",
	"github.com/go-logr/stdr":             "of the OpenTelemetry API",
	"go.opentelemetry.io/auto/sdk":        "of the OpenTelemetry API",
	"github.com/google/uuid":              "of the OpenTelemetry SDK",
	"go.uber.org/mock":                    "of the OpenFeature SDK",
	"golang.org/x/sync":                   "of x/tools",
	"golang.org/x/sys":                    "of fsnotify",
}

// heavy are modules, or what their paths begin with or hold, that must not be in the
// root's build list even by way of others: every importer would load them.
var heavy = []string{
	"google.golang.org/grpc", "google.golang.org/protobuf", "/exporters/", "/contrib/", "k8s.io/", "github.com/aws/", "cloud.google.com/", "github.com/Azure/",
	"github.com/spf13/cobra", "github.com/spf13/viper", "github.com/lib/pq", "github.com/jackc/", "modernc.org/", "github.com/mattn/go-sqlite3",
	"github.com/segmentio/kafka", "github.com/nats-io/", "github.com/redis/", "github.com/gin-gonic/", "github.com/labstack/",
}

// five are the packages that never import one another.
var five = []string{"version", "flags", "pkgmgmt", "downtime", "observe"}

func TestArrows(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	seen := map[string]bool{}
	for dir, files := range goFiles(t, root, false) {
		isFree := within(dir, "examples") || within(dir, "internal/interop")
		if !isFree {
			require.Contains(t, arrows, dir, "a new package: draw it into the table")
			seen[dir] = true
		}
		for _, file := range files {
			isTest := strings.HasSuffix(file, "_test.go")
			for _, imported := range imports(t, filepath.Join(root, dir, file)) {
				place := path.Join(dir, file) + " imports " + imported
				local, isLocal := strings.CutPrefix(imported, module+"/")
				switch {
				case isLocal && isFree: // TestEnds
				case isLocal && local == dir && isTest:
				case isLocal && isTest:
					require.True(t, slices.Contains(arrows[dir], local) || slices.Contains(localTestArrows[dir], local) || slices.Contains(testArrows, local), "%s: a new arrow", place)
				case isLocal:
					require.True(t, slices.Contains(arrows[dir], local), "%s: a new arrow", place)
				case isStandard(imported):
				case isTest || isFree:
					require.True(t, slices.ContainsFunc(slices.Concat(arrows[dir], testArrows), owns(imported)), "%s: a new arrow", place)
				default:
					require.True(t, slices.ContainsFunc(arrows[dir], owns(imported)), "%s: a new arrow", place)
				}
			}
		}
	}
	for dir := range arrows {
		require.True(t, seen[dir], "%s is in the table and not in the tree", dir)
	}
}

// TestEnds checks the folders where arrows end, in the nested modules, too. Nothing imports
// examples or internal/interop, except a program there its own folders. Examples import
// no internal package, because users cannot. A nested module of one of the five packages
// imports none of the other four.
func TestEnds(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	for dir, files := range goFiles(t, root, true) {
		for _, file := range files {
			for _, imported := range imports(t, filepath.Join(root, dir, file)) {
				local, isLocal := strings.CutPrefix(imported, module+"/")
				if !isLocal || local == dir {
					continue
				}
				place := path.Join(dir, file) + " imports " + imported
				for _, end := range []string{"examples", "internal/interop"} {
					require.False(t, within(local, end) && program(local, end) != program(dir, end), "%s: nothing imports %s", place, end)
				}
				// Examples may start a database server with internal code: it is not what they show.
				isExample := within(dir, "examples") && !within(local, "examples") && local != "internal/pgtest"
				require.False(t, isExample && within(local, "internal"), "%s: examples use what users can use", place)
				from, _, _ := strings.Cut(dir, "/")
				to, _, _ := strings.Cut(local, "/")
				require.False(t, from != to && slices.Contains(five, from) && slices.Contains(five, to), "%s: the five import none of each other", place)
			}
		}
	}
}

// TestTable checks the table against its own rules.
func TestTable(t *testing.T) {
	t.Parallel()
	for from, tos := range arrows {
		house, _, _ := strings.Cut(from, "/")
		for _, to := range tos {
			if strings.Contains(strings.Split(to, "/")[0], ".") {
				continue
			}
			target, _, _ := strings.Cut(to, "/")
			require.False(t, within(to, "examples") || within(to, "internal/interop"), "%s → %s: nothing imports it", from, to)
			if slices.Contains(five, target) {
				require.Equal(t, house, target, "%s → %s: the five meet through types that their users have", from, to)
				require.NotContains(t, arrows[to], from, "%s and %s import each other", from, to)
			}
		}
	}
}

func TestNoGoFileInTheRoot(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "*.go"))
	require.NoError(t, err)
	require.Empty(t, files)
}

func TestRequirements(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	require.NoError(t, err)
	mod, err := modfile.Parse("go.mod", data, nil)
	require.NoError(t, err)
	require.Empty(t, mod.Replace, "importers ignore replace directives")
	for _, req := range mod.Require {
		require.Contains(t, requirements, req.Mod.Path, "a new requirement needs a reason")
	}
	for path := range requirements {
		require.True(t, slices.ContainsFunc(mod.Require, func(r *modfile.Require) bool { return r.Mod.Path == path }), "%s is no longer required", path)
	}

	// go.sum has a line for each module of the build list, also of those that nothing
	// is imported from.
	sums, err := os.ReadFile(filepath.Join("..", "..", "go.sum"))
	require.NoError(t, err)
	for line := range strings.Lines(string(sums)) {
		path, _, _ := strings.Cut(line, " ")
		for _, h := range heavy {
			require.False(t, strings.HasPrefix(path, h) || strings.HasPrefix(h, "/") && strings.Contains(path, h), "%s is in the root's build list", path)
		}
	}
}

// within reports whether a folder is equal to another or inside it.
func within(dir, parent string) bool {
	return dir == parent || strings.HasPrefix(dir, parent+"/")
}

// program returns the folder below end that dir lies in.
func program(dir, end string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(dir, end+"/"), "/")
	return first
}

// goFiles lists the Go files by folder: those of the root module, or of the nested modules
// as well.
func goFiles(t *testing.T, root string, nestedToo bool) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(name, "go.mod"))
			isNested := err == nil
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || isNested && !nestedToo) {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ".go") {
			dir := filepath.ToSlash(filepath.Dir(rel))
			files[dir] = append(files[dir], d.Name())
		}
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, slices.Collect(maps.Keys(files)))
	return files
}

func imports(t *testing.T, name string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	require.NoError(t, err)
	var paths []string
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		paths = append(paths, p)
	}
	return paths
}

func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// owns says whether a module has an imported package. Where one module's path begins
// another's, the longer one has it.
func owns(imported string) func(mod string) bool {
	return func(mod string) bool {
		if imported != mod && !strings.HasPrefix(imported, mod+"/") {
			return false
		}
		for other := range requirements {
			if len(other) > len(mod) && (imported == other || strings.HasPrefix(imported, other+"/")) {
				return false
			}
		}
		return true
	}
}
