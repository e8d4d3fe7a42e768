package history_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/version"
	"github.com/upkeep-go/upkeep/version/history"
)

// With these variables the test binary is a program that appends to a file.
const (
	writerFile = "HISTORY_TEST_FILE"
	writerName = "HISTORY_TEST_NAME"
	writerMode = "HISTORY_TEST_MODE" // notes, beats, collect or full
)

// write appends until it is killed, and prints what the store has acknowledged.
func write(path string) int {
	ctx := context.Background()
	name := os.Getenv(writerName)
	switch os.Getenv(writerMode) {
	case "notes":
		s := newFile(path, nil)
		for n := 0; ; n++ {
			if err := history.Note(ctx, s, history.Event{Kind: name, Subject: strconv.Itoa(n)}); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			fmt.Println(n)
		}
	case "collect":
		return collect()
	case "beats":
		// The file is rewritten often.
		s := newFile(path, &history.FileOptions{MaxBytes: 1})
		info := build("v1.0.0")
		for n := 0; ; n++ {
			at := int(time.Now().UnixNano())
			e := beat(name, at)
			if n == 0 {
				e.Kind, e.Info = history.KindStarted, &info
			}
			if err := s.Append(ctx, e); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			fmt.Println(at)
		}
	}
	return writeFull(path)
}

// beat returns a sighting at a time in nanoseconds since 1970.
func beat(name string, at int) history.Entry {
	return history.Entry{
		ID: fmt.Sprintf("%s-%d", name, at), Kind: history.KindSeen, Run: name, Time: time.Unix(0, int64(at)),
		Every: time.Second, Service: "shop", Environment: strings.Repeat("e", 200), Instance: name,
	}
}

// killed runs a writer, kills it after some lines, and returns the last line that it printed.
func killed(t *testing.T, path, mode, name string, lines int) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), writerFile+"="+path, writerMode+"="+mode, writerName+"="+name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	last := -1
	for in := bufio.NewScanner(out); in.Scan(); {
		n, err := strconv.Atoi(in.Text())
		if err != nil {
			continue // it was killed while it printed
		}
		last = n
		if lines--; lines == 0 {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	_ = cmd.Wait()
	return last
}

// TestFileKill kills several writers while they append and rewrite their segments. All
// acknowledged entries are there.
func TestFileKill(t *testing.T) {
	t.Parallel()
	kills, rounds := testsize.Pick(40, 400, 400), testsize.Pick(1, 1, 10)
	for n := range 2 * rounds {
		mode := []string{"notes", "beats"}[n%2]
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s, path := fileIn(t, nil)
			var mu sync.Mutex
			acknowledged := map[string]int{}
			var writers sync.WaitGroup
			for w := range 2 {
				writers.Go(func() {
					for n := range kills / 4 {
						if mode == "beats" {
							n %= 8 // a segment has room for the first and last sightings of twice as many runs
						}
						name := fmt.Sprintf("writer-%d-%d", w, n)
						last := killed(t, path, mode, name, 1+(n*7+w)%23)
						mu.Lock()
						acknowledged[name] = max(acknowledged[name], last)
						mu.Unlock()
					}
				})
			}
			writers.Wait()
			require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "end"}))

			entries, err := s.Entries(t.Context())
			require.NoError(t, err)
			there := map[string]bool{}
			last := map[string]time.Time{}
			for _, e := range entries {
				if e.Event != nil {
					there[e.Event.Kind+" "+e.Event.Subject] = true
				} else if e.Time.After(last[e.Run]) {
					last[e.Run] = e.Time
				}
				if e.Kind == history.KindStarted {
					require.NotNil(t, e.Info)
				}
			}
			for name, n := range acknowledged {
				if mode == "beats" {
					require.GreaterOrEqual(t, last[name].UnixNano(), int64(n), name)
					continue
				}
				for n := range n + 1 {
					require.True(t, there[name+" "+strconv.Itoa(n)], "%s %d", name, n)
				}
			}
			torn := s.Stats()["rejected_lines"]
			require.LessOrEqual(t, torn, float64(kills), "at most one for each kill")
		})
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

