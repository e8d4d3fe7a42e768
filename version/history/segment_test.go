package history_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/version/history"
)

// files returns the file names in the folder of a path.
func files(t testing.TB, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestSegments has several writers at the same time. Each has its own segment, and free segments
// are used again.
func TestSegments(t *testing.T) {
	t.Parallel()
	a, path := fileIn(t, nil)
	b, c := newFile(path, nil), newFile(path, nil)
	note := func(s *history.FileStore, subject string) {
		require.NoError(t, history.Note(t.Context(), s, history.Event{ID: subject, Kind: "flag", Subject: subject}))
	}
	want := []string{}
	for n := range 30 {
		note([]*history.FileStore{a, b, c}[n%3], fmt.Sprint(n))
		want = append(want, fmt.Sprint(n))
	}
	for _, s := range []*history.FileStore{a, b, c, newFile(path, nil)} {
		require.Equal(t, strings.Join(want, " "), subjects(timeline(t, s)), "in the order of receipt")
		require.Equal(t, want, ids(t, s))
	}
	require.Equal(t, []string{"history.jsonl", "history.jsonl.segment2", "history.jsonl.segment3"}, files(t, path))

	// A repeated note counts once, also from another writer.
	note(a, "again")
	note(b, "again")
	require.Equal(t, strings.Join(append(want, "again"), " "), subjects(timeline(t, c)))

	// The infos of builds are found in all segments.
	require.NoError(t, history.Record(t.Context(), b, build("v1.0.0"), production("b")))
	require.NoError(t, history.Record(t.Context(), c, build("v1.1.0"), production("c")))
	list := timeline(t, a).Items
	require.Len(t, list[len(list)-1].Change.From.Deps, 2)

	// The next writer uses the segment of a writer that has ended.
	require.NoError(t, b.Close())
	d := newFile(path, nil)
	defer d.Close()
	defer c.Close()
	before := read(t, path+".segment2")
	note(d, "later")
	require.Len(t, files(t, path), 3)
	require.True(t, strings.HasPrefix(read(t, path+".segment2"), before))
	require.Greater(t, len(read(t, path+".segment2")), len(before))
	list = timeline(t, a).Items
	require.Equal(t, "later", list[len(list)-1].Event.Subject)
}

func ids(t *testing.T, s history.Store) []string {
	entries, err := s.Entries(t.Context())
	require.NoError(t, err)
	list := []string{}
	for n, e := range entries {
		require.Equal(t, int64(n+1), e.Seq)
		list = append(list, e.ID)
	}
	return list
}

// TestFileKeepsEverything: without MaxBytes a file keeps more than the earlier default.
func TestFileKeepsEverything(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, nil)
	var entries []history.Entry
	for n := range 1000 {
		info := big(fmt.Sprintf("v1.%d.0", n))
		entries = append(entries, history.Entry{ID: fmt.Sprint(n), Kind: history.KindStarted, Time: time.Now(), Run: fmt.Sprint(n), Service: "shop", Instance: fmt.Sprint(n), Info: &info})
	}
	require.NoError(t, s.Append(t.Context(), entries...))
	stat, err := os.Stat(path)
	require.NoError(t, err)
	require.Greater(t, stat.Size(), int64(16<<20))
	require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: "last"}))
	require.Equal(t, []string{"history.jsonl"}, files(t, path))
	require.Len(t, ids2(t, s), 1001)
	require.Zero(t, s.Stats()["unread_bytes"])
}

func ids2(t *testing.T, s history.Store) []string {
	sel, err := s.(history.Selector).Select(t.Context(), history.Query{})
	require.NoError(t, err)
	list := []string{}
	for _, e := range sel.Entries {
		list = append(list, e.ID)
	}
	return list
}

