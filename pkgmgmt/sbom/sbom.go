package sbom

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// ErrNoModules is returned by [New] for build information without modules: from the test
// binary of a library, or from a program that was built without modules. Its bill would
// wrongly be empty.
var ErrNoModules = errors.New("sbom: the build information has no modules")

// Options add values that build information lacks. Nil options are the defaults.
type Options struct {
	// Name and Version of the main component. Empty means those of the main module.
	Name, Version string

	// Time of the bill. Zero means that it is left out, so that the same build gives the same
	// bytes.
	Time time.Time
}

const (
	schema    = "http://cyclonedx.org/schema/bom-1.6.schema.json"
	namespace = "http://cyclonedx.org/schema/bom/1.6"

	// MediaType of a bill in JSON.
	MediaType = "application/vnd.cyclonedx+json; version=1.6"
)

// New returns the bill of a program. Its error is [ErrNoModules].
func New(bi *debug.BuildInfo, opts *Options) (*cyclonedx.BOM, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if bi == nil || len(bi.Deps) == 0 && (bi.Main.Path == "" || strings.HasSuffix(bi.Path, ".test")) {
		return nil, ErrNoModules
	}
	refs := map[string]int{}
	root := program(bi, o, refs)
	components := []cyclonedx.Component{standardLibrary(bi, refs)}
	for _, dep := range bi.Deps {
		if dep != nil {
			components = append(components, library(dep, refs))
		}
	}
	slices.SortFunc(components, func(a, b cyclonedx.Component) int { return cmp.Compare(a.BOMRef, b.BOMRef) })
	needs := make([]string, len(components))
	related := []cyclonedx.BOMReference{cyclonedx.BOMReference(root.BOMRef)}
	for i, c := range components {
		needs[i] = c.BOMRef
		related = append(related, cyclonedx.BOMReference(c.BOMRef))
	}
	bom := &cyclonedx.BOM{
		XMLNS:       namespace,
		JSONSchema:  schema,
		BOMFormat:   cyclonedx.BOMFormat,
		SpecVersion: cyclonedx.SpecVersion1_6,
		Version:     1,
		Metadata: &cyclonedx.Metadata{
			Component:  &root,
			Lifecycles: &[]cyclonedx.Lifecycle{{Phase: cyclonedx.LifecyclePhasePostBuild}},
			Tools:      &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{{Type: cyclonedx.ComponentTypeLibrary, Name: "github.com/upkeep-go/upkeep/pkgmgmt/sbom"}}},
		},
		Components:   &components,
		Dependencies: &[]cyclonedx.Dependency{{Ref: root.BOMRef, Dependencies: &needs}},
		Compositions: &[]cyclonedx.Composition{{Aggregate: cyclonedx.CompositionAggregateIncomplete, Dependencies: &related}},
	}
	if !o.Time.IsZero() {
		bom.Metadata.Timestamp = o.Time.UTC().Format(time.RFC3339)
	}
	serial, err := serialNumber(bom)
	if err != nil {
		return nil, err
	}
	bom.SerialNumber = serial
	return bom, nil
}

// Write writes the bill of a program as indented JSON. Its error is [ErrNoModules] or the
// writer's.
func Write(w io.Writer, bi *debug.BuildInfo, opts *Options) error {
	bom, err := New(bi, opts)
	if err != nil {
		return err
	}
	return cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).Encode(bom)
}

func program(bi *debug.BuildInfo, o Options, refs map[string]int) cyclonedx.Component {
	path := cmp.Or(bi.Main.Path, bi.Path)
	c := cyclonedx.Component{
		Type:    cyclonedx.ComponentTypeApplication,
		Name:    cmp.Or(o.Name, path),
		Version: cmp.Or(o.Version, bi.Main.Version),
	}
	c.PackageURL = packageURL(path, bi.Main.Version, strings.TrimPrefix(strings.TrimPrefix(bi.Path, bi.Main.Path), "/"))
	c.BOMRef = unique(refs, c.PackageURL)
	addProperty(&c, "go:sum", bi.Main.Sum)
	for _, s := range bi.Settings {
		if shown(s.Key) {
			addProperty(&c, "go:build:"+s.Key, s.Value)
		}
	}
	c.ExternalReferences = repository(bi.Main.Path)
	return c
}

// addProperty ignores an empty value.
func addProperty(c *cyclonedx.Component, name, value string) {
	if value == "" {
		return
	}
	if c.Properties == nil {
		c.Properties = &[]cyclonedx.Property{}
	}
	*c.Properties = append(*c.Properties, cyclonedx.Property{Name: name, Value: value})
}

// shown reports whether a build setting is free of secrets and paths.
func shown(key string) bool {
	switch key {
	case "-buildmode", "-compiler", "-race", "-msan", "-asan", "-tags", "-trimpath", "CGO_ENABLED", "DefaultGODEBUG",
		"GOARCH", "GOOS", "GOEXPERIMENT", "GOFIPS140", "vcs", "vcs.revision", "vcs.time", "vcs.modified":
		return true
	}
	// GOAMD64, GOARM64 and the like.
	return strings.HasPrefix(key, "GO") && slices.Contains([]string{"386", "AMD64", "ARM", "ARM64", "MIPS", "MIPS64", "PPC64", "RISCV64", "WASM"}, key[2:])
}

