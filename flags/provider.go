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

// A Provider evaluates the flags of one document. It implements OpenFeature's FeatureProvider,
// ContextAwareStateHandler and EventHandler. All methods may be called from any goroutine.
// Evaluations take no lock: they do not wait for each other or for a reload.
type Provider struct {
	src     Source
	opts    Options
	static  map[string]any
	events  *events
	created time.Time

	// watched is true if an evaluation may be overridden or is passed to OnEvaluation.
	watched bool

	current atomic.Pointer[flagSet]

	mu      sync.Mutex
	keeper  flagKeeper // nil while not started
	session *session   // of the keeper

	// The fields below are also used by the keeper's goroutine. Close holds mu while it waits
	// for that goroutine, so they have a lock of their own.
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

// New makes a provider. It does no I/O: the document is loaded when the provider is set in
// OpenFeature, or by [Provider.InitWithContext]. New returns an error for a nil source and for
// negative times. Nil options are the defaults.
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
	p := &Provider{src: src, opts: *opts, static: maps.Clone(opts.Static), events: newEvents(), created: time.Now(), watched: opts.AllowOverrides || opts.OnEvaluation != nil, changed: make(chan struct{})}
	if p.opts.Name == "" {
		p.opts.Name = "upkeep"
	}
	if p.opts.Logger == nil {
		p.opts.Logger = slog.Default()
	}
	return p, nil
}

// Open calls [New] and loads the document, for use without an OpenFeature client. ctx bounds the
// load only. If the document cannot be loaded, Open returns the error and no provider. The
// caller must close the provider.
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

// InitWithContext loads the document and starts to keep it up to date. On an error the provider
// keeps trying, and sends OpenFeature the event READY when it has a document. InitWithContext may
// be called again at any time: after a failure it tries at once, after a shutdown it starts
// again, and otherwise it does nothing. ctx bounds the waiting, not the life of the provider. If
// [Options.LastGood] cannot be written, the provider does not start.
func (p *Provider) InitWithContext(ctx context.Context, _ openfeature.EvaluationContext) error {
	defer p.events.holdDuringInit()()
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
		p.session = &session{p: p, sent: openfeature.ProviderReady}
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
	// Set this before looking for the first document, because it decides who sends READY.
	s.gaveUp.Store(true)
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

// ShutdownWithContext stops the updates and returns when their goroutines have ended. Flags
// still answer from the last document, so that running requests can finish.
func (p *Provider) ShutdownWithContext(context.Context) error { return p.Close() }

// Close is [Provider.ShutdownWithContext]. It may be called twice, and its error is nil.
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

// A session is the state of a provider between Init and shutdown. Only its keeper's goroutine
// uses it, except for gaveUp.
type session struct {
	p          *Provider
	has        bool        // there is a document
	initFailed bool        // Init has failed, and OpenFeature has set its state
	gaveUp     atomic.Bool // Init has returned without a document: it failed, or ctx ended
	sent       openfeature.EventType

	last    live.Status
	partial []string // see flagSet
	held    []string // see flagSet
}

// update puts a new document into effect. OpenFeature itself emits READY for the first document
// when Init returns, so update sends READY only if Init returned without a document.
func (s *session) update(snapshot *live.Snapshot[flagSet]) {
	snapshot.Value.live = snapshot.Origin != live.FromFallback // before anybody sees it
	old := s.p.current.Swap(snapshot.Value)
	s.has = true
	if late := s.gaveUp.Swap(false); late || s.initFailed {
		s.initFailed = false
		s.p.events.send(openfeature.Event{ProviderName: s.p.opts.Name, EventType: openfeature.ProviderReady})
	}
	s.partial, s.held = snapshot.Value.partial, snapshot.Value.held
	s.emit()
	if old == nil {
		s.p.notifyChanged()
		return
	}
	if keys := changedKeys(old, snapshot.Value); len(keys) > 0 {
		s.p.notifyChanged()
		s.p.events.send(openfeature.Event{
			ProviderName:         s.p.opts.Name,
			EventType:            openfeature.ProviderConfigChange,
			ProviderEventDetails: openfeature.ProviderEventDetails{FlagChanges: keys},
		})
	}
}

func (s *session) status(status live.Status) {
	s.initFailed = !s.has
	s.last = status
	s.emit()
}

// emit sends an event when the provider becomes stale, lost or ready again.
func (s *session) emit() {
	if !s.has {
		return
	}
	event := openfeature.Event{ProviderName: s.p.opts.Name, EventType: openfeature.ProviderReady}
	event.Message = s.staleReason()
	switch {
	case s.last.Lost:
		event.EventType = openfeature.ProviderError
	case event.Message != "":
		event.EventType = openfeature.ProviderStale
	}
	if event.EventType == s.sent {
		return
	}
	s.sent = event.EventType
	s.p.events.send(event)
}

// staleReason explains why the flags are not those of the newest documents. It is empty when they
// are, also while a short failure of the source goes on.
func (s *session) staleReason() string {
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

// EventChannel implements openfeature.EventHandler. Events wait in order until they are read.
// Several changes of the document become one event, and only the latest of the other events is
// kept. The provider never blocks on the reader.
func (p *Provider) EventChannel() <-chan openfeature.Event { return p.events.out }

// Metadata implements openfeature.FeatureProvider.
func (p *Provider) Metadata() openfeature.Metadata { return openfeature.Metadata{Name: p.opts.Name} }

// Hooks implements openfeature.FeatureProvider. It returns nil.
func (p *Provider) Hooks() []openfeature.Hook { return nil }

func (p *Provider) notifyChanged() {
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
