package flags

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/live"
)

// A merger keeps the documents of several sources, each with its own keeper. It merges them into
// one set whenever one of them changes, fails or recovers. A provider uses it like a
// [live.Keeper] of one source.
type merger struct {
	opts    live.Options[flagSet] // Parse and Copy are not used
	parser  parser
	name    string
	parts   []*mergedPart
	before  *flagSet // what the last good copy held at the start; nil if the copy was missing
	end     context.CancelFunc
	running sync.WaitGroup
	ready   chan struct{} // closed once every source was loaded or has failed

	current atomic.Pointer[live.Snapshot[flagSet]]

	mu      sync.Mutex // held while a set is made and passed on
	started time.Time
	asked   bool  // every source was loaded or has failed
	refused error // why the present documents were refused
	updates uint64
	status  live.Status // as last passed to OnStatus
	saved   string      // what the last good copy holds
}

func startMerger(ctx context.Context, sources mergedSource, ps parser, opts live.Options[flagSet]) *merger {
	ctx, end := context.WithCancel(ctx)
	m := &merger{opts: opts, parser: ps, name: sources.Name(), end: end, ready: make(chan struct{}), started: time.Now()}
	if len(sources) == 0 {
		m.refused = fmt.Errorf("Merge of no sources: %w", ErrEmpty)
	}
	saved, ok := ps.copy.load(nil)
	var before []*flagSet
	if ok {
		m.before, before, _, _ = ps.restore(saved)
	}
	saved = slices.DeleteFunc(saved, func(s savedPart) bool { return s.Kept })
	m.parts = make([]*mergedPart, len(sources))
	m.mu.Lock() // until all parts are there
	defer m.mu.Unlock()
	for i, src := range sources {
		p := &mergedPart{name: live.SourceName(src)}
		p.number = i
		var fallback []byte
		if i < len(saved) && saved[i].Name == p.name {
			fallback = []byte(saved[i].Text)
			if i < len(before) {
				p.before = before[i]
			}
		}
		m.parts[i] = p
		p.keeper = live.Start(ctx, src, live.Options[definitions]{
			Parse: func(name string, data []byte, _ *definitions) (*definitions, []error, error) {
				doc, err := readDefinitions(name, data)
				return doc, nil, err
			},
			OnUpdate:      func(*live.Snapshot[definitions]) { m.refresh() },
			OnStatus:      func(live.Status) { m.refresh() },
			Poll:          m.opts.Poll,
			Timeout:       live.DefaultTimeout / 2, // a source that hangs must not keep the others waiting for long
			StaleAfter:    m.opts.StaleAfter,
			LostAfter:     m.opts.LostAfter,
			StaleFailures: m.opts.StaleFailures,
			Fallback:      fallback,
			Logger:        m.opts.Logger,
		})
	}
	m.running.Go(func() {
		for _, p := range m.parts {
			_ = p.keeper.Ready(ctx) // refresh reads the error from the status
		}
		if ctx.Err() == nil {
			m.mu.Lock()
			m.asked = true
			m.mu.Unlock()
			m.refresh()
		}
		close(m.ready)
	})
	return m
}

// Ready waits until every source was loaded or has failed. It returns nil if there is a set, and
// else the reason.
func (m *merger) Ready(ctx context.Context) error {
	select {
	case <-m.ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if m.Snapshot() != nil {
		return nil
	}
	return m.Status().Err
}

// Snapshot returns the set in effect; nil means none.
func (m *merger) Snapshot() *live.Snapshot[flagSet] { return m.current.Load() }

// Close stops the updates, as [live.Keeper.Close] does.
func (m *merger) Close() error {
	m.end()
	for _, p := range m.parts {
		m.running.Go(func() { _ = p.keeper.Close() })
	}
	m.running.Wait()
	return nil
}

// Status summarises the status of all documents. It has an error if the set is missing or the
// present documents were refused. If only some documents fail, the set is partial.
func (m *merger) Status() live.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.statusNow()
}

func (m *merger) statusNow() live.Status {
	all := live.Status{Started: m.started, Err: m.refused, Updates: m.updates, Stale: len(m.parts) > 0, Lost: len(m.parts) > 0}
	for _, p := range m.parts {
		s := p.keeper.Status()
		if s.Checked.After(all.Checked) {
			all.Checked = s.Checked
		}
		all.Stale, all.Lost = all.Stale && s.Stale, all.Lost && s.Lost
		all.Attempts += s.Attempts
		all.Failures += s.Failures
		all.Abandoned += s.Abandoned
	}
	if all.Err == nil && m.current.Load() == nil {
		_, errs := m.failing()
		all.Err = cmp.Or(errors.Join(errs...), context.Canceled)
		if fault := (*Fault)(nil); len(errs) > 0 && !errors.As(all.Err, &fault) {
			all.Err = fmt.Errorf("%s: %w", m.name, all.Err)
		}
	}
	return all
}

// Problems returns the documents that fail, and the faults of single flags.
func (m *merger) Problems() []error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, problems := m.failing()
	if m.refused != nil {
		problems = append(problems, m.refused)
	}
	if s := m.Snapshot(); s != nil {
		problems = append(problems, s.Problems...)
	}
	return problems
}

