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

// Options configure a [Checker]. Nil means the defaults.
type Options struct {
	// Timeout ends a comparison with the verdict BumpUnknown. Zero means two minutes.
	Timeout time.Duration

	// Memory bounds the memory of a worker, and of each go command that it starts, in bytes.
	// The minimum is 256 MiB. Zero means 1 GiB.
	Memory int64

	// Platforms are GOOS/GOARCH pairs that the module must load for. The whole API is
	// compared on the first one, and on the others only what differs. Nil means linux/amd64,
	// windows/amd64 and darwin/arm64.
	Platforms []string

	// Exclude excludes packages or constants that may change in any version. The value of an
	// untyped constant whose name ends in Version is always excluded.
	Exclude []Exclusion

	// Go is the go command. Empty means "go" in the PATH.
	Go string
}

// A Checker compares modules. It is safe for concurrent use. Each comparison starts a process,
// so bound their number.
type Checker struct {
	opts     Options
	patience time.Duration // for a worker to reach Main
}

// New returns a Checker. It returns [ErrNoWorker] if the program has not called [Main].
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

// Compare is [Checker.Compare] with the default [Options].
func Compare(ctx context.Context, old, new Module) (Verdict, error) {
	c, err := New(nil)
	if err != nil {
		return Verdict{}, err
	}
	return c.Compare(ctx, old, new)
}

// Compare returns the bump that the API change from old to new needs. Both must have the same
// module path, because an upgrade never changes the path.
//
// If the cause of a failure may be in a module, the verdict is BumpUnknown. Otherwise Compare
// returns an error: of the context, a [*ModuleError], [ErrNoWorker], or for a missing go command,
// missing space for temporary files, or a replaced program file.
func (c *Checker) Compare(ctx context.Context, old, new Module) (v Verdict, err error) {
	return c.compare(ctx, old, new, "")
}

// compare is Compare. It replaces the address of a registry in texts by "the registry".
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
		dir = real // the go command writes this form, which normalize removes from texts
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

// remove removes a folder. It retries, because a go command may still write for a moment after
// its worker was killed.
func remove(dir string) (err error) {
	for range 50 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// slashed returns a path as in a file URL.
func slashed(path string) string {
	if path = filepath.ToSlash(path); !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return path
}
