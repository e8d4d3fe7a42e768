package version

import (
	"fmt"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/module"

	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/internal/resource"
)

// Origin is the source of a field.
type Origin string

const (
	// OriginOptions means [Options].
	OriginOptions Origin = "options"
	// OriginLinker means a linker variable, set by -ldflags "-X".
	OriginLinker Origin = "linker"
	// OriginBuildInfo means the toolchain's record in the binary.
	OriginBuildInfo Origin = "buildinfo"
	// OriginEnvironment means the environment of the process.
	OriginEnvironment Origin = "environment"
	// OriginRuntime means package runtime; used without build info.
	OriginRuntime Origin = "runtime"
	// OriginSnapshot means a snapshot without origins.
	OriginSnapshot Origin = "snapshot"
	// OriginUnknown means that no source has a value.
	OriginUnknown Origin = "unknown"
)

func (o Origin) text() string {
	switch o {
	case OriginOptions:
		return "the options say"
	case OriginBuildInfo:
		return "the build info says"
	case OriginLinker, OriginEnvironment:
		return "the " + string(o) + " says"
	}
	return string(o) + " says"
}

// claim is the value of one field in one source. Empty means none.
type claim struct {
	origin Origin
	value  string
}

type resolver struct {
	info Info
}

func resolve(bi *debug.BuildInfo, link linked, opts Options) Info {
	r := resolver{Info{Origins: make(map[string]Origin, 12)}}
	built := bi != nil
	if !built {
		bi = new(debug.BuildInfo)
	}
	env := readEnvironment(opts.Getenv)
	if env.malformed {
		r.conflict("environment", "OTEL_RESOURCE_ATTRIBUTES is malformed: only a part of it was read")
	}

	r.name(opts, env, bi)
	r.info.Environment = r.pick("environment", maxValue,
		claim{OriginOptions, opts.Environment},
		claim{OriginEnvironment, env.environment})
	r.disagree("environment", opts.Environment, env.environment)
	r.version(opts, link, bi, env)
	r.revision(opts, link, bi, env)
	r.time(opts, link, bi)
	r.dirty(bi)
	r.build(bi, built)
	return r.info
}

func (r *resolver) pick(field string, limit int, claims ...claim) string {
	for _, c := range claims {
		value := cleantext.Line(c.value, limit)
		if value == "" {
			continue
		}
		if value != strings.TrimSpace(c.value) {
			r.conflict(field, fmt.Sprintf("%s what cannot be shown; it was cut or replaced", c.origin.text()))
		}
		r.info.Origins[field] = c.origin
		return value
	}
	r.info.Origins[field] = OriginUnknown
	return ""
}

func (r *resolver) conflict(field, reason string) {
	r.info.Conflicts = append(r.info.Conflicts, Conflict{Field: field, Reason: cleantext.Line(reason, maxText)})
}

// disagree records a conflict if the options differ from the environment, which dashboards use.
func (r *resolver) disagree(field, option, env string) {
	option, env = cleantext.Line(option, maxValue), cleantext.Line(env, maxValue)
	if option != "" && env != "" && option != env {
		r.contradiction(field, claim{OriginOptions, option}, claim{OriginEnvironment, env})
	}
}

func (r *resolver) contradiction(field string, a, b claim) {
	r.conflict(field, fmt.Sprintf("%s %q, %s %q",
		a.origin.text(), cleantext.Line(a.value, maxValue), b.origin.text(), cleantext.Line(b.value, maxValue)))
}

func (r *resolver) name(opts Options, env environment, bi *debug.BuildInfo) {
	r.info.Name = r.pick("name", maxValue,
		claim{OriginOptions, opts.Name},
		claim{OriginEnvironment, env.name},
		claim{OriginBuildInfo, commandName(bi.Path)})
	r.disagree("name", opts.Name, env.name)
}

func commandName(pkg string) string {
	// The toolchain records this for a build from a list of files.
	if pkg == "" || pkg == "command-line-arguments" {
		return ""
	}
	dir, name := path.Split(pkg)
	if dir != "" && isMajor(name) {
		name = path.Base(dir)
	}
	return name
}

