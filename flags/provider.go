package flags

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/internal/live"
)

// A Provider evaluates the flags of one document. It implements OpenFeature's
// FeatureProvider, ContextAwareStateHandler and EventHandler. All methods may be
// called from any goroutine; evaluations never wait for one another nor for a
// reload.
type Provider struct {
	src    Source
	opts   Options
	static map[string]any
	events *events
	made   time.Time

	// watched is whether an evaluation may be overridden or must be told.
	watched bool

	current atomic.Pointer[flagSet]

	mu      sync.Mutex
	keeper  flagKeeper // nil while not started
	session *session   // of the keeper

	// What the keeper's goroutine needs too; Close waits for that while it holds mu.
	shared   sync.Mutex
	changed  chan struct{} // closed at the next change
	declared []Declared
}

// A flagKeeper keeps the flags of a source up to date: a [live.Keeper] of one document, or a
// [merger] of several.
type flagKeeper interface {
	Ready(ctx context.Context) error
	Snapshot() *live.Snapshot[flagSet]
	Status() live.Status
	Problems() []error
	Close() error
}

var (
	_ openfeature.FeatureProvider          = (*Provider)(nil)
	_ openfeature.ContextAwareStateHandler = (*Provider)(nil)
	_ openfeature.EventHandler             = (*Provider)(nil)
)

