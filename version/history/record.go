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

// A Deployment says where a program runs.
type Deployment struct {
	// Environment is the name of the environment: production, staging. Empty means that of
	// the version.Info.
	Environment string

	// Region and Cluster separate tracks: versions in one region replace only versions in
	// the same region. Empty means cloud.region and k8s.cluster.name of
	// OTEL_RESOURCE_ATTRIBUTES.
	Region  string
	Cluster string

	// Instance is the name of the pod or the machine. Empty means the first of
	// service.instance.id and k8s.pod.name of OTEL_RESOURCE_ATTRIBUTES, the variable
	// POD_NAME, and the host name. If an instance is seen with another build, it no longer
	// runs the earlier one.
	Instance string

	// Rollback declares that this deployment goes back to an older build. Without it, a
	// history that has not seen the older build can only guess.
	Rollback bool
}

// Record records that this program has started, with its build and its place. Use it in
// programs that cannot run [Keep]. Their end is not recorded, so the history cannot show an
// aborted canary or a silent death, and marks such answers as unknown. If Record returns an
// error, log it and go on.
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
		d.Instance, _ = os.Hostname() // empty on an error
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

// Note records another change of the system. An event needs a kind or a subject. Kinds are
// free text: flag, window, migration, failure. A zero time means now; a time in the future is
// allowed. Set an ID if you retry after an error.
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

// Keep records that this program has started, that it still runs in each Interval, and when
// ctx ends, that it stops. It blocks until then, so run it in a goroutine:
//
//	go func() { kept <- history.Keep(ctx, store, info, deployment, nil) }()
//
// If the store fails, Keep logs that once and tries again at the next Interval, also with the
// start. Keep waits 5 seconds at most for the last entry and returns its error.
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
	k.record(ctx, KindSeen)
	for {
		// The jitter keeps replicas from appending at the same moment.
		wait := time.NewTimer(o.Interval - mathrand.N(o.Interval/10+1))
		select {
		case <-ctx.Done():
			wait.Stop()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			return k.append(last, KindStopped)
		case <-wait.C:
			k.record(ctx, KindSeen)
		}
	}
}

type keeper struct {
	store    Appender
	start    Entry
	begun    time.Time // with the monotonic clock
	recorded bool      // the start
	failed   bool
	logger   *slog.Logger
}

func (k *keeper) append(ctx context.Context, kind Kind) error {
	var entries []Entry
	if !k.recorded {
		start := k.start
		start.Late = time.Since(k.begun)
		entries = append(entries, start)
	}
	if k.recorded || kind == KindStopped {
		e := k.start
		e.ID, e.Kind, e.Time, e.Info = rand.Text(), kind, time.Now(), nil
		e.infoJSON = nil
		entries = append(entries, e)
	}
	err := k.store.Append(ctx, entries...)
	k.recorded = k.recorded || err == nil
	return err
}

func (k *keeper) record(ctx context.Context, kind Kind) {
	err := k.append(ctx, kind)
	switch {
	case err != nil && !k.failed && !errors.Is(err, context.Canceled):
		k.logger.WarnContext(ctx, "history: cannot record that this program runs; it tries again", "error", err)
	case err == nil && k.failed:
		k.logger.InfoContext(ctx, "history: has recorded that this program runs")
	}
	k.failed = err != nil
}
