package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

// A chronicle is the one timeline of what changes the shop: builds, edits of flags,
// phases of windows, and requests that failed. What each package tells for itself is
// enough for it.
type chronicle struct {
	store   *history.FileStore
	report  func(error)
	edits   openfeature.EventCallback
	windows sync.WaitGroup
	cancel  context.CancelFunc
	kept    sync.WaitGroup
	stop    context.CancelFunc
}

// keep records the shop itself for as long as it runs, and that it stops.
func (c *chronicle) keep(ctx context.Context, info version.Info, d history.Deployment, log *slog.Logger) {
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.kept.Go(func() {
		if err := history.Keep(ctx, c.store, info, d, &history.KeepOptions{Logger: log}); err != nil {
			c.report(err) // no reason not to run
		}
	})
}

func (c *chronicle) note(ctx context.Context, e history.Event) {
	if err := history.Note(ctx, c.store, e); err != nil {
		c.report(err)
	}
}

// listen begins to note what the provider of flags and the guard tell.
func (c *chronicle) listen(ctx context.Context, guard *downtime.Guard) {
	ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	edited := func(d openfeature.EventDetails) {
		if len(d.FlagChanges) > 0 {
			c.note(ctx, history.Event{Kind: "flag", Subject: strings.Join(d.FlagChanges, ", "), To: "edited"})
		}
	}
	c.edits = &edited
	openfeature.AddHandler(openfeature.ProviderConfigChange, c.edits)
	c.windows.Go(func() {
		for e := range guard.Events(ctx) {
			if e.Kind == downtime.EventPhase {
				c.note(ctx, history.Event{Kind: "window", Subject: e.Window, From: e.Previous.String(), To: e.Phase.String(), Actor: e.Owner})
			}
		}
	})
}

func (c *chronicle) close() {
	if c.cancel != nil {
		openfeature.RemoveHandler(openfeature.ProviderConfigChange, c.edits)
		c.cancel()
		c.windows.Wait()
	}
	if c.stop != nil {
		c.stop()
		c.kept.Wait()
	}
	_ = c.store.Close()
}

// lastHour is what changed in the last hour.
func (c *chronicle) lastHour(ctx context.Context) (*history.List, error) {
	now := time.Now()
	return history.Timeline(ctx, c.store, now.Add(-time.Hour), now)
}

// failures is a store of bundles that are noted: each is a request that failed.
type failures struct {
	capture.Store
	chronicle *chronicle
}

func (f failures) Put(ctx context.Context, name string, data []byte) error {
	f.chronicle.note(ctx, history.Event{Kind: "failure", Subject: name})
	return f.Store.Put(ctx, name, data)
}
