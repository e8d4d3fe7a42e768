package pkgmgmt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// A Target is where a service's build information comes from. Exactly one of URL, File
// and BuildInfo is given.
type Target struct {
	Service     string // "shop"; not empty
	Environment string // "production"; versions are expected to agree within one

	// URL is the service's version endpoint, http or https. It is asked for
	// text/x-go-buildinfo, the format of "go version -m".
	URL string

	// File is a program built by the go command, or a text in the format of
	// "go version -m".
	File string

	BuildInfo *debug.BuildInfo
}

// FleetOptions are what a [Fleet] works with. Nil options are the defaults.
type FleetOptions struct {
	// Credentials adds a token to each request, for endpoints that show strangers little.
	// It may be called by several goroutines at once. Nil means none.
	Credentials func(*http.Request) error

	// HTTP sends the requests. Redirects are never followed: a token is for one address.
	// Nil: a client like http.DefaultClient.
	HTTP *http.Client

	// Timeout is for each target. Zero: ten seconds.
	Timeout time.Duration

	// Concurrency bounds the targets that are read at a time. Zero: sixteen.
	Concurrency int

	// Policy is what the services are held against. Nil: none.
	Policy *Policy

	// Registry tells which versions are behind, retracted or deprecated. Nil: none, and
	// nothing is.
	Registry ModuleSource

	// Modules are patterns, as in a policy, of the modules to report on: those that
	// services share. Nil: all.
	Modules []string
}

// A Fleet is a set of services. It does not change, and may be used by any number of
// goroutines.
type Fleet struct {
	targets []Target
	opts    FleetOptions
	client  *http.Client
	only    []pattern
}

