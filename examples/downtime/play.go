package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/quorum"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

const window = "orders-db-upgrade"

// A play is the migration with all its participants.
type play struct {
	stage    io.Writer
	mu       sync.Mutex // of stage
	document string
	locks    string
	start    time.Time
	table    orders
	replicas []*replica
	slow     chan error // result of the order that is in flight when the window begins
	lock     *quorum.Lock
	cancel   context.CancelFunc
	events   sync.WaitGroup
	ended    chan struct{} // closed when the first replica has seen the window completed
}

type act struct {
	title string
	play  func(context.Context) error
}

func (p *play) acts() []act {
	return []act{
		{"Announced: users are told, and calendars", p.announced},
		{"Cut off: what takes long does not begin any more", p.cutOff},
		{"Drained: three replicas, and an order that is still being paid", p.drained},
		{"Migrated: refused with a reason, and a newcomer waits", p.migrated},
		{"Completed early, by the document", p.completed},
	}
}

func newPlay(ctx context.Context, stage io.Writer, dir string, stay bool) (*play, error) {
	p := &play{
		stage:    stage,
		document: filepath.Join(dir, "windows.yaml"),
		locks:    filepath.Join(dir, "locks"),
		start:    time.Now().Add(4 * time.Second),
		slow:     make(chan error, 1),
		ended:    make(chan struct{}),
	}
	if stay {
		p.start = time.Now().Add(2 * time.Minute)
	}
	if err := p.write(time.Time{}); err != nil {
		return nil, err
	}
	ctx, p.cancel = context.WithCancel(ctx)
	for _, name := range []string{"orders-1", "orders-2", "orders-3"} {
		if err := p.join(ctx, name); err != nil {
			p.close()
			return nil, err
		}
	}
	p.events.Go(func() { p.listen(ctx, p.replicas[0].guard) })
	if stay {
		p.say("the page:     %s/status/", p.replicas[0].url)
		p.say("the calendar: %s/status/calendar.ics", p.replicas[0].url)
		p.say("an order:     curl -i -d takes=1s %s/orders", p.replicas[0].url)
	}
	return p, nil
}

func (p *play) join(ctx context.Context, name string) error {
	r, err := startReplica(ctx, name, p.document, p.locks, &p.table)
	if err == nil {
		p.replicas = append(p.replicas, r)
	}
	return err
}

func (p *play) close() {
	p.cancel()
	p.events.Wait()
	if p.lock != nil {
		_ = p.lock.Close()
	}
	for _, r := range p.replicas {
		r.close()
	}
}

// write changes the document, which is how an operator controls the fleet. It writes a new file and
// renames it, so that a replica never reads half of it.
func (p *play) write(end time.Time) error {
	text := fmt.Sprintf(`windows:
  - id: %s
    title: Orders database upgrade
    owner: team-orders
    start: %s
    duration: 10m
    announce: 1h
    cutoff: 2s
    mode: closed
    scope: {paths: ["/orders/**"], work: [export]}
    message: The catalogue stays open. Orders are taken again soon.
`, window, p.start.UTC().Format(time.RFC3339Nano))
	if !end.IsZero() {
		text += fmt.Sprintf("    actual: {end: %s}\n", end.UTC().Format(time.RFC3339Nano))
	}
	next := p.document + ".new"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, p.document)
}

func (p *play) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.stage, "   "+format+"\n", args...)
}

// listen prints the events of the first replica.
func (p *play) listen(ctx context.Context, guard *downtime.Guard) {
	for event := range guard.Events(ctx) {
		if event.Kind != downtime.EventPhase {
			continue
		}
		p.say("| %s", event)
		if event.Phase == schedule.PhaseCompleted {
			close(p.ended)
		}
	}
}

func (p *play) announced(ctx context.Context) error {
	first := p.replicas[0]
	// Replicas that have just started wait for one another before they open.
	ordered, err := p.until(ctx, "the replica is open", func() (answer, error) { return first.order(ctx, "", "*/*") }, http.StatusOK)
	if err != nil {
		return err
	}
	page, err := first.ask(ctx, http.MethodGet, "/status/", "text/html")
	if err != nil {
		return err
	}
	feed, err := first.ask(ctx, http.MethodGet, "/status/calendar.ics", "*/*")
	if err != nil {
		return err
	}
	p.say("an order is taken, with Link: %s", ordered.header.Get("Link"))
	for line := range strings.Lines(feed.body) {
		if strings.HasPrefix(line, "DTSTART") || strings.HasPrefix(line, "SUMMARY") {
			p.say("the calendar has %s", strings.TrimSpace(line))
		}
	}
	return errors.Join(
		check(strings.Contains(ordered.header.Get("Link"), `rel="status"`), "the order's answer does not link to the status"),
		check(strings.Contains(page.body, "Orders database upgrade"), "the page does not name the window"),
		check(strings.Contains(feed.body, "BEGIN:VEVENT"), "the calendar is empty: %s", feed.body),
	)
}