// TestFileTorn cuts a file at each byte of its last line.
func TestFileTorn(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, nil)
	require.NoError(t, history.Record(t.Context(), s, build("v1.0.0"), production("a")))
	require.NoError(t, history.Record(t.Context(), s, build("v2.0.0"), production("a")))
	require.NoError(t, s.Close())
	whole := read(t, path)
	second := strings.Index(whole, "\n") + 1
	for cut := second; cut <= len(whole); cut += 1 + cut%7 {
		torn := filepath.Join(t.TempDir(), "torn")
		require.NoError(t, os.WriteFile(torn, []byte(whole[:cut]), 0o600))
		s := newFile(torn, nil)
		want := []string{"first v1.0.0"}
		if cut >= len(whole)-1 {
			want = append(want, "update v1.0.0→v2.0.0") // only the newline is cut
		}
		require.Equal(t, want, moves(t, s))
		require.Zero(t, s.Stats()["rejected_lines"], "it may be being written")
		require.NoError(t, history.Record(t.Context(), s, build("v2.0.0"), production("b")))
		require.Equal(t, []string{"first v1.0.0", "update v1.0.0→v2.0.0"}, moves(t, s))
		rejected := 0.0
		if cut > second && cut < len(whole)-1 {
			rejected = 1
		}
		require.Equal(t, rejected, s.Stats()["rejected_lines"])
		if cut > second && cut < len(whole) {
			require.Equal(t, 1.0, s.Stats()["repaired"])
		}
		require.True(t, strings.HasPrefix(read(t, torn), whole[:cut]), "nothing is lost")
		require.NoError(t, s.Close())
	}
}

// TestFileGarbage has invalid lines between entries.
func TestFileGarbage(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, &history.FileOptions{MaxBytes: 64 << 10})
	require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: "a"}))
	garbage := []string{
		"\x00\xff\xfe", "{", "[]", `{"id":"x"}`, `null`, `{"id":"x","kind":"noted","time":"2026-01-01T00:00:00Z"}`,
		`{"id":"x","kind":"noted","time":"9999-01-01T00:00:00Z","event":{"kind":"flag"}}`,
		`{"id":"x","kind":"started","time":"2026-01-01T00:00:00Z","run":"x","info":7}`,
		strings.Repeat("x", 3<<10),
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(strings.Join(garbage, "\n") + "\n\n  \n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: "b"}))
	require.Len(t, timeline(t, s).Items, 2)
	require.Equal(t, float64(len(garbage)), s.Stats()["rejected_lines"])
	require.Contains(t, read(t, path), strings.Join(garbage, "\n"))

	// A rewrite moves them to another file.
	for s.Stats()["folded"] == 0 {
		require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: "c"}))
	}
	require.Equal(t, strings.Join(garbage, "\n")+"\n  \n", read(t, path+".rejected"))
	timeline(t, s)
	require.Zero(t, s.Stats()["rejected_lines"])
}

// TestFileLongLine has a line that is longer than any entry.
func TestFileLongLine(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, &history.FileOptions{MaxBytes: 1 << 20})
	garbage := "{" + strings.Repeat("xyz", 1<<20) + "\n" + strings.Repeat("short ", 99) + "\n"
	require.NoError(t, os.WriteFile(path, []byte(garbage), 0o600))
	require.Empty(t, timeline(t, s).Items)
	require.Equal(t, 2.0, s.Stats()["rejected_lines"])
	require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag"}))
	require.Equal(t, 1.0, s.Stats()["folded"])
	require.Len(t, timeline(t, s).Items, 1)
	require.Zero(t, s.Stats()["rejected_lines"])
	require.Equal(t, len(garbage), len(read(t, path+".rejected")))
	require.True(t, garbage == read(t, path+".rejected"), "nothing of it is lost")
}

