package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/zip"

	"github.com/upkeep-go/upkeep/pkgmgmt"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

const slug = "public.example/slug"

// A publicProxy is the public module proxy and checksum database of this example: it serves
// public modules and a checksum database.
type publicProxy struct {
	registry *registry.Registry
	client   *registry.Client // set after New
	database http.Handler
	key      string       // of the database, as in GOSUMDB
	tampered atomic.Value // folder whose files are served as v1.1.1
}

func newPublicProxy(dir string) (*publicProxy, error) {
	reg, err := registry.New(registry.Dir(dir), &registry.Options{
		Private:   []string{"public.example"},
		Authorize: func(*http.Request, registry.Action) (who string, err error) { return "author", nil },
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	signer, key, err := note.GenerateKey(nil, "sums.example")
	if err != nil {
		return nil, err
	}
	p := &publicProxy{registry: reg, key: key}
	p.database = http.StripPrefix("/sumdb/sums.example", sumdb.NewServer(sumdb.NewTestServer(signer, p.sums)))
	return p, nil
}

// sums returns the lines of the checksum database for a version.
func (p *publicProxy) sums(path, version string) ([]byte, error) {
	record, err := p.client.Record(context.Background(), module.Version{Path: path, Version: version})
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s %s %s\n%[1]s %[2]s/go.mod %[4]s\n", path, version, record.Sum, record.GoModSum), nil
}

func (p *publicProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tampered, _ := p.tampered.Load().(string)
	switch {
	case r.URL.Path == "/sumdb/sums.example/supported":
	case strings.HasPrefix(r.URL.Path, "/sumdb/sums.example/"):
		p.database.ServeHTTP(w, r)
	case r.URL.Path == "/"+slug+"/@v/v1.0.0.info":
		io.WriteString(w, `{"Version":"v1.0.0","Time":"2025-01-02T03:04:05Z"}`) // the only old version
	case r.URL.Path == "/"+slug+"/@v/v1.1.1.zip" && tampered != "":
		if err := zip.CreateFromDir(w, module.Version{Path: slug, Version: "v1.1.1"}, tampered); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	default:
		p.registry.ServeHTTP(w, r)
	}
}

// slugFiles are the files of a version of the public module.
func slugFiles(text string) map[string]string {
	return map[string]string{
		"go.mod":  "module " + slug + "\n\ngo 1.26\n",
		"slug.go": "// Package slug names pages.\npackage slug\n\nconst Separator = \"" + text + "\"\n",
	}
}

func (s *stage) publishSlug(ctx context.Context, version, text string) error {
	if err := s.write("slug", slugFiles(text)); err != nil {
		return err
	}
	_, err := s.public.client.Publish(ctx, filepath.Join(s.dir, "slug"), version, nil)
	return err
}

// refused runs a go command that the registry must refuse, and prints its last line.
func (s *stage) refused(ctx context.Context, dir, want string, args ...string) error {
	_, err := s.goCommand(ctx, dir, args...)
	if err == nil || !strings.Contains(err.Error(), want) {
		return fmt.Errorf("go %s should have failed with %q: %w", strings.Join(args, " "), want, orNothing(err))
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	s.say("   $ go %s\n      %s", strings.Join(args, " "), strings.TrimSpace(lines[len(lines)-1]))
	return nil
}

func (s *stage) coolDown(ctx context.Context) error {
	for i, version := range []string{"v1.0.0", "v1.1.0"} {
		if err := s.publishSlug(ctx, version, []string{"_", "-"}[i]); err != nil {
			return err
		}
	}
	s.say("   %s has v1.0.0 of last year and v1.1.0 of today", slug)
	err := s.write("blog", map[string]string{
		"go.mod":  "module corp.example/blog\n\ngo 1.26\n",
		"main.go": "package main\n\nimport \"" + slug + "\"\n\nfunc main() { println(slug.Separator) }\n",
	})
	if err != nil {
		return err
	}
	blog := filepath.Join(s.dir, "blog")
	if err := s.get(ctx, "blog", slug+"@latest"); err != nil {
		return err
	}
	if err := s.required(ctx, blog, "v1.0.0"); err != nil {
		return err
	}
	if err := s.refused(ctx, blog, slug+"@v1.1.0 is too new", "get", slug+"@v1.1.0"); err != nil {
		return err
	}
	if err := s.client.Allow(ctx, module.Version{Path: slug, Version: "v1.1.0"}, "fixes CVE-2026-1"); err != nil {
		return err
	}
	s.say("   an operator allows v1.1.0, because it fixes CVE-2026-1")
	if err := s.get(ctx, "blog", slug+"@latest"); err != nil {
		return err
	}
	return s.required(ctx, blog, "v1.1.0")
}

// required checks the version that a module requires.
func (s *stage) required(ctx context.Context, dir, want string) error {
	got, err := s.goCommand(ctx, dir, "list", "-m", "-f", "{{.Version}}", slug)
	if err == nil && got != want {
		err = fmt.Errorf("the blog requires %s@%s, want %s", slug, got, want)
	}
	return err
}

func (s *stage) tamper(ctx context.Context) error {
	if err := s.publishSlug(ctx, "v1.1.1", "-"); err != nil {
		return err
	}
	if err := s.client.Allow(ctx, module.Version{Path: slug, Version: "v1.1.1"}, "for this example"); err != nil {
		return err
	}
	if err := s.write("tampered", slugFiles("evil")); err != nil {
		return err
	}
	blog := filepath.Join(s.dir, "blog")
	s.public.tampered.Store(filepath.Join(s.dir, "tampered"))
	s.say("   the public proxy sends changed files as %s@v1.1.1", slug)
	if err := s.refused(ctx, blog, slug+"@v1.1.1: checksum mismatch", "mod", "download", slug+"@v1.1.1"); err != nil {
		return err
	}
	s.public.tampered.Store("")
	if _, err := s.goCommand(ctx, blog, "mod", "download", slug+"@v1.1.1"); err != nil {
		return err
	}
	s.say("   the right files are accepted: nothing of the changed ones was kept")
	if _, err := os.Stat(filepath.Join(s.dir, "modules", ".upstream", filepath.FromSlash(slug), "@v", "v1.1.1.zip")); err != nil {
		return errors.New("the registry should have the version in its cache")
	}
	return nil
}

// knownVulnerability is an OSV record, as in the database of the Go project.
const knownVulnerability = `{
	"id": "GO-2026-0001", "aliases": ["CVE-2026-2"], "summary": "slug.Separator may end a path",
	"affected": [{
		"package": {"ecosystem": "Go", "name": "` + slug + `"},
		"ranges": [{"type": "SEMVER", "events": [{"introduced": "1.1.0"}, {"fixed": "1.2.0"}]}]
	}]
}`

func (s *stage) warn(ctx context.Context) error {
	if err := s.write("osv", map[string]string{"GO-2026-0001.json": knownVulnerability}); err != nil {
		return err
	}
	vulns, err := pkgmgmt.ReadVulns(os.DirFS(filepath.Join(s.dir, "osv")))
	if err != nil {
		return err
	}
	s.vulns.Store(vulns)
	s.say("   the database of vulnerabilities has a record for %s since v1.1.0", slug)
	if err := s.client.Disallow(ctx, module.Version{Path: slug, Version: "v1.1.0"}, "GO-2026-0001"); err != nil {
		return err
	}
	if _, err := s.goCommand(ctx, s.dir, "clean", "-modcache"); err != nil {
		return err
	}
	return s.refused(ctx, filepath.Join(s.dir, "blog"), slug+"@v1.1.0 has known vulnerabilities: GO-2026-0001 (CVE-2026-2)", "mod", "download", slug+"@v1.1.0")
}

// upstream returns the options for public modules.
func (p *publicProxy) upstream(url string, client *http.Client) *registry.Upstream {
	return &registry.Upstream{
		URL: url, HTTP: client, SumDB: p.key,
		MinAge: map[string]time.Duration{"...": 7 * 24 * time.Hour},
		Fresh:  time.Millisecond, // a registry in production keeps the default
	}
}