func (p *play) cutOff(ctx context.Context) error {
	guard := p.replicas[1].guard
	export := downtime.Work{Name: "export", Long: true}
	for {
		leave, err := guard.Enter(ctx, export)
		leave()
		if errors.Is(err, downtime.ErrWindow) {
			early := time.Until(p.start)
			p.say("the nightly export is refused %.1f s ahead: %v", early.Seconds(), err)
			return check(early > 0, "the export was refused only %v after the start", -early)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func (p *play) drained(ctx context.Context) error {
	// This order begins before the window and ends after its start.
	go func() {
		a, err := p.replicas[2].order(ctx, "takes="+(time.Until(p.start)+2*time.Second).String(), "*/*")
		if err == nil {
			err = check(a.status == http.StatusOK, "the order under way got %d: %s", a.status, a.body)
		}
		p.slow <- err
	}()
	if _, err := p.until(ctx, "the window begins", func() (answer, error) { return p.replicas[1].order(ctx, "", "*/*") }, http.StatusServiceUnavailable); err != nil {
		return err
	}
	report, err := p.replicas[2].guard.Report(window)
	if err != nil {
		return err
	}
	p.say("orders-3 says   %s", report)
	hasty, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	_, err = quorum.DrainFiles(hasty, p.locks, window, nil)
	cancel()
	p.say("the operator gets: %v", err)
	if err := errors.Join(
		check(!report.Quiet && report.Busy == 1, "orders-3 reports %+v", report),
		check(err != nil, "Drain returned while an order is being paid"),
	); err != nil {
		return err
	}

	p.lock, err = quorum.DrainFiles(ctx, p.locks, window, nil)
	if err != nil {
		return err
	}
	p.table.migrating.Store(true)
	waited := time.Since(p.start)
	p.say("%.1f s after the start all three are quiet: %v", waited.Seconds(), p.lock.Report())
	if err := <-p.slow; err != nil {
		return err
	}
	p.say("the order under way was not lost: %d are written", p.table.written.Load())
	return nil
}

func (p *play) migrated(ctx context.Context) error {
	if err := p.join(ctx, "orders-4"); err != nil {
		return err
	}
	for _, r := range p.replicas {
		a, err := r.order(ctx, "", "application/json")
		if err != nil {
			return err
		}
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			return fmt.Errorf("%s takes an order: %d %s", r.name, a.status, a.body)
		}
		if r.name == "orders-4" {
			p.say("the newcomer answers %d, Retry-After %s: %s", a.status, a.header.Get("Retry-After"), strings.TrimSpace(a.body))
		}
	}
	page, err := p.replicas[0].order(ctx, "", "text/html")
	if err != nil {
		return err
	}
	catalogue, err := p.replicas[0].ask(ctx, http.MethodGet, "/catalogue", "*/*")
	if err != nil {
		return err
	}
	p.say("a browser gets a page of %d bytes, and the catalogue is open: %s", len(page.body), strings.TrimSpace(catalogue.body))
	return errors.Join(
		check(strings.Contains(page.body, "Orders are taken again soon"), "the page does not say so: %s", page.body),
		check(catalogue.status == http.StatusOK, "the catalogue answers %d", catalogue.status),
		p.lock.Check(ctx), // the lock is still held, and the work goes on
	)
}

func (p *play) completed(ctx context.Context) error {
	p.table.migrating.Store(false)
	if err := p.write(time.Now()); err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(5 * time.Second):
		return errors.New("the replicas have not seen the end in the document")
	}
	a, err := p.replicas[0].order(ctx, "", "*/*")
	if err != nil {
		return err
	}
	p.say("the document says that it is over, but the operator still holds the lock: %d", a.status)
	if err := check(a.status == http.StatusServiceUnavailable, "orders are taken while the operator holds the lock"); err != nil {
		return err
	}
	if err := p.lock.Close(); err != nil {
		return err
	}
	for _, r := range p.replicas {
		if _, err := p.until(ctx, r.name+" opens", func() (answer, error) { return r.order(ctx, "", "*/*") }, http.StatusOK); err != nil {
			return err
		}
	}
	p.say("the lock is released, and all four take orders; %d were written, %d of them during the migration", p.table.written.Load(), p.table.broken.Load())
	return check(p.table.broken.Load() == 0, "the migration saw %d writes", p.table.broken.Load())
}
