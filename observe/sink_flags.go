package observe

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/upkeep-go/upkeep/internal/cleantext"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// guardedFlags measures requests by the variants that they saw.
type guardedFlags struct {
	keys     []string
	duration metric.Float64Histogram
	series   series[flagKey]

	mu       sync.Mutex
	variants []map[string]bool // known ones of each key
}

// take takes the keys that Options give.
func (g *guardedFlags) take(keys []string) error {
	var errs []error
	if len(keys) > maxGuarded {
		errs = append(errs, fmt.Errorf("observe: Options.GuardedFlags has at most %d flags, got %d", maxGuarded, len(keys)))
	}
	for i, key := range keys {
		if key == "" || cleantext.Cut(key, maxText) != key || slices.Contains(keys[:i], key) {
			errs = append(errs, fmt.Errorf("observe: Options.GuardedFlags[%d]: %q is empty, too long or there twice", i, key))
		}
		g.variants = append(g.variants, map[string]bool{})
	}
	g.keys = keys
	return errors.Join(errs...)
}

func (g *guardedFlags) init(meter metric.Meter) error {
	if len(g.keys) == 0 {
		return nil
	}
	var err error
	g.duration, err = meter.Float64Histogram(metricFlagDuration, metric.WithUnit("s"),
		metric.WithDescription("Duration of HTTP server requests that evaluated a flag of Options.GuardedFlags, by flag, variant and class of status."),
		metric.WithExplicitBucketBoundaries(requestBuckets...))
	if err != nil {
		return fmt.Errorf("observe: metric %s: %w", metricFlagDuration, err)
	}
	return nil
}

// known folds variants beyond maxVariants of flag i.
func (g *guardedFlags) known(i int, variant string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if variants := g.variants[i]; !variants[variant] {
		if len(variants) >= maxVariants {
			return other
		}
		variants[variant] = true
	}
	return variant
}

func (g *guardedFlags) begin(*state, *http.Request) {}

// end records the guarded flags that the request saw.
func (g *guardedFlags) end(st *state, out outcome) outcome {
	if out.stream {
		return out // its duration says nothing
	}
	defer st.obs.counts.shield()
	st.mu.Lock()
	seen := st.guarded
	st.guarded = nil // an evaluation after the end counts no more, but is not in the way
	st.mu.Unlock()
	for i := range g.keys {
		if seen != nil && seen[i] != "" {
			key := flagKey{flag: g.keys[i], variant: g.known(i, seen[i]), class: statusClass(&out)}
			g.duration.Record(st.ctx, out.duration.Seconds(), g.series.options(key, &st.obs.counts.seriesFolded)...)
		}
	}
	return out
}

func statusClass(out *outcome) string {
	switch {
	case out.gone:
		return kindGone
	case out.status >= 500:
		return "5xx"
	case out.why >= failed:
		return "failed"
	case out.status >= 100:
		return [...]string{"1xx", "2xx", "3xx", "4xx"}[out.status/100-1]
	}
	return "none"
}

type flagKey struct{ flag, variant, class string }

func (k flagKey) attributes() []attribute.KeyValue {
	return []attribute.KeyValue{keyFlag.String(k.flag), keyFlagVariant.String(k.variant), keyStatusClass.String(k.class)}
}

func (k flagKey) fold() flagKey {
	k.variant = other
	return k
}
