package observe

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/metric"

	statistics "github.com/upkeep-go/upkeep/internal/stats"
)

// Gauges exports the statistics of a flag provider, a guard or a pool as OpenTelemetry gauges,
// named by name and key: "flags.stale".
//
//	err := obs.Gauges("flags", provider.Stats)
//
// The description of a gauge says what the number means if stats is the method Stats of a type
// of this module. Otherwise it names the function.
//
// stats is called now, to learn the keys, and at each collection of metrics, from another
// goroutine; it must be quick, because other metrics wait for it. A key that it adds later is
// not exported, and counted in [Observer.Stats] as gauges_dropped. Infinite values and those
// that are not a number are left out. A panic is counted and costs the numbers of that
// collection.
//
// Gauges returns an error if name was given before, if name or a key cannot be part of a
// metric's name (ASCII letters, digits, '_', '.', '-' and '/', a letter first, at most 255
// bytes), if stats panics or is nil, if there are more than 500 keys in all, and after
// [Observer.Close], which ends all gauges.
func (o *Observer) Gauges(name string, stats func() map[string]float64) error {
	first, err := callStats(stats)
	if err != nil {
		return fmt.Errorf("observe: gauges %q: %w", name, err)
	}
	keys := slices.Sorted(maps.Keys(first))
	for _, key := range keys {
		if full := name + "." + key; key == "" || !validMetric(full) {
			return fmt.Errorf("observe: gauges %q: %q is no name of a metric", name, full)
		}
	}
	if !validMetric(name) {
		return fmt.Errorf("observe: gauges %q: the name is no part of a metric's name", name)
	}

	g := &o.gauges
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.names[name] {
		return fmt.Errorf("observe: gauges %q: there are some of that name already", name)
	}
	if g.keys+len(keys) > maxGauges {
		return fmt.Errorf("observe: gauges %q: with its %d keys there would be more than %d", name, len(keys), maxGauges)
	}
	source := statistics.Source(stats)
	instruments := make(map[string]metric.Float64Observable, len(keys))
	all := make([]metric.Observable, 0, len(keys))
	for _, key := range keys {
		gauge, err := o.meter.Float64ObservableGauge(name+"."+key, metric.WithDescription(describe(source, key)))
		if err != nil {
			return fmt.Errorf("observe: gauges %q: %w", name, err)
		}
		instruments[key] = gauge
		all = append(all, gauge)
	}
	reg, err := o.meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		defer o.counts.shield()
		for key, value := range stats() {
			if gauge, ok := instruments[key]; !ok {
				o.counts.gaugesDropped.Add(1)
			} else if !math.IsNaN(value) && !math.IsInf(value, 0) {
				to.ObserveFloat64(gauge, value)
			}
		}
		return nil
	}, all...)
	if err != nil {
		return fmt.Errorf("observe: gauges %q: %w", name, err)
	}
	if err := o.registrations.add(reg); err != nil {
		return fmt.Errorf("observe: gauges %q: %w", name, err)
	}
	if g.names == nil {
		g.names = make(map[string]bool)
	}
	g.names[name] = true
	g.keys += len(keys)
	return nil
}

// describe returns the description of a gauge: what the statistic means, for those of this
// module, and which function returns it.
func describe(source, key string) string {
	if meaning := statistics.Meaning(source, key); meaning != "" {
		return strings.ToUpper(meaning[:1]) + meaning[1:] + ". From " + source + "."
	}
	return fmt.Sprintf("The value %q that %s returns.", key, source)
}

func callStats(stats func() map[string]float64) (all map[string]float64, err error) {
	if stats == nil {
		return nil, fmt.Errorf("there is no function")
	}
	defer recovered(&err)
	return stats(), nil
}

// validMetric reports whether s is a name by the syntax of OpenTelemetry's instruments.
func validMetric(s string) bool {
	return s != "" && len(s) <= 255 && strings.Contains(letters, s[:1]) && strings.Trim(s, letters+digits+"_.-/") == ""
}
