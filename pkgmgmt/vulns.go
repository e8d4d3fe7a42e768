package pkgmgmt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// A Vuln is a known vulnerability of a module version.
type Vuln struct {
	ID      string   `json:"id"`                // "GO-2024-2687"
	Aliases []string `json:"aliases,omitempty"` // "CVE-2023-45288"
	Summary string   `json:"summary,omitempty"` // one line
	Fixed   string   `json:"fixed,omitempty"`   // the next version with a fix: "v0.23.0". Empty means that none is known
}

// String returns the vulnerability in one line:
//
//	GO-2024-2687 (CVE-2023-45288, GHSA-4v7x-pqxf-cx7m): HTTP/2 CONTINUATION flood; fixed in v0.23.0
func (v Vuln) String() string {
	text := v.ID
	if len(v.Aliases) > 0 {
		text += " (" + strings.Join(v.Aliases, ", ") + ")"
	}
	if v.Summary != "" {
		text += ": " + v.Summary
	}
	if v.Fixed != "" {
		text += "; fixed in " + v.Fixed
	}
	return text
}

// Vulns are the vulnerabilities of a database of OSV records. They are immutable and safe for
// concurrent use.
type Vulns struct {
	modules map[string][]affected // by module path
	records int
}

// affected are the versions of a module that have a vulnerability.
type affected struct {
	vuln      Vuln // without Fixed
	intervals []interval
	versions  []string // "v1.2.3"
}

// An interval are the versions from low up to high, with high only if last is set. Empty means
// no bound.
type interval struct {
	low, high string
	last      bool
}

func (i interval) contains(version string) bool {
	if i.low != "" && semver.Compare(version, i.low) < 0 {
		return false
	}
	if i.high == "" {
		return true
	}
	c := semver.Compare(version, i.high)
	return c < 0 || c == 0 && i.last
}

const (
	maxVulnRecord = 4 << 20 // bytes of a record
	maxVulnFaults = 20      // that ReadVulns returns
)

// ReadVulns reads a database of OSV records (https://ossf.github.io/osv-schema/), for example
// that of the Go project: from a folder by [os.DirFS], or from a zip, because an
// archive/zip.Reader is an [fs.FS]. It reads all files whose names end in .json. Records of
// other ecosystems, withdrawn records and JSON of other kinds are ignored.
//
// It returns an error if a file cannot be read or a record has a fault, because a database that
// is read in part would let vulnerable versions pass. The error has at most twenty faults. No
// record at all is an error as well.
func ReadVulns(fsys fs.FS) (*Vulns, error) {
	v := &Vulns{modules: map[string][]affected{}}
	var errs []error
	err := fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() || path.Ext(name) != ".json" {
			return nil
		}
		data, err := readBounded(fsys, name)
		if err == nil {
			err = v.add(data)
		}
		if err != nil {
			if errs = append(errs, fmt.Errorf("%s: %w", name, err)); len(errs) == maxVulnFaults {
				return fs.SkipAll
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("pkgmgmt: %w", err)
	case len(errs) > 0:
		return nil, fmt.Errorf("pkgmgmt: %w", errors.Join(errs...))
	case v.records == 0:
		return nil, errors.New("pkgmgmt: there are no OSV records")
	}
	return v, nil
}

func readBounded(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxVulnRecord+1))
	if err == nil && len(data) > maxVulnRecord {
		err = fmt.Errorf("is larger than %d bytes", maxVulnRecord)
	}
	return data, err
}

// osvRecord has the fields of an OSV record that decide which versions are affected.
type osvRecord struct {
	ID        string   `json:"id"`
	Withdrawn string   `json:"withdrawn"`
	Aliases   []string `json:"aliases"`
	Summary   string   `json:"summary"`
	Affected  []struct {
		Package struct {
			Ecosystem string `json:"ecosystem"`
			Name      string `json:"name"`
		} `json:"package"`
		Ranges []struct {
			Type   string     `json:"type"`
			Events []osvEvent `json:"events"`
		} `json:"ranges"`
		Versions []string `json:"versions"`
	} `json:"affected"`
}

