package compat_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/compat"
)

// logger prints what a policy logs, the same everywhere.
func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// The whole story: the catalog needs shops of v1.4.0, will need v1.6.0, and
// knows of a bad release. A shop in turn needs a catalog of v2.
func Example() {
	// The server's part.
	policy, err := compat.New(compat.Rules{
		Peers: map[string][]compat.Rule{"shop": {
			{Minimum: "v1.4.0", Block: []string{"v1.4.3"}, Stage: compat.StageEnforce, Reason: "orders lose their currency"},
			{
				Minimum: "v1.6.0", Stage: compat.StageWarn, Link: "https://example.com/upgrade",
				Sunset: time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC),
			},
		}},
	}, &compat.Options{Logger: logger()})
	if err != nil {
		fmt.Println(err)
		return
	}
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "a book") })
	handler = compat.Require(policy)(handler)
	catalog := version.Info{Name: "catalog", Version: "v1.9.0"} // version.Current() in a real service
	handler = version.Middleware(catalog, &version.MiddlewareOptions{Header: "X-Version"})(handler)
	server := httptest.NewServer(handler)
	defer server.Close()

	// The client's part.
	for _, shop := range []string{"v1.3.0", "v1.4.3", "v1.5.0", "v1.6.0"} {
		client := &http.Client{Transport: version.Transport(version.Info{Name: "shop", Version: shop}, server.Client().Transport)}
		response, err := client.Get(server.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		fmt.Printf("%s: %s: %s", shop, response.Status, body)
		if sunset := response.Header.Get("Sunset"); sunset != "" {
			fmt.Println("needed is", response.Header.Get(compat.RequiredHeader), "by", sunset)
		}
	}

	// A client may expect something of its server too.
	expected, err := compat.New(compat.Rules{Default: []compat.Rule{{Minimum: "v2.0.0", Stage: compat.StageEnforce}}}, &compat.Options{Logger: logger()})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: compat.Expect(expected)(server.Client().Transport)}
	_, err = client.Get(server.URL)
	var unfit *compat.UnfitError
	if errors.As(err, &unfit) {
		fmt.Println(unfit)
	}
	fmt.Println(policy.Stats()["refused"], "refused,", policy.Stats()["warned"], "warned")
	// Output:
	// level=WARN msg="a client does not fit" peer=shop version=v1.3.0 stage=enforce why="does not satisfy >=1.4.0" required=">=1.4.0, not v1.4.3"
	// v1.3.0: 400 Bad Request: {"type":"about:blank","title":"Bad Request","status":400,"detail":"shop v1.3.0 does not satisfy >=1.4.0; needed is >=1.4.0, not v1.4.3: orders lose their currency","peer":"shop","required":">=1.4.0, not v1.4.3","version":"v1.3.0"}
	// level=WARN msg="a client does not fit" peer=shop version=v1.4.3 stage=enforce why="is blocked" required=">=1.4.0, not v1.4.3"
	// v1.4.3: 400 Bad Request: {"type":"about:blank","title":"Bad Request","status":400,"detail":"shop v1.4.3 is blocked; needed is >=1.4.0, not v1.4.3: orders lose their currency","peer":"shop","required":">=1.4.0, not v1.4.3","version":"v1.4.3"}
	// level=WARN msg="a client does not fit" peer=shop version=v1.5.0 stage=warn why="does not satisfy >=1.6.0" required=">=1.6.0"
	// v1.5.0: 200 OK: a book
	// needed is >=1.6.0 by Wed, 31 Mar 2027 00:00:00 GMT
	// v1.6.0: 200 OK: a book
	// level=WARN msg="a server does not fit" peer="" version=v1.9.0 stage=enforce why="does not satisfy >=2.0.0" required=">=2.0.0"
	// compat: the peer v1.9.0 does not satisfy >=2.0.0
	// 2 refused, 1 warned
}

// serve sends a request of this client through Require.
func serve(policy *compat.Policy, agent string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("User-Agent", agent)
	w := httptest.NewRecorder()
	compat.Require(policy)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
	return w
}

// What a warned client sees.
func ExampleRequire_warn() {
	policy, err := compat.New(compat.Rules{Default: []compat.Rule{{
		Minimum:     "v1.4.0",
		Stage:       compat.StageWarn,
		Deprecation: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		Sunset:      time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC),
		Link:        "https://example.com/upgrade",
	}}}, &compat.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := serve(policy, "shop/v1.3.0")
	fmt.Println(answer.Code)
	for _, name := range []string{"Deprecation", "Sunset", "Link", compat.RequiredHeader, "Vary"} {
		fmt.Println(name+":", answer.Header().Get(name))
	}
	// Output:
	// 200
	// Deprecation: @1793491200
	// Sunset: Wed, 31 Mar 2027 00:00:00 GMT
	// Link: <https://example.com/upgrade>; rel="deprecation sunset"
	// Version-Required: >=1.4.0
	// Vary: User-Agent
}

