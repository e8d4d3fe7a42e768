package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

// A chronicle writes one timeline of what changes the shop: starts, edits of flags, phases of
// windows, and requests that failed. It gets all of them from the packages' public API.
type chronicle struct {
	store   *history.FileStore
	report  func(error)
	edits   openfeature.EventCallback
	windows sync.WaitGroup
	cancel  context.CancelFunc
	kept    sync.WaitGroup
	stop    context.CancelFunc
}

// keep records when the shop starts and stops.
func (c *chronicle) keep(ctx context.Context, info version.Info, d history.Deployment, log *slog.Logger) {
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.kept.Go(func() {
		if err := history.Keep(ctx, c.store, info, d, &history.KeepOptions{Logger: log}); err != nil {
			c.report(err) // the shop runs without a history
		}
	})
}

func (c *chronicle) note(ctx context.Context, e history.Event) {
	if err := history.Note(ctx, c.store, e); err != nil {
		c.report(err)
	}
}

// listen starts to record edits of flags and phases of windows.
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
				c.note(ctx, history.Event{Kind: "window", Subject: e.Window, To: phaseTexts[e.Phase], Actor: e.Owner})
			}
		}
	})
}

// phaseTexts say what each phase of a window means for the shop.
var phaseTexts = map[schedule.Phase]string{
	schedule.PhaseOpen:       "planned",
	schedule.PhaseAnnounced:  "announced to users",
	schedule.PhaseCutoff:     "starts soon, long work is refused",
	schedule.PhaseDraining:   "started, requests from before it are still running",
	schedule.PhaseInProgress: "in progress, nothing is running",
	schedule.PhaseOverrun:    "past its end, but its work is unfinished",
	schedule.PhaseCompleted:  "completed, the shop is open again",
	schedule.PhaseWithdrawn:  "called off",
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

// lastHour returns the changes of the last hour.
func (c *chronicle) lastHour(ctx context.Context) (*history.List, error) {
	now := time.Now()
	return history.Timeline(ctx, c.store, now.Add(-time.Hour), now)
}

// failures is a store of bundles that records each of them, because each is a request that failed.
type failures struct {
	capture.Store
	chronicle *chronicle
}

func (f failures) Put(ctx context.Context, name string, data []byte) error {
	f.chronicle.note(ctx, history.Event{Kind: "failure", Subject: name})
	return f.Store.Put(ctx, name, data)
}
