package pkgmgmt

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// FleetVerdict is the state of a module in a service.
type FleetVerdict string

// The verdicts, worst first. A row has the worst one that applies.
const (
	// FleetVerdictUnknown means that the service's modules could not be read.
	FleetVerdictUnknown FleetVerdict = "unknown"
	// FleetVerdictOutside means that a rule of the policy is violated or cannot be checked.
	FleetVerdictOutside FleetVerdict = "outside policy"
	// FleetVerdictRetracted means that the module's author has retracted the version.
	FleetVerdictRetracted FleetVerdict = "retracted"
	// FleetVerdictDeprecated means that the module's author has deprecated the module.
	FleetVerdictDeprecated FleetVerdict = "deprecated"
	// FleetVerdictSkewed means that another service of the environment has a later version
	// of the module, or different content for the same version.
	FleetVerdictSkewed FleetVerdict = "skewed"
	// FleetVerdictBehind means that the registry has a later version.
	FleetVerdictBehind FleetVerdict = "behind"
	// FleetVerdictFine means none of the others.
	FleetVerdictFine FleetVerdict = "fine"
)

var fleetVerdicts = []FleetVerdict{FleetVerdictUnknown, FleetVerdictOutside, FleetVerdictRetracted, FleetVerdictDeprecated, FleetVerdictSkewed, FleetVerdictBehind, FleetVerdictFine}

// A FleetRow is one module in one service. An unknown service has one row, without a module.
type FleetRow struct {
	Module         string       `json:"module,omitempty"` // the path that the service requires
	Version        string       `json:"version,omitempty"`
	Replacement    string       `json:"replacement,omitempty"` // module or folder that replaces it; Version is the replacement's
	Service        string       `json:"service"`
	ServiceVersion string       `json:"serviceVersion,omitempty"`
	Environment    string       `json:"environment,omitempty"`
	Latest         string       `json:"latest,omitempty"` // in the registry
	Verdict        FleetVerdict `json:"verdict"`

	// Findings are the reasons of the verdict and of lesser ones, worst first. Nil means
	// that the row is fine.
	Findings []FleetFinding `json:"findings,omitempty"`

	sum string
	dep *debug.Module // nil for an unknown service and for Go itself
}

// A FleetFinding is one fact about a row.
type FleetFinding struct {
	Verdict FleetVerdict `json:"verdict"`
	Reason  string       `json:"reason"`
	Fix     string       `json:"fix,omitempty"`
}

// A FleetReport has the modules of a fleet, sorted by module, environment, service and
// version.
type FleetReport struct {
	Time time.Time  `json:"time"` // when Collect began
	Rows []FleetRow `json:"rows"`
}

// Worst returns the worst verdict of all rows.
func (r *FleetReport) Worst() FleetVerdict {
	worst := FleetVerdictFine
	for _, row := range r.Rows {
		if rank(row.Verdict) < rank(worst) {
			worst = row.Verdict
		}
	}
	return worst
}

func rank(v FleetVerdict) int { return slices.Index(fleetVerdicts, v) }

func (row *FleetRow) find(verdict FleetVerdict, reason, fix string) {
	row.Findings = append(row.Findings, FleetFinding{verdict, reason, fix})
}

func (row *FleetRow) settle() {
	slices.SortStableFunc(row.Findings, func(a, b FleetFinding) int { return cmp.Compare(rank(a.Verdict), rank(b.Verdict)) })
	row.Verdict = FleetVerdictFine
	if len(row.Findings) > 0 {
		row.Verdict = row.Findings[0].Verdict
	}
}

// skew marks rows with an older version of a module than another row of the environment. A
// pseudo-version or a prerelease never makes releases skewed, but is skewed by a later
// release.
func skew(rows []FleetRow) {
	type place struct{ module, environment string }
	groups := map[place][]*FleetRow{}
	for i := range rows {
		if row := &rows[i]; row.dep != nil {
			groups[place{row.Module, row.Environment}] = append(groups[place{row.Module, row.Environment}], row)
		}
	}
	for _, group := range groups {
		var top *FleetRow
		forks := map[string]*FleetRow{} // the latest of each replacement
		for _, row := range group {
			if !semver.IsValid(row.Version) {
				continue
			}
			if row.Replacement != "" {
				if forks[row.Replacement].below(row) {
					forks[row.Replacement] = row
				}
			} else if top.below(row) {
				top = row
			}
		}
		contents := contentsOf(group)
		for _, row := range group {
			other := contents.another(row)
			fork := forks[row.Replacement]
			switch {
			case other != nil:
				row.find(FleetVerdictSkewed, "has another content than the same version in "+other.Service, "find out which one is true before anything else; then build again with an empty module cache")
			case top == nil && fork != nil && fork != row && fork.Version != row.Version:
				row.find(FleetVerdictSkewed, row.other(fork, fork.Replacement+" "+fork.Version), row.follow(fork))
			case top == nil && row.Replacement != group[0].Replacement:
				row.find(FleetVerdictSkewed, fmt.Sprintf("is %s, while %s has %s", row.Replacement, group[0].Service, group[0].Replacement), unreplace(row.dep))
			case top == nil || row == top || row.Version == top.Version && row.Replacement == "":
			case row.Replacement != "" && modfile.IsDirectoryPath(row.Replacement):
				row.find(FleetVerdictSkewed, fmt.Sprintf("is a folder, while %s has %s", top.Service, top.Version), unreplace(row.dep))
			case row.Replacement != "":
				row.find(FleetVerdictSkewed, fmt.Sprintf("is %s, while %s has %s", row.Replacement, top.Service, top.Version), unreplace(row.dep))
			case !semver.IsValid(row.Version):
				row.find(FleetVerdictSkewed, fmt.Sprintf("is not a version, while %s has %s", top.Service, top.Version), row.follow(top))
			default:
				row.find(FleetVerdictSkewed, row.other(top, top.Version), row.follow(top))
			}
		}
	}
}

