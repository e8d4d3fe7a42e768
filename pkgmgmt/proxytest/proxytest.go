// Package proxytest starts a module registry inside a test. So a test can build programs
// from shared modules with the real go command and without a network.
//
// [New] starts the registry with modules, and [Proxy.Env] returns the environment for go
// commands:
//
//	p := proxytest.New(t, proxytest.Module{
//		Path: "corp.example/lib", Version: "v1.0.0",
//		Files: proxytest.Files{"lib.go": "package lib\n"},
//	})
//	cmd := exec.CommandContext(t.Context(), "go", "get", "corp.example/lib@latest")
//	cmd.Dir, cmd.Env = dir, p.Env()
//
// It is the registry of package registry, with its gates and refusals, in a folder of the
// test. It listens on loopback until the test ends.
package proxytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// A Module is one version of a module.
type Module struct {
	Path    string // "corp.example/lib/v2"
	Version string // "v2.1.0"

	// Files are the module's files, from its root: [Files], os.DirFS of its folder, an
	// embed.FS. A missing go.mod is added, with a module line and a go line.
	Files fs.FS
}

// Files are files in memory: the content by slash-separated name.
type Files map[string]string

// Open implements [fs.FS].
func (f Files) Open(name string) (fs.File, error) {
	m := make(fstest.MapFS, len(f))
	for name, content := range f {
		m[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return m.Open(name)
}

// A Proxy is a running registry.
type Proxy struct {
	// URL of the registry, for GOPROXY and for other clients.
	URL string

	// Registry is the handler behind the URL.
	Registry *registry.Registry

	// Client publishes to the registry, moves channels, yanks and blocks. The registry
	// allows this without a token.
	Client *registry.Client

	dir string
}

// New starts a registry for the test and publishes modules in their order. An error ends the
// test. The private prefixes are corp.example and the first element of each module's path.
func New(t testing.TB, modules ...Module) *Proxy {
	t.Helper()
	return Start(t, nil, modules...)
}

// Start is New with options, such as a gate. Zero options are as in New, and the registry
// logs only if Logger is set.
func Start(t testing.TB, opts *registry.Options, modules ...Module) *Proxy {
	t.Helper()
	var o registry.Options
	if opts != nil {
		o = *opts
	}
	if o.Private == nil {
		o.Private = []string{"corp.example"}
		for _, m := range modules {
			first, _, _ := strings.Cut(m.Path, "/")
			if !slices.Contains(o.Private, first) {
				o.Private = append(o.Private, first)
			}
		}
	}
	if o.Authorize == nil {
		o.Authorize = func(*http.Request, registry.Action) (string, error) { return "", nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Proxy{dir: t.TempDir()}
	var err error
	p.Registry, err = registry.New(registry.Dir(filepath.Join(p.dir, "registry")), &o)
	if err != nil {
		t.Fatalf("proxytest: the registry: %v", err)
	}
	server := httptest.NewServer(p.Registry)
	p.URL = server.URL
	p.Client = &registry.Client{URL: p.URL, HTTP: server.Client()}
	t.Cleanup(func() {
		server.Close()
		if err := p.clean(); err != nil {
			t.Error(err)
		}
	})
	for _, m := range modules {
		if err := p.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// Publish publishes one more version. Its error has the registry and the version, and wraps
// the registry's [*registry.Refusal].
func (p *Proxy) Publish(ctx context.Context, m Module) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("proxytest: the registry at %s: %s@%s: %w", p.URL, m.Path, m.Version, err)
		}
	}()
	at := module.Version{Path: m.Path, Version: m.Version}
	files, err := m.list()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(p.dir, "publish-*.zip")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := zip.Create(f, at, files); err != nil {
		return err
	}
	_, err = p.Client.PublishZip(ctx, at, f.Name(), nil)
	return err
}

// Env returns the environment of the process with changes for go commands: this registry as
// the proxy, and a GOPATH and a module cache of the test. The checksum database, version control,
// workspaces, other toolchains, netrc, GOAUTH and go env files are turned off. Other modules come
// from the machine's module cache and never from a network. The build cache is the machine's.
func (p *Proxy) Env() []string {
	proxy := p.URL
	if cache := machineCache(); cache != "" {
		proxy += ",file://" + filepath.ToSlash(cache) + "/cache/download"
	}
	env := slices.DeleteFunc(os.Environ(), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return slices.Contains([]string{
			"GOPROXY", "GOPATH", "GOMODCACHE", "GOFLAGS", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB",
			"GOVCS", "GOWORK", "GOTOOLCHAIN", "GOENV", "GOAUTH", "GOINSECURE", "NETRC", "GO111MODULE", "GOBIN", "PWD",
		}, name)
	})
	return append(
		env,
		"GOPROXY="+proxy,
		"GOPATH="+filepath.Join(p.dir, "gopath"), "GOMODCACHE="+p.modcache(),
		"GOFLAGS=-mod=mod", "GOPRIVATE=", "GONOPROXY=none", "GONOSUMDB=", "GOSUMDB=off",
		"GOVCS=*:off", "GOWORK=off", "GOTOOLCHAIN=local", "GOENV=off", "GOAUTH=off", "GOINSECURE=", "NETRC="+os.DevNull,
	)
}

func (p *Proxy) modcache() string { return filepath.Join(p.dir, "modcache") }

// clean empties the module cache. Its folders are read-only, so removing the test's folder
// would fail.
func (p *Proxy) clean() error {
	if _, err := os.Stat(p.modcache()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	cmd := exec.Command("go", "clean", "-modcache")
	cmd.Env, cmd.Dir = p.Env(), p.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("proxytest: the registry at %s: go clean -modcache: %w: %s", p.URL, err, out)
	}
	return nil
}

// machineCache returns the machine's module cache, or "" without a go command.
func machineCache() string {
	out, _ := exec.Command("go", "env", "GOMODCACHE").Output()
	return string(bytes.TrimSpace(out))
}

// list returns the module's files, with a go.mod.
func (m Module) list() ([]zip.File, error) {
	if m.Files == nil {
		return nil, errors.New("Module.Files is nil")
	}
	var files []zip.File
	hasGoMod := false
	err := fs.WalkDir(m.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		hasGoMod = hasGoMod || name == "go.mod"
		files = append(files, moduleFile{m.Files, name})
		return nil
	})
	if err == nil && !hasGoMod {
		files = append(files, moduleFile{Files{"go.mod": "module " + m.Path + "\n\ngo 1.24\n"}, "go.mod"})
	}
	return files, err
}

// A moduleFile implements zip.File of golang.org/x/mod.
type moduleFile struct {
	fsys fs.FS
	name string
}

func (f moduleFile) Path() string { return f.name }

func (f moduleFile) Lstat() (fs.FileInfo, error) { return fs.Lstat(f.fsys, f.name) }

func (f moduleFile) Open() (io.ReadCloser, error) { return f.fsys.Open(f.name) }
