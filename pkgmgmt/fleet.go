package pkgmgmt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/upkeep-go/upkeep/internal/modpattern"
)

// FleetOptions configure a [Fleet]. Nil options are the defaults.
type FleetOptions struct {
	// Credentials adds a token to each request, because endpoints show little without one.
	// It is called concurrently. Nil means none.
	Credentials func(*http.Request) error

	// HTTP sends the requests. Redirects are not followed, because a token is for one
	// address. Nil means a client like http.DefaultClient.
	HTTP *http.Client

	// Timeout for each target. Zero means 10s.
	Timeout time.Duration

	// Concurrency is how many targets are read at once. Zero means 16.
	Concurrency int

	// Policy is what the services are checked against. Nil means none.
	Policy *Policy

	// Registry knows which versions are behind, retracted or deprecated. Nil means that these
	// verdicts are not given.
	Registry ModuleSource

	// Modules are patterns, as in a policy, of the modules to report. Nil means all.
	Modules []string
}

// A Fleet is a set of services. It is immutable and safe for concurrent use.
type Fleet struct {
	targets []Target
	opts    FleetOptions
	client  *http.Client
	only    []modpattern.Pattern
}

// NewFleet returns a fleet. Its error names the invalid target or option. Without targets the
// report is empty, and its worst verdict is fine.
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
		pat, err := modpattern.Parse(text)
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

// Collect reads all targets and returns a report. It returns soon after ctx ends; services
// that have not responded by then are unknown. Failures are part of the report.
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
	for i := range builds {
		if faults[i] == nil {
			wanted(modules, builds[i])
		}
	}
	answers := ask(ctx, f.opts.Registry, modules)
	for i, t := range f.targets {
		row := FleetRow{Service: shown(t.Service), Environment: shown(t.Environment)}
		if faults[i] != nil {
			row.find(FleetVerdictUnknown, shown(faults[i].Error()), "make it answer with all of its build information")
			report.Rows = append(report.Rows, row)
			continue
		}
		row.ServiceVersion = shown(builds[i].Main.Version)
		for _, dep := range builds[i].Deps {
			report.Rows = append(report.Rows, f.row(row, dep, answers, report.Time))
		}
		for _, v := range f.opts.Policy.rules().checkGo(builds[i], nil) {
			if f.reports(v.Module) {
				row := row
				row.Module, row.Version = v.Module, v.Version
				row.find(FleetVerdictOutside, shown(v.Reason), shown(v.Fix))
				report.Rows = append(report.Rows, row)
			}
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

func (f *Fleet) read(ctx context.Context, t Target) (*debug.BuildInfo, error) {
	bi, err := t.read(ctx, f.client, f.opts.Credentials)
	if err != nil {
		return nil, err
	}
	if v, bad := unverifiable(bi); bad {
		return nil, errors.New(v.Reason)
	}
	part := *bi
	part.Deps = nil
	for _, dep := range bi.Deps {
		if dep != nil && f.reports(dep.Path) {
			part.Deps = append(part.Deps, dep)
		}
	}
	return &part, nil
}

func (f *Fleet) reports(path string) bool {
	return f.opts.Modules == nil || anyMatches(f.only, path)
}

func (f *Fleet) row(row FleetRow, dep *debug.Module, answers map[module.Version]answer, now time.Time) FleetRow {
	m := built(dep)
	row.Module, row.Version, row.sum = shown(dep.Path), shown(m.Version), sumOf(dep)
	if m.Path != dep.Path {
		row.Replacement = shown(m.Path)
	}
	a, rs := answers[m], f.opts.Policy.rules()
	violations := rs.check(dep, Status{}, now, nil)
	if f.opts.Registry != nil {
		violations = rs.checkWith(dep, answers, now, nil)
	}
	for _, v := range violations {
		verdict := FleetVerdictOutside
		switch v.Rule {
		case RuleRetracted:
			verdict = FleetVerdictRetracted
		case RuleDeprecated:
			verdict = FleetVerdictDeprecated
		}
		row.find(verdict, shown(v.Reason), shown(v.Fix))
	}
	row.dep, row.Latest = dep, shown(a.Latest)
	if behind(m.Version, a.Latest) {
		row.find(FleetVerdictBehind, "is behind "+row.Latest, raise(dep, rs.upgrade(dep, a.Status, now), "above "+row.Version+" that the policy allows"))
	}
	return row
}