// TestFileFoldWhileRead reads while two writers rewrite their segments again and again. A reader
// finds all entries that were acknowledged before it began.
func TestFileFoldWhileRead(t *testing.T) {
	t.Parallel()
	_, path := fileIn(t, nil)
	var mu sync.Mutex
	last := map[string]int64{}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 2 {
		name := fmt.Sprint("run-", w)
		s := newFile(path, &history.FileOptions{MaxBytes: 1})
		defer s.Close()
		require.NoError(t, s.Append(ctx, beat(name, int(time.Now().UnixNano()))))
		writers.Go(func() {
			for ctx.Err() == nil || s.Stats()["folded"] == 0 {
				at := time.Now().UnixNano()
				list := make([]history.Entry, 20)
				for n := range list {
					list[n] = beat(name, int(at)+n)
				}
				if err := s.Append(context.WithoutCancel(ctx), list...); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				last[name] = at
				mu.Unlock()
			}
		})
	}
	reader := newFile(path, nil)
	for range testsize.Pick(20, 50, 1000) {
		mu.Lock()
		want := map[string]int64{"run-0": last["run-0"], "run-1": last["run-1"]}
		mu.Unlock()
		sel, err := reader.Select(t.Context(), history.Query{})
		require.NoError(t, err)
		got := map[string]int64{}
		for _, e := range sel.Entries {
			got[e.Run] = max(got[e.Run], e.Time.UnixNano())
		}
		for name, at := range want {
			require.GreaterOrEqual(t, got[name], at)
		}
	}
	stop()
	writers.Wait()
	require.ElementsMatch(t, []string{"history.jsonl", "history.jsonl.segment2"}, files(t, path))
}

// stamped returns a line with a time of receipt.
func stamped(id, received, more string) string {
	return fmt.Sprintf(`{"id":%q,"kind":"noted","time":%q,"received":%q,"event":{"kind":"flag","subject":%q}%s}`+"\n", id, received, received, id, more)
}

// TestSegmentsSetBack sets the clock back by two hours while two writers run. A third writer
// starts after that.
func TestSegmentsSetBack(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, nil)
	write := func(name string, lines ...string) {
		require.NoError(t, os.WriteFile(path+name, []byte(strings.Join(lines, "")), 0o600))
	}
	write("", stamped("1", "2026-01-05T10:00:00Z", ""), stamped("3", "2026-01-05T10:01:00Z", ""), stamped("5", "2026-01-05T08:02:00Z", `,"epoch":1`))
	write(".segment2", stamped("2", "2026-01-05T10:00:30Z", ""), stamped("6", "2026-01-05T08:02:30Z", ""))
	write(".segment3", stamped("4", "2026-01-05T08:01:30Z", `,"epoch":1`), stamped("7", "2026-01-05T08:03:00Z", `,"epoch":1`))
	require.Equal(t, []string{"1", "2", "3", "4", "5", "6", "7"}, ids(t, s))
	require.Equal(t, "1 2 3 4 5 6 7", subjects(timeline(t, s)))
	require.Equal(t, "1 2 3 4 5 6 7", subjects(timeline(t, plain{s})))

	// This writer finds times that are ahead of its clock.
	s, path = fileIn(t, nil)
	write("", stamped("1", time.Now().Add(2*time.Hour).UTC().Format(time.RFC3339Nano), ""))
	other := newFile(path, nil)
	defer other.Close()
	for n := 2; n < 6; n++ {
		require.NoError(t, history.Note(t.Context(), []*history.FileStore{s, other}[n%2], history.Event{ID: fmt.Sprint(n), Kind: "flag", Subject: fmt.Sprint(n)}))
	}
	require.Equal(t, []string{"1", "2", "3", "4", "5"}, ids(t, s))
	require.Contains(t, read(t, path+".segment2"), `"epoch":1`)
}

// plain is a store that is not a Selector.
type plain struct{ history.Store }

