package flags

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/atomicfile"
	"github.com/upkeep-go/upkeep/internal/live"
)

// A merger keeps the documents of several sources, each with a keeper of its own, and makes
// one set of them whenever one of them changes, fails or recovers. It is to a provider what
// a [live.Keeper] is for one source.
type merger struct {
	opts    live.Options[flagSet] // Parse is not used
	parser  parser
	name    string
	parts   []*mergedPart
	before  *flagSet // what the last good copy held at the start; nil when there was none
	end     context.CancelFunc
	running sync.WaitGroup
	ready   chan struct{} // closed once every source was asked

	current atomic.Pointer[live.Snapshot[flagSet]]

	mu      sync.Mutex // held while a set is made and handed on
	started time.Time
	asked   bool  // every source was asked
	refused error // why the documents as they are now make no set
	updates uint64
	status  live.Status // as it was last handed on
	saved   [sha256.Size]byte
	saveErr error
}

// A mergedPart is one document of several, and the set that it makes.
type mergedPart struct {
	name       string
	kept       bool // it has the definitions that flags have kept
	keeper     *live.Keeper[definitions]
	doc        *definitions   // nil while there is none
	evaluators []*definitions // that the set was compiled with
	set        *flagSet
	faults     Faults
}

// startMerger begins to keep the documents of sources until ctx ends or the merger is closed.
func startMerger(ctx context.Context, sources mergedSource, ps parser, opts live.Options[flagSet]) *merger {
	ctx, end := context.WithCancel(ctx)
	m := &merger{opts: opts, parser: ps, name: sources.Name(), end: end, ready: make(chan struct{}), started: time.Now()}
	if len(sources) == 0 {
		m.refused = fmt.Errorf("Merge of no sources: %w", ErrEmpty)
	}
	saved, ok := ps.copy.load(nil)
	if ok {
		m.before, _, _ = ps.restore(saved)
	}
	saved = slices.DeleteFunc(saved, func(s savedPart) bool { return s.Kept })
	m.parts = make([]*mergedPart, len(sources))
	m.mu.Lock() // until all parts are there
	defer m.mu.Unlock()
	for i, src := range sources {
		p := &mergedPart{name: sourceName(src)}
		var fallback []byte
		if i < len(saved) && saved[i].Name == p.name {
			fallback = []byte(saved[i].Text)
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
			_ = p.keeper.Ready(ctx) // refresh finds out
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

// Ready waits until every source was asked. It returns nil when there is a set, else why
// there is none.
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

// Snapshot returns the set now, nil while there is none.
func (m *merger) Snapshot() *live.Snapshot[flagSet] { return m.current.Load() }

// Close ends the keeping, as [live.Keeper.Close] does.
func (m *merger) Close() error {
	m.end()
	var all sync.WaitGroup
	for _, p := range m.parts {
		all.Go(func() { _ = p.keeper.Close() })
	}
	all.Wait()
	m.running.Wait()
	return nil
}

// Status says how the keeping of all documents goes. It fails where there is no set, or the
// documents as they are make none; a document that fails alone leaves the set partial.
func (m *merger) Status() live.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.statusNow()
}

func (m *merger) statusNow() live.Status {
	all := live.Status{Started: m.started, Err: m.refused, SaveErr: m.saveErr, Updates: m.updates, Stale: len(m.parts) > 0, Lost: len(m.parts) > 0}
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
		all.Err = cmp.Or(m.missing(), context.Canceled)
	}
	return all
}

// missing says why there is no document at all.
func (m *merger) missing() error {
	var errs []error
	found := false
	for _, p := range m.parts {
		if err := p.keeper.Status().Err; err != nil {
			errs = append(errs, err)
			fault := (*Fault)(nil)
			found = found || errors.As(err, &fault)
		}
	}
	if len(errs) == 0 || found {
		return errors.Join(errs...)
	}
	return fmt.Errorf("%s: %w", m.name, errors.Join(errs...))
}

// Problems are the documents that fail, and the faults of single flags.
func (m *merger) Problems() []error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, failing := m.failing()
	problems := failing.Unwrap()
	if m.refused != nil {
		problems = append(problems, faultsIn(m.name, m.refused).Unwrap()...)
	}
	if s := m.Snapshot(); s != nil {
		problems = append(problems, s.Problems...)
	}
	return problems
}

// failing are the documents that are missing, or not up to date, and why.
func (m *merger) failing() (names []string, faults Faults) {
	for _, p := range m.parts {
		if err := p.keeper.Status().Err; err != nil {
			names = append(names, p.name)
			faults = append(faults, faultsIn(p.name, err)...)
		}
	}
	return names, faults
}

// refresh makes a set of the documents as they are now.
func (m *merger) refresh() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.asked {
		return
	}
	changed, origin := false, live.FromLastGood
	docs := 0
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
			m.standIn(partial)
		}
	case changed || current == nil:
		set, faults := m.parser.merge(m.parts, m.previous())
		m.offer(set, faults, failing, origin, partial)
	case !slices.Equal(partial, current.Value.partial):
		again, set := *current, *current.Value
		set.partial, again.Value, again.Origin = partial, &set, origin
		m.current.Store(&again)
		m.opts.OnUpdate(&again)
	}
	if len(partial) == 0 && docs > 0 && m.refused == nil {
		m.save()
	}
	before, now := m.status, m.statusNow()
	m.status = now
	if (before.Err == nil) != (now.Err == nil) || before.Stale != now.Stale || before.Lost != now.Lost {
		m.opts.OnStatus(now)
	}
}

