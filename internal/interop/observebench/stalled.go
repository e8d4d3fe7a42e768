package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
)

// disk is a store of captures that accepts everything at once, or stalls, so that nothing is ever
// written.
type disk struct{ stalled chan struct{} } // nil if it does not stall

func (disk) Open(string) (fs.File, error)         { return nil, fs.ErrNotExist }
func (disk) Remove(context.Context, string) error { return fs.ErrNotExist }
func (d disk) Put(context.Context, string, []byte) error {
	if d.stalled != nil {
		<-d.stalled
	}
	return nil
}

const (
	clients = 8
	routes  = 200 // many, because few captures are made of similar failures
)

// A failing service answers each request with 500 after it has read its body and logged a
// little.
type failing struct {
	name string
	obs  *observe.Observer
	srv  *httptest.Server
	p99  []float64 // by round, in microseconds
	p50  []float64
}

func newFailing(name string, store capture.Store) (*failing, error) {
	obs, err := observe.New(&observe.Options{Log: slog.NewJSONHandler(io.Discard, nil), Captures: store})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	fail := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for i := range 5 {
			obs.Logger().DebugContext(r.Context(), "priced an item", "item", i, "bytes", len(body))
		}
		http.Error(w, "no price", http.StatusInternalServerError)
	}
	for i := range routes {
		mux.HandleFunc(fmt.Sprintf("POST /shops/%d/{item}", i), fail)
	}
	srv := httptest.NewServer(obs.Handler(observe.Route(mux)))
	srv.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = clients
	return &failing{name: name, obs: obs, srv: srv}, nil
}

// load sends requests at a steady pace for a time and returns how long each took, from
// when it was due.
func (f *failing) load(perSecond int, d time.Duration) []time.Duration {
	body := `{"items": [` + strings.Repeat(`{"name": "tea", "grams": 100},`, 30) + `{}]}`
	var mu sync.Mutex
	var all []time.Duration
	var busy sync.WaitGroup
	interval := time.Second * clients / time.Duration(perSecond)
	begin := time.Now()
	for client := range clients {
		busy.Go(func() {
			var took []time.Duration
			due := begin.Add(interval * time.Duration(client) / clients)
			for i := client; due.Before(begin.Add(d)); i += clients {
				time.Sleep(time.Until(due))
				url := fmt.Sprintf("%s/shops/%d/tea", f.srv.URL, i%routes)
				resp, err := f.srv.Client().Post(url, "application/json", strings.NewReader(body))
				if err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
				took = append(took, time.Since(due))
				due = due.Add(interval)
			}
			mu.Lock()
			all = append(all, took...)
			mu.Unlock()
		})
	}
	busy.Wait()
	slices.Sort(all)
	return all
}

// printStalled prints the latencies of 1,000 failing requests a second while the store of their
// captures does not write.
func printStalled(w io.Writer, s settings) error {
	stalled := make(chan struct{})
	var all []*failing
	defer func() {
		close(stalled)
		for _, f := range all {
			f.srv.Close()
			_ = f.obs.Close()
		}
	}()
	for _, c := range []struct {
		name  string
		store capture.Store
	}{{"captures off", nil}, {"captures on", disk{}}, {"captures on, the disk stalls", disk{stalled}}} {
		f, err := newFailing(c.name, c.store)
		if err != nil {
			return err
		}
		all = append(all, f)
		f.load(1000, s.load/4) // connections, and a queue that is full
	}
	for range s.rounds {
		for _, f := range all {
			took := f.load(1000, s.load)
			at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))]) / 1e3 }
			f.p50, f.p99 = append(f.p50, at(0.5)), append(f.p99, at(0.99))
		}
	}
	fmt.Fprintln(w, "1,000 failing requests a second over loopback, each timed from when it was due")
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "p50, µs\tp99\tp99, best\tratio of best\twritten\tdropped\t\t\n")
	for _, f := range all {
		stats := f.obs.Stats()
		fmt.Fprintf(out, "%.0f\t%.0f\t%.0f\t%.2f\t%.0f\t%.0f\t%s\t\n", cost{ns: f.p50}.median(), cost{ns: f.p99}.median(), cost{ns: f.p99}.best(),
			cost{ns: f.p99}.best()/cost{ns: all[0].p99}.best(), stats["captures_written"], stats["captures_dropped"], f.name)
	}
	_ = out.Flush()
	on, stall := cost{ns: all[1].p99}, cost{ns: all[2].p99}
	word := "met"
	if stall.best() > 1.05*on.best() {
		word = "NOT MET"
	}
	_, err := fmt.Fprintf(w, "  %s: at most 5 %% more p99 while the disk stalls: %+.1f %%\n\n", word, 100*(stall.best()/on.best()-1))
	return err
}
