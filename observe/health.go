package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// healthWindow is how long a loss is a reason for [StatusDegraded].
const healthWindow = 5 * time.Minute

// A Status is [Health] in one word.
type Status string

// The statuses.
const (
	StatusOK       Status = "ok"
	StatusDegraded Status = "degraded" // something was lost in the last five minutes
)

// Health reports whether the records are complete. It is a copy, to be printed as text or JSON. It leaves out the exporters of OpenTelemetry's SDK: their failures go to the function
// given to otel.SetErrorHandler.
type Health struct {
	// Status is [StatusOK] or [StatusDegraded]. Requests do not fail because of it, so do not
	// take a service out of its load balancer for it.
	Status Status `json:"status"`

	// Dropped lists what was not recorded, and Failed what failed while recording, since
	// [New]. Counts of zero are left out.
	Dropped []Loss `json:"dropped,omitempty"`
	Failed  []Loss `json:"failed,omitempty"`

	// Queued is the memory, in bytes, of what waits: by name, as in [Observer.Stats].
	Queued map[string]int64 `json:"queued"`

	// Levels are those that [Observer.SetLevel] has set and whose time is not over, by
	// the name of their loggers.
	Levels []LoggerLevel `json:"levels,omitempty"`
}

// A Loss counts one kind of telemetry that was dropped, or of failure.
type Loss struct {
	Name  string    `json:"name"` // as in [Observer.Stats]
	Count int64     `json:"count"`
	Last  time.Time `json:"last"`  // when it last happened
	Means string    `json:"means"` // what it is, for people

	// Meant is true for losses that a limit causes on purpose, such as the limit of requests
	// reported in full. They never make the status StatusDegraded.
	Meant bool `json:"meant,omitempty"`
}

// A LoggerLevel is a level set by [Observer.SetLevel].
type LoggerLevel struct {
	Logger string     `json:"logger"` // "" for all loggers without a level of their own
	Level  slog.Level `json:"level"`
	Until  time.Time  `json:"until"`
}

// health returns the losses and queues. set has the levels that are set.
func (v *vitals) health(set map[string]setLevel, now time.Time) Health {
	h := Health{Status: StatusOK, Queued: map[string]int64{}}
	for _, l := range v.losses {
		count, last := l.count.Load(), l.count.last.Load()
		if count == 0 {
			continue
		}
		loss := Loss{Name: l.name, Count: count, Last: time.Unix(0, last), Means: l.means, Meant: l.meant}
		if l.failed {
			h.Failed = append(h.Failed, loss)
		} else {
			h.Dropped = append(h.Dropped, loss)
		}
		if loss.recent(now) {
			h.Status = StatusDegraded
		}
	}
	for _, q := range v.queues {
		h.Queued[q.name] = q.bytes()
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		h.Levels = append(h.Levels, LoggerLevel{name, set[name].level, set[name].until})
	}
	return h
}

func (l Loss) recent(now time.Time) bool { return !l.Meant && now.Sub(l.Last) < healthWindow }

// Err is nil while the status is [StatusOK]; else it names each loss of the last five
// minutes.
func (h Health) Err() error {
	if h.Status == StatusOK {
		return nil
	}
	var texts []string
	for _, problem := range h.problems(time.Now()) {
		texts = append(texts, problem.Error())
	}
	return errors.New("observe: degraded: " + strings.Join(texts, "; "))
}

func (h Health) problems(now time.Time) (problems []error) {
	for _, l := range append(slices.Clone(h.Failed), h.Dropped...) {
		if l.recent(now) {
			problems = append(problems, fmt.Errorf("%s %d (%s)", l.Name, l.Count, l.Means))
		}
	}
	return problems
}

// String returns a line for the status, and one line for each anomaly.
func (h Health) String() string {
	var b strings.Builder
	b.WriteString(string(h.Status))
	losses := func(word string, all []Loss) {
		for _, l := range all {
			fmt.Fprintf(&b, "\n%s %s: %d, last %s: %s", word, l.Name, l.Count, l.Last.UTC().Format(time.RFC3339), l.Means)
		}
	}
	losses("failed", h.Failed)
	losses("dropped", h.Dropped)
	for _, name := range slices.Sorted(maps.Keys(h.Queued)) {
		if n := h.Queued[name]; n > 0 {
			fmt.Fprintf(&b, "\nqueued %s: %d", name, n)
		}
	}
	for _, l := range h.Levels {
		name := l.Logger
		if name == "" {
			name = "all loggers"
		}
		fmt.Fprintf(&b, "\nlevel of %s: %s until %s", name, l.Level, l.Until.UTC().Format(time.RFC3339))
	}
	return b.String()
}

// vitals is the list of losses and queues for Health, the metrics upkeep.observe.* and Stats.
type vitals struct {
	losses []vital
	queues []queue
}

type vital struct {
	name, means   string
	failed, meant bool
	count         *lossCount
}

type queue struct {
	name  string
	bytes func() int64
}

// registrations are what Close unregisters.
type registrations struct {
	mu     sync.Mutex
	all    []metric.Registration
	closed bool
}

func (r *registrations) add(reg metric.Registration) error {
	r.mu.Lock()
	if !r.closed {
		r.all = append(r.all, reg)
		r.mu.Unlock()
		return nil
	}
	r.mu.Unlock()
	return errors.Join(errClosed, reg.Unregister())
}

func (r *registrations) close() error {
	r.mu.Lock()
	all := r.all
	r.all, r.closed = nil, true
	r.mu.Unlock()
	var errs []error
	for _, reg := range all {
		errs = append(errs, reg.Unregister())
	}
	return errors.Join(errs...)
}

var errClosed = errors.New("observe: the observer is closed")

// register registers the metrics of what is lost and what waits.
func (v *vitals) register(meter metric.Meter, registrations *registrations) error {
	dropped, err1 := meter.Int64ObservableCounter(metricDropped, metric.WithUnit("{item}"),
		metric.WithDescription("Number of log records, bundles, flag evaluations and measurements that were dropped, by what was dropped."))
	failed, err2 := meter.Int64ObservableCounter(metricFailed, metric.WithUnit("{failure}"),
		metric.WithDescription("Number of failures while telemetry was recorded, by what failed. Requests do not fail from it."))
	queued, err3 := meter.Int64ObservableUpDownCounter(metricQueued, metric.WithUnit("By"),
		metric.WithDescription("Memory of log records and bundles that wait to be written."))
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("observe: metrics upkeep.observe.*: %w", err)
	}
	named := func(name string) metric.MeasurementOption { return metric.WithAttributes(keyWhat.String(name)) }
	reg, err := meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		for _, l := range v.losses {
			if l.failed {
				to.ObserveInt64(failed, l.count.Load(), named(l.name))
			} else {
				to.ObserveInt64(dropped, l.count.Load(), named(l.name))
			}
		}
		for _, q := range v.queues {
			to.ObserveInt64(queued, q.bytes(), named(q.name))
		}
		return nil
	}, dropped, failed, queued)
	if err != nil {
		return fmt.Errorf("observe: metrics upkeep.observe.*: %w", err)
	}
	return registrations.add(reg)
}
