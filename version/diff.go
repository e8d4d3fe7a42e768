package version

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	goversion "go/version"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// ChangeKind says how one value differs between two programs.
type ChangeKind string

const (
	// ChangeKindChanged means a different value that is not known to be later or earlier.
	ChangeKindChanged ChangeKind = "changed"
	// ChangeKindAdded and ChangeKindRemoved mean that only the new or only the old program
	// has the value.
	ChangeKindAdded   ChangeKind = "added"
	ChangeKindRemoved ChangeKind = "removed"
	// ChangeKindUpgraded and ChangeKindDowngraded mean a later or an earlier version.
	ChangeKindUpgraded   ChangeKind = "upgraded"
	ChangeKindDowngraded ChangeKind = "downgraded"
	// ChangeKindReplaced means that a replace directive has changed.
	ChangeKindReplaced ChangeKind = "replaced"
	// ChangeKindResummed means the same version with a different checksum. A module proxy
	// must never serve that.
	ChangeKindResummed ChangeKind = "resummed"
)

// A Change is one value that differs. Unknown values are empty. The zero Change means that
// the value is the same.
type Change struct {
	Kind ChangeKind `json:"kind"`
	Old  string     `json:"old"`
	New  string     `json:"new"`
}

// A ModuleChange is one dependency that differs. Old is nil for an added dependency, New is
// nil for a removed one.
type ModuleChange struct {
	Path string     `json:"path"`
	Kind ChangeKind `json:"kind"`
	Old  *Module    `json:"old,omitempty"`
	New  *Module    `json:"new,omitempty"`
}

// Changes are the differences between two programs. The names in JSON are stable.
type Changes struct {
	Name        Change `json:"name,omitzero"`
	Version     Change `json:"version,omitzero"`
	Dirty       Change `json:"dirty,omitzero"` // "true" and "false"
	Revision    Change `json:"revision,omitzero"`
	Environment Change `json:"environment,omitzero"`
	Module      Change `json:"module,omitzero"`  // the path, or the sum with ChangeKindResummed
	Package     Change `json:"package,omitzero"` // if the module is the same
	Toolchain   Change `json:"toolchain,omitzero"`
	Platform    Change `json:"platform,omitzero"`

	// Deps is sorted by path.
	Deps []ModuleChange `json:"deps,omitempty"`

	// Settings of the build by name, except those that follow from revision or platform.
	// Each setting of GODEBUG has its own entry: DefaultGODEBUG:tls10server.
	Settings map[string]Change `json:"settings,omitempty"`

	// NotCompared has the names of values that only one of the two programs knows: dirty,
	// environment, module, toolchain, platform, deps, settings.
	NotCompared []string `json:"notCompared,omitempty"`
}

// Diff returns what changed from the old to the new program. [Compare] orders the versions,
// except that a lower version of a different module is not a downgrade. Dependencies are
// compared by the rules of Go modules.
func Diff(old, new Info) Changes {
	a, b := old.tidy(), new.tidy()
	c := Changes{
		Name:     changed(a.Name, b.Name),
		Version:  changed(a.Version, b.Version),
		Revision: changed(a.Revision, b.Revision),
	}
	if order, ok := Compare(a.Version, b.Version); ok && c.Version != (Change{}) && (order < 0 || sameProgram(a.Module, b.Module)) {
		c.Version.Kind = direction(order)
	}
	if sameCommit(a.Revision, b.Revision) {
		c.Revision = Change{}
	}
	c.Dirty = c.compared("dirty", a.dirtyText(), b.dirtyText())
	c.Environment = c.compared("environment", a.Environment, b.Environment)
	c.Module = c.compared("module", a.Module, b.Module)
	if a.Module == b.Module && a.ModuleVersion == b.ModuleVersion && a.ModuleSum != "" && b.ModuleSum != "" && !sameSum(a.ModuleSum, b.ModuleSum) {
		c.Module = Change{Kind: ChangeKindResummed, Old: a.ModuleSum, New: b.ModuleSum}
	}
	if a.Module == b.Module && a.Package != "" && b.Package != "" {
		c.Package = changed(a.Package, b.Package)
	}
	c.Toolchain = c.compared("toolchain", a.GoVersion, b.GoVersion)
	if t := c.Toolchain; goversion.IsValid(t.Old) && goversion.IsValid(t.New) {
		c.Toolchain.Kind = direction(goversion.Compare(t.Old, t.New))
	}
	c.Platform = c.compared("platform", a.Platform, b.Platform)
	if c.comparable("deps", a.Deps != nil, b.Deps != nil) {
		c.Deps = diffModules(a.Deps, b.Deps)
	}
	if c.comparable("settings", a.Settings != nil, b.Settings != nil) {
		c.Settings = diffSettings(a.Settings, b.Settings)
	}
	return c
}