// previous is the set that answers, or answered before a restart; nil when there is none.
func (m *merger) previous() *flagSet {
	if s := m.Snapshot(); s != nil {
		return s.Value
	}
	return m.before
}

// offer makes a set the one that answers, if it may be.
func (m *merger) offer(set *flagSet, faults, failing Faults, origin live.Origin, partial []string) {
	prev := m.previous()
	strict := faults
	if m.parser.strict {
		strict = append(slices.Clone(failing), faults...)
	}
	problems, err := m.parser.accept(m.name, set, strict, prev)
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
	level, attrs := slog.LevelInfo, []any{"documents", m.name, "revision", set.revision}
	if prev != nil && prev != m.before {
		attrs = append(attrs, live.Changed(changedKeys(prev, set))...)
	}
	if len(problems) > 0 {
		level, attrs = slog.LevelWarn, append(attrs, "problems", len(problems), "first", problems[0].Error())
	}
	m.opts.Logger.Log(context.Background(), level, "documents merged", attrs...)
}

// standIn takes the last good copy as a whole, or the fallback, where no source has given
// anything yet.
func (m *merger) standIn(partial []string) {
	try := func(name string, data []byte, origin live.Origin) error {
		set, faults, err := m.parser.restore(parseParts(name, data))
		if err != nil {
			return err
		}
		m.offer(set, faults, nil, origin, partial)
		return m.refused
	}
	if m.opts.LastGood != "" {
		data, err := live.ReadFile(m.opts.LastGood)
		if err == nil {
			err = try(m.parser.copy.name(), data, live.FromLastGood)
		}
		if err == nil {
			return
		}
		if !errors.Is(err, fs.ErrNotExist) {
			m.opts.Logger.Warn("last good copy not used", "documents", m.name, "err", err)
		}
	}
	if len(m.opts.Fallback) > 0 {
		if err := try(m.name+" (fallback)", m.opts.Fallback, live.FromFallback); err != nil {
			m.opts.Logger.Error("fallback not used", "documents", m.name, "err", err)
		}
	}
}

// save writes the last good copy. It is only called while all documents are there.
func (m *merger) save() {
	if m.opts.LastGood == "" {
		return
	}
	all := make([]savedPart, len(m.parts))
	for i, p := range m.parts {
		all[i] = savedPart{Name: p.name, Text: string(p.doc.text)}
	}
	data, err := m.parser.copy.content(m.Snapshot().Value, all)
	if sum := sha256.Sum256(data); err == nil && sum != m.saved {
		if err = atomicfile.Write(m.opts.LastGood, data, 0o600); err == nil {
			m.saved = sum
		} else if m.saveErr == nil {
			m.opts.Logger.Warn("last good copy not written", "documents", m.name, "err", err)
		}
	}
	m.saveErr = err
}

// merge puts documents together, flag by flag: of two definitions the later counts, unless
// it is faulty and has never been anything else. A rule may refer to
// the evaluators of all documents: its own before those of later and those of earlier ones.
func (ps *parser) merge(parts []*mergedPart, prev *flagSet) (*flagSet, Faults) {
	set := &flagSet{flags: map[string]*flag{}}
	var faults Faults
	for i, p := range parts {
		if p.doc == nil {
			continue
		}
		evaluators := []*definitions{p.doc}
		for j, other := range slices.Backward(parts) {
			if j != i && other.doc != nil && other.doc.evaluators != nil {
				evaluators = append(evaluators, other.doc)
			}
		}
		if p.set == nil || !slices.Equal(p.evaluators, evaluators) {
			p.compile(ps, evaluators, prev)
		}
		set.allowShrink = set.allowShrink || p.doc.allowShrink
		for key, f := range p.set.flags {
			if earlier := set.flags[key]; f.fault != nil && earlier != nil && earlier.fault == nil {
				continue
			}
			if delete(set.kept, key); p.kept || p.set.kept[key] {
				set.keep(key, f)
			} else {
				set.flags[key] = f
			}
		}
		faults = append(faults, p.faults...)
	}
	return set, faults
}

// compile makes the set of a part. The document keeps its text only: it is compiled again
// only when the evaluators of another one change.
func (p *mergedPart) compile(ps *parser, evaluators []*definitions, prev *flagSet) {
	if p.set != nil {
		prev = p.set
	}
	if p.doc.flags == nil {
		if again, err := readDefinitions(p.doc.name, p.doc.text); err == nil { // as it was before
			p.doc.flags, p.doc.metadata = again.flags, again.metadata
		}
	}
	p.set, p.faults = ps.compile(p.doc, evaluators, prev)
	p.evaluators = evaluators
	p.doc.flags, p.doc.metadata = nil, nil
}

// Merge is several documents as one, flag by flag: of a flag that several have, the
// later document's counts. A faulty definition is as it was before the fault, and where it
// has always been faulty an earlier document's counts. A rule may refer to the evaluators of all, its own document's
// first. While some of the sources fail, or give what cannot be read, the flags of the
// others stay up to date, what the failing ones gave last stands, and the provider is
// stale; it fails only when none has ever given anything. Of what is merged in turn the
// documents count one by one. Options.LastGood is written when all are there.
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

// Name is the names of the sources.
func (m mergedSource) Name() string {
	names := make([]string, len(m))
	for i, src := range m {
		names[i] = sourceName(src)
	}
	return strings.Join(names, "+")
}

// Load fails: the documents are loaded one by one.
func (m mergedSource) Load(context.Context) ([]byte, error) {
	return nil, fmt.Errorf("flags: only a Provider can load merged documents: %w", errors.ErrUnsupported)
}