func standardLibrary(bi *debug.BuildInfo, refs map[string]int) cyclonedx.Component {
	// A toolchain with an experiment has the version "go1.26.1 X:nodwarf5".
	version, _, _ := strings.Cut(strings.TrimPrefix(bi.GoVersion, "go"), " ")
	c := cyclonedx.Component{
		Type: cyclonedx.ComponentTypeLibrary, Name: "stdlib", Version: version, PackageURL: packageURL("stdlib", version, ""),
		ExternalReferences: vcs("https://go.googlesource.com/go"),
	}
	c.BOMRef = unique(refs, c.PackageURL)
	addProperty(&c, "go:toolchain", bi.GoVersion)
	return c
}

func library(dep *debug.Module, refs map[string]int) cyclonedx.Component {
	m := cmp.Or(dep.Replace, dep)
	c := cyclonedx.Component{Type: cyclonedx.ComponentTypeLibrary, Name: m.Path, Version: m.Version}
	addProperty(&c, "go:sum", m.Sum)
	if dep.Replace != nil && modfile.IsDirectoryPath(m.Path) {
		c.Name, c.Version = dep.Path, ""
		c.BOMRef = unique(refs, "folder:"+escape(dep.Path))
		addProperty(&c, "go:replacement", "folder")
	} else {
		c.PackageURL = packageURL(m.Path, m.Version, "")
		c.BOMRef = unique(refs, c.PackageURL)
		c.ExternalReferences = repository(m.Path)
	}
	if dep.Replace != nil {
		c.Pedigree = &cyclonedx.Pedigree{
			Ancestors: &[]cyclonedx.Component{{Type: cyclonedx.ComponentTypeLibrary, Name: dep.Path, Version: dep.Version, PackageURL: packageURL(dep.Path, dep.Version, "")}},
			Notes:     "a replace directive of the main module",
		}
	}
	return c
}

// repository returns the address of a module's repository if its path determines it. It uses
// no network.
func repository(path string) *[]cyclonedx.ExternalReference {
	if module.CheckPath(path) != nil {
		return nil // only hostile build information has it
	}
	elements := strings.Split(path, "/")
	switch host := elements[0]; {
	case slices.Contains([]string{"github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "gitee.com", "git.sr.ht"}, host) && len(elements) >= 3:
		if host == "gitlab.com" && len(elements) > 3 && !isMajor(elements[3]) {
			return nil // a folder, or a nested group
		}
		return vcs("https://" + strings.Join(elements[:3], "/"))
	case host == "gopkg.in" && len(elements) == 2, host == "gopkg.in" && len(elements) == 3:
		name, _, _ := strings.Cut(elements[len(elements)-1], ".v")
		owner := "go-" + name
		if len(elements) == 3 {
			owner = elements[1]
		}
		return vcs("https://github.com/" + owner + "/" + name)
	case strings.HasPrefix(path, "golang.org/x/") && len(elements) >= 3:
		return vcs("https://go.googlesource.com/" + elements[2])
	}
	return nil
}

func isMajor(element string) bool {
	return len(element) > 1 && element[0] == 'v' && strings.Trim(element[1:], "0123456789") == ""
}

func vcs(url string) *[]cyclonedx.ExternalReference {
	return &[]cyclonedx.ExternalReference{{Type: cyclonedx.ERTypeVCS, URL: url}}
}

// unique returns a reference that no other component has. refs has the last number of each
// reference, so that a thousand components of one name take linear time.
func unique(refs map[string]int, ref string) string {
	base := cmp.Or(ref, "unnamed")
	for {
		refs[base]++
		if ref = base; refs[base] > 1 {
			ref = fmt.Sprintf("%s#%d", base, refs[base])
			if refs[ref] > 0 {
				continue
			}
			refs[ref] = 1
		}
		return ref
	}
}

// packageURL follows https://github.com/package-url/purl-spec, but keeps upper case.
func packageURL(path, version, subpath string) string {
	if path == "" {
		return ""
	}
	purl := "pkg:golang/" + escape(path)
	if version != "" && version != "(devel)" {
		purl += "@" + strings.ReplaceAll(escape(version), "/", "%2F")
	}
	if subpath != "" {
		purl += "#" + escape(subpath)
	}
	return purl
}

// escape percent-encodes everything except slashes and the characters that a package URL
// allows.
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(".-_~/", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// serialNumber returns a hash of the bill as a UUID of version 8 (RFC 9562 section 5.8).
func serialNumber(bom *cyclonedx.BOM) (string, error) {
	data, err := json.Marshal(bom)
	if err != nil {
		return "", fmt.Errorf("sbom: %w", err)
	}
	sum := sha256.Sum256(append(data, '\n'))
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), nil
}
