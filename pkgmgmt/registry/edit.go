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

// Edit changes the go.mod of a module's latest release and publishes the result as the next
// free patch version. All other files stay the same. The next free version may be above a
// yanked or blocked one. Edit returns an error if the module has only prereleases.
//
// Use it to deprecate a module and to retract versions, because the go command reads both from
// the go.mod of the latest version.
//
//	c.Edit(ctx, "corp.example/lib", registry.Deprecate("use corp.example/kit"), nil)
//	c.Edit(ctx, "corp.example/lib", registry.Retract("v1.2.0", "v1.2.3", "loses writes"), nil)
//
// Make the same edit in the module's repository. Otherwise its next version undoes it.
func (c *Client) Edit(ctx context.Context, path string, edit func(*modfile.File) error, opts *PublishOptions) (*Published, error) {
	list, err := c.get(ctx, path, "@v/list")
	if err != nil {
		return nil, err
	}
	latest := highest(lines(list))
	switch {
	case latest == "":
		return nil, fmt.Errorf("%s: no versions in the registry", path)
	case semver.Prerelease(latest) != "":
		return nil, fmt.Errorf("%s: no release: the latest version %s is a prerelease, and Edit would publish it as a release", path, latest)
	}
	old := module.Version{Path: path, Version: latest}
	next := module.Version{Path: path, Version: latest}
	for free := false; !free; {
		if next.Version, err = nextPatch(next.Version); err != nil {
			return nil, err
		}
		// Yanked and blocked versions are not in the list, but their go.mod is served.
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

// rewrite copies the zip of a version as another version, with an edited go.mod.
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
			return fmt.Errorf("%s: not below %s/", f.Name, old)
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
	f, err := modfile.ParseLax("go.mod", data, nil) // it keeps unknown directives
	if err != nil {
		return nil, err
	}
	if err := edit(f); err != nil {
		return nil, err
	}
	f.Cleanup()
	return f.Format()
}

// Deprecate returns an edit that deprecates a module. The message is one line that names the
// replacement; the go command prints it when a user gets or lists the module. An empty message
// removes the deprecation.
func Deprecate(message string) func(*modfile.File) error {
	return func(f *modfile.File) error {
		if f.Module == nil {
			return fmt.Errorf("go.mod has no module line")
		}
		if firstLine(message, maxReason) != strings.TrimSpace(message) {
			return fmt.Errorf("the message of a deprecation must be one line of at most %d bytes", maxReason)
		}
		comments := &f.Module.Syntax.Comments
		text := func(c modfile.Comment) string { return strings.TrimSpace(strings.TrimPrefix(c.Token, "//")) }
		deprecates := func(c modfile.Comment) bool { return strings.HasPrefix(text(c), "Deprecated:") }
		kept := comments.Before
		if i := slices.IndexFunc(kept, deprecates); i >= 0 {
			kept = kept[:i] // a deprecation is the last paragraph
		}
		comments.Suffix = slices.DeleteFunc(comments.Suffix, deprecates)
		if message = strings.TrimSpace(message); message != "" {
			if n := len(kept); n > 0 && text(kept[n-1]) != "" {
				kept = append(kept, modfile.Comment{Token: "//"}) // a deprecation must begin a paragraph
			}
			kept = append(kept, modfile.Comment{Token: "// Deprecated: " + message})
		}
		comments.Before = kept
		f.Module.Deprecated = message
		return nil
	}
}

// Retract returns an edit that retracts the versions from low to high, both included, with a
// reason of one line. The go command no longer selects them, and warns users who have them. To
// retract also the version that Edit publishes, pass that version as high. The edit returns an
// error if low is above high.
func Retract(low, high, reason string) func(*modfile.File) error {
	return func(f *modfile.File) error {
		if firstLine(reason, maxReason) != strings.TrimSpace(reason) {
			return fmt.Errorf("the reason of a retraction must be one line of at most %d bytes", maxReason)
		}
		for _, v := range []string{low, high} {
			if module.CanonicalVersion(v) != v || v == "" {
				return fmt.Errorf("retraction: invalid version %q: write a canonical version, as in v1.2.3", v)
			}
		}
		if semver.Compare(low, high) > 0 {
			return fmt.Errorf("retraction: %s is above %s: give the lower version first", low, high)
		}
		return f.AddRetract(modfile.VersionInterval{Low: low, High: high}, strings.TrimSpace(reason))
	}
}