func changed(a, b string) Change {
	if a == b {
		return Change{}
	}
	return Change{Kind: ChangeKindChanged, Old: a, New: b}
}

// sameCommit reports whether one hash is a short form of the other.
func sameCommit(a, b string) bool {
	const dirty = "-dirty"
	if strings.HasSuffix(a, dirty) && strings.HasSuffix(b, dirty) {
		a, b = strings.TrimSuffix(a, dirty), strings.TrimSuffix(b, dirty)
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	// A shorter text may be a number, as Subversion has them.
	if len(a) < len("1234567") || !strings.EqualFold(a, b[:len(a)]) {
		return false
	}
	return strings.Trim(b[len(a):], "0123456789abcdefABCDEF") == "" // not -dirty
}

// sameSum compares checksums in h1:, base64 and hexadecimal form.
func sameSum(a, b string) bool {
	return a == b || bytes.Equal(sumOf(a), sumOf(b)) && sumOf(a) != nil
}

func sumOf(text string) []byte {
	for _, prefix := range []string{"h1:", "sha256:", "sha256-"} {
		text = strings.TrimPrefix(text, prefix)
	}
	if sum, err := hex.DecodeString(text); err == nil && len(sum) == sha256.Size {
		return sum
	}
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	if sum, err := base64.RawStdEncoding.DecodeString(text); err == nil && len(sum) == sha256.Size {
		return sum
	}
	return nil
}

func sameProgram(a, b string) bool {
	if a == "" || b == "" {
		return true
	}
	baseA, _, okA := module.SplitPathVersion(a)
	baseB, _, okB := module.SplitPathVersion(b)
	return a == b || okA && okB && baseA == baseB
}

func (c *Changes) compared(what, a, b string) Change {
	if !c.comparable(what, a != "", b != "") {
		return Change{}
	}
	return changed(a, b)
}

func (c *Changes) comparable(what string, a, b bool) bool {
	if a != b {
		c.NotCompared = append(c.NotCompared, what)
	}
	return a && b
}

func direction(order int) ChangeKind {
	return []ChangeKind{ChangeKindUpgraded, ChangeKindChanged, ChangeKindDowngraded}[1+cmp.Compare(order, 0)]
}

// diffModules requires lists that are sorted by path.
func diffModules(old, new []Module) []ModuleChange {
	var changes []ModuleChange
	for len(old) > 0 || len(new) > 0 {
		switch {
		case len(new) == 0 || len(old) > 0 && old[0].Path < new[0].Path:
			changes = append(changes, ModuleChange{Path: old[0].Path, Kind: ChangeKindRemoved, Old: &old[0]})
			old = old[1:]
		case len(old) == 0 || new[0].Path < old[0].Path:
			changes = append(changes, ModuleChange{Path: new[0].Path, Kind: ChangeKindAdded, New: &new[0]})
			new = new[1:]
		default:
			if kind := moduleChange(&old[0], &new[0]); kind != "" {
				changes = append(changes, ModuleChange{Path: old[0].Path, Kind: kind, Old: &old[0], New: &new[0]})
			}
			old, new = old[1:], new[1:]
		}
	}
	return changes
}

// moduleChange compares what was built, which is the replacement if there is one.
func moduleChange(old, new *Module) ChangeKind {
	if (old.Replace == nil) != (new.Replace == nil) {
		return ChangeKindReplaced
	}
	if old.Replace != nil {
		if old.Replace.Path != new.Replace.Path {
			return ChangeKindReplaced
		}
		old, new = old.Replace, new.Replace
	}
	switch {
	case old.Version == new.Version && old.Sum != "" && new.Sum != "" && !sameSum(old.Sum, new.Sum):
		return ChangeKindResummed
	case old.Version == new.Version:
		return ""
	case semver.IsValid(old.Version) && semver.IsValid(new.Version):
		return direction(semver.Compare(old.Version, new.Version))
	}
	return ChangeKindChanged
}

func diffSettings(old, new map[string]string) map[string]Change {
	changes := make(map[string]Change)
	old, new = splitGODEBUG(old), splitGODEBUG(new)
	for key, value := range old {
		if now, ok := new[key]; !ok {
			changes[key] = Change{Kind: ChangeKindRemoved, Old: value}
		} else if now != value {
			changes[key] = changed(value, now)
		}
	}
	for key, value := range new {
		if _, ok := old[key]; !ok {
			changes[key] = Change{Kind: ChangeKindAdded, New: value}
		}
	}
	for _, told := range []string{"GOOS", "GOARCH", "vcs.revision", "vcs.time", "vcs.modified"} {
		delete(changes, told)
	}
	if len(changes) == 0 {
		return nil
	}
	return changes
}

func splitGODEBUG(settings map[string]string) map[string]string {
	const name = "DefaultGODEBUG"
	list, ok := settings[name]
	if !ok {
		return settings
	}
	split := maps.Clone(settings)
	delete(split, name)
	for pair := range strings.SplitSeq(list, ",") {
		if key, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok || key != "" {
			split[name+":"+key] = value
		}
	}
	return split
}

// Empty reports whether nothing changed among the values that both programs know.
func (c Changes) Empty() bool { return len(c.lines()) == 0 }

// String returns one line for each change, for people:
//
//	go1.26.7 → go1.26.8
//	v1.4.1 → v1.4.2
//	semver v3.4.0 → v3.5.0
//	rev a1b2c3d4e5f6..d4e5f6a1b2c3
//
// Without changes it returns "no change". A module has its short name if no other changed
// module has the same one.
func (c Changes) String() string {
	lines := c.lines()
	if len(lines) == 0 {
		lines = []string{"no change"}
	}
	if len(c.NotCompared) > 0 {
		lines = append(lines, "not compared, only one side tells: "+strings.Join(c.NotCompared, ", "))
	}
	return strings.Join(lines, "\n")
}

func (c Changes) lines() []string {
	var lines []string
	add := func(what string, change Change) {
		if change == (Change{}) {
			return
		}
		line := what + orUnknown(change.Old) + " → " + orUnknown(change.New)
		if change.Kind == ChangeKindDowngraded {
			line += " (downgraded)"
		}
		lines = append(lines, line)
	}
	add("name ", c.Name)
	add("", c.Toolchain)
	add("", c.Version)
	switch c.Dirty.New {
	case "true":
		lines = append(lines, "now from a modified working tree")
	case "false":
		lines = append(lines, "no longer from a modified working tree")
	}
	if c.Module.Kind == ChangeKindResummed {
		lines = append(lines, "module same version, other sum: "+c.Module.Old+" → "+c.Module.New)
	} else {
		add("module ", c.Module)
	}
	add("package ", c.Package)
	names := shortNames(c.Deps)
	for n, d := range c.Deps {
		lines = append(lines, names[n]+" "+d.text())
	}
	if r := c.Revision; r != (Change{}) {
		lines = append(lines, "rev "+orUnknown(short(r.Old))+".."+orUnknown(short(r.New)))
	}
	add("platform ", c.Platform)
	add("environment ", c.Environment)
	for _, key := range slices.Sorted(maps.Keys(c.Settings)) {
		switch s := c.Settings[key]; s.Kind {
		case ChangeKindAdded:
			lines = append(lines, key+"="+s.New+" added")
		case ChangeKindRemoved:
			lines = append(lines, key+"="+s.Old+" removed")
		default:
			lines = append(lines, key+" "+s.Old+" → "+s.New)
		}
	}
	return lines
}

func (d ModuleChange) text() string {
	switch {
	case d.New == nil && d.Old == nil:
		return string(d.Kind)
	case d.New == nil:
		return d.Old.text() + " removed"
	case d.Old == nil:
		return d.New.text() + " added"
	case d.Kind == ChangeKindResummed:
		old, new := d.Old.built(), d.New.built()
		return fmt.Sprintf("%s same version, other sum: %s → %s", d.New.text(), old.Sum, new.Sum)
	}
	text := d.Old.text() + " → " + d.New.text()
	if d.Kind == ChangeKindDowngraded {
		text += " (downgraded)"
	}
	return text
}

func (m *Module) text() string {
	text := orUnknown(m.Version)
	if r := m.Replace; r != nil {
		text += " (replaced by " + strings.TrimSpace(r.Path+" "+r.Version) + ")"
	}
	return text
}

func (m *Module) built() *Module {
	if m.Replace != nil {
		return m.Replace
	}
	return m
}

func shortNames(changes []ModuleChange) []string {
	names := make([]string, len(changes))
	count := make(map[string]int, len(changes))
	for n, c := range changes {
		names[n] = shortName(c.Path)
		count[names[n]]++
	}
	for n, c := range changes {
		if count[names[n]] > 1 {
			names[n] = c.Path
		}
	}
	return names
}

// shortName returns the last element of a module path, without the major version: yaml for
// gopkg.in/yaml.v3.
func shortName(modulePath string) string {
	name := commandName(modulePath)
	if strings.HasPrefix(modulePath, "gopkg.in/") {
		name = strings.TrimSuffix(name, path.Ext(name))
	}
	return orUnknown(name)
}