func isMajor(element string) bool {
	digits, ok := strings.CutPrefix(element, "v")
	return ok && digits != "" && digits[0] != '0' && digits != "1" && strings.Trim(digits, "0123456789") == ""
}

func (r *resolver) version(opts Options, link linked, bi *debug.BuildInfo, env environment) {
	claims := []claim{
		{OriginOptions, unlessUnknown(opts.Version)},
		{OriginLinker, unlessUnknown(link.version)},
		{OriginBuildInfo, unlessUnknown(bi.Main.Version)},
		{OriginEnvironment, unlessUnknown(env.version)},
	}
	// "(devel)" means that the toolchain found no version, so it comes last.
	if KindOf(claims[2].value) == KindDevel {
		claims[2], claims[3] = claims[3], claims[2]
	}
	r.info.Version = r.pick("version", maxValue, claims...)
	r.info.Kind = KindOf(r.info.Version)
	r.contradictions("version", claims, func(c claim) bool {
		// The toolchain makes a pseudo-version on v0.0.0 if it sees no tag, as in a
		// shallow clone. That does not contradict a version from another source.
		return KindOf(c.value).comparable() &&
			(c.origin != OriginBuildInfo || KindOf(c.value) != KindPseudo || !strings.HasPrefix(c.value, "v0.0.0-"))
	}, func(a, b string) bool {
		// A modified tree is a separate conflict.
		return strings.TrimSuffix(withV(a), "+dirty") == strings.TrimSuffix(withV(b), "+dirty")
	})
}

func (r *resolver) revision(opts Options, link linked, bi *debug.BuildInfo, env environment) {
	stamped := setting(bi, "vcs.revision")
	if rev, err := module.PseudoVersionRev(bi.Main.Version); err == nil && stamped == "" {
		stamped = rev
	}
	claims := []claim{
		{OriginOptions, unlessUnknown(opts.Revision)},
		{OriginLinker, unlessUnknown(link.revision)},
		{OriginBuildInfo, unlessUnknown(stamped)},
		{OriginEnvironment, unlessUnknown(env.revision)},
	}
	r.info.Revision = r.pick("revision", maxValue, claims...)
	r.contradictions("revision", claims, func(c claim) bool { return c.value != "" }, func(a, b string) bool {
		// Either may be abbreviated.
		return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
	})
	if setting(bi, "vcs.revision") != "" && bi.Main.Version == "(devel)" {
		r.conflict("revision", "the toolchain found a repository but no version of this module in it: "+
			"the revision may be that of an outer repository (a git worktree or a plain copy inside another checkout); "+
			"a repository without go.mod at its root looks the same")
	}
}

func (r *resolver) time(opts Options, link linked, bi *debug.BuildInfo) {
	linkTime, ok := parseTime(link.time)
	if !ok {
		r.conflict("time", fmt.Sprintf("the linker says %q, which is neither RFC 3339 nor seconds since 1970", cleantext.Line(link.time, maxValue)))
	}
	stamped, _ := parseTime(setting(bi, "vcs.time"))
	if t, err := module.PseudoVersionTime(bi.Main.Version); err == nil && stamped.IsZero() {
		stamped = t
	}
	claims := []claim{
		{OriginOptions, writeTime(opts.Time)},
		{OriginLinker, writeTime(linkTime)},
		{OriginBuildInfo, writeTime(stamped)},
	}
	r.info.Time, _ = parseTime(r.pick("time", maxValue, claims...))
	r.contradictions("time", claims, func(c claim) bool { return c.value != "" }, func(a, b string) bool { return a == b })
}

func (r *resolver) contradictions(field string, claims []claim, counts func(claim) bool, agree func(a, b string) bool) {
	var first *claim
	for i := range claims {
		c := &claims[i]
		c.value = cleantext.Line(c.value, maxValue)
		switch {
		case !counts(*c):
		case first == nil:
			first = c
		case !agree(first.value, c.value):
			r.contradiction(field, *first, *c)
		}
	}
}