// New makes a provider and does nothing yet: setting it in OpenFeature loads the
// document, and so does [Provider.InitWithContext]. It refuses a nil source and
// negative times.
func New(src Source, opts *Options) (*Provider, error) {
	if opts == nil {
		opts = &Options{}
	}
	if src == nil {
		return nil, errors.New("flags: the source is nil")
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	p := &Provider{src: src, opts: *opts, static: maps.Clone(opts.Static), events: newEvents(), made: time.Now(), watched: opts.AllowOverrides || opts.OnEvaluation != nil, changed: make(chan struct{})}
	if p.opts.Name == "" {
		p.opts.Name = "upkeep"
	}
	if p.opts.Logger == nil {
		p.opts.Logger = slog.Default()
	}
	return p, nil
}

// Open is [New] and the first load, for use without an OpenFeature client. ctx bounds
// the load alone. The error is the first document's; a provider that is returned has
// a document and is to be closed.
func Open(ctx context.Context, src Source, opts *Options) (*Provider, error) {
	p, err := New(src, opts)
	if err != nil {
		return nil, err
	}
	if err := p.InitWithContext(ctx, openfeature.EvaluationContext{}); err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

// Init is [Provider.InitWithContext] without a bound.
func (p *Provider) Init(evalCtx openfeature.EvaluationContext) error {
	return p.InitWithContext(context.Background(), evalCtx)
}

// InitWithContext loads the document and begins to keep it up to date. The error says
// why there is no document; the provider then goes on trying, and tells OpenFeature
// that it is ready as soon as it has one. It may be called again at any time: after
// a failure it tries at once, after a shutdown it starts anew, and otherwise it does
// nothing. ctx bounds the waiting, not the life of the provider. A provider whose
// [Options.LastGood] cannot be written does not start.
func (p *Provider) InitWithContext(ctx context.Context, _ openfeature.EvaluationContext) error {
	defer p.events.duringInit()()
	p.mu.Lock()
	if k := p.keeper; k != nil && k.Snapshot() == nil && k.Status().Err != nil {
		p.keeper = nil
		_ = k.Close()
	}
	if p.keeper == nil {
		if path := p.opts.LastGood; path != "" {
			if err := live.Writable(path); err != nil {
				p.mu.Unlock()
				return fmt.Errorf("flags: Options.LastGood cannot be written: %w", err)
			}
		}
		p.events.start()
		p.session = &session{p: p, told: openfeature.ProviderReady}
		s := p.session
		ps := parser{strict: p.opts.Strict, bucketing: p.opts.Bucketing, declared: p.declarations, copy: lastGood(p.opts.LastGood)}
		opts := live.Options[flagSet]{
			Parse:    ps.parse,
			Revision: func(set *flagSet) string { return set.revision },
			Changes:  changedKeys,
			Copy: func(data []byte, set *flagSet) ([]byte, error) {
				if len(set.kept) == 0 {
					return data, nil
				}
				return ps.copy.content(map[int]map[string]bool{^0: maps.Clone(set.kept)}, []savedPart{{Name: live.SourceName(p.src), Text: string(data)}})
			},
			OnUpdate:   s.update,
			OnStatus:   s.status,
			Poll:       p.opts.Poll,
			StaleAfter: p.opts.StaleAfter,
			LostAfter:  p.opts.LostAfter,
			LastGood:   p.opts.LastGood,
			Fallback:   p.opts.Fallback,
			Logger:     p.opts.Logger,
		}
		if opts.StaleAfter == 0 {
			opts.StaleAfter, opts.StaleFailures = time.Minute, 3
		}
		if sources, ok := p.src.(mergedSource); ok {
			p.keeper = startMerger(context.WithoutCancel(ctx), sources, ps, opts)
		} else {
			p.keeper = live.Start(context.WithoutCancel(ctx), p.src, opts)
		}
	}
	k, s := p.keeper, p.session
	p.mu.Unlock()

	err := k.Ready(ctx)
	if err == nil {
		return nil
	}
	// Whether OpenFeature is to be told of the first document is settled before looking for it.
	s.left.Store(true)
	if k.Snapshot() != nil {
		return nil // it came at the last moment
	}
	if p.keeping() != k && errors.Is(err, context.Canceled) && ctx.Err() == nil { // it was closed
		return ErrClosed
	}
	return err
}

// Shutdown is [Provider.ShutdownWithContext] without a bound.
func (p *Provider) Shutdown() { _ = p.Close() }

// ShutdownWithContext ends the keeping and returns when its goroutines have ended.
// Flags go on answering from the last document, for the requests that are still
// running.
func (p *Provider) ShutdownWithContext(context.Context) error { return p.Close() }

// Close is [Provider.ShutdownWithContext]. It may be called twice.
func (p *Provider) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keeper == nil {
		return nil
	}
	err := p.keeper.Close()
	p.keeper = nil
	p.events.stop()
	return err
}

// A session is the provider between Init and shutdown, as its keeper's goroutine sees
// it.
type session struct {
	p    *Provider
	has  bool        // a document
	down bool        // Init has failed, and OpenFeature knows
	left atomic.Bool // Init has returned without a document: failed, or tired of waiting
	told openfeature.EventType

	last    live.Status
	partial []string // see flagSet
	held    []string // see flagSet
}

// update makes a new document the one that answers. Of the first one OpenFeature
// tells itself, when Init returns, unless Init had to return without.
func (s *session) update(snapshot *live.Snapshot[flagSet]) {
	snapshot.Value.live = snapshot.Origin != live.FromFallback // before anybody sees it
	old := s.p.current.Swap(snapshot.Value)
	s.has = true
	if late := s.left.Swap(false); late || s.down {
		s.down = false
		s.p.events.send(openfeature.Event{ProviderName: s.p.opts.Name, EventType: openfeature.ProviderReady})
	}
	s.partial, s.held = snapshot.Value.partial, snapshot.Value.held
	s.tell()
	if old == nil {
		s.p.tellChanged()
		return
	}
	if keys := changedKeys(old, snapshot.Value); len(keys) > 0 {
		s.p.tellChanged()
		s.p.events.send(openfeature.Event{
			ProviderName:         s.p.opts.Name,
			EventType:            openfeature.ProviderConfigChange,
			ProviderEventDetails: openfeature.ProviderEventDetails{FlagChanges: keys},
		})
	}
}

// status tells OpenFeature when the document is stale, and no longer.
func (s *session) status(status live.Status) {
	s.down = !s.has
	s.last = status
	s.tell()
}

// tell sends an event when the answers have become stale, wholly or in part, or in
// error, or are so no longer.
func (s *session) tell() {
	if !s.has {
		return
	}
	event := openfeature.Event{ProviderName: s.p.opts.Name, EventType: openfeature.ProviderReady}
	event.Message = s.behind()
	switch {
	case s.last.Lost:
		event.EventType = openfeature.ProviderError
	case event.Message != "":
		event.EventType = openfeature.ProviderStale
	}
	if event.EventType == s.told {
		return
	}
	s.told = event.EventType
	s.p.events.send(event)
}

// behind says why the answers are not those of the newest documents; empty when they are, or
// are only late.
func (s *session) behind() string {
	refused := (*Fault)(nil)
	switch err := s.last.Err; {
	case err != nil && (s.last.Lost || s.last.Stale || errors.As(err, &refused)):
		return err.Error()
	case s.last.Lost || s.last.Stale:
		return "the source is silent"
	case len(s.partial) > 0:
		return "not up to date: " + strings.Join(s.partial, ", ")
	case len(s.held) > 0:
		return "lost, and kept as they were: " + strings.Join(s.held[:min(len(s.held), 20)], ", ")
	}
	return ""
}

// EventChannel implements openfeature.EventHandler. Events wait in order until they
// are read, several changes of the document as one; nothing ever waits for the
// reader.
func (p *Provider) EventChannel() <-chan openfeature.Event { return p.events.out }

// Metadata implements openfeature.FeatureProvider.
func (p *Provider) Metadata() openfeature.Metadata { return openfeature.Metadata{Name: p.opts.Name} }

// Hooks implements openfeature.FeatureProvider. There are none.
func (p *Provider) Hooks() []openfeature.Hook { return nil }

func (p *Provider) tellChanged() {
	p.shared.Lock()
	defer p.shared.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Provider) declarations() []Declared {
	p.shared.Lock()
	defer p.shared.Unlock()
	return slices.Clone(p.declared)
}

func (p *Provider) keeping() flagKeeper {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keeper
}