func TestFileFold(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, &history.FileOptions{MaxBytes: 64 << 10})
	require.NoError(t, history.Record(t.Context(), s, build("v1.0.0"), production("a")))
	for n := range 2000 {
		require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: strconv.Itoa(n)}))
	}
	require.NoError(t, history.Record(t.Context(), s, build("v1.0.0"), production("b")))
	for _, name := range []string{path, path + ".old"} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), int64(64<<10))
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	list := timeline(t, s).Items
	require.Greater(t, len(list), 100)
	first := list[0]
	require.Equal(t, "v1.0.0", first.Change.To.Version)
	require.Len(t, first.Change.To.Deps, 2)
	require.Nil(t, first.Change.From)
	for n, i := range list[1:] {
		require.Equal(t, strconv.Itoa(2000-len(list)+1+n), i.Event.Subject)
	}
	running, err := history.Current(t.Context(), s)
	require.NoError(t, err)
	require.Len(t, running[0].Instances, 2)
	old := timeline(t, newFile(path+".old", nil)).Items
	require.NotEmpty(t, old)
	require.Greater(t, s.Stats()["folded"], 1.0)
	entries, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{path, path + ".old"}, entries)
}

// TestFileFoldLink: a rewrite keeps a link to the file.
func TestFileFoldLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "volume"), 0o700))
	link, target := filepath.Join(dir, "h.jsonl"), filepath.Join(dir, "volume", "real.jsonl")
	require.NoError(t, os.WriteFile(target, nil, 0o600))
	require.NoError(t, os.Symlink(target, link))
	s := newFile(link, &history.FileOptions{MaxBytes: 64 << 10})
	defer s.Close()
	for n := 0; s.Stats()["folded"] == 0; n++ {
		require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: strconv.Itoa(n), To: strings.Repeat("x", 1000)}))
	}
	to, err := os.Readlink(link)
	require.NoError(t, err)
	require.Equal(t, target, to)
	require.NotEmpty(t, timeline(t, s).Items)
	names, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	require.NoError(t, err)
	require.Equal(t, []string{target, target + ".old"}, names)
}

// TestFileFoldKeepsRuns: many events remove all older entries, but not the runs that go on.
func TestFileFoldKeepsRuns(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, &history.FileOptions{MaxBytes: 64 << 10})
	for _, release := range []string{"v1.0.0", "v1.1.0"} {
		for _, instance := range []string{"a", "b"} {
			require.NoError(t, history.Record(t.Context(), s, build(release), production(instance)))
		}
	}
	beat := history.Entry{ID: "beat", Kind: history.KindStarted, Time: time.Now(), Run: "beat", Service: "till", Every: time.Hour, Version: "v3.0.0"}
	require.NoError(t, s.Append(t.Context(), beat))
	before, err := history.Current(t.Context(), s)
	require.NoError(t, err)
	require.Len(t, before, 2)

	for n := range 3000 {
		require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: strconv.Itoa(n)}))
		if n%500 == 0 {
			beat.ID, beat.Kind, beat.Time = "beat"+strconv.Itoa(n), history.KindSeen, time.Now()
			require.NoError(t, s.Append(t.Context(), beat))
		}
	}
	require.Greater(t, s.Stats()["folded"], 1.0)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(64<<10))
	after, err := history.Current(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, len(before), len(after))
	for n := range before {
		require.True(t, before[n].First.Equal(after[n].First), "its start is not forgotten")
		require.Equal(t, before[n].Info, after[n].Info)
		require.Len(t, after[n].Instances, len(before[n].Instances))
	}
	require.NoError(t, history.Record(t.Context(), s, build("v1.2.0"), production("a")))
	changes, err := history.Between(t.Context(), s, time.Time{}, time.Time{})
	require.NoError(t, err)
	last := changes[len(changes)-1]
	require.NotNil(t, last.From, "it is known what it takes the place of")
	require.Equal(t, "v1.1.0", last.From.Version)
}

