// release releases this repository: the root module, and the nested modules that users import.
//
//	go -C examples/release run . v0.2.0          # a dry run: all checks, and what would be done
//	go -C examples/release run . -push v0.2.0    # the same, and the tags are pushed
//
// It refuses a release if the tree is not clean or differs from the remote's main, if CHANGELOG.md lacks a
// section of the version with today's date, if the version does not follow the last one, if a
// check of the source fails, or if the API has changed more than the version says.
//
// The root is tagged vX.Y.Z. The go.mod file of a nested module has a replace directive, so that
// it is tested with the root of the same commit. Importers ignore that, so its tag is on a commit
// beside main that drops the directive and requires the new root. All tags are pushed at once.
//
// Copy it for a repository of yours that has several modules.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
)

func main() {
	apicheck.Main()
	push := flag.Bool("push", false, "make the tags and push them; without it everything is a dry run")
	remote := flag.String("remote", "origin", "the remote that the tags are pushed to")
	dir := flag.String("dir", "", "a folder of the repository; empty means the working directory")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: release [-push] [-remote origin] [-dir folder] vX.Y.Z")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &release{version: flag.Arg(0), dir: *dir, remote: *remote, push: *push, today: time.Now(), checks: sourceChecks, out: os.Stdout}
	if err := r.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "no release:", strings.ReplaceAll(err.Error(), "\n", "\n  "))
		os.Exit(1)
	}
}

// A release is one version of all modules.
type release struct {
	version     string
	dir, remote string
	push        bool
	today       time.Time
	checks      []sourceCheck
	out         io.Writer

	tags []string // here and in the remote
	last string   // the version before; empty means that this is the first
	root *mod
	// nested are the modules that users import besides, each after those that it requires.
	nested []*mod
}

// run checks everything, cheap things first, and makes the tags only if nothing is wrong.
func (r *release) run(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	if err := errors.Join(r.checkVersion(), r.checkTree(ctx), r.checkChangelog()); err != nil {
		return err
	}
	if err := r.checkSource(ctx); err != nil {
		return err
	}
	work, err := r.newWorkshop(ctx)
	if err != nil {
		return err
	}
	defer work.close()
	if err := r.checkAPI(ctx, work, r.root, "HEAD"); err != nil {
		return err
	}
	tags := []tag{{r.version, "HEAD"}}
	for _, m := range r.nested {
		commit, err := work.commit(ctx, m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.folder, err)
		}
		if err := r.checkAPI(ctx, work, m, commit); err != nil {
			return err
		}
		tags = append(tags, tag{m.tag(r.version), commit})
	}
	return r.pushTags(ctx, tags)
}

// A tag is a name for a commit.
type tag struct{ name, commit string }

func (r *release) pushTags(ctx context.Context, tags []tag) error {
	for _, t := range tags {
		id, err := r.git(ctx, "rev-parse", "--short", t.commit)
		if err != nil {
			return err
		}
		fmt.Fprintf(r.out, "tag %s at %s\n", t.name, id)
	}
	if !r.push {
		fmt.Fprintln(r.out, "This was a dry run. With -push the tags are made and pushed.")
		return nil
	}
	args := []string{"push", "--atomic", r.remote}
	for i, t := range tags {
		if _, err := r.git(ctx, "tag", "-a", "-m", t.name, t.name, t.commit); err != nil {
			return errors.Join(err, r.dropTags(ctx, tags[:i]))
		}
		args = append(args, "refs/tags/"+t.name)
	}
	if _, err := r.git(ctx, args...); err != nil {
		return errors.Join(err, r.dropTags(ctx, tags))
	}
	fmt.Fprintln(r.out, "pushed to", r.remote)
	return nil
}

// dropTags removes local tags that could not be pushed, so that the release can be tried again.
func (r *release) dropTags(ctx context.Context, tags []tag) error {
	for _, t := range tags {
		if _, err := r.git(context.WithoutCancel(ctx), "tag", "-d", t.name); err != nil {
			return err
		}
	}
	return nil
}
