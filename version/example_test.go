package version_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/upkeep-go/upkeep/version"
)

// exampleBuild is a fixed build info, so that the examples print the same everywhere.
func exampleBuild(release, revision, semver string) *debug.BuildInfo {
	return &debug.BuildInfo{
		GoVersion: "go1.26.8",
		Path:      "example.com/shop",
		Main:      debug.Module{Path: "example.com/shop", Version: release, Sum: "h1:" + release},
		Deps:      []*debug.Module{{Path: "github.com/Masterminds/semver/v3", Version: semver, Sum: "h1:" + semver}},
		Settings: []debug.BuildSetting{
			{Key: "-ldflags", Value: "-X main.password=hunter2"},
			{Key: "GOARCH", Value: "amd64"},
			{Key: "GOOS", Value: "linux"},
			{Key: "vcs.revision", Value: revision},
			{Key: "vcs.time", Value: "2026-11-20T11:20:00Z"},
			{Key: "vcs.modified", Value: "false"},
		},
	}
}

const (
	oldRevision = "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678"
	newRevision = "d4e5f60718293a4b5c6d7e8f90123456789abcde"
)

// The whole story: a service says what it is in its log, on its admin
// listener, to those it calls and on its spans; later somebody asks what is
// different from last week.
func Example() {
	// A real service calls version.Current().
	info := version.FromBuildInfo(exampleBuild("v1.4.2", newRevision, "v3.5.0"), nil)

	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	logger.Info("starting", "build", info)

	admin := http.NewServeMux()
	admin.Handle("GET /version", version.Handler(info, nil))

	client := &http.Client{Transport: version.Transport(info, nil)}
	_ = client // its requests carry the user agent:
	fmt.Println(info.UserAgent())

	var shop http.Handler = http.NotFoundHandler()
	shop = version.Middleware(info, nil)(shop) // sets these attributes on the request's span:
	_ = shop
	for _, attr := range info.Attributes() {
		fmt.Printf("%s=%s\n", attr.Key, attr.Value.String())
	}

	// Last week's answer of GET /version was kept; so was the old binary.
	w := httptest.NewRecorder()
	admin.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/version", nil))
	kept, err := version.Parse("last-week.json", w.Body.Bytes())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(kept.Version)
	old := version.FromBuildInfo(exampleBuild("v1.4.1", oldRevision, "v3.4.0"), nil) // or version.ReadFile("shop.old")
	fmt.Println(version.Diff(old, info))

	// Output:
	// level=INFO msg=starting build.name=shop build.version=v1.4.2 build.revision=d4e5f60718293a4b5c6d7e8f90123456789abcde build.time=2026-11-20T11:20:00.000Z build.go=go1.26.8 build.platform=linux/amd64
	// shop/v1.4.2
	// service.name=shop
	// service.version=v1.4.2
	// vcs.ref.head.revision=d4e5f60718293a4b5c6d7e8f90123456789abcde
	// v1.4.2
	// v1.4.1 → v1.4.2
	// semver v3.4.0 → v3.5.0
	// rev a1b2c3d4e5f6..d4e5f6071829
}

// Current never fails. A build without a version has an empty one.
func ExampleCurrent() {
	info := version.Current()
	fmt.Println(info.GoVersion == runtime.Version(), info.Origins["goVersion"])
	// Output: true buildinfo
}

// The program knows its name; the build info knows the rest.
func ExampleNew() {
	info := version.New(&version.Options{Name: "till", Version: "build-4711", Environment: "staging"})
	fmt.Println(info.Name, info.Version, info.Kind, "from", info.Origins["version"])
	// Output: till build-4711 other from options
}

// Which of several truths was taken, and what contradicts it.
func ExampleFromBuildInfo_conflicts() {
	bi := exampleBuild("(devel)", oldRevision, "v3.5.0")
	info := version.FromBuildInfo(bi, &version.Options{
		Name: "till",
		Getenv: func(key string) string {
			return map[string]string{"OTEL_SERVICE_NAME": "shop", "SERVICE_VERSION": "v1.4.2"}[key]
		},
	})
	fmt.Println(info.Version, "from", info.Origins["version"])
	for _, c := range info.Conflicts {
		fmt.Println(strings.SplitAfter(c.String(), " it: ")[0])
	}
	// Output:
	// v1.4.2 from environment
	// name: the options say "till", the environment says "shop"
	// revision: the toolchain found a repository but no version of this module in it:
}