// TestFileFoldRestarts: a run that reports its start again and again does not remove another run.
func TestFileFoldRestarts(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, &history.FileOptions{MaxBytes: 64 << 10})
	other := beat("other", int(time.Now().UnixNano()))
	other.Every = time.Hour
	require.NoError(t, s.Append(t.Context(), other))
	info := build("v1.0.0")
	for s.Stats()["folded"] < 3 {
		var list []history.Entry
		for n := range 50 {
			e := beat("again", int(time.Now().UnixNano())+n)
			e.Kind, e.Info = history.KindStarted, &info
			list = append(list, e)
		}
		require.NoError(t, s.Append(t.Context(), list...))
	}
	entries, err := s.Entries(t.Context())
	require.NoError(t, err)
	require.Equal(t, other.ID, entries[0].ID)
	_, err = os.Stat(path + ".old")
	require.ErrorIs(t, err, os.ErrNotExist, "nothing had to go")
}

// TestFileFoldIsBounded has more instances than fit.
func TestFileFoldIsBounded(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, &history.FileOptions{MaxBytes: 64 << 10})
	for n := range 1500 {
		require.NoError(t, history.Record(t.Context(), s, build("v1.0.0"), production("pod-"+strconv.Itoa(n))))
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(64<<10))
	require.Less(t, s.Stats()["folded"], 40.0, "each makes room for many")
	require.Zero(t, s.Stats()["fold_failures"])
}

// TestFileTooLong: a file that is too long to be read as a whole is still kept.
func TestFileTooLong(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, &history.FileOptions{MaxBytes: 64 << 10})
	var b strings.Builder
	for n := 0; b.Len() < 5*64<<10; n++ {
		fmt.Fprintf(&b, `{"id":"n%d","kind":"noted","time":"2026-01-01T00:00:00Z","event":{"kind":"flag","subject":"%d"}}`+"\n", n, n)
	}
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o600))
	timeline(t, s)
	require.Equal(t, float64(b.Len()-4*64<<10), s.Stats()["unread_bytes"])
	require.Zero(t, s.Stats()["rejected_lines"])
	require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag", Subject: "last"}))
	require.Equal(t, b.String(), read(t, path+".old"))
	list := timeline(t, s).Items
	require.Equal(t, "last", list[len(list)-1].Event.Subject)
	require.Less(t, len(read(t, path)), 64<<10)
}

// TestFileMoved moves the file while it is in use.
func TestFileMoved(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, nil)
	require.NoError(t, history.Record(t.Context(), s, build("v1.0.0"), production("a")))
	require.NoError(t, os.Rename(path, path+".away"))
	require.Empty(t, timeline(t, s).Items)
	require.NoError(t, history.Record(t.Context(), s, build("v1.0.0"), production("a")))
	list := timeline(t, s).Items
	require.Len(t, list, 1)
	require.Len(t, list[0].Change.To.Deps, 2)
	require.NoError(t, os.Remove(path))
	require.NoError(t, history.Note(t.Context(), s, history.Event{Kind: "flag"}))
	require.Len(t, timeline(t, s).Items, 1)
}

func TestFileErrors(t *testing.T) {
	t.Parallel()
	_, err := history.NewFile("", nil)
	require.EqualError(t, err, "history: the path is empty")
	_, err = history.NewFile("history.jsonl", &history.FileOptions{MaxBytes: -1})
	require.EqualError(t, err, "history: MaxBytes must not be negative")
	dir := t.TempDir()
	for name, path := range map[string]string{
		"a folder":           dir,
		"no such folder":     filepath.Join(dir, "no", "history.jsonl"),
		"a device":           os.DevNull,
		"below a file":       filepath.Join(os.Args[0], "history.jsonl"),
		"a name of any sort": filepath.Join(dir, "a\x00b"),
	} {
		s := newFile(path, nil)
		err := history.Note(t.Context(), s, history.Event{Kind: "flag"})
		require.ErrorContains(t, err, "history: cannot append: ", name)
		require.Equal(t, 1.0, s.Stats()["append_failures"])
		_, err = history.Current(t.Context(), s)
		if name != "no such folder" {
			require.ErrorContains(t, err, "history: ", name)
		}
		require.NoError(t, s.Close())
	}

	s, _ := fileIn(t, nil)
	require.NoError(t, s.Append(t.Context()), "nothing is nothing")
	ended, cancel := context.WithCancel(t.Context())
	require.NoError(t, history.Note(ended, s, history.Event{Kind: "flag"}))
	cancel()
	_, err = history.Current(ended, s)
	require.NoError(t, err, "a few lines are read to the end")
}