// TestSelectIsTheWhole: stores with and without Select give the same answers.
func TestSelectIsTheWhole(t *testing.T) {
	t.Parallel()
	for seed := range testsize.Pick(3, 10, 500) {
		random := rand.New(rand.NewPCG(uint64(seed), 3))
		_, path := fileIn(t, nil)
		writers := []*history.FileStore{newFile(path, nil), newFile(path, nil), newFile(path, &history.FileOptions{MaxBytes: 1})}
		now := time.Now()
		pick := func(texts ...string) string { return texts[random.IntN(len(texts))] }
		for n := range 25 {
			var list []history.Entry
			for range 1 + random.IntN(4) {
				ago := time.Duration(random.IntN(300)) * time.Minute
				e := history.Entry{ID: fmt.Sprint("e", random.IntN(140)), Time: now.Add(-ago), Late: ago}
				if random.IntN(8) == 0 {
					e.Time = e.Time.Add(time.Duration(random.IntN(7200)-3600) * time.Second) // a wrong clock
				}
				switch random.IntN(5) {
				case 0:
					e.Kind, e.Event = history.KindNoted, &history.Event{Kind: "flag", Subject: fmt.Sprint(n), To: pick("on", "é", "a\"b", ""), Service: pick("", "shop", "till", "bücher"), Environment: pick("", "staging", "production"), URL: pick("", "https://flags.example/a"), Share: float64(random.IntN(3)) / 2}
				default:
					run := random.IntN(25)
					e.Kind = []history.Kind{history.KindStarted, history.KindSeen, history.KindSeen, history.KindSeen, history.KindStopped}[random.IntN(5)]
					info := build(fmt.Sprintf("v1.%d.0", run%5))
					e.Run, e.Service, e.Instance = fmt.Sprint("run", run), []string{"shop", "till", "bücher", ""}[run%4], fmt.Sprint("i", run%6)
					e.Environment, e.Version = []string{"production", "staging"}[run%2], info.Version
					if random.IntN(2) == 0 {
						e.Info = &info
					} else if random.IntN(10) == 0 {
						e.Build = "0123456789abcdef0123456789abcdef"
					}
					if run%3 > 0 {
						e.Every = 2 * time.Minute
					}
					e.Rollback = random.IntN(40) == 0
				}
				list = append(list, e)
			}
			require.NoError(t, writers[random.IntN(3)].Append(t.Context(), list...))
			if random.IntN(10) == 0 {
				f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
				require.NoError(t, err)
				_, err = f.WriteString(pick("{\n", `{"id":"torn","ki`, "\n\n", "{\"id\":\"e3\"}\n"))
				require.NoError(t, err)
				require.NoError(t, f.Close())
			}
		}
		s := newFile(path, nil)
		from := now.Add(-time.Duration(random.IntN(300)) * time.Minute)
		to := from.Add(time.Duration(random.IntN(120)) * time.Minute)
		for _, q := range []history.Query{{}, {Service: "shop"}, {Service: "unknown"}, {Service: "till", Environment: "staging"}, {Environment: "production"}, {From: from}, {Service: "bücher", To: to}} {
			answers := func(s history.Store) []string {
				list := []any{}
				add := func(answer any, err error) {
					require.NoError(t, err)
					list = append(list, answer)
				}
				part := history.Only(s, q)
				tl, err := history.Timeline(t.Context(), part, from, to)
				add(tl, err)
				tl, err = history.Timeline(t.Context(), part, time.Time{}, time.Time{})
				add(tl, err)
				changes, err := history.Between(t.Context(), part, from, to)
				add(changes, err)
				running, err := history.At(t.Context(), part, from)
				add(running, err)
				running, err = history.Current(t.Context(), part)
				add(running, err)
				texts := []string{}
				for _, a := range list {
					data, err := json.Marshal(a)
					require.NoError(t, err)
					texts = append(texts, string(data))
				}
				return texts
			}
			want, got := answers(plain{s}), answers(s)
			for n := range want {
				require.True(t, want[n] == got[n], "seed %d, %+v, answer %d", seed, q, n)
			}
		}
		for _, w := range writers {
			require.NoError(t, w.Close())
		}
	}
}

// TestOnly restricts a history to one service in one environment.
func TestOnly(t *testing.T) {
	t.Parallel()
	s, _ := fileIn(t, nil)
	for _, service := range []string{"shop", "till"} {
		for _, environment := range []string{"production", "staging"} {
			require.NoError(t, history.Record(t.Context(), s, buildOf(service, "v1.0.0"), history.Deployment{Environment: environment, Instance: "a"}))
		}
	}
	require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: "a"}))
	for _, store := range []history.Store{s, plain{s}} {
		part := history.Only(history.Only(store, history.Query{Service: "shop"}), history.Query{Environment: "staging"})
		l := timeline(t, part)
		require.Len(t, l.Items, 2, "events belong to all")
		require.Equal(t, "shop", l.Items[0].Change.Service)
		require.Equal(t, "staging", l.Items[0].Change.Environment)
		running, err := history.Current(t.Context(), part)
		require.NoError(t, err)
		require.Len(t, running, 1)
		require.Len(t, running[0].Info.Deps, 2)
		none := history.Only(part, history.Query{Service: "till"})
		running, err = history.Current(t.Context(), none)
		require.NoError(t, err)
		require.Empty(t, running)
		entries, err := part.Entries(t.Context())
		require.NoError(t, err)
		require.Len(t, entries, 2)
	}
}
