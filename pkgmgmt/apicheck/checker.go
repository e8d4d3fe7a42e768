package apicheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options are what a [Checker] works with. Nil options are the defaults.
type Options struct {
	// Timeout ends a comparison, with the verdict BumpUnknown. Zero: two minutes.
	Timeout time.Duration

	// Memory bounds, in bytes, the worker of a comparison, and each go command that it
	// starts. Zero: 1 GiB. At least 256 MiB.
	Memory int64

	// Platforms are GOOS/GOARCH pairs that the module must load for. Everything is judged
	// on the first, and on the others what differs from it. Nil means linux/amd64,
	// windows/amd64 and darwin/arm64.
	Platforms []string

	// Exclude leaves packages out whose API may change in any version, or constants. A
	// changed value of an untyped constant whose name ends in Version is always left out.
	Exclude []Exclusion

	// Go is the go command. Empty: "go", looked up in the PATH.
	Go string
}

// A Checker compares modules. It does not change, and may be used by any number of
// goroutines; each comparison is a process of its own, so bound how many there are.
type Checker struct {
	opts     Options
	patience time.Duration // until a worker has reached Main
}

// New makes a Checker. It returns [ErrNoWorker] unless the program has called [Main].
func New(opts *Options) (*Checker, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Timeout, o.Memory, o.Go = cmp.Or(o.Timeout, 2*time.Minute), cmp.Or(o.Memory, 1<<30), cmp.Or(o.Go, "go")
	o.Exclude = slices.Clone(o.Exclude)
	if o.Platforms = slices.Clone(o.Platforms); o.Platforms == nil {
		o.Platforms = []string{"linux/amd64", "windows/amd64", "darwin/arm64"}
	}
	var errs []error
	fault := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: "+format, append([]any{field}, args...)...))
	}
	if o.Timeout < 0 {
		fault("Timeout", "must not be negative, got %v", o.Timeout)
	}
	if o.Memory < 256<<20 {
		fault("Memory", "must be at least 256 MiB, got %d bytes", o.Memory)
	}
	if len(o.Platforms) == 0 {
		fault("Platforms", "must not be empty")
	}
	for i, p := range o.Platforms {
		if goos, goarch, ok := strings.Cut(p, "/"); !ok || !isWord(goos) || !isWord(goarch) {
			fault(fmt.Sprintf("Platforms[%d]", i), "must be as linux/amd64, got %q", p)
		}
	}
	for i, e := range o.Exclude {
		if e.Packages == "" || e.Reason == "" {
			fault(fmt.Sprintf("Exclude[%d]", i), "must have packages and a reason")
		}
		for k, name := range e.Constants {
			if !token.IsIdentifier(name) || !token.IsExported(name) {
				fault(fmt.Sprintf("Exclude[%d].Constants[%d]", i, k), "must be an exported name, got %q", name)
			}
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("apicheck: %w", errors.Join(errs...))
	}
	if !mainCalled.Load() {
		return nil, ErrNoWorker
	}
	return &Checker{opts: o, patience: 30 * time.Second}, nil
}

func isWord(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// Compare compares two versions of a module with the defaults of [Options].
func Compare(ctx context.Context, old, new Module) (Verdict, error) {
	c, err := New(nil)
	if err != nil {
		return Verdict{}, err
	}
	return c.Compare(ctx, old, new)
}

// Compare tells which bump the change of the API from old to new needs. Both must have
// the same module path: another path is another module, to which nobody is moved
// by an upgrade.
//
// What a module may be to blame for gives the verdict BumpUnknown. The error is that of the
// context, a [*ModuleError], [ErrNoWorker], or says why there is no comparison at all: no go
// command, no place for temporary files, or a program file that was replaced.
func (c *Checker) Compare(ctx context.Context, old, new Module) (v Verdict, err error) {
	return c.compare(ctx, old, new, "")
}

// compare writes "the registry" for an address in texts.
func (c *Checker) compare(ctx context.Context, old, new Module, registry string) (v Verdict, err error) {
	if old, err = old.checked(); err != nil {
		return v, err
	}
	if new, err = new.checked(); err != nil {
		return v, err
	}
	if old.Path != new.Path {
		return v, new.fault(fmt.Errorf("is to be compared with %s, another module", old.Path))
	}
	if new == old {
		return Verdict{Bump: BumpPatch}, nil
	}
	command, err := exec.LookPath(c.opts.Go)
	if err == nil {
		command, err = filepath.Abs(command)
	}
	if err != nil {
		return v, fmt.Errorf("apicheck: the go command: %w", err)
	}
	dir, err := os.MkdirTemp("", "apicheck-")
	if err != nil {
		return v, fmt.Errorf("apicheck: %w", err)
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real // as the go command writes it, so that it can be taken out of texts
	}
	defer func() {
		if gone := remove(dir); gone != nil && err == nil {
			err = fmt.Errorf("apicheck: %w", gone)
		}
	}()
	j := job{
		Old: side{Path: old.Path, Version: old.Version, Proxy: old.Proxy}, New: side{Path: new.Path, Version: new.Version, Proxy: new.Proxy},
		Platforms: c.opts.Platforms, Exclude: c.opts.Exclude, Memory: c.opts.Memory, Timeout: c.opts.Timeout, Registry: registry,
	}
	for _, s := range []struct {
		Module
		side *side
		root string
	}{{old, &j.Old, "old-proxy"}, {new, &j.New, "new-proxy"}} {
		if err := ctx.Err(); err != nil {
			return v, err
		}
		if s.Zip == "" && s.Dir == "" {
			continue
		}
		root := filepath.Join(dir, s.root)
		if err := s.publish(root); err != nil {
			return v, s.fault(err)
		}
		s.side.Proxy = strings.Trim("file://"+slashed(root)+","+s.Proxy, ",")
	}
	return j.run(ctx, dir, command, c.patience)
}

// remove removes a folder. A go command whose worker was ended may write for a moment.
func remove(dir string) (err error) {
	for range 50 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// slashed makes a path fit for a file URL.
func slashed(path string) string {
	if path = filepath.ToSlash(path); !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return path
}
