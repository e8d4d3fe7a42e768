package history_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

// BenchmarkAppend compares a durable append with a write and fsync of the same bytes.
func BenchmarkAppend(b *testing.B) {
	event := history.Event{Kind: "flag", Subject: "checkout", From: "off", To: "on", Actor: "ada"}
	s, path := fileIn(b, &history.FileOptions{MaxBytes: 1 << 40})
	require.NoError(b, history.Note(b.Context(), s, event))
	line := []byte(read(b, path))
	f, err := os.OpenFile(filepath.Join(b.TempDir(), "bare"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(b, err)
	defer f.Close()
	bare := func() error {
		if _, err := f.Write(line); err != nil {
			return err
		}
		return f.Sync()
	}
	b.Run("write and fsync", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, bare())
		}
	})
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			require.NoError(b, history.Note(b.Context(), s, event))
		}
	})
	b.Run("in turn", func(b *testing.B) {
		var bareTime, appendTime time.Duration
		for b.Loop() {
			began := time.Now()
			require.NoError(b, bare())
			between := time.Now()
			require.NoError(b, history.Note(b.Context(), s, event))
			bareTime += between.Sub(began)
			appendTime += time.Since(between)
		}
		b.ReportMetric(float64(appendTime)/float64(bareTime), "times-the-write")
	})
}

// big returns a build with 152 dependencies, as a service with a cloud client has.
func big(release string) version.Info {
	i := build(release)
	for n := range 150 {
		i.Deps = append(i.Deps, version.Module{Path: fmt.Sprintf("example.com/module/number%04d", n), Version: release, Sum: "h1:oEhCmBYcYPTqLA2ZJ9eSeUNYQOBtVxP5W7Dkz8kRMoM="})
	}
	return i
}

// BenchmarkQuery runs each query on a file of 10,000 entries: 7,500 starts of 100 releases, and
// notes. Each query reads the file.
func BenchmarkQuery(b *testing.B) {
	s, _ := fileIn(b, nil)
	releases := make([]version.Info, 100)
	for n := range releases {
		releases[n] = big(fmt.Sprintf("v1.%d.0", n))
	}
	direct := &memory{}
	for n := range 10_000 {
		if n%4 == 0 {
			require.NoError(b, history.Note(b.Context(), direct, history.Event{Kind: "flag", Subject: fmt.Sprint(n)}))
			continue
		}
		require.NoError(b, history.Record(b.Context(), direct, releases[n/100], production(fmt.Sprint("pod-", n%7))))
	}
	require.NoError(b, s.Append(b.Context(), direct.entries...))
	ctx := context.Background()
	now := time.Now()
	for name, query := range map[string]func() error{
		"Timeline": func() error { _, err := history.Timeline(ctx, s, time.Time{}, time.Time{}); return err },
		"Between":  func() error { _, err := history.Between(ctx, s, now.Add(-time.Hour), now); return err },
		"At":       func() error { _, err := history.At(ctx, s, now.Add(-time.Hour)); return err },
		"Current":  func() error { _, err := history.Current(ctx, s); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, query())
			}
		})
	}
}

// BenchmarkCollector sends requests with one note each to a collector with a file.
func BenchmarkCollector(b *testing.B) {
	s, _ := fileIn(b, &history.FileOptions{MaxBytes: 1 << 40})
	c := newCollector(b, s, &history.CollectorOptions{EntriesPerDay: 1 << 40, BytesPerDay: 1 << 50})
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			w := send(c, "shop", noted(fmt.Sprint(n), "a"))
			if w.Code != http.StatusOK {
				b.Error(w.Body)
			}
		}
	})
}

// BenchmarkLargeFile queries one hour of a large file: 10,000 records with 152 dependencies of
// their own each, or mostly sightings, or mostly notes.
func BenchmarkLargeFile(b *testing.B) {
	begin := time.Now().Add(-1000 * time.Hour)
	late := func(e history.Entry, at time.Duration) history.Entry {
		e.Time = begin.Add(at)
		e.Late = time.Since(e.Time)
		return e
	}
	for name, fill := range map[string]func(n int) []history.Entry{
		"records": func(n int) []history.Entry {
			info := big(fmt.Sprintf("v1.%d.0", n))
			return []history.Entry{late(history.Entry{ID: fmt.Sprint("r", n), Kind: history.KindStarted, Run: fmt.Sprint("r", n), Service: "shop", Environment: "production", Instance: fmt.Sprint("pod-", n%7), Info: &info}, time.Duration(n)*6*time.Minute)}
		},
		"sightings": func(n int) []history.Entry {
			list := make([]history.Entry, 50)
			for i := range list {
				run := fmt.Sprint("run-", n/1000, "-", i)
				list[i] = late(history.Entry{ID: fmt.Sprint(run, "-", n), Kind: history.KindSeen, Run: run, Every: 2 * time.Minute, Service: fmt.Sprint("shop-", i), Environment: "production", Instance: run, Version: fmt.Sprintf("v1.%d.0", n/1000), Revision: "0123456789abcdef0123456789abcdef01234567", Build: "672d56605de7af57ac26a354bc3fd5fb"}, time.Duration(n)*6*time.Minute)
			}
			return list
		},
		"notes": func(n int) []history.Entry {
			list := make([]history.Entry, 60)
			for i := range list {
				list[i] = late(history.Entry{ID: fmt.Sprint("n", n, "-", i), Kind: history.KindNoted, Event: &history.Event{Kind: "flag", Subject: fmt.Sprint("checkout-", i), From: "off", To: "on", Actor: "ada"}}, time.Duration(n)*6*time.Minute)
			}
			return list
		},
	} {
		s, path := fileIn(b, nil)
		for n := 0; n < 10_000; {
			var list []history.Entry
			for range 500 {
				list = append(list, fill(n)...)
				n++
			}
			require.NoError(b, s.Append(b.Context(), list...))
		}
		stat, err := os.Stat(path)
		require.NoError(b, err)
		for question, ask := range map[string]func() error{
			"an hour": func() error {
				_, err := history.Timeline(b.Context(), s, begin.Add(500*time.Hour), begin.Add(501*time.Hour))
				return err
			},
			"now": func() error { _, err := history.Current(b.Context(), s); return err },
		} {
			b.Run(fmt.Sprintf("%s of %s in %d MB", question, name, stat.Size()>>20), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					require.NoError(b, ask())
				}
			})
		}
	}
}