// below reports whether another row is better to compare with: a release is better than a
// prerelease, and a higher version is better than a lower one.
func (row *FleetRow) below(other *FleetRow) bool {
	if row == nil {
		return true
	}
	if is, better := semver.Prerelease(row.Version) == "", semver.Prerelease(other.Version) == ""; is != better {
		return better
	}
	return semver.Compare(row.Version, other.Version) < 0
}

// other describes how a row differs from the row that it is compared with.
func (row *FleetRow) other(top *FleetRow, version string) string {
	if semver.Compare(row.Version, top.Version) < 0 {
		return fmt.Sprintf("is behind %s, which %s has", version, top.Service)
	}
	kind := "prerelease"
	if module.IsPseudoVersion(row.Version) {
		kind = "pseudo-version"
	}
	return fmt.Sprintf("is a %s, while %s has %s", kind, top.Service, version)
}

// follow returns a fix that gives a row the version of another row, if that is higher and the
// policy allows it.
func (row *FleetRow) follow(top *FleetRow) string {
	outside := slices.ContainsFunc(top.Findings, func(f FleetFinding) bool {
		return f.Verdict == FleetVerdictOutside || f.Verdict == FleetVerdictRetracted
	})
	switch {
	case outside:
		return "let all services have one version that the policy allows"
	case semver.IsValid(row.Version) && semver.Compare(row.Version, top.Version) > 0:
		return "let all services have one release, " + top.Version + " or a later one"
	}
	return raise(row.dep, top.Version, "")
}

// contents returns, for each version in a group, the first row and the first row with
// different content. Hostile endpoints can make a group large, so it must take linear time.
type contents map[[2]string][]*FleetRow

func contentsOf(group []*FleetRow) contents {
	all := contents{}
	for _, row := range group {
		version := [2]string{row.Version, row.Replacement}
		if two := all[version]; strings.HasPrefix(row.sum, "h1:") && (len(two) == 0 || len(two) == 1 && two[0].sum != row.sum) {
			all[version] = append(two, row)
		}
	}
	return all
}

func (c contents) another(row *FleetRow) *FleetRow {
	for _, other := range c[[2]string{row.Version, row.Replacement}] {
		if row.sum != "" && other.sum != row.sum {
			return other
		}
	}
	return nil
}

// WriteTable writes the report as text: one line for each row with aligned columns, then each
// finding once, with its fix and its services.
func (r *FleetReport) WriteTable(w io.Writer) error {
	b := bufio.NewWriter(w)
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MODULE\tVERSION\tSERVICE\tENVIRONMENT\tVERDICT")
	for _, row := range r.Rows {
		version := row.Version
		if row.Replacement != "" {
			version = strings.TrimSpace("=> " + row.Replacement + " " + version)
		}
		service := strings.TrimSpace(row.Service + " " + row.ServiceVersion)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", cmp.Or(row.Module, "-"), cmp.Or(version, "-"), service, cmp.Or(row.Environment, "-"), row.Verdict)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	type note struct{ subject, text string }
	var order []note
	services := map[note][]string{}
	for _, row := range r.Rows {
		for _, f := range row.Findings {
			n := note{strings.TrimSpace(row.Module + " " + row.Version), f.Reason}
			if f.Fix != "" {
				n.text += "; to fix: " + f.Fix
			}
			if services[n] == nil {
				order = append(order, n)
			}
			where := row.Service
			if row.Environment != "" {
				where += " in " + row.Environment
			}
			services[n] = append(services[n], where)
		}
	}
	for i, n := range order {
		if i == 0 {
			fmt.Fprintln(b)
		}
		where := strings.Join(services[n], ", ")
		if n.subject == "" {
			fmt.Fprintf(b, "%s: %s\n", where, n.text)
		} else {
			fmt.Fprintf(b, "%s: %s (%s)\n", n.subject, n.text, where)
		}
	}
	return b.Flush()
}