// NewFleet makes a fleet. Of no target nothing is said: its report is empty, and fine.
func NewFleet(targets []Target, opts *FleetOptions) (*Fleet, error) {
	f := &Fleet{targets: slices.Clone(targets)}
	if opts != nil {
		f.opts = *opts
	}
	var errs []error
	for i, t := range f.targets {
		if err := t.check(); err != nil {
			errs = append(errs, fmt.Errorf("target %d, %q: %w", i, t.Service, err))
		}
	}
	for i, text := range f.opts.Modules {
		pat, err := parsePattern(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s[%d]: %w", "Modules", i, err))
		}
		f.only = append(f.only, pat)
	}
	if f.opts.Timeout < 0 || f.opts.Concurrency < 0 {
		errs = append(errs, fmt.Errorf("%s and %s must not be negative", "Timeout", "Concurrency"))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("pkgmgmt: %w", errors.Join(errs...))
	}
	f.opts.Timeout = cmp.Or(f.opts.Timeout, 10*time.Second)
	f.opts.Concurrency = cmp.Or(f.opts.Concurrency, 16)
	client := http.Client{}
	if f.opts.HTTP != nil {
		client = *f.opts.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	f.client = &client
	return f, nil
}

func (t Target) check() error {
	given := 0
	for _, is := range []bool{t.URL != "", t.File != "", t.BuildInfo != nil} {
		if is {
			given++
		}
	}
	switch {
	case t.Service == "":
		return errors.New("must have a service")
	case given != 1:
		return errors.New("must have one of URL, File and BuildInfo")
	case t.URL != "":
		if u, err := url.Parse(t.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return errors.New("must be a URL with http or https and a host") // it may hold a password
		}
	}
	return nil
}

// A FleetVerdict says what is to be said of a module in a service.
type FleetVerdict string

// The verdicts, the worst first. A row has the worst that applies.
const (
	// FleetVerdictUnknown: the service does not tell what it is built from.
	FleetVerdictUnknown FleetVerdict = "unknown"
	// FleetVerdictOutside: a rule of the policy is not kept, or cannot be checked.
	FleetVerdictOutside FleetVerdict = "outside policy"
	// FleetVerdictRetracted: the module's author has taken the version back.
	FleetVerdictRetracted FleetVerdict = "retracted"
	// FleetVerdictDeprecated: the module's author says that it should no longer be used.
	FleetVerdictDeprecated FleetVerdict = "deprecated"
	// FleetVerdictSkewed: another service in the same environment has a later version of the
	// module, or another content of the same version.
	FleetVerdictSkewed FleetVerdict = "skewed"
	// FleetVerdictBehind: the registry has a later version.
	FleetVerdictBehind FleetVerdict = "behind"
	// FleetVerdictFine: none of them.
	FleetVerdictFine FleetVerdict = "fine"
)

var fleetVerdicts = []FleetVerdict{FleetVerdictUnknown, FleetVerdictOutside, FleetVerdictRetracted, FleetVerdictDeprecated, FleetVerdictSkewed, FleetVerdictBehind, FleetVerdictFine}

// A FleetRow is one module in one service. For a service that is unknown there is one
// row, without a module.
type FleetRow struct {
	Module         string       `json:"module,omitempty"` // as the service requires it
	Version        string       `json:"version,omitempty"`
	Replacement    string       `json:"replacement,omitempty"` // module or folder that stands in; Version is its
	Service        string       `json:"service"`
	ServiceVersion string       `json:"serviceVersion,omitempty"`
	Environment    string       `json:"environment,omitempty"`
	Latest         string       `json:"latest,omitempty"` // in the registry
	Verdict        FleetVerdict `json:"verdict"`

	// Findings are all that is to be said, the worst first; nil for one that is fine.
	Findings []FleetFinding `json:"findings,omitempty"`

	sum string
}

// A FleetFinding is one thing to be said of a row.
type FleetFinding struct {
	Verdict FleetVerdict `json:"verdict"`
	Reason  string       `json:"reason"`
	Fix     string       `json:"fix,omitempty"`
}

// A FleetReport is what a fleet runs, sorted by module, environment, service and
// version.
type FleetReport struct {
	Time time.Time  `json:"time"` // when the collection began
	Rows []FleetRow `json:"rows"`
}

// Worst is the worst verdict of all rows.
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

// Collect asks all services and reports. It returns soon after ctx ends; services that
// have not answered by then are unknown. There is no error: what could not be had is in the
// report.
func (f *Fleet) Collect(ctx context.Context) *FleetReport {
	report := &FleetReport{Time: time.Now(), Rows: []FleetRow{}}
	builds := make([]*debug.BuildInfo, len(f.targets))
	faults := make([]error, len(f.targets))
	places := make(chan struct{}, f.opts.Concurrency)
	var busy sync.WaitGroup
	for i, t := range f.targets {
		places <- struct{}{}
		busy.Go(func() {
			defer func() { <-places }()
			ctx, cancel := context.WithTimeout(ctx, f.opts.Timeout)
			defer cancel()
			builds[i], faults[i] = f.read(ctx, t)
		})
	}
	busy.Wait()
	modules := map[module.Version]bool{}
	for i, bi := range builds {
		if faults[i] == nil {
			if v, bad := unverifiable(bi); bad {
				faults[i] = errors.New(v.Reason)
			}
		}
		if faults[i] != nil {
			continue
		}
		builds[i] = f.shared(bi)
		wanted(modules, builds[i])
	}
	answers := ask(ctx, f.opts.Registry, modules)
	for i, t := range f.targets {
		row := FleetRow{Service: clean(t.Service), Environment: clean(t.Environment)}
		if faults[i] != nil {
			row.find(FleetVerdictUnknown, clean(faults[i].Error()), "make it answer with all of its build information")
			report.Rows = append(report.Rows, row)
			continue
		}
		row.ServiceVersion = clean(builds[i].Main.Version)
		for _, dep := range builds[i].Deps {
			report.Rows = append(report.Rows, f.row(row, dep, answers, report.Time))
		}
	}
	skew(report.Rows)
	for i := range report.Rows {
		report.Rows[i].settle()
	}
	slices.SortStableFunc(report.Rows, func(a, b FleetRow) int {
		return cmp.Or(cmp.Compare(a.Module, b.Module), cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Service, b.Service), semver.Compare(a.Version, b.Version), cmp.Compare(a.Version, b.Version))
	})
	return report
}

// shared is the build information with the modules to report on.
func (f *Fleet) shared(bi *debug.BuildInfo) *debug.BuildInfo {
	part := *bi
	part.Deps = nil
	for _, dep := range bi.Deps {
		if dep == nil {
			continue
		}
		in := f.opts.Modules == nil
		for _, pat := range f.only {
			in = in || pat.matches(dep.Path)
		}
		if in {
			part.Deps = append(part.Deps, dep)
		}
	}
	return &part
}

