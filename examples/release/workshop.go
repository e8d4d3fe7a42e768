package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// A workshop is a temporary folder, outside of the repository and of the module cache. It has a
// module proxy with the versions of this release and the last, and a work tree for the commits
// of nested modules.
type workshop struct {
	*release
	dir     string
	proxies string   // the proxy of the workshop, the module cache, and those of the user
	env     []string // for the go command: a module cache of its own, so that nothing unreleased stays in the user's
}

func (r *release) newWorkshop(ctx context.Context) (*workshop, error) {
	dir, err := os.MkdirTemp("", "release-*")
	if err != nil {
		return nil, err
	}
	w := &workshop{release: r, dir: dir}
	settings, err := command(ctx, r.dir, nil, "go", "env", "GOMODCACHE", "GOPROXY")
	if err != nil {
		w.close()
		return nil, err
	}
	cache, upstream, _ := strings.Cut(settings, "\n")
	all := []string{fileURL(filepath.Join(dir, "proxy")), fileURL(filepath.Join(cache, "cache", "download"))}
	for _, p := range strings.FieldsFunc(upstream, func(c rune) bool { return c == ',' || c == '|' }) {
		if p != "direct" && p != "off" {
			all = append(all, p)
		}
	}
	w.proxies = strings.Join(all, ",")
	// With -trimpath the build cache serves this module cache, too.
	w.env = []string{
		"GOPROXY=" + w.proxies, "GOMODCACHE=" + filepath.Join(dir, "cache"), "GOFLAGS=" + strings.TrimSpace(os.Getenv("GOFLAGS")+" -modcacherw -trimpath"), "GONOSUMDB=" + r.root.path, "GOWORK=off",
	}
	return w, os.MkdirAll(filepath.Join(dir, "proxy"), 0o700)
}

func fileURL(path string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
}

// close removes the workshop.
func (w *workshop) close() {
	_ = os.RemoveAll(w.dir)
	_, _ = w.git(context.Background(), "worktree", "prune")
}

// publish puts a module of a commit into the workshop's proxy, as module proxies make it from a tag.
func (w *workshop) publish(ctx context.Context, m *mod, version, commit string) error {
	escaped, err := module.EscapePath(m.path)
	if err != nil {
		return err
	}
	dir := filepath.Join(w.dir, "proxy", filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	inFolder := "go.mod"
	folder := ""
	if m.folder != "." {
		folder = m.folder
		inFolder = m.folder + "/go.mod"
	}
	mod, err := w.git(ctx, "show", commit+":"+inFolder)
	if err != nil {
		return err
	}
	archive, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		return err
	}
	defer archive.Close()
	if err := zip.CreateFromVCS(archive, module.Version{Path: m.path, Version: version}, w.release.dir, commit, folder); err != nil {
		return err
	}
	for name, text := range map[string]string{version + ".mod": mod + "\n", version + ".info": fmt.Sprintf("{%q: %q}", "Version", version)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return archive.Close()
}

// commit makes the commit of a nested module, beside main: it drops the replace directives,
// requires the released modules of the repository, has their sums, and builds.
func (w *workshop) commit(ctx context.Context, m *mod) (string, error) {
	tree := filepath.Join(w.dir, "trees", strings.ReplaceAll(m.folder, "/", "_"))
	if _, err := w.git(ctx, "worktree", "add", "--quiet", "--detach", tree, "HEAD"); err != nil {
		return "", err
	}
	dir := filepath.Join(tree, filepath.FromSlash(m.folder))
	name := filepath.Join(dir, "go.mod")
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	file, err := modfile.Parse(name, data, nil)
	if err != nil {
		return "", err
	}
	for _, other := range slices.Concat([]*mod{w.root}, w.nested) {
		if !m.requires(other.path) {
			continue
		}
		if err := file.AddRequire(other.path, w.version); err != nil {
			return "", err
		}
		if err := file.DropReplace(other.path, ""); err != nil {
			return "", err
		}
	}
	for _, replace := range file.Replace {
		if replace.Old.Path != "" {
			return "", fmt.Errorf("go.mod replaces %s: importers ignore that, so require what is released", replace.Old.Path)
		}
	}
	file.Cleanup()
	if data, err = file.Format(); err != nil {
		return "", err
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		return "", err
	}
	fmt.Fprintf(w.out, "check: %s builds with %s %s\n", m.path, w.root.path, w.version)
	for _, args := range [][]string{{"mod", "tidy"}, {"vet", "./..."}} {
		if _, err := command(ctx, dir, w.env, "go", args...); err != nil {
			return "", err
		}
	}
	if _, err := command(ctx, tree, nil, "git", "commit", "--quiet", "--all", "--message", m.folder+": require "+w.version); err != nil {
		return "", err
	}
	changed, err := command(ctx, tree, nil, "git", "diff", "--name-only", "HEAD~", "HEAD")
	if err != nil {
		return "", err
	}
	for _, name := range strings.Fields(changed) {
		if name != m.folder+"/go.mod" && name != m.folder+"/go.sum" {
			return "", fmt.Errorf("%s has changed besides go.mod and go.sum", name)
		}
	}
	return command(ctx, tree, nil, "git", "rev-parse", "HEAD")
}