// A file that is not a Go program is an error, not an unknown version.
func ExampleReadFile() {
	_, err := version.ReadFile("example_test.go")
	fmt.Println(err)
	// Output: version: example_test.go: not a Go program: could not read Go build info from example_test.go: unrecognized file format
}

// All faults of a snapshot are returned together, each with its place.
func ExampleParse_faults() {
	_, err := version.Parse("monday.json", []byte("{\n  \"version\": 7,\n  \"time\": \"noon\"\n}"))
	fmt.Println(err)
	// Output:
	// monday.json:2:14: version: must not be a JSON number
	// monday.json:3:11: time: must be RFC 3339, got "noon"
}

// What "go version -m" printed of a program can be kept and compared.
func ExampleParse_goVersion() {
	info, err := version.Parse("shop.txt", []byte("bin/shop: go1.26.8\n\tpath\texample.com/shop\n\tmod\texample.com/shop\tv1.4.2\t\n\tbuild\tGOOS=linux\n\tbuild\tGOARCH=arm64\n"))
	fmt.Println(info, err)
	// Output: shop v1.4.2 (go1.26.8, linux/arm64) <nil>
}

func ExampleHandler() {
	info := version.FromBuildInfo(exampleBuild("v1.4.2", newRevision, "v3.5.0"), nil)
	w := httptest.NewRecorder()
	version.Handler(info, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/version", nil))
	fmt.Print(w.Body)
	// Output:
	// {
	//   "name": "shop",
	//   "version": "v1.4.2",
	//   "revision": "d4e5f60718293a4b5c6d7e8f90123456789abcde",
	//   "time": "2026-11-20T11:20:00Z"
	// }
}

// Operators see more, and the service adds a value of its own: the revision of its flag
// document, which shows whether all replicas have the same one.
func ExampleHandler_detail() {
	info := version.FromBuildInfo(exampleBuild("v1.4.2", newRevision, "v3.5.0"), nil)
	flagRevision := func() string { return "5f3a9c" } // of the service's flag document
	h := version.Handler(info, &version.HandlerOptions{
		Detail: func(r *http.Request) version.Level {
			if r.Header.Get("Authorization") == "Bearer of-an-operator" { // verify a token here
				return version.LevelFull
			}
			return version.LevelMinimal
		},
		Sections: map[string]func() string{"flags": flagRevision},
	})
	ask := func(accept, authorization string) {
		r := httptest.NewRequest(http.MethodGet, "/version", nil)
		r.Header.Set("Accept", accept)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Print(w.Body)
	}
	ask("text/plain", "")
	fmt.Println()
	ask("text/x-go-buildinfo", "Bearer of-an-operator") // -ldflags stay inside
	// Output:
	// name: shop
	// version: v1.4.2
	// revision: d4e5f60718293a4b5c6d7e8f90123456789abcde
	// time: 2026-11-20T11:20:00Z
	// section flags: 5f3a9c
	//
	// go	go1.26.8
	// path	example.com/shop
	// mod	example.com/shop	v1.4.2	h1:v1.4.2
	// dep	github.com/Masterminds/semver/v3	v3.5.0	h1:v3.5.0
	// build	GOARCH=amd64
	// build	GOOS=linux
	// build	vcs.modified=false
	// build	vcs.revision=d4e5f60718293a4b5c6d7e8f90123456789abcde
	// build	vcs.time=2026-11-20T11:20:00Z
}

func ExampleMiddleware() {
	info := version.FromBuildInfo(exampleBuild("v1.4.2", newRevision, "v3.5.0"), nil)
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	h := version.Middleware(info, &version.MiddlewareOptions{Header: "X-Version"})(hello)

	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(w.Header().Get("X-Version"), w.Body)
	// Output: v1.4.2 hello
}

func ExampleTransport() {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println("called by", r.UserAgent())
	}))
	defer server.Close()
	info := version.FromBuildInfo(exampleBuild("v1.4.2", newRevision, "v3.5.0"), nil)
	client := &http.Client{Transport: version.Transport(info, server.Client().Transport)}
	defer client.CloseIdleConnections()
	response, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = response.Body.Close()
	// Output: called by shop/v1.4.2
}

