package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
)

// checkVersion reports whether the version may follow the last one, and is not yet there.
func (r *release) checkVersion() error {
	switch {
	case !semver.IsValid(r.version) || semver.Canonical(r.version) != r.version || semver.Prerelease(r.version) != "":
		return fmt.Errorf("%q is not a version such as v0.2.0", r.version)
	case r.last == "":
	case semver.Compare(r.version, r.last) <= 0:
		return fmt.Errorf("%s is not higher than the last release, %s", r.version, r.last)
	case !slices.Contains(next(r.last), r.version):
		return fmt.Errorf("%s does not follow %s: the next version is one of %s", r.version, r.last, strings.Join(next(r.last), ", "))
	}
	names := []string{r.version}
	for _, m := range r.nested {
		names = append(names, m.tag(r.version))
	}
	for _, name := range names {
		if slices.Contains(r.tags, name) {
			return fmt.Errorf("the tag %s exists already", name)
		}
	}
	return nil
}

// checkTree reports whether what is checked here is the remote's main.
func (r *release) checkTree(ctx context.Context) error {
	var errs []error
	changed, err := r.git(ctx, "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" {
		errs = append(errs, fmt.Errorf("the working tree is not clean:\n%s", changed))
	}
	head, err := r.git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	main, err := r.git(ctx, "ls-remote", r.remote, "refs/heads/main")
	if err != nil {
		return err
	}
	if id, _, _ := strings.Cut(main, "\t"); id != head {
		errs = append(errs, fmt.Errorf("HEAD is not main of %s: push it, or check it out", r.remote))
	}
	return errors.Join(errs...)
}

// checkChangelog reports whether CHANGELOG.md has a section "## [X.Y.Z] - date" that is not empty.
func (r *release) checkChangelog() error {
	data, err := os.ReadFile(filepath.Join(r.dir, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	number := strings.TrimPrefix(r.version, "v")
	head := regexp.MustCompile(`(?m)^## \[` + regexp.QuoteMeta(number) + `\](?: - (\S+))?[ \t]*$`)
	at := head.FindSubmatchIndex(data)
	want := "## [" + number + "] - " + r.today.Format(time.DateOnly)
	if at == nil {
		return fmt.Errorf("CHANGELOG.md has no section %q", want)
	}
	if line := strings.TrimSpace(string(data[at[0]:at[1]])); line != want {
		return fmt.Errorf("CHANGELOG.md has %q, must be %q", line, want)
	}
	section, _, _ := strings.Cut(string(data[at[1]:]), "\n## ")
	if strings.TrimSpace(section) == "" {
		return fmt.Errorf("CHANGELOG.md says nothing about %s", number)
	}
	return nil
}

// A sourceCheck is a command that must succeed in the root, and print nothing if quiet.
type sourceCheck struct {
	quiet bool
	args  []string
}

// sourceChecks are the checks of .ci/run that take less than a few minutes. CI has run the others
// for the commit.
var sourceChecks = []sourceCheck{
	{args: []string{"go", "mod", "tidy", "-diff"}},
	{quiet: true, args: []string{"go", "tool", "-modfile=.ci/tools.mod", "gofumpt", "-l", "."}},
	{args: []string{"go", "vet", "./..."}},
	{args: []string{"go", "test", "./internal/layers"}},
}

func (r *release) checkSource(ctx context.Context) error {
	var errs []error
	for _, c := range r.checks {
		fmt.Fprintln(r.out, "check:", strings.Join(c.args, " "))
		out, err := command(ctx, r.dir, []string{"GOWORK=off"}, c.args[0], c.args[1:]...)
		if err == nil && c.quiet && out != "" {
			err = fmt.Errorf("%s:\n%s", strings.Join(c.args, " "), out)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// checkAPI compares a module at a commit with its last release.
func (r *release) checkAPI(ctx context.Context, w *workshop, m *mod, commit string) error {
	if err := w.publish(ctx, m, r.version, commit); err != nil {
		return err
	}
	last := m.tag(r.last)
	if !slices.Contains(r.tags, last) { // none, or the module is new in this release
		fmt.Fprintf(r.out, "%s: the first release, so there is no API to compare\n", m.path)
		return nil
	}
	if err := w.publish(ctx, m, r.last, last); err != nil {
		return err
	}
	checker, err := apicheck.New(&apicheck.Options{Timeout: 15 * time.Minute})
	if err != nil {
		return err
	}
	verdict, err := checker.Compare(ctx,
		apicheck.Module{Path: m.path, Version: r.last, Proxy: w.proxies},
		apicheck.Module{Path: m.path, Version: r.version, Proxy: w.proxies})
	if err != nil {
		return err
	}
	if ok, advice := apicheck.Enough(m.path, r.last, r.version, verdict.Bump); !ok {
		return fmt.Errorf("%s: the API has changed since %s: %s\n%s", m.path, r.last, advice, verdict)
	}
	fmt.Fprintf(r.out, "%s: the change of the API since %s is %s\n", m.path, r.last, verdict.Bump)
	return nil
}

// tag is the name of the module's tag for a version.
func (m *mod) tag(version string) string {
	if m.folder == "." {
		return version
	}
	return m.folder + "/" + version
}