type osvEvent struct {
	Introduced   string `json:"introduced"`
	Fixed        string `json:"fixed"`
	LastAffected string `json:"last_affected"`
}

// add adds a record. JSON other than an object with an id and affected is not a record.
func (v *Vulns) add(data []byte) error {
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] != '{' && json.Valid(data) {
		return nil
	}
	var kind struct {
		ID       json.RawMessage `json:"id"`
		Affected json.RawMessage `json:"affected"`
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return fmt.Errorf("is not JSON: %w", err)
	}
	if kind.ID == nil || kind.Affected == nil {
		return nil
	}
	var r osvRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("is not an OSV record: %w", err)
	}
	if r.ID == "" {
		return errors.New("id: must not be empty")
	}
	v.records++
	if r.Withdrawn != "" {
		return nil
	}
	vuln := Vuln{ID: shown(r.ID), Summary: shown(r.Summary)}
	for _, alias := range r.Aliases {
		vuln.Aliases = append(vuln.Aliases, shown(alias))
	}
	for i, a := range r.Affected {
		if a.Package.Ecosystem != "Go" {
			continue
		}
		found := affected{vuln: vuln}
		for _, version := range a.Versions {
			found.versions = append(found.versions, "v"+strings.TrimPrefix(version, "v"))
		}
		for k, rng := range a.Ranges {
			if rng.Type != "SEMVER" {
				continue
			}
			intervals, err := osvIntervals(rng.Events)
			if err != nil {
				return fmt.Errorf("affected[%d].ranges[%d]: %w", i, k, err)
			}
			found.intervals = append(found.intervals, intervals...)
		}
		v.modules[a.Package.Name] = append(v.modules[a.Package.Name], found)
	}
	return nil
}

// osvIntervals returns the affected intervals of a range, by the evaluation algorithm of OSV.
func osvIntervals(events []osvEvent) (intervals []interval, err error) {
	type bound struct {
		version string // "" is the beginning
		what    int    // 0 introduced, 1 fixed, 2 last affected; a fix at the same version counts
	}
	var bounds []bound
	for i, e := range events {
		for what, text := range []string{e.Introduced, e.Fixed, e.LastAffected} {
			if text == "" {
				continue
			}
			b := bound{"v" + text, what}
			if what == 0 && text == "0" {
				b.version = ""
			} else if !semver.IsValid(b.version) {
				return nil, fmt.Errorf("events[%d]: invalid version %q", i, shown(text))
			}
			bounds = append(bounds, b)
		}
	}
	slices.SortStableFunc(bounds, func(a, b bound) int {
		switch {
		case a.version == "" || b.version == "":
			return strings.Compare(a.version, b.version)
		case semver.Compare(a.version, b.version) != 0:
			return semver.Compare(a.version, b.version)
		}
		return a.what - b.what
	})
	open := false
	var current interval
	for _, b := range bounds {
		switch {
		case b.what == 0 && !open:
			open, current = true, interval{low: b.version}
		case b.what != 0 && open:
			current.high, current.last = b.version, b.what == 2
			intervals = append(intervals, current)
			open = false
		}
	}
	if open {
		intervals = append(intervals, current)
	}
	return intervals, nil
}

// Len returns the number of records.
func (v *Vulns) Len() int {
	if v == nil {
		return 0
	}
	return v.records
}

// Find returns the vulnerabilities of a module version, sorted by id. The version is that of a
// module, "v0.22.0". The Go release is "stdlib" with the version "v1.26.1". A nil v finds nothing.
func (v *Vulns) Find(path, version string) (vulns []Vuln) {
	if v == nil {
		return nil
	}
	for _, a := range v.modules[path] {
		vuln, hit := a.vuln, slices.Contains(a.versions, version)
		if semver.IsValid(version) {
			for _, i := range a.intervals {
				if !i.contains(version) {
					continue
				}
				hit = true
				if !i.last {
					vuln.Fixed = i.high
				}
			}
		}
		if hit {
			vulns = append(vulns, vuln)
		}
	}
	slices.SortStableFunc(vulns, func(a, b Vuln) int { return strings.Compare(a.ID, b.ID) })
	return slices.CompactFunc(vulns, func(a, b Vuln) bool { return a.ID == b.ID })
}
