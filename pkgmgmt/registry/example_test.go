package registry_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/module"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// example serves a registry over a temporary folder. A program uses a permanent folder and
// http.ListenAndServeTLS.
func example(opts *registry.Options) (client *registry.Client, done func()) {
	dir, err := os.MkdirTemp("", "modules")
	if err != nil {
		panic(err)
	}
	opts.Logger = slog.New(slog.DiscardHandler)
	reg, err := registry.New(registry.Dir(dir), opts)
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(reg)
	return &registry.Client{URL: server.URL, HTTP: server.Client()}, func() {
		server.Close()
		os.RemoveAll(dir)
	}
}

// folder writes a module to a folder, as in a repository.
func folder(files ...string) string {
	dir, err := os.MkdirTemp("", "lib")
	if err != nil {
		panic(err)
	}
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			panic(err)
		}
	}
	return dir
}

func read(client *registry.Client, path string) string {
	res, err := client.HTTP.Get(client.URL + path)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return res.Status + ": " + strings.Join(strings.Fields(string(text)), " ")
}

// A registry from start to end: publish two versions, set a channel, block a version, and read
// as the go command does.
func Example() {
	ctx := context.Background()
	client, done := example(&registry.Options{
		Private: []string{"corp.example"},
		Authorize: func(*http.Request, registry.Action) (who string, err error) {
			return "ada", nil // see Basic and Bearer
		},
	})
	defer done()
	dir := folder("go.mod", "module corp.example/lib\n\ngo 1.26\n", "lib.go", "package lib\n")
	defer os.RemoveAll(dir)

	for _, version := range []string{"v1.0.0", "v1.1.0"} {
		published, err := client.Publish(ctx, dir, version, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(published.Path, published.Version, published.Sum[:3], published.New)
	}
	at := func(version string) module.Version { return module.Version{Path: "corp.example/lib", Version: version} }
	fmt.Println(client.SetChannel(ctx, at("v1.0.0"), "stable", "in production for a week"))
	fmt.Println(client.Block(ctx, at("v1.1.0"), "sends keys to strangers"))

	// The go command reads:
	fmt.Println(read(client, "/corp.example/lib/@v/list"))
	fmt.Println(read(client, "/corp.example/lib/@v/v1.0.0.mod"))
	fmt.Println(read(client, "/corp.example/lib/@v/stable.info")[:29])
	fmt.Println(read(client, "/corp.example/lib/@v/v1.1.0.info"))
	// Output:
	// corp.example/lib v1.0.0 h1: true
	// corp.example/lib v1.1.0 h1: true
	// <nil>
	// <nil>
	// 200 OK: v1.0.0
	// 200 OK: module corp.example/lib go 1.26
	// 200 OK: {"Version":"v1.0.0","
	// 403 Forbidden: corp.example/lib@v1.1.0 is blocked: sends keys to strangers
}

// A server with authentication: people read with a password, which the go command takes from
// netrc, and machines publish with a token.
func ExampleNew() {
	reg, err := registry.New(registry.Dir("/var/lib/modules"), &registry.Options{
		Private: []string{"corp.example"},
		Authorize: registry.AnyOf(
			registry.Basic(registry.User{Name: "dev", Secret: os.Getenv("DEV_PASSWORD")}),
			registry.Bearer(registry.User{Name: "ci", Secret: os.Getenv("CI_TOKEN"), May: registry.Everything}),
		),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &http.Server{Addr: ":443", Handler: reg}
	_ = server.ListenAndServeTLS // ("cert.pem", "key.pem")

	// A request without credentials is refused.
	w := httptest.NewRecorder()
	reg.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/corp.example/lib/@v/list", nil))
	fmt.Print(w.Code, " ", w.Body)
	// Output: 401 credentials are needed
}

// A published version never changes. Publishing the same content again succeeds, so a pipeline
// can run twice.
func ExampleClient_Publish() {
	ctx := context.Background()
	client, done := example(&registry.Options{Private: []string{"corp.example"}, Authorize: anyone})
	defer done()
	dir := folder("go.mod", "module corp.example/lib\n", "lib.go", "package lib\n")
	defer os.RemoveAll(dir)
	publish := func() {
		published, err := client.Publish(ctx, dir, "v1.0.0", nil)
		var refusal *registry.Refusal
		if errors.As(err, &refusal) {
			fmt.Println(refusal.Status, refusal.Rule)
			return
		}
		fmt.Println("new:", published.New)
	}
	publish()
	publish()
	os.WriteFile(filepath.Join(dir, "lib.go"), []byte("package lib // changed\n"), 0o600)
	publish()
	os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module corp.example/lib\n\nreplace other.example/x => ../x\n"), 0o600)
	publish()
	// Output:
	// new: true
	// new: false
	// 409 immutable
	// 422 replace
}

// Services follow a channel: go get corp.example/lib@stable. Its history records who moved it,
// when and why.
func ExampleClient_SetChannel() {
	ctx := context.Background()
	client, done := example(&registry.Options{Private: []string{"corp.example"}, Authorize: anyone})
	defer done()
	dir := folder("go.mod", "module corp.example/lib\n", "lib.go", "package lib\n")
	defer os.RemoveAll(dir)
	for _, version := range []string{"v1.0.0", "v1.1.0"} {
		if _, err := client.Publish(ctx, dir, version, nil); err != nil {
			fmt.Println(err)
		}
		if err := client.SetChannel(ctx, module.Version{Path: "corp.example/lib", Version: version}, "stable", "canaries are fine"); err != nil {
			fmt.Println(err)
		}
	}
	if err := client.SetChannel(ctx, module.Version{Path: "corp.example/lib", Version: "v1.0.0"}, "stable", "v1.1.0 loses writes"); err != nil {
		fmt.Println(err)
	}
	channels, err := client.Channels(ctx, "corp.example/lib")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, move := range channels["stable"].Moves {
		fmt.Println(move.Version, move.Reason)
	}
	// Output:
	// v1.0.0 canaries are fine
	// v1.1.0 canaries are fine
	// v1.0.0 v1.1.0 loses writes
}

// A later version retracts a version, or deprecates the module.
func ExampleClient_Edit() {
	ctx := context.Background()
	client, done := example(&registry.Options{Private: []string{"corp.example"}, Authorize: anyone})
	defer done()
	dir := folder("go.mod", "module corp.example/lib\n", "lib.go", "package lib\n")
	defer os.RemoveAll(dir)
	if _, err := client.Publish(ctx, dir, "v1.2.0", nil); err != nil {
		fmt.Println(err)
	}
	published, err := client.Edit(ctx, "corp.example/lib", registry.Retract("v1.2.0", "v1.2.0", "loses writes"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(published.Version, read(client, "/corp.example/lib/@v/v1.2.1.mod"))
	published, err = client.Edit(ctx, "corp.example/lib", registry.Deprecate("use corp.example/kit"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(published.Version, read(client, "/corp.example/lib/@v/v1.2.2.mod"))
	// Output:
	// v1.2.1 200 OK: module corp.example/lib // loses writes retract v1.2.0
	// v1.2.2 200 OK: // Deprecated: use corp.example/kit module corp.example/lib // loses writes retract v1.2.0
}

// A gate that requires a change log, and an override. apicheck.Gate judges changes of the API.
func ExampleOptions_gate() {
	ctx := context.Background()
	client, done := example(&registry.Options{
		Private: []string{"corp.example"}, Authorize: anyone,
		Gate: func(_ context.Context, r *registry.Release) (registry.Judgement, error) {
			files, err := zip.OpenReader(r.Zip)
			if err != nil {
				return registry.Judgement{}, err // an error counts as VerdictUnknown
			}
			defer files.Close()
			if _, err := files.Open(r.Path + "@" + r.Version + "/CHANGELOG.md"); err != nil {
				return registry.Judgement{Verdict: registry.VerdictRefuse, Reason: "CHANGELOG.md is missing"}, nil
			}
			return registry.Judgement{Verdict: registry.VerdictPass}, nil
		},
	})
	defer done()
	dir := folder("go.mod", "module corp.example/lib\n", "lib.go", "package lib\n")
	defer os.RemoveAll(dir)

	_, err := client.Publish(ctx, dir, "v1.0.0", nil)
	fmt.Println(err)
	published, err := client.Publish(ctx, dir, "v1.0.0", &registry.PublishOptions{Override: "the change log follows"})
	fmt.Println(published.Version, published.Judgement.Verdict, err)
	record, err := client.Record(ctx, module.Version{Path: "corp.example/lib", Version: "v1.0.0"})
	fmt.Println(record.Events[0].What, record.Events[0].Reason, err)
	// Output:
	// 422 Unprocessable Entity: the gate refuses v1.0.0: CHANGELOG.md is missing
	// v1.0.0 refuse <nil>
	// published the change log follows <nil>
}

// Permissions: a team publishes below its own prefix, and operators may do everything.
func ExampleOptions_authorize() {
	team := func(a registry.Action) error {
		if a.Op == registry.OpRead || a.Op == registry.OpPublish && strings.HasPrefix(a.Module, "corp.example/payments/") {
			return nil
		}
		return fmt.Errorf("%w: payments may not %s %s", registry.ErrForbidden, a.Op, a.Module)
	}
	authorize := registry.Bearer(
		registry.User{Name: "payments", Secret: "p4yments", May: team},
		registry.User{Name: "operators", Secret: "0perators", May: registry.Everything},
	)
	ask := func(token string, a registry.Action) {
		r := httptest.NewRequest(http.MethodPut, "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		who, err := authorize(r, a)
		fmt.Println(who, err)
	}
	ask("p4yments", registry.Action{Op: registry.OpPublish, Module: "corp.example/payments/api"})
	ask("p4yments", registry.Action{Op: registry.OpPublish, Module: "corp.example/lib"})
	ask("p4yments", registry.Action{Op: registry.OpBlock, Module: "corp.example/payments/api"})
	ask("0perators", registry.Action{Op: registry.OpBlock, Module: "corp.example/payments/api"})
	ask("guessed", registry.Action{Op: registry.OpRead, Module: "corp.example/lib"})
	// Output:
	// payments <nil>
	// payments forbidden: payments may not publish corp.example/lib
	// payments forbidden: payments may not block corp.example/payments/api
	// operators <nil>
	//  credentials are needed: the name, password or token is wrong
}

// The same over plain HTTP, by the routes of the package comment.
func ExampleRegistry_ServeHTTP() {
	client, done := example(&registry.Options{Private: []string{"corp.example"}, Authorize: anyone})
	defer done()
	var body bytes.Buffer
	w := zip.NewWriter(&body)
	part, err := w.Create("corp.example/lib@v1.0.0/go.mod")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprintln(part, "module corp.example/lib")
	w.Close()
	send := func(method, path string, body io.Reader) {
		req, err := http.NewRequest(method, client.URL+path, body)
		if err != nil {
			fmt.Println(err)
			return
		}
		res, err := client.HTTP.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer res.Body.Close()
		fmt.Println(res.Status)
	}
	send(http.MethodPut, "/corp.example/lib/@v/v1.0.0.zip", &body)
	send(http.MethodPut, "/corp.example/lib/@channel/stable?version=v1.0.0&reason=tested", nil)
	send(http.MethodPut, "/corp.example/lib/@yank/v1.0.0?reason=loses+writes", nil)
	send(http.MethodDelete, "/corp.example/lib/@yank/v1.0.0?reason=a+false+alarm", nil)
	send(http.MethodGet, "/corp.example/lib/@record/v1.0.0", nil)
	// Output:
	// 201 Created
	// 200 OK
	// 200 OK
	// 200 OK
	// 200 OK
}

// A disk lost files. Verify repairs what it can derive from other files; a lost zip must be
// published again.
func ExampleRegistry_Verify() {
	dir, err := os.MkdirTemp("", "modules-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	reg, err := registry.New(registry.Dir(dir), &registry.Options{Private: []string{"corp.example"}, Authorize: anyone, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(reg)
	defer server.Close()
	client := &registry.Client{URL: server.URL}
	module := folder("go.mod", "module corp.example/lib\n", "lib.go", "package lib\n")
	defer os.RemoveAll(module)
	for _, version := range []string{"v1.0.0", "v1.1.0"} {
		if _, err := client.Publish(context.Background(), module, version, nil); err != nil {
			fmt.Println(err)
		}
	}
	for _, lost := range []string{"v1.0.0.mod", "v1.1.0.zip"} {
		if err := os.Remove(filepath.Join(dir, "corp.example", "lib", "@v", lost)); err != nil {
			fmt.Println(err)
		}
	}
	for finding := range reg.Verify(context.Background(), true) {
		fmt.Println(finding)
	}
	published, err := client.Publish(context.Background(), module, "v1.1.0", nil)
	fmt.Println(published.New, err)
	for finding := range reg.Verify(context.Background(), true) {
		fmt.Println(finding)
	}
	// Output:
	// corp.example/lib@v1.0.0: its .mod is lost (mended)
	// corp.example/lib@v1.1.0: its .zip is lost
	// false <nil>
}
