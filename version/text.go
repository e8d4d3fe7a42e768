package version

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

const shortRevision = 12

// String returns one line for people:
// "shop v1.4.2 (abcdef123456, 2026-11-20T11:20:00Z, go1.26.8, linux/amd64)".
func (i Info) String() string {
	i = i.tidy()
	var b strings.Builder
	b.WriteString(orUnknown(i.Name) + " " + orUnknown(i.Version))
	if i.Dirty && !isDirty(i.Version) {
		b.WriteString(" dirty")
	}
	var more []string
	for _, s := range []string{short(i.Revision), writeTime(i.Time), i.GoVersion, i.Platform} {
		if s != "" {
			more = append(more, s)
		}
	}
	if len(more) > 0 {
		b.WriteString(" (" + strings.Join(more, ", ") + ")")
	}
	return b.String()
}

// LogValue implements slog.LogValuer. The group has the known ones of name, version, dirty (if
// true), revision, time, environment, go, platform, and the number of conflicts.
func (i Info) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 9)
	add := func(key, value string, limit int) {
		if value = cleantext.Line(value, limit); value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("name", i.Name, maxValue)
	add("version", orUnknown(cleantext.Line(i.Version, maxValue)), maxValue)
	if i.Dirty || isDirty(i.Version) {
		attrs = append(attrs, slog.Bool("dirty", true))
	}
	add("revision", i.Revision, maxValue)
	if t := cleanTime(i.Time); !t.IsZero() {
		attrs = append(attrs, slog.Time("time", t))
	}
	add("environment", i.Environment, maxValue)
	add("go", i.GoVersion, maxValue)
	add("platform", i.Platform, maxValue)
	if n := len(i.Conflicts); n > 0 {
		attrs = append(attrs, slog.Int("conflicts", n))
	}
	return slog.GroupValue(attrs...)
}

func writeText(b *strings.Builder, members []member) {
	line := func(name string, parts ...string) {
		parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" })
		b.WriteString(strings.Join(append([]string{name + ":"}, parts...), " ") + "\n")
	}
	for _, m := range members {
		switch value := m.value.(type) {
		case nil:
			line(m.name, "unknown")
		case string:
			line(m.name, value)
		case bool:
			line(m.name, strconv.FormatBool(value))
		case []Module:
			if value == nil {
				line(m.name, "unknown")
			}
			for _, dep := range value {
				parts := []string{dep.Path, dep.Version, dep.Sum}
				if r := dep.Replace; r != nil {
					parts = append(parts, "=>", r.Path, r.Version, r.Sum)
				}
				line("dep", parts...)
			}
		case map[string]string:
			if value == nil {
				line(m.name, "unknown")
			}
			for _, key := range slices.Sorted(maps.Keys(value)) {
				line("setting", key+"="+value[key])
			}
		case map[string]Origin:
			for _, key := range slices.Sorted(maps.Keys(value)) {
				line("origin", key+"="+string(value[key]))
			}
		case []Conflict:
			for _, c := range value {
				line("conflict", c.String())
			}
		}
	}
}

func orUnknown(s string) string {
	return cmp.Or(s, string(KindUnknown))
}

func short(revision string) string {
	if len(revision) <= shortRevision || strings.Trim(revision, "0123456789abcdef") != "" {
		return revision
	}
	return revision[:shortRevision]
}
