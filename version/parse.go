package version

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

// MaxSnapshot is the largest snapshot that [Parse] reads, in bytes. Five thousand
// dependencies fit.
const MaxSnapshot = 1 << 20

const maxFaults = 20

// Parse reads the snapshot of another program: the JSON of an [Info] or of [Handler], the
// output of "go version -m" for one program, with or without -json, or the
// text/x-go-buildinfo response. The name is used in errors. All faults are returned together,
// each as a [SnapshotError]. A truncated snapshot is a fault.
//
// Settings outside the allow-list are dropped, and unprintable text is replaced.
func Parse(name string, data []byte) (Info, error) {
	if len(data) > MaxSnapshot {
		return Info{}, &SnapshotError{Name: name, Err: fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), MaxSnapshot)}
	}
	switch trimmed := bytes.TrimLeft(data, " \t\r\n"); {
	case len(trimmed) == 0:
		return Info{}, &SnapshotError{Name: name, Err: errors.New("is empty")}
	case trimmed[0] == '{':
		return parseJSON(name, data)
	}
	return parseText(name, string(data))
}

func parseJSON(name string, data []byte) (Info, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		if fault, ok := errors.AsType[*json.SyntaxError](err); ok {
			return Info{}, faultAt(name, data, int(fault.Offset), err)
		}
		return Info{}, &SnapshotError{Name: name, Err: err}
	}
	_, isInfo := fields["version"]
	_, isBuildInfo := fields["Main"] // "go version -m -json" always has it
	switch {
	case isInfo:
		info, faults := decode(fields)
		if len(faults) == 0 {
			return info, nil
		}
		places := make(map[*fieldFault]int, len(faults))
		for _, f := range faults {
			places[f] = fieldOffset(data, f.field)
		}
		slices.SortStableFunc(faults, func(a, b *fieldFault) int { return places[a] - places[b] })
		errs := make([]error, len(faults))
		for n, f := range faults {
			errs[n] = faultAt(name, data, places[f], f)
		}
		return Info{}, errors.Join(errs...)
	case isBuildInfo:
		var bi debug.BuildInfo
		if err := json.Unmarshal(data, &bi); err != nil {
			if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
				return Info{}, faultAt(name, data, int(wrong.Offset), fmt.Errorf("%s: must not be a JSON %s", cleantext.Line(wrong.Field, maxValue), wrong.Value))
			}
			return Info{}, &SnapshotError{Name: name, Err: err}
		}
		return FromBuildInfo(&bi, nil), nil
	}
	return Info{}, &SnapshotError{Name: name, Line: 1, Err: errors.New(`says no "version": it is no snapshot of a program`)}
}

func faultAt(name string, data []byte, offset int, err error) error {
	before := data[:min(max(offset, 0), len(data))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := max(1, len(before)-bytes.LastIndexByte(before, '\n')-1)
	return &SnapshotError{Name: name, Line: line, Column: column, Err: err}
}

// parseText is stricter than debug.ParseBuildInfo, which accepts an error page, and a truncated
// last line as a wrong version.
func parseText(name, text string) (Info, error) {
	var (
		p      textParser
		faults []error
		number int
	)
	for len(text) > 0 && len(faults) < maxFaults {
		number++
		line, rest, whole := strings.Cut(text, "\n")
		text = rest
		err := p.line(strings.TrimSuffix(line, "\r"), number == 1)
		if err == nil && !whole {
			err = errors.New("ends in the middle of a line")
		}
		if err != nil {
			faults = append(faults, &SnapshotError{Name: name, Line: number, Err: err})
		}
	}
	if len(faults) == 0 && !p.found {
		faults = append(faults, &SnapshotError{Name: name, Err: errors.New("names neither a package nor a toolchain: it is no snapshot of a program")})
	}
	if len(faults) > 0 {
		return Info{}, errors.Join(faults...)
	}
	return FromBuildInfo(&p.bi, nil), nil
}

type textParser struct {
	bi      debug.BuildInfo
	last    *debug.Module // a replacement may follow it
	found   bool          // a line that only a build info has
	hasPath bool
	hasMain bool
}

func (p *textParser) line(line string, first bool) error {
	// "go version -m" starts with "file: go1.26.8" and indents the rest.
	if first && !strings.HasPrefix(line, "\t") {
		if at := strings.LastIndex(line, ": "); at >= 0 && !strings.Contains(line, "\t") {
			goVersion := line[at+2:]
			if !strings.HasPrefix(goVersion, "go") && !strings.HasPrefix(goVersion, "devel ") {
				return fmt.Errorf("is not the start of build info: %q", cleantext.Line(line, maxValue))
			}
			p.bi.GoVersion, p.found = goVersion, true
			return nil
		}
	}
	// BuildInfo.String writes an empty line after a replacement.
	if line == "" || line == "\t" {
		return nil
	}
	word, value, ok := strings.Cut(strings.TrimPrefix(line, "\t"), "\t")
	if !ok {
		return fmt.Errorf("is not a line of build info: %q", cleantext.Line(line, maxValue))
	}
	last := p.last
	p.last = nil
	switch word {
	case "go":
		p.bi.GoVersion, p.found = value, true
	case "path":
		if p.hasPath {
			return errors.New("a second path: more than one program")
		}
		p.bi.Path, p.hasPath, p.found = value, true, true
	case "mod":
		if p.hasMain {
			return errors.New("a second mod: more than one program")
		}
		p.hasMain, p.found = true, true
		p.last = &p.bi.Main
		return readModule(p.last, value)
	case "dep":
		p.last = new(debug.Module)
		p.bi.Deps = append(p.bi.Deps, p.last)
		return readModule(p.last, value)
	case "=>":
		if last == nil {
			return errors.New("a replacement that follows no module")
		}
		last.Replace = new(debug.Module)
		return readModule(last.Replace, value)
	case "build":
		s, err := readSetting(value)
		if err != nil {
			return err
		}
		p.bi.Settings = append(p.bi.Settings, s)
	default:
		// A later toolchain may write more.
	}
	return nil
}

func readModule(m *debug.Module, text string) error {
	columns := strings.Split(text, "\t")
	if len(columns) != 2 && len(columns) != 3 {
		return fmt.Errorf("a module has a path, a version and a sum, got %d columns", len(columns))
	}
	m.Path, m.Version = columns[0], columns[1]
	if len(columns) == 3 {
		m.Sum = columns[2]
	}
	return nil
}

func readSetting(text string) (s debug.BuildSetting, err error) {
	fault := func(what string) (debug.BuildSetting, error) {
		// The text may contain a secret, so the error does not repeat it.
		return debug.BuildSetting{}, fmt.Errorf("a build setting %s", what)
	}
	if strings.HasPrefix(text, `"`) || strings.HasPrefix(text, "`") {
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return fault("with a key in broken quotes")
		}
		s.Key, _ = strconv.Unquote(quoted)
		text = text[len(quoted):]
	} else {
		at := strings.IndexByte(text, '=')
		if at < 0 {
			return fault("without =")
		}
		s.Key, text = text[:at], text[at:]
	}
	value, ok := strings.CutPrefix(text, "=")
	if !ok || s.Key == "" {
		return fault("without key or =")
	}
	if strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "`") {
		if value, err = strconv.Unquote(value); err != nil {
			return fault("with a value in broken quotes")
		}
	}
	s.Value = value
	return s, nil
}
