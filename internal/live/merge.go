package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// A Part is one document of several that were merged.
type Part struct {
	Name string `json:"name"`
	Text string `json:"text"`          // what the source gave last; empty: nothing yet
	Err  string `json:"err,omitempty"` // why it gives nothing now
}

// Merged is a source of several documents. What it loads is not a document itself, but
// the parts, for [Parts] to read: only a package knows how to put its documents
// together. A source that fails is represented by what it gave last; Load fails when no
// source has ever given anything.
type Merged struct {
	sources []Source

	mu      sync.Mutex // held while loading
	loaders []*loader
	last    [][]byte
	errs    []string // why each source fails, as it said when it began to; empty: it does not
	given   bool     // any source has given anything
	running sync.WaitGroup

	bell sync.Mutex
	ring func() // of the Watch that runs, if one does
}

// Merge makes a source of several. A nil one fails as a source that is missing; of one that
// is merged itself the sources count.
func Merge(sources ...Source) *Merged {
	m := &Merged{}
	for _, src := range sources {
		if inner, ok := src.(*Merged); ok {
			m.sources = append(m.sources, inner.sources...)
		} else {
			m.sources = append(m.sources, src)
		}
	}
	m.last, m.errs = make([][]byte, len(m.sources)), make([]string, len(m.sources))
	for _, src := range m.sources {
		// Half of the time that the whole has: one that hangs must not fail the others.
		m.loaders = append(m.loaders, &loader{src: src, timeout: DefaultTimeout / 2, running: &m.running, returned: m.changed})
	}
	return m
}

// Name is the names of the sources.
func (m *Merged) Name() string {
	names := make([]string, len(m.sources))
	for i, src := range m.sources {
		names[i] = sourceName(src)
	}
	return strings.Join(names, "+")
}

// Load loads all sources at once.
func (m *Merged) Load(ctx context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	results := make([]loaded, len(m.loaders))
	var all sync.WaitGroup
	for i, l := range m.loaders {
		all.Go(func() {
			results[i].data, results[i].err = l.load(ctx)
			if results[i].err == nil {
				results[i].err = blank(results[i].data)
			}
		})
	}
	all.Wait()
	parts := make([]Part, len(results))
	var failed []error
	for i, r := range results {
		parts[i].Name = sourceName(m.sources[i])
		if r.err != nil {
			if m.errs[i] == "" {
				m.errs[i] = r.err.Error()
			}
			// The first failure's text: one that differs each time, by a port or a time,
			// would make each load another document.
			parts[i].Err = m.errs[i]
			failed = append(failed, fmt.Errorf("%s: %w", parts[i].Name, r.err))
		} else {
			m.last[i], m.errs[i], m.given = r.data, "", true
		}
		parts[i].Text = string(m.last[i])
	}
	if m.given {
		return json.Marshal(parts)
	}
	return nil, errors.Join(failed...)
}

// seed gives what the sources gave to an earlier process, for those that give nothing.
func (m *Merged) seed(data []byte) {
	parts, err := Parts(data)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, part := range parts {
		if i < len(m.sources) && m.last[i] == nil && part.Text != "" && part.Name == sourceName(m.sources[i]) {
			m.last[i] = []byte(part.Text)
		}
	}
}

// Parts reads what a [Merged] has loaded.
func Parts(data []byte) ([]Part, error) {
	var parts []Part
	err := json.Unmarshal(data, &parts)
	return parts, err
}

// Watch watches the sources that can be watched.
func (m *Merged) Watch(ctx context.Context, changed func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m.setRing(changed)
	defer m.setRing(nil)
	var all sync.WaitGroup
	for _, src := range m.sources {
		if w, ok := src.(Watcher); ok {
			all.Go(func() { cancel(callWatch(ctx, w, changed)) })
		}
	}
	<-ctx.Done()
	all.Wait()
	return context.Cause(ctx)
}

func (m *Merged) setRing(ring func()) {
	m.bell.Lock()
	defer m.bell.Unlock()
	m.ring = ring
}

func (m *Merged) changed() {
	m.bell.Lock()
	defer m.bell.Unlock()
	if m.ring != nil {
		m.ring()
	}
}
