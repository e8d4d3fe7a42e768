package downtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/downtime/schedule"
	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/internal/document"
	"github.com/upkeep-go/upkeep/internal/live"
)

// Open loads the document and starts a guard, which runs until [Guard.Close]. ctx bounds only Open. Nil
// options mean the defaults.
//
// A missing or faulty document is not an error, because the service must start: the guard logs it, does
// what [Options].Boot says, and tries again. With [Options].Strict a faulty document is an error. Check
// documents with [schedule.Parse] before you deploy them. Other errors are a nil source, invalid options,
// and the cause of ctx's end.
func Open(ctx context.Context, src Source, opts *Options) (*Guard, error) {
	if src == nil {
		return nil, errors.New("downtime: the source is nil")
	}
	o, err := opts.resolve()
	if err != nil {
		return nil, err
	}
	pass, err := newPasses(o.Pass)
	if err != nil {
		return nil, fmt.Errorf("downtime: Options.Pass%w", err)
	}
	var past *bypass
	if o.Bypass != nil {
		if past, err = newBypass(o.Bypass, o.Logger); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	lifetime, cancel := context.WithCancel(context.WithoutCancel(ctx))
	g := &Guard{
		opts:     o,
		pass:     pass,
		bypass:   past,
		running:  &running{begun: time.Now()},
		lifetime: lifetime,
		cancel:   cancel,
		ended:    make(chan struct{}),
		wake:     make(bell, 1),
	}
	g.notifier.opts, g.notifier.notices, g.notifier.subscribers = &g.opts, map[occurrenceKey]*notice{}, map[*subscriber]struct{}{}
	if o.Quorum != nil {
		g.agreed.closed, g.fresh = true, true // until the first answer
		g.asker = &asker{
			quorum: o.Quorum, again: make(bell, 1),
			positions: g.positions, settle: g.settleQuorum, lost: func() { g.agree(agreement.lost) },
		}
	}
	r := &reading{opts: &g.opts}
	g.keeper = live.Start(lifetime, src, live.Options[schedule.Schedule]{
		Parse:      r.parse,
		Copy:       r.copy,
		OnUpdate:   func(*live.Snapshot[schedule.Schedule]) { g.wake.ring() },
		OnStatus:   func(live.Status) { g.wake.ring() },
		Poll:       o.Poll,
		StaleAfter: o.StaleAfter,
		LastGood:   o.LastGood,
		Fallback:   o.Fallback,
		Logger:     o.Logger,
	})
	if err := g.await(ctx); err != nil {
		cancel()
		_ = g.keeper.Close()
		return nil, err
	}
	g.tick(time.Now())
	go g.run(lifetime)
	if g.asker == nil {
		return g, nil
	}
	asked := make(chan struct{})
	g.asking.Go(func() { g.asker.run(lifetime, asked) })
	select {
	case <-asked:
	case <-ctx.Done():
		_ = g.Close()
		return nil, context.Cause(ctx)
	}
	return g, nil
}

// await waits for the first document by the boot policy. It does not wait if the document is faulty.
func (g *Guard) await(ctx context.Context) error {
	const look = 100 * time.Millisecond
	bounded, cancel := context.WithTimeout(ctx, g.opts.BootTimeout)
	defer cancel()
	err := g.keeper.Ready(bounded)
	for g.keeper.Snapshot() == nil && g.opts.Boot == BootWait && bounded.Err() == nil && !isFaulty(g.keeper.Status().Err) {
		select {
		case <-g.wake:
		case <-time.After(look): // because further failures do not ring the bell
		case <-bounded.Done():
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if status := g.keeper.Status(); g.opts.Strict && isFaulty(status.Err) {
		return status.Err
	}
	if g.keeper.Snapshot() == nil {
		if status := g.keeper.Status(); status.Err != nil {
			err = status.Err
		}
		g.opts.Logger.Error("no maintenance schedule yet", "boot", g.opts.Boot.String(), "err", err)
	}
	return nil
}

func isFaulty(err error) bool {
	var fault *schedule.Fault
	return errors.As(err, &fault)
}

func (g *Guard) positions() (windows map[string]Position) {
	g.agree(func(a agreement) agreement {
		windows = g.wanted(g.view.Load())
		return a.asking(windows)
	})
	return windows
}

func (g *Guard) settleQuorum(sent map[string]Position, open, unfinished map[string]bool, err error) {
	var before error
	g.agree(func(a agreement) agreement {
		before = a.err
		return a.settled(sent, open, unfinished, err)
	})
	g.changed.notify() // Drain may wait for the answer
	switch {
	case err != nil:
		g.quorumFailures.Add(1)
		if before == nil || before.Error() != err.Error() {
			g.opts.Logger.Warn("quorum of maintenance windows does not answer: what is near is closed", "err", err)
		}
	case before != nil:
		g.opts.Logger.Info("quorum of maintenance windows answers again")
	}
}

// A reading parses the documents of a guard, one after the other.
type reading struct {
	opts  *Options
	sound []byte // the last document without faults
}

// parse parses a document and keeps windows in progress that it does not have any more.
func (r *reading) parse(name string, data []byte, prev *schedule.Schedule) (*schedule.Schedule, []error, error) {
	o := r.opts
	before := prev
	if o.Strict {
		before = nil
	}
	s, faults, err := schedule.Update(before, name, data)
	if err != nil {
		return nil, nil, err
	}
	if len(faults) == 0 {
		r.sound = data
	}
	unknown := o.undeclared(name, s)
	if o.Strict && len(unknown) > 0 {
		return nil, nil, unknown
	}
	var problems []error
	for _, fault := range slices.Concat(faults, unknown) {
		problems = append(problems, fault)
	}
	now := time.Now()
	s = s.Keeping(prev, now)
	for k := range s.Kept() {
		if k.Phase(now) == schedule.PhaseInProgress {
			how := "gone from the document while in progress"
			if s.Window(k.Window.ID) != k.Window {
				how = "in progress, though by the document it no longer takes place,"
			}
			problems = append(problems, keptWindow{&schedule.Fault{File: name, Window: k.Window.ID, Err: fmt.Errorf(
				"is %s and is kept to its end, %s", how, k.End.Format(time.RFC3339))}})
		}
	}
	return s, problems, nil
}

// copy returns the last document without faults, because a start refuses documents with faults.
func (r *reading) copy([]byte, *schedule.Schedule) ([]byte, error) { return r.sound, nil }

// undeclared returns faults for the work in scopes that Options.Work does not declare.
func (o *Options) undeclared(name string, s *schedule.Schedule) (faults schedule.Faults) {
	if o.Work == nil {
		return nil
	}
	severity := schedule.SeverityWarning
	if o.Strict {
		severity = schedule.SeverityError
	}
	for w := range s.Windows() {
		for i, work := range w.Scope.Work {
			if work == "*" || slices.Contains(o.Work, work) {
				continue
			}
			err := fmt.Errorf("unknown work %q", cleantext.Clip(work, 80))
			if known := document.Suggest(work, o.Work); known != "" {
				err = fmt.Errorf("%w (did you mean %q?)", err, known)
			}
			faults = append(faults, &schedule.Fault{
				File: name, Window: w.ID, Field: fmt.Sprintf("scope.work[%d]", i), Severity: severity, Err: err,
			})
		}
	}
	return faults
}