// Which versions are judged how.
func ExamplePolicy_CheckClient() {
	policy, err := compat.New(compat.Rules{Default: []compat.Rule{{Require: ">=1.4.0 <2.0.0"}}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, client := range []string{
		"shop/v1.4.0",
		"shop/v1.4.1-0.20260102150405-abcdef123456", // a commit after v1.4.0
		"shop/v1.4.0-rc.1",
		"shop/v2.0.0-rc.1",
		"shop/v1.3.0+dirty",
		"shop/v1.4.0+dirty", // unknown, and passes
		"shop/build-4711",   // too
	} {
		fmt.Println(client, policy.CheckClient(client))
	}
	// Output:
	// shop/v1.4.0 <nil>
	// shop/v1.4.1-0.20260102150405-abcdef123456 <nil>
	// shop/v1.4.0-rc.1 compat: shop v1.4.0-rc.1 does not satisfy >=1.4.0 <2.0.0
	// shop/v2.0.0-rc.1 compat: shop v2.0.0-rc.1 leads up to v2.0.0, which does not satisfy >=1.4.0 <2.0.0
	// shop/v1.3.0+dirty compat: shop v1.3.0+dirty does not satisfy >=1.4.0 <2.0.0
	// shop/v1.4.0+dirty <nil>
	// shop/build-4711 <nil>
}

// A strict rule wants to be sure.
func ExampleRule_strict() {
	policy, err := compat.New(compat.Rules{Default: []compat.Rule{{Minimum: "v1.4.0", Strict: true}}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, client := range []string{"shop/v1.4.0+dirty", "shop/build-4711", ""} {
		fmt.Println(policy.CheckClient(client))
	}
	// Output:
	// compat: shop v1.4.0+dirty was built from changed files; needed is >=1.4.0
	// compat: shop build-4711 has no order, because it is a build number, a date or another name; needed is >=1.4.0
	// compat: the peer has no version; needed is >=1.4.0
}

// A policy is a document.
func ExampleParsePolicy() {
	policy, err := compat.ParsePolicy("compat.yaml", []byte(`
default:
  - block: [build-4711, "1.5.0 - 1.5.2"]
peers:
  shop:
    - minimum: v1.4.0
      stage: enforce
    - minimum: v1.6.0
      stage: warn
      sunset: 2027-03-31
`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(policy.CheckClient("billing/v1.5.1"))
	fmt.Println(policy.CheckClient("shop/v1.5.1"))

	_, err = compat.ParsePolicy("compat.yaml", []byte("default: [{minimum: 1.x.0}, {stage: refuse, strict: true}]"), nil)
	fmt.Println(err)
	// Output:
	// compat: billing v1.5.1 is blocked by 1.5.0 - 1.5.2; needed is not build-4711, not 1.5.0 - 1.5.2
	// compat: shop v1.5.1 does not satisfy >=1.6.0
	// compat.yaml:1:21: default[0].minimum: "1.x.0" is not a version that can be compared: it has no order, because it is a build number, a date or another name; write v1.0.0
	// compat.yaml:1:37: default[1].stage: must be observe, warn or enforce, got "refuse"
}

// A policy follows its document. A document with faults is refused whole: the one before
// stays in effect, and the faults are the policy's problems.
func ExampleOpenPolicy() {
	dir, err := os.MkdirTemp("", "compat")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "compat.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			fmt.Println(err)
		}
	}
	write("default: [{minimum: v1.4.0}]")
	policy, err := compat.OpenPolicy(context.Background(), compat.File(path), &compat.Options{Poll: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer policy.Close()
	fmt.Println(policy.CheckClient("shop/v1.8.0"))

	write("default: [{minimum: 1.9}]")
	for len(policy.Problems()) == 0 {
		runtime.Gosched()
	}
	fmt.Println(strings.TrimPrefix(policy.Problems()[0].Error(), dir+"/"))
	fmt.Println(policy.CheckClient("shop/v1.8.0"))

	write("default: [{minimum: v1.9.0}]")
	for len(policy.Problems()) > 0 {
		runtime.Gosched()
	}
	fmt.Println(policy.CheckClient("shop/v1.8.0"))
	// Output:
	// <nil>
	// compat.yaml:1:21: default[0].minimum: must be a string, got a number: write it in quotes, "1.9"
	// <nil>
	// compat: shop v1.8.0 does not satisfy >=1.9.0
}

// In an incident a bad version is blocked while the service runs.
func ExamplePolicy_SetRules() {
	rules := compat.Rules{Default: []compat.Rule{{Minimum: "v1.4.0", Stage: compat.StageEnforce}}}
	policy, err := compat.New(rules, &compat.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(serve(policy, "shop/v1.4.3").Code)
	rules.Default[0].Block = []string{"v1.4.3"}
	fmt.Println(policy.SetRules(rules))
	fmt.Println(serve(policy, "shop/v1.4.3").Code)
	// Output:
	// 200
	// <nil>
	// 400
}

// The rule of Kubernetes for its nodes: up to three minor versions older than
// the API server, and not newer.
func ExampleSkew() {
	kubelet := compat.Skew{Client: "kubelet", Server: "kube-apiserver", Minor: 3}
	fmt.Println(kubelet.Check("v1.32.9", "v1.35.0"))
	fmt.Println(kubelet.Check("v1.31.0", "v1.35.0"))
	fmt.Println(kubelet.Check("v1.36.0", "v1.35.0"))
	// Output:
	// <nil>
	// compat: kubelet v1.31.0 against kube-apiserver v1.35.0: is 4 minor versions older, and may be 3
	// compat: kubelet v1.36.0 against kube-apiserver v1.35.0: is 1 minor version newer, and must not be newer
}

// A skew in a rule compares the peer with this program.
func ExampleRule_skew() {
	policy, err := compat.New(compat.Rules{
		Default: []compat.Rule{{Skew: &compat.Skew{Minor: 1, Newer: true}, Stage: compat.StageEnforce}},
	}, &compat.Options{Self: "v1.6.0"}) // version.Current() when nothing is said
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(policy.CheckClient("shop/v1.7.0"))
	fmt.Println(policy.CheckClient("shop/v1.4.0"))
	// Output:
	// <nil>
	// compat: shop v1.4.0 is 2 minor versions older, and may be 1; needed is 1.5 to 1.7
}
