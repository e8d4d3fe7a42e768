package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/flags"
)

// largeDocument has n flags: a third without a rule, a third with the rule and the split, and a third that
// refer to a shared rule. Its last flag is called rule.
func largeDocument(n int, yaml bool, revision int) []byte {
	var b strings.Builder
	line := func(json, yamlText string, args ...any) {
		text := json
		if yaml {
			text = yamlText
		}
		fmt.Fprintf(&b, text, args...)
	}
	line(`{"metadata":{"revision":"%d"},"$evaluators":{"staff":{"ends_with":[{"var":"email"},"@example.com"]}},"flags":{`,
		"metadata: {revision: \"%d\"}\n$evaluators:\n  staff:\n    ends_with: [{var: email}, \"@example.com\"]\nflags:\n", revision)
	for i := range n {
		key := fmt.Sprintf("flag-%05d", i)
		if i == n-1 {
			key = rule
		}
		line(`%q:{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","metadata":{"owner":"team-%d"}`,
			"  %s:\n    state: ENABLED\n    variants:\n      \"on\": true\n      \"off\": false\n    defaultVariant: \"off\"\n    metadata:\n      owner: team-%d\n", key, i%50)
		switch {
		case i%3 == 1 || i == n-1:
			line(`,"targeting":{"if":[{"and":[{"ends_with":[{"var":"email"},"@example.com"]},{"in":[{"var":"country"},["ES","PT","FR","DE"]]}]},{"fractional":[["on",50],["off",50]]},"off"]}`,
				"    targeting:\n      if:\n        - and:\n            - ends_with: [{var: email}, \"@example.com\"]\n            - in: [{var: country}, [ES, PT, FR, DE]]\n        - fractional: [[\"on\", 50], [\"off\", 50]]\n        - \"off\"\n")
		case i%3 == 2:
			line(`,"targeting":{"if":[{"$ref":"staff"},"on",{"sem_ver":[{"var":"version"},">=","1.%d.0"]},"on"]}`,
				"    targeting:\n      if:\n        - $ref: staff\n        - \"on\"\n        - sem_ver: [{var: version}, \">=\", \"1.%d.0\"]\n        - \"on\"\n", i%100)
		}
		line("}", "")
		if i < n-1 {
			line(",", "")
		}
	}
	line("}}", "")
	return []byte(b.String())
}

// printLoads prints the cost of opening a large document: the time, the memory that is allocated, and the
// memory that remains in use.
func printLoads(ctx context.Context, w io.Writer, s settings) error {
	fmt.Fprintf(w, "load of %d flags\n", s.flags)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "document, MB\tms\tbest\t± %%\tMB allocated\tMB kept\t\t\n")
	for _, form := range []string{"JSON", "YAML"} {
		document := largeDocument(s.flags, form == "YAML", 0)
		var ms cost
		var allocated, kept float64
		for range s.rounds {
			var before, loaded, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			start := time.Now()
			p, err := flags.Open(ctx, flags.Bytes("large."+strings.ToLower(form), document), &flags.Options{Logger: quiet})
			if err != nil {
				return err
			}
			ms.ns = append(ms.ns, float64(time.Since(start).Nanoseconds())/1e6)
			runtime.ReadMemStats(&loaded)
			runtime.GC()
			runtime.ReadMemStats(&after)
			allocated = float64(loaded.TotalAlloc-before.TotalAlloc) / 1e6
			kept = float64(after.HeapAlloc-min(before.HeapAlloc, after.HeapAlloc)) / 1e6
			if got := int(p.Stats()["flags"]); got != s.flags || p.Stats()["problems"] != 0 {
				return fmt.Errorf("the large %s document has %d flags and %v problems", form, got, p.Problems())
			}
			if err := p.Close(); err != nil {
				return err
			}
		}
		fmt.Fprintf(t, "%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%s\t\n", float64(len(document))/1e6, ms.median(), ms.best(), 50*ms.spread(), allocated, kept, form)
	}
	_ = t.Flush()
	fmt.Fprintln(w)
	return nil
}

// A restless source returns another document at each load, and reports a change at once unless it is
// paused.
type restless struct {
	documents [2][]byte
	loads     int
	loaded    chan struct{}
	running   chan bool
}

func (r *restless) Load(context.Context) ([]byte, error) {
	r.loads++
	select {
	case r.loaded <- struct{}{}:
	default:
	}
	return r.documents[r.loads%2], nil
}

// Watch reports a change after each load.
func (r *restless) Watch(ctx context.Context, changed func()) error {
	running := false
	for {
		var loaded <-chan struct{}
		if running {
			loaded = r.loaded
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case running = <-r.running:
			if running {
				changed()
			}
		case <-loaded:
			changed()
		}
	}
}

// printReloads measures single evaluations: at rest, while the provider reloads all the time, and while
// another provider does. The last one separates the load of the machine from the effect of reloading.
func printReloads(ctx context.Context, w io.Writer, s settings) error {
	documents := [2][]byte{largeDocument(s.flags, false, 1), largeDocument(s.flags, false, 2)}
	var providers [2]*flags.Provider
	var sources [2]*restless
	for i := range providers {
		sources[i] = &restless{documents: documents, loaded: make(chan struct{}, 1), running: make(chan bool)}
		p, err := flags.Open(ctx, sources[i], &flags.Options{Logger: quiet, Poll: time.Hour})
		if err != nil {
			return err
		}
		defer func() { _ = p.Close() }()
		providers[i] = p
	}
	flat := openfeature.FlattenedContext(userFor(rule, "user-42").flat())
	call := func() { providers[0].BooleanEvaluation(ctx, rule, false, flat) }

	names := []string{"at rest", "while it reloads without pause", "while another provider does"}
	percentiles := []float64{0.5, 0.99, 0.999}
	found := [3][3][]float64{}
	updates := 0.0
	for range s.rounds {
		for i := range names {
			var times []time.Duration
			if i == 0 {
				times = timeCalls(call, s.calls)
			} else {
				before := providers[i-1].Stats()["updates"]
				sources[i-1].running <- true
				waitForUpdate(providers[i-1], before)
				times = timeCalls(call, s.calls)
				sources[i-1].running <- false
				if i == 1 {
					updates += providers[0].Stats()["updates"] - before
				}
			}
			for j, q := range percentiles {
				found[i][j] = append(found[i][j], float64(times[int(q*float64(len(times)-1))]))
			}
		}
	}
	fmt.Fprintf(w, "evaluation of the rule out of %d flags, each call timed by itself, which adds the clock's own time; %.0f reloads\n", s.flags, updates)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "p50, ns\tp99\tp99.9\tp99, ratio\t\t\n")
	for i, name := range names {
		fmt.Fprintf(t, "%.0f\t%.0f\t%.0f\t%.2f\t%s\t\n",
			median(found[i][0]), median(found[i][1]), median(found[i][2]), median(found[i][1])/median(found[0][1]), name)
	}
	return t.Flush()
}

// waitForUpdate returns when the next document is in effect.
func waitForUpdate(p *flags.Provider, before float64) {
	for p.Stats()["updates"] == before {
		changed := p.Changed()
		if p.Stats()["updates"] != before {
			return
		}
		<-changed
	}
}

// timeCalls returns the times of n calls, sorted.
func timeCalls(call func(), n int) []time.Duration {
	times := make([]time.Duration, n)
	for i := range times {
		start := time.Now()
		call()
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	return times
}