// failing returns the documents that are missing or out of date, and their errors.
func (m *merger) failing() (names []string, errs []error) {
	for _, p := range m.parts {
		if err := p.keeper.Status().Err; err != nil {
			names, errs = append(names, p.name), append(errs, err)
		}
	}
	return names, errs
}

func (m *merger) refresh() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.asked {
		return
	}
	changed, origin, docs := false, live.FromLastGood, 0
	for _, p := range m.parts {
		s := p.keeper.Snapshot()
		if s == nil {
			continue
		}
		docs++
		changed = changed || p.doc != s.Value
		p.doc = s.Value
		if s.Origin == live.FromSource {
			origin = live.FromSource
		}
	}
	partial, failing := m.failing()
	current := m.Snapshot()
	switch {
	case docs == 0:
		if current == nil {
			m.opts.StandIn(m.name, func(name string, data []byte, origin live.Origin) error {
				set, _, faults, err := m.parser.restore(parseParts(name, data))
				if err != nil {
					return err
				}
				m.offer(set, faults, origin, partial)
				return m.refused
			})
		}
	case changed || current == nil:
		set, faults := m.parser.merge(m.parts, m.previous())
		if m.parser.strict {
			var missing Faults
			for i, err := range failing {
				missing = append(missing, faultsIn(partial[i], err)...)
			}
			faults = append(missing, faults...)
		}
		m.offer(set, faults, origin, partial)
	case !slices.Equal(partial, current.Value.partial):
		again, set := *current, *current.Value
		set.partial, again.Value, again.Origin = partial, &set, origin
		m.current.Store(&again)
		m.opts.OnUpdate(&again)
	}
	if len(partial) == 0 && docs > 0 && m.refused == nil && m.opts.LastGood != "" {
		all := make([]savedPart, len(m.parts))
		for i, p := range m.parts {
			all[i] = savedPart{Name: p.name, Text: string(p.doc.text)}
		}
		data, err := m.parser.copy.content(m.kept(), all)
		_ = m.opts.Save(m.name, data, err, &m.saved)
	}
	before, now := m.status, m.statusNow()
	m.status = now
	if (before.Err == nil) != (now.Err == nil) || before.Stale != now.Stale || before.Lost != now.Lost {
		m.opts.OnStatus(now)
	}
}

// kept returns the flags whose definitions are not in the documents any more, by the number of the
// document that had them.
func (m *merger) kept() map[int]map[string]bool {
	kept := map[int]map[string]bool{}
	add := func(number int, key string) {
		if kept[number] == nil {
			kept[number] = map[string]bool{}
		}
		kept[number][key] = true
	}
	for i, p := range m.parts {
		if p.before == nil && m.before != nil {
			i = ^i // the copy was written for other sources
		}
		for key := range p.set.kept {
			add(i, key)
		}
	}
	set := m.Snapshot().Value
	for _, key := range set.held {
		add(set.from[key], key)
	}
	return kept
}

// previous returns the set in effect, or the one before a restart; nil means none.
func (m *merger) previous() *flagSet {
	if s := m.Snapshot(); s != nil {
		return s.Value
	}
	return m.before
}

// offer puts a set into effect unless the parser refuses it.
func (m *merger) offer(set *flagSet, faults Faults, origin live.Origin, partial []string) {
	prev := m.previous()
	problems, err := m.parser.accept(m.name, set, faults, prev)
	if err != nil {
		if m.refused == nil || m.refused.Error() != err.Error() {
			m.opts.Logger.Warn("documents not merged", "documents", m.name, "err", err)
		}
		m.refused = err
		return
	}
	m.refused = nil
	set.partial = partial
	set.seal(prev)
	m.updates++
	snapshot := &live.Snapshot[flagSet]{Value: set, Revision: set.revision, Origin: origin, Since: time.Now(), Problems: problems}
	m.current.Store(snapshot)
	m.opts.OnUpdate(snapshot)
	if prev == m.before {
		prev = nil
	}
	m.opts.Log("documents merged", m.name, prev, snapshot)
}

// Merge combines several documents into one, flag by flag: if several documents have a flag, the
// last one counts. A faulty definition keeps its last good one; if it never had one, an earlier
// document's definition counts. A rule may refer to the evaluators of all documents, its own
// document's first.
//
// While some of the sources fail or give unreadable documents, their last good documents stay in
// effect, the other documents are updated, and the provider is stale. Loading fails only when no
// source has ever given a document. Merge of a Merge is one list of documents. Options.LastGood is
// written when all documents are loaded.
//
// Only a [Provider] can load such a source.
func Merge(sources ...Source) Source {
	var all mergedSource
	for _, src := range sources {
		if inner, ok := src.(mergedSource); ok {
			all = append(all, inner...)
		} else {
			all = append(all, src)
		}
	}
	return all
}

type mergedSource []Source

// Name joins the names of the sources.
func (m mergedSource) Name() string {
	names := make([]string, len(m))
	for i, src := range m {
		names[i] = live.SourceName(src)
	}
	return strings.Join(names, "+")
}

// Load returns an error, because a merger loads the documents one by one.
func (m mergedSource) Load(context.Context) ([]byte, error) {
	return nil, fmt.Errorf("flags: only a Provider can load merged documents: %w", errors.ErrUnsupported)
}
