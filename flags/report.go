package flags

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/live"
)

// Problems returns what is wrong now: a source that fails, a document that was refused, and the
// faults of single flags in the document in effect. Each is a [*Fault]. Nil means nothing is
// wrong.
func (p *Provider) Problems() []error {
	k := p.keeping()
	if k == nil {
		return nil
	}
	var problems []error
	for _, err := range k.Problems() {
		problems = append(problems, faultsIn(live.SourceName(p.src), err).Unwrap()...)
	}
	return problems
}

// Require declares flags that the code needs. They are checked at every load from now on.
// [Provider.Problems] and the log report a flag that is missing or has a variant of another type;
// with [Options.Strict] such a document is refused. A declared flag that a new document has lost
// is kept. If a document is loaded already, the error joins a [*Fault] for each flag that does
// not fit.
func (p *Provider) Require(declared ...Declared) error {
	p.shared.Lock()
	p.declared = append(p.declared, declared...)
	p.shared.Unlock()
	set := p.current.Load()
	if set == nil {
		return nil
	}
	var errs []error
	for _, d := range declared {
		if err := set.fits(d); err != nil {
			errs = append(errs, &Fault{File: live.SourceName(p.src), Flag: d.Key(), Err: err})
		}
	}
	return errors.Join(errs...)
}

// Keys returns the keys of the document in effect, sorted.
func (p *Provider) Keys() []string {
	if set := p.current.Load(); set != nil {
		return slices.Sorted(maps.Keys(set.flags))
	}
	return nil
}

// Changed returns a channel that is closed when a document with other flags comes into effect. To
// keep watching, call Changed again each time.
func (p *Provider) Changed() <-chan struct{} {
	p.shared.Lock()
	defer p.shared.Unlock()
	return p.changed
}

// Revision identifies the content of the document in effect: 16 hexadecimal digits. Empty means
// that there is no document. Two processes with the same revision have the same flags.
func (p *Provider) Revision() string {
	if set := p.current.Load(); set != nil {
		return set.revision
	}
	return ""
}

// Stats returns numbers to export as metrics:
//
//	flags            flags of the document
//	problems         faults in the document
//	age_seconds      seconds since the source last returned an acceptable document, or since
//	                 the start
//	partial          documents of a Merge that are missing or out of date
//	held_back        flags that are kept although the document has lost them
//	failing          1 while the last load failed or its document was refused, else 0
//	stale            1 while loads have failed for longer than Options.StaleAfter, else 0
//	lost             1 while loads have failed for longer than Options.LostAfter, else 0
//	loads            load attempts
//	load_failures    loads that failed or whose document was refused
//	updates          documents that came into effect
//	abandoned_loads  loads that were abandoned because the source ignored its context
//
// All except flags are 0 while the provider is not started.
func (p *Provider) Stats() map[string]float64 {
	k := p.keeping()
	stats := map[string]float64{"flags": 0, "problems": 0, "age_seconds": 0, "partial": 0, "held_back": 0, "failing": 0, "stale": 0, "lost": 0, "loads": 0, "load_failures": 0, "updates": 0, "abandoned_loads": 0}
	if set := p.current.Load(); set != nil {
		stats["flags"] = float64(len(set.flags))
	}
	if k == nil {
		return stats
	}
	if s := k.Snapshot(); s != nil {
		stats["problems"] = float64(len(s.Problems))
		stats["partial"] = float64(len(s.Value.partial))
		stats["held_back"] = float64(len(s.Value.held))
	}
	status := k.Status()
	since := status.Checked
	if since.IsZero() {
		since = status.Started
	}
	stats["age_seconds"] = time.Since(since).Seconds()
	for name, holds := range map[string]bool{"failing": status.Err != nil || stats["partial"] > 0, "stale": status.Stale, "lost": status.Lost} {
		if holds {
			stats[name] = 1
		}
	}
	stats["loads"] = float64(status.Attempts)
	stats["load_failures"] = float64(status.Failures)
	stats["updates"] = float64(status.Updates)
	stats["abandoned_loads"] = float64(status.Abandoned)
	return stats
}