// With flag.ExitOnError, as flag.CommandLine has it, the program exits by
// itself; here it goes on and looks.
func ExampleBindFlag() {
	info := version.FromBuildInfo(exampleBuild("v1.4.2", newRevision, "v3.5.0"), nil)
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	asked := version.BindFlag(info, flags)
	if err := flags.Parse([]string{"-version"}); err != nil || *asked {
		return
	}
	fmt.Println("serving")
	// Output: shop v1.4.2 (d4e5f6071829, 2026-11-20T11:20:00Z, go1.26.8, linux/amd64)
}

func ExampleInfo_Semver() {
	for _, v := range []string{"v1.4.2", "v1.5.0-rc.1", "build-4711", "2026.11.20", "(devel)"} {
		semver, err := version.Info{Version: v}.Semver()
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(semver)
	}
	// Output:
	// 1.4.2
	// 1.5.0-rc.1
	// version: no semantic version: "build-4711" has no order, because it is a build number, a date or another name
	// version: no semantic version: "2026.11.20" has no order, because it is a build number, a date or another name
	// version: no semantic version: "(devel)" is a development build without a version
}

func ExampleKindOf() {
	for _, v := range []string{"v1.4.2", "v1.5.0-rc.1", "v0.0.0-20261120112000-d4e5f6071829", "(devel)", "2026.11.20", "v1.4.2-3-gd4e5f60", ""} {
		fmt.Printf("%q is %s\n", v, version.KindOf(v))
	}
	// Output:
	// "v1.4.2" is release
	// "v1.5.0-rc.1" is prerelease
	// "v0.0.0-20261120112000-d4e5f6071829" is pseudo
	// "(devel)" is devel
	// "2026.11.20" is other
	// "v1.4.2-3-gd4e5f60" is other
	// "" is unknown
}

// For people, and for machines.
func ExampleDiff() {
	old := version.FromBuildInfo(exampleBuild("v1.4.1", oldRevision, "v3.4.0"), nil)
	info := version.FromBuildInfo(exampleBuild("v1.4.2", newRevision, "v3.5.0"), nil)
	changes := version.Diff(old, info)
	fmt.Println(changes)
	data, err := json.Marshal(changes.Deps)
	fmt.Println(string(data), err)
	// Output:
	// v1.4.1 → v1.4.2
	// semver v3.4.0 → v3.5.0
	// rev a1b2c3d4e5f6..d4e5f6071829
	// [{"path":"github.com/Masterminds/semver/v3","kind":"upgraded","old":{"path":"github.com/Masterminds/semver/v3","version":"v3.4.0","sum":"h1:v3.4.0"},"new":{"path":"github.com/Masterminds/semver/v3","version":"v3.5.0","sum":"h1:v3.5.0"}}] <nil>
}

// The same version with another checksum: somebody moved a tag, or worse.
func ExampleDiff_anotherSum() {
	old := exampleBuild("v1.4.2", newRevision, "v3.5.0")
	bi := exampleBuild("v1.4.2", newRevision, "v3.5.0")
	bi.Deps[0].Sum = "h1:somethingElse"
	for _, c := range version.Diff(version.FromBuildInfo(old, nil), version.FromBuildInfo(bi, nil)).Deps {
		if c.Kind == version.ChangeKindResummed {
			fmt.Println(c.Path, c.New.Version, c.Old.Sum, c.New.Sum)
		}
	}
	// Output: github.com/Masterminds/semver/v3 v3.5.0 h1:v3.5.0 h1:somethingElse
}