// row judges one module by itself.
func (f *Fleet) row(row FleetRow, dep *debug.Module, answers map[module.Version]answer, now time.Time) FleetRow {
	m := built(dep)
	row.Module, row.Version, row.sum = clean(dep.Path), clean(m.Version), sumOf(dep)
	if m.Path != dep.Path {
		row.Replacement = clean(m.Path)
	}
	a := answers[m]
	var violations []Violation
	if f.opts.Registry == nil {
		violations = f.opts.Policy.check(dep, nil)
	} else {
		violations = f.opts.Policy.checkWith(dep, answers, now, nil)
	}
	for _, v := range violations {
		verdict := FleetVerdictOutside
		switch v.Rule {
		case RuleRetracted:
			verdict = FleetVerdictRetracted
		case RuleDeprecated:
			verdict = FleetVerdictDeprecated
		}
		row.find(verdict, clean(v.Reason), clean(v.Fix))
	}
	row.Latest = clean(a.Latest)
	if behind(m.Version, a.Latest) {
		row.find(FleetVerdictBehind, "is behind "+row.Latest, "go get "+clean(m.Path)+"@"+row.Latest)
	}
	return row
}

func (row *FleetRow) find(verdict FleetVerdict, reason, fix string) {
	row.Findings = append(row.Findings, FleetFinding{verdict, reason, fix})
}

// settle sorts the findings and takes the worst as the verdict.
func (row *FleetRow) settle() {
	slices.SortStableFunc(row.Findings, func(a, b FleetFinding) int { return cmp.Compare(rank(a.Verdict), rank(b.Verdict)) })
	row.Verdict = FleetVerdictFine
	if len(row.Findings) > 0 {
		row.Verdict = row.Findings[0].Verdict
	}
}

// skew marks the modules that an environment has in several versions, but for those that
// have the latest of them.
func skew(rows []FleetRow) {
	type place struct{ module, environment string }
	groups := map[place][]*FleetRow{}
	for i := range rows {
		if row := &rows[i]; row.Module != "" {
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
				if latest := forks[row.Replacement]; latest == nil || semver.Compare(row.Version, latest.Version) > 0 {
					forks[row.Replacement] = row
				}
			} else if top == nil || semver.Compare(row.Version, top.Version) > 0 {
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
			case top == nil && fork != nil && semver.Compare(row.Version, fork.Version) < 0:
				row.find(FleetVerdictSkewed, fmt.Sprintf("is behind %s %s, which %s has", fork.Replacement, fork.Version, fork.Service), "let the replace directive of "+row.Module+" in go.mod name "+fork.Version)
			case top == nil && row.Replacement != group[0].Replacement:
				row.find(FleetVerdictSkewed, fmt.Sprintf("is %s, while %s has %s", row.Replacement, group[0].Service, group[0].Replacement), "remove the replace directive of "+row.Module+" from go.mod")
			case top == nil || row == top || row.Version == top.Version && row.Replacement == "":
			case row.Replacement != "" && modfile.IsDirectoryPath(row.Replacement):
				row.find(FleetVerdictSkewed, fmt.Sprintf("is a folder, while %s has %s", top.Service, top.Version), "remove the replace directive of "+row.Module+" from go.mod")
			case row.Replacement != "":
				row.find(FleetVerdictSkewed, fmt.Sprintf("is %s, while %s has %s", row.Replacement, top.Service, top.Version), "remove the replace directive of "+row.Module+" from go.mod")
			case !semver.IsValid(row.Version):
				row.find(FleetVerdictSkewed, fmt.Sprintf("is no version, while %s has %s", top.Service, top.Version), "go get "+row.Module+"@"+top.Version)
			case semver.Compare(row.Version, top.Version) < 0:
				row.find(FleetVerdictSkewed, fmt.Sprintf("is behind %s, which %s has", top.Version, top.Service), "go get "+row.Module+"@"+top.Version)
			}
		}
	}
}

// contents are, for each version in a group, the first row and the first that was built
// from something else. A group is as large as hostile endpoints make it.
type contents map[[2]string][2]*FleetRow

func contentsOf(group []*FleetRow) contents {
	all := contents{}
	for _, row := range group {
		if !strings.HasPrefix(row.sum, "h1:") {
			continue
		}
		version := [2]string{row.Version, row.Replacement}
		two := all[version]
		switch {
		case two[0] == nil:
			two[0] = row
		case two[1] == nil && row.sum != two[0].sum:
			two[1] = row
		}
		all[version] = two
	}
	return all
}

// another finds a row of the same version that was built from something else.
func (c contents) another(row *FleetRow) *FleetRow {
	if row.sum == "" {
		return nil
	}
	two := c[[2]string{row.Version, row.Replacement}]
	if two[0] != nil && two[0].sum != row.sum {
		return two[0]
	}
	return two[1]
}