func (r *resolver) dirty(bi *debug.BuildInfo) {
	modified := setting(bi, "vcs.modified")
	switch {
	case modified == "true" || isDirty(bi.Main.Version):
		r.info.Dirty, r.info.Origins["dirty"] = true, OriginBuildInfo
	case isDirty(r.info.Version):
		r.info.Dirty, r.info.Origins["dirty"] = true, r.info.Origins["version"]
	case modified == "false":
		r.info.Origins["dirty"] = OriginBuildInfo
	default:
		r.info.Origins["dirty"] = OriginUnknown
	}
	if r.info.Dirty && !isDirty(r.info.Version) && r.info.Kind.comparable() {
		r.conflict("dirty", fmt.Sprintf("%s %q, but the build info says that the working tree was modified",
			r.info.Origins["version"].text(), r.info.Version))
	}
}

func (r *resolver) build(bi *debug.BuildInfo, built bool) {
	pkg := bi.Path
	if pkg == "command-line-arguments" {
		pkg = ""
	}
	from := func(value string) claim { return claim{OriginBuildInfo, value} }
	r.info.Package = r.pick("package", maxText, from(pkg))
	r.info.Module = r.pick("module", maxText, from(bi.Main.Path))
	r.info.ModuleVersion = r.pick("moduleVersion", maxText, from(bi.Main.Version))
	r.info.ModuleSum = r.pick("moduleSum", maxText, from(bi.Main.Sum))
	r.info.GoVersion = r.pick("goVersion", maxText, from(bi.GoVersion))
	platform := setting(bi, "GOOS") + "/" + setting(bi, "GOARCH")
	r.info.Platform = r.pick("platform", maxText, from(strings.Trim(platform, "/")))
	if !built {
		r.info.Origins["deps"], r.info.Origins["settings"] = OriginUnknown, OriginUnknown
		return
	}
	r.info.Origins["deps"], r.info.Origins["settings"] = OriginBuildInfo, OriginBuildInfo
	r.info.Deps = make([]Module, 0, len(bi.Deps))
	for _, dep := range bi.Deps {
		if dep == nil {
			continue
		}
		m := Module{Path: dep.Path, Version: dep.Version, Sum: dep.Sum}
		if d := dep.Replace; d != nil {
			m.Replace = &Module{Path: d.Path, Version: d.Version, Sum: d.Sum}
		}
		r.info.Deps = append(r.info.Deps, m)
	}
	r.info.Deps = tidyModules(r.info.Deps)
	r.info.Settings = make(map[string]string, len(bi.Settings))
	for _, s := range bi.Settings {
		r.info.Settings[s.Key] = s.Value
	}
	r.info.Settings = cleanSettings(r.info.Settings)
}

func unlessUnknown(value string) string {
	value = strings.TrimSpace(value)
	if strings.EqualFold(value, "unknown") {
		return ""
	}
	return value
}

// parseTime reads RFC 3339 and seconds since 1970. Empty means the zero time.
func parseTime(s string) (t time.Time, ok bool) {
	s = strings.TrimSpace(s)
	if s == "" {
		return t, true
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		seconds, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return t, false
		}
		t = time.Unix(seconds, 0)
	}
	t = cleanTime(t)
	return t, !t.IsZero()
}

func writeTime(t time.Time) string {
	if t = cleanTime(t); t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

type environment struct {
	name        string // OTEL_SERVICE_NAME, else service.name
	version     string // SERVICE_VERSION, else service.version
	revision    string // vcs.ref.head.revision
	environment string // deployment.environment.name, else deployment.environment
	malformed   bool   // OTEL_RESOURCE_ATTRIBUTES is malformed
}

func readEnvironment(getenv func(string) string) environment {
	if getenv == nil {
		return environment{}
	}
	attributes, malformed := resource.Attributes(getenv)
	return environment{
		name:        resource.First(getenv("OTEL_SERVICE_NAME"), attributes["service.name"]),
		version:     resource.First(getenv("SERVICE_VERSION"), attributes["service.version"]),
		revision:    resource.First(attributes["vcs.ref.head.revision"]),
		environment: resource.First(attributes["deployment.environment.name"], attributes["deployment.environment"]),
		malformed:   malformed,
	}
}
