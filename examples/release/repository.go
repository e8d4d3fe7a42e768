package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	masterminds "github.com/Masterminds/semver/v3"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// A mod is a module of the repository that users import.
type mod struct {
	folder string // from the root; "." is the root
	path   string
	file   *modfile.File
}

// open finds the repository, its last release and its modules.
func (r *release) open(ctx context.Context) error {
	r.dir = cmp.Or(r.dir, ".")
	top, err := r.git(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	r.dir = top
	if r.tags, err = r.allTags(ctx); err != nil {
		return err
	}
	for _, t := range r.tags {
		if semver.IsValid(t) && semver.Prerelease(t) == "" && (r.last == "" || semver.Compare(t, r.last) > 0) {
			r.last = t
		}
	}
	if r.last != "" {
		if _, err := r.git(ctx, "rev-parse", "--verify", "--quiet", "refs/tags/"+r.last); err != nil {
			return fmt.Errorf("the tag of the last release, %s, is not in this clone: git fetch --tags", r.last)
		}
	}
	files, err := r.git(ctx, "ls-files", "--", "go.mod", "*/go.mod")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(files) {
		m, err := r.readMod(name)
		if err != nil {
			return err
		}
		if m.folder == "." {
			r.root = m
		} else if isPublished(m.folder) {
			r.nested = append(r.nested, m)
		}
	}
	if r.root == nil {
		return fmt.Errorf("%s has no go.mod file", r.dir)
	}
	slices.SortStableFunc(r.nested, func(a, b *mod) int {
		switch {
		case a.requires(b.path):
			return 1
		case b.requires(a.path):
			return -1
		}
		return 0
	})
	return nil
}

// allTags are the names of the tags here and in the remote.
func (r *release) allTags(ctx context.Context) ([]string, error) {
	local, err := r.git(ctx, "tag", "--list")
	if err != nil {
		return nil, err
	}
	remote, err := r.git(ctx, "ls-remote", "--tags", "--refs", r.remote)
	if err != nil {
		return nil, err
	}
	names := strings.Fields(local)
	for line := range strings.Lines(remote) {
		_, name, _ := strings.Cut(strings.TrimSpace(line), "refs/tags/")
		names = append(names, name)
	}
	return names, nil
}

// isPublished reports whether users import the module in a folder: examples are copied, and
// internal modules and test data are for this repository.
func isPublished(folder string) bool {
	for part := range strings.SplitSeq(folder, "/") {
		if part == "examples" || part == "internal" || part == "testdata" {
			return false
		}
	}
	return true
}

func (r *release) readMod(name string) (*mod, error) {
	data, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	file, err := modfile.Parse(name, data, nil)
	if err != nil {
		return nil, err
	}
	return &mod{folder: filepath.ToSlash(filepath.Dir(filepath.FromSlash(name))), path: file.Module.Mod.Path, file: file}, nil
}

func (m *mod) requires(path string) bool {
	return slices.ContainsFunc(m.file.Require, func(r *modfile.Require) bool { return r.Mod.Path == path })
}

// next are the versions that may follow another.
func next(last string) []string {
	v, err := masterminds.NewVersion(last)
	if err != nil {
		return nil
	}
	return []string{"v" + v.IncPatch().String(), "v" + v.IncMinor().String(), "v" + v.IncMajor().String()}
}

func (r *release) git(ctx context.Context, args ...string) (string, error) {
	return command(ctx, r.dir, nil, "git", args...)
}

// command runs a program in a folder, with variables besides those of this process, and returns
// what it printed.
func command(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.Output()
	text := strings.TrimSpace(string(out))
	if err != nil {
		var stderr string
		if exit, ok := err.(*exec.ExitError); ok {
			stderr = strings.TrimSpace(string(exit.Stderr))
		}
		return text, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(text+"\n"+stderr))
	}
	return text, nil
}