// TestFileTogether appends to one file from several goroutines and several stores.
func TestFileTogether(t *testing.T) {
	t.Parallel()
	a, path := fileIn(t, nil)
	b := newFile(path, nil)
	var writers sync.WaitGroup
	for w, s := range []*history.FileStore{a, a, b, b} {
		writers.Go(func() {
			for n := range 50 {
				if err := history.Note(t.Context(), s, history.Event{Kind: strconv.Itoa(w), Subject: strconv.Itoa(n)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	require.NoError(t, b.Close())
	next := map[string]int{}
	for _, i := range timeline(t, a).Items {
		require.Equal(t, strconv.Itoa(next[i.Event.Kind]), i.Event.Subject)
		next[i.Event.Kind]++
	}
	require.Equal(t, map[string]int{"0": 50, "1": 50, "2": 50, "3": 50}, next)
	require.Zero(t, a.Stats()["rejected_lines"])
}

// TestFileFoldBuilds bounds a file that consists mostly of builds.
func TestFileFoldBuilds(t *testing.T) {
	t.Parallel()
	s, path := fileIn(t, &history.FileOptions{MaxBytes: 256 << 10})
	const appends = 150
	for n := range appends {
		info := version.Info{Version: fmt.Sprintf("v1.%d.0", n)}
		for d := range 100 {
			info.Deps = append(info.Deps, version.Module{Path: fmt.Sprint("example.com/module/", d), Version: info.Version, Sum: "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="})
		}
		require.NoError(t, history.Record(t.Context(), s, info, production(fmt.Sprint(n))))
		stat, err := os.Stat(path)
		require.NoError(t, err)
		require.LessOrEqual(t, stat.Size(), int64(256<<10))
	}
	require.Less(t, s.Stats()["folded"], float64(appends/5), "not with each append")
}

// TestFileFoldRun: a rewrite keeps the start of a run together with its end. Otherwise an old
// run would seem to start after the run that replaced it.
func TestFileFoldRun(t *testing.T) {
	t.Parallel()
	s, _ := fileIn(t, &history.FileOptions{MaxBytes: 64 << 10})
	begin := time.Now().Add(-10 * time.Hour)
	count := 0
	add := func(at time.Duration, e history.Entry) {
		count++
		e.ID, e.Time = fmt.Sprint("e", count), begin.Add(at)
		e.Late = time.Since(e.Time)
		require.NoError(t, s.Append(t.Context(), e))
	}
	sight := func(at time.Duration, kind history.Kind, run, release string) {
		add(at, history.Entry{Kind: kind, Run: run, Service: "shop", Instance: run, Version: release, Every: time.Minute})
	}
	note := func(at time.Duration, n int) {
		for range n {
			add(at, history.Entry{Kind: history.KindNoted, Event: &history.Event{Kind: "flag", To: strings.Repeat("x", 300)}})
		}
	}
	sight(0, history.KindStarted, "a", "v1.0.0")
	note(time.Hour, 90)
	sight(2*time.Hour, history.KindStarted, "b", "v2.0.0")
	sight(2*time.Hour+time.Minute, history.KindStopped, "a", "v1.0.0")
	want := moves(t, s)
	require.Equal(t, []string{"first v1.0.0", "update v1.0.0→v2.0.0"}, want)
	for s.Stats()["folded"] == 0 {
		note(3*time.Hour, 1)
	}
	require.Equal(t, want, moves(t, s))
}
