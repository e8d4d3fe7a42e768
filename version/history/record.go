package history

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/internal/resource"
	"github.com/upkeep-go/upkeep/version"
)

// A Deployment is where a program runs.
type Deployment struct {
	// Environment: production, staging. When empty it is that of the version.Info.
	Environment string

	// Region and Cluster are places in which versions follow one another on their own.
	// Empty means cloud.region and k8s.cluster.name of OTEL_RESOURCE_ATTRIBUTES.
	Region  string
	Cluster string

	// Instance is the name of the pod or of the machine. Empty means the first of
	// service.instance.id and k8s.pod.name of OTEL_RESOURCE_ATTRIBUTES, the variable
	// POD_NAME, and the host name. An instance that is seen with another build no longer
	// runs the one before.
	Instance string

	// Rollback declares that this deployment goes back to something older. A history that
	// has not seen the older version running can only guess.
	Rollback bool
}

// Record records that this program has started: which build of which service, and where.
// It is for programs that cannot run [Keep]: nobody knows when they end, so an aborted canary
// or a silent death is not seen, and answers report what is unknown. Log its error and go on.
func Record(ctx context.Context, store Appender, info version.Info, d Deployment) error {
	e, err := started(info, d, 0)
	if err != nil {
		return err
	}
	return store.Append(ctx, e)
}

func started(info version.Info, d Deployment, every time.Duration) (Entry, error) {
	attributes, _ := resource.Attributes(os.Getenv)
	d.Region = resource.First(d.Region, attributes["cloud.region"])
	d.Cluster = resource.First(d.Cluster, attributes["k8s.cluster.name"])
	d.Instance = resource.First(d.Instance, attributes["service.instance.id"], attributes["k8s.pod.name"], os.Getenv("POD_NAME"))
	if d.Instance == "" {
		d.Instance, _ = os.Hostname() // unknown, then
	}
	id := rand.Text()
	return tidied(Entry{
		ID: id, Kind: KindStarted, Time: time.Now(),
		Run: id, Every: every,
		Service: info.Name, Environment: cmp.Or(d.Environment, info.Environment), Region: d.Region, Cluster: d.Cluster, Instance: d.Instance,
		Version: info.Version, Revision: info.Revision, Rollback: d.Rollback, Info: &info,
	})
}

func tidied(e Entry) (Entry, error) {
	if field, err := e.tidy(maxID); err != nil {
		return Entry{}, &EntryError{Field: field, Err: err}
	}
	return e, nil
}

// Note records what else changes the system. It needs a kind or a subject. Kinds are free:
// flag, window, migration, failure. Without a time it happens now; the time may be ahead.
// Give the event an ID when a failed Note is repeated.
func Note(ctx context.Context, store Appender, event Event) error {
	now := time.Now()
	e := Entry{ID: cmp.Or(event.ID, rand.Text()), Kind: KindNoted, Time: event.Time, Event: &event}
	if e.Time.IsZero() {
		e.Time = now
	}
	e.Late = now.Sub(e.Time)
	e, err := tidied(e)
	if err != nil {
		return err
	}
	return store.Append(ctx, e)
}

// KeepOptions configure [Keep]. Nil options are the defaults.
type KeepOptions struct {
	// Interval is the time between sightings, a second to a day. Zero means 2 minutes.
	Interval time.Duration

	// Logger logs when the store begins to fail and works again. Nil means slog.Default().
	Logger *slog.Logger
}

const (
	defaultInterval = 2 * time.Minute
	stopTimeout     = 5 * time.Second
)

// Keep is [Record] until ctx ends: the program is seen again in each Interval, and at the
// end it is recorded as stopped, which takes 5 seconds at most. Keep returns the error of
// that last entry, so it runs in a goroutine of the service:
//
//	go func() { kept <- history.Keep(ctx, store, info, deployment, nil) }()
//
// A store that fails is tried again at the next sighting, also with the start.
func Keep(ctx context.Context, store Appender, info version.Info, d Deployment, opts *KeepOptions) error {
	o := *cmp.Or(opts, new(KeepOptions))
	o.Interval = cmp.Or(o.Interval, defaultInterval)
	o.Interval = min(max(o.Interval, time.Second), maxEvery)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	start, err := started(info, d, o.Interval)
	if err != nil {
		return err
	}
	k := keeper{store: store, start: start, begun: time.Now(), logger: o.Logger}
	k.tell(ctx, KindSeen)
	for {
		// Not all replicas at the same moment.
		wait := time.NewTimer(o.Interval - mathrand.N(o.Interval/10+1))
		select {
		case <-ctx.Done():
			wait.Stop()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			return k.append(last, KindStopped)
		case <-wait.C:
			k.tell(ctx, KindSeen)
		}
	}
}

type keeper struct {
	store  Appender
	start  Entry
	begun  time.Time // with the monotonic clock
	told   bool      // that it has started
	failed bool
	logger *slog.Logger
}

func (k *keeper) append(ctx context.Context, kind Kind) error {
	var entries []Entry
	if !k.told {
		start := k.start
		start.Late = time.Since(k.begun)
		entries = append(entries, start)
	}
	if k.told || kind == KindStopped {
		e := k.start
		e.ID, e.Kind, e.Time, e.Info = rand.Text(), kind, time.Now(), nil
		e.infoJSON = nil
		entries = append(entries, e)
	}
	err := k.store.Append(ctx, entries...)
	k.told = k.told || err == nil
	return err
}

func (k *keeper) tell(ctx context.Context, kind Kind) {
	err := k.append(ctx, kind)
	switch {
	case err != nil && !k.failed && !errors.Is(err, context.Canceled):
		k.logger.WarnContext(ctx, "history: this program cannot record that it runs; it tries again", "error", err)
	case err == nil && k.failed:
		k.logger.InfoContext(ctx, "history: this program has recorded that it runs")
	}
	k.failed = err != nil
}
