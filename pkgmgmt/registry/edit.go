package registry

import (
	stdzip "archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// Edit publishes a version that differs from the latest release of the list in its go.mod
// alone: the next patch version that is free, which may be above a yanked or blocked one.
// A module without a release cannot be edited, because Edit would release a prerelease.
//
// That is how a module is deprecated and how versions are retracted: the go command looks
// for both in the go.mod of the latest version.
//
//	c.Edit(ctx, "corp.example/lib", registry.Deprecate("use corp.example/kit"), nil)
//	c.Edit(ctx, "corp.example/lib", registry.Retract("v1.2.0", "v1.2.3", "loses writes"), nil)
//
// Make the same edit where the module is developed, or its next version takes it back.
func (c *Client) Edit(ctx context.Context, path string, edit func(*modfile.File) error, opts *PublishOptions) (*Published, error) {
	list, err := c.get(ctx, path, "@v/list")
	if err != nil {
		return nil, err
	}
	latest := highest(lines(list))
	switch {
	case latest == "":
		return nil, fmt.Errorf("%s has no versions", path)
	case semver.Prerelease(latest) != "":
		return nil, fmt.Errorf("%s has no release: an edit of the prerelease %s would be its first", path, latest)
	}
	old := module.Version{Path: path, Version: latest}
	next := module.Version{Path: path, Version: latest}
	for free := false; !free; {
		if next.Version, err = nextPatch(next.Version); err != nil {
			return nil, err
		}
		// Yanked and blocked versions are not in the list. Their go.mod is there.
		_, err := c.get(ctx, path, "@v/"+next.Version+".mod")
		refusal, ok := errors.AsType[*Refusal](err)
		if free = ok && refusal.Status == http.StatusNotFound; err != nil && !free {
			return nil, err
		}
	}
	from, err := createTemp(os.TempDir())
	if err != nil {
		return nil, err
	}
	defer discard(from)
	to, err := createTemp(os.TempDir())
	if err != nil {
		return nil, err
	}
	defer discard(to)
	if err := c.download(ctx, old, from); err != nil {
		return nil, err
	}
	if err := rewrite(to, from, old, next, edit); err != nil {
		return nil, fmt.Errorf("%s: %w", old, err)
	}
	return c.PublishZip(ctx, next, to.Name(), opts)
}

func nextPatch(version string) (string, error) {
	var major, minor, patch uint64
	if _, err := fmt.Sscanf(version, "v%d.%d.%d", &major, &minor, &patch); err != nil {
		return "", fmt.Errorf("version %q: %w", version, err)
	}
	return fmt.Sprintf("v%d.%d.%d", major, minor, patch+1), nil
}

// rewrite makes of a version's zip that of another, with an edited go.mod.
func rewrite(to io.Writer, from *os.File, old, next module.Version, edit func(*modfile.File) error) error {
	info, err := from.Stat()
	if err != nil {
		return err
	}
	r, err := stdzip.NewReader(from, info.Size())
	if err != nil {
		return err
	}
	w := stdzip.NewWriter(to)
	for _, f := range r.File {
		rest, ok := strings.CutPrefix(f.Name, old.String()+"/")
		if !ok {
			return fmt.Errorf("%s does not stand below %s", f.Name, old)
		}
		header := f.FileHeader
		header.Name = next.String() + "/" + rest
		content, err := f.OpenRaw()
		if err != nil {
			return err
		}
		create := func() (io.Writer, error) { return w.CreateRaw(&header) }
		if rest == "go.mod" {
			data, err := unpackGoMod(f)
			if err != nil {
				return err
			}
			if data, err = editGoMod(data, edit); err != nil {
				return err
			}
			content = bytes.NewReader(data)
			create = func() (io.Writer, error) { return w.Create(header.Name) }
		}
		part, err := create()
		if err != nil {
			return err
		}
		if _, err := io.Copy(part, content); err != nil {
			return err
		}
	}
	return w.Close()
}

func editGoMod(data []byte, edit func(*modfile.File) error) ([]byte, error) {
	f, err := modfile.ParseLax("go.mod", data, nil) // which keeps what it does not know
	if err != nil {
		return nil, err
	}
	if err := edit(f); err != nil {
		return nil, err
	}
	f.Cleanup()
	return f.Format()
}

// Deprecate gives an edit that deprecates a module with a message of one line, which
// says what to use in its place. The go command shows it to whoever gets or lists the
// module. An empty message takes the deprecation back.
func Deprecate(message string) func(*modfile.File) error {
	return func(f *modfile.File) error {
		if f.Module == nil {
			return fmt.Errorf("go.mod has no module line")
		}
		if firstLine(message, maxReason) != strings.TrimSpace(message) {
			return fmt.Errorf("a deprecation is one line of text of at most %d bytes", maxReason)
		}
		comments := &f.Module.Syntax.Comments
		text := func(c modfile.Comment) string { return strings.TrimSpace(strings.TrimPrefix(c.Token, "//")) }
		deprecates := func(c modfile.Comment) bool { return strings.HasPrefix(text(c), "Deprecated:") }
		kept := comments.Before
		if i := slices.IndexFunc(kept, deprecates); i >= 0 {
			kept = kept[:i] // it is a paragraph, and the last one
		}
		comments.Suffix = slices.DeleteFunc(comments.Suffix, deprecates)
		if message = strings.TrimSpace(message); message != "" {
			if n := len(kept); n > 0 && text(kept[n-1]) != "" {
				kept = append(kept, modfile.Comment{Token: "//"}) // it must begin a paragraph
			}
			kept = append(kept, modfile.Comment{Token: "// Deprecated: " + message})
		}
		comments.Before = kept
		f.Module.Deprecated = message
		return nil
	}
}

// Retract gives an edit that retracts the versions from low to high, which may be the
// same, with a reason of one line. The go command no longer chooses them, and warns
// whoever has them. To retract the latest version as well, which Edit publishes, let
// high be that one. The edit fails where low is above high.
func Retract(low, high, reason string) func(*modfile.File) error {
	return func(f *modfile.File) error {
		if firstLine(reason, maxReason) != strings.TrimSpace(reason) {
			return fmt.Errorf("the reason of a retraction is one line of text of at most %d bytes", maxReason)
		}
		for _, v := range []string{low, high} {
			if module.CanonicalVersion(v) != v || v == "" {
				return fmt.Errorf("a retraction has the invalid version %q: canonical ones are as v1.2.3", v)
			}
		}
		if semver.Compare(low, high) > 0 {
			return fmt.Errorf("a retraction from %s to %s is of no version: the lower one comes first", low, high)
		}
		return f.AddRetract(modfile.VersionInterval{Low: low, High: high}, strings.TrimSpace(reason))
	}
}
