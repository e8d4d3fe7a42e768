package version

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// MarshalJSON writes every field:
//
//	name, version, kind, dirty, revision, time (RFC 3339), environment,
//	package, module, moduleVersion, moduleSum, goVersion, platform,
//	deps ([{path, version, sum, replace}]), settings ({key: value}),
//	origins ({field: origin}), conflicts ([{field, reason}])
//
// Unknown fields are null. [Handler] leaves out the fields that its level does not show.
// The names are stable.
func (i Info) MarshalJSON() ([]byte, error) {
	return object(i.tidy().members(LevelFull)), nil
}

// UnmarshalJSON reads the output of MarshalJSON and of [Handler]. It ignores unknown names.
func (i *Info) UnmarshalJSON(data []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	info, faults := decode(fields)
	var errs []error
	for _, f := range faults {
		errs = append(errs, f)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	*i = info
	return nil
}

// member is one field of a response. A nil value means unknown.
type member struct {
	name  string
	value any // nil, string, bool, []Module, map[string]string, map[string]Origin, []Conflict
}

func (i Info) members(level Level) []member {
	text := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	list := make([]member, 0, 17)
	add := func(from Level, name string, value any) {
		if level >= from {
			list = append(list, member{name, value})
		}
	}
	add(LevelMinimal, "name", text(i.Name))
	add(LevelMinimal, "version", text(i.Version))
	add(LevelStandard, "kind", string(i.Kind))
	var dirty any
	if i.dirtyText() != "" {
		dirty = i.Dirty
	}
	add(LevelStandard, "dirty", dirty)
	add(LevelMinimal, "revision", text(i.Revision))
	add(LevelMinimal, "time", text(writeTime(i.Time)))
	add(LevelStandard, "environment", text(i.Environment))
	add(LevelStandard, "package", text(i.Package))
	add(LevelStandard, "module", text(i.Module))
	add(LevelStandard, "moduleVersion", text(i.ModuleVersion))
	add(LevelStandard, "moduleSum", text(i.ModuleSum))
	add(LevelStandard, "goVersion", text(i.GoVersion))
	add(LevelStandard, "platform", text(i.Platform))
	add(LevelFull, "deps", i.Deps)
	add(LevelFull, "settings", i.Settings)
	add(LevelFull, "origins", i.Origins)
	add(LevelFull, "conflicts", append([]Conflict{}, i.Conflicts...)) // [] rather than null
	return list
}

func object(members []member) []byte {
	b := []byte{'{'}
	for n, m := range members {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, marshal(m.name)...), ':'), marshal(m.value)...)
	}
	return append(b, '}')
}

func indented(members []member) string {
	var b bytes.Buffer
	if err := json.Indent(&b, object(members), "", "  "); err != nil {
		panic("version: " + err.Error())
	}
	return b.String() + "\n"
}

func marshal(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		panic("version: " + err.Error())
	}
	return data
}

type fieldFault struct {
	field string
	err   error
}

func (f *fieldFault) Error() string { return cleantext.Line(f.field, maxValue) + ": " + f.err.Error() }

func (f *fieldFault) Unwrap() error { return f.err }

func decode(fields map[string]json.RawMessage) (Info, []*fieldFault) {
	var (
		info   Info
		faults []*fieldFault
		when   string
		dirty  *bool
		faulty = make(map[string]bool)
	)
	read := func(field string, into any) {
		raw, ok := fields[field]
		if !ok {
			return
		}
		if err := json.Unmarshal(raw, into); err != nil {
			if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
				err = fmt.Errorf("must not be a JSON %s", wrong.Value)
			}
			faults = append(faults, &fieldFault{field, err})
			faulty[field] = true // its value is not usable
		}
	}
	read("name", &info.Name)
	read("version", &info.Version)
	read("dirty", &dirty)
	read("revision", &info.Revision)
	read("time", &when)
	read("environment", &info.Environment)
	read("package", &info.Package)
	read("module", &info.Module)
	read("moduleVersion", &info.ModuleVersion)
	read("moduleSum", &info.ModuleSum)
	read("goVersion", &info.GoVersion)
	read("platform", &info.Platform)
	read("deps", &info.Deps)
	read("settings", &info.Settings)
	read("origins", &info.Origins)
	read("conflicts", &info.Conflicts)
	if when != "" {
		t, err := time.Parse(time.RFC3339, when)
		if err != nil {
			faults = append(faults, &fieldFault{"time", fmt.Errorf("must be RFC 3339, got %q", cleantext.Line(when, maxValue))})
		}
		info.Time = t
	}
	for n, m := range info.Deps {
		if cleantext.Line(m.Path, maxText) == "" && !faulty["deps"] {
			faults = append(faults, &fieldFault{"deps", fmt.Errorf("module %d has no path", n+1)})
			break
		}
	}
	if len(info.Conflicts) == 0 {
		info.Conflicts = nil
	}
	if dirty != nil {
		info.Dirty = *dirty
	}
	info = info.tidy()
	for _, m := range info.members(LevelFull) {
		if m.name == "kind" || m.name == "origins" || m.name == "conflicts" {
			continue // they follow from the others
		}
		if info.Origins[m.name] == "" {
			info.Origins[m.name] = OriginUnknown
			if raw, ok := fields[m.name]; ok && string(raw) != "null" {
				info.Origins[m.name] = OriginSnapshot
			}
		}
	}
	return info, faults
}

// fieldOffset returns the offset, from 1, of a member's value in the top-level object, or 0
// without that member.
func fieldOffset(data []byte, field string) int {
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		return 0
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return 0
		}
		at := int(d.InputOffset())
		at += len(data[at:]) - len(bytes.TrimLeft(data[at:], ": \t\r\n")) + 1
		var skip json.RawMessage
		if err := d.Decode(&skip); err != nil {
			return 0
		}
		if key == field {
			return at
		}
	}
	return 0
}
