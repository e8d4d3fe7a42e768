package live_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/live"
)

// growing is a file system with one file that another process writes. Its content depends on the time
// since begun.
type growing struct {
	begun time.Time
	at    func(since time.Duration) string
	reads atomic.Int64
}

func (g *growing) Open(name string) (fs.File, error) {
	g.reads.Add(1)
	return fstest.MapFS{name: {Data: []byte(g.at(time.Since(g.begun)))}}.Open(name)
}

func TestAPartlyWrittenDocumentIsNotAccepted(t *testing.T) {
	t.Parallel()
	const whole = "one\ntwo\nthree\nfour"
	for name, c := range map[string]struct {
		at    func(time.Duration) string
		never bool
	}{
		"in place, in steps of 100 ms": {at: func(d time.Duration) string {
			return whole[:min(len(whole), int(d/(100*time.Millisecond)))]
		}},
		"emptied, and written whole a moment later": {at: func(d time.Duration) string {
			switch {
			case d < 10*time.Second:
				return "before"
			case d < 10*time.Second+200*time.Millisecond:
				return "one\n"
			}
			return whole
		}},
		"for ever": {never: true, at: func(d time.Duration) string {
			return strings.Repeat("x", int(d/(100*time.Millisecond)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &growing{begun: time.Now().Add(-time.Second), at: c.at}
				src := live.FS(g, "doc.yaml")
				first, err := src.Load(t.Context())
				require.NoError(t, err)
				require.Equal(t, c.at(time.Second), string(first), "the first load counts at once")
				require.Zero(t, time.Since(g.begun)-time.Second)
				k := start(t, src, live.Options[string]{Poll: 10 * time.Second, Timeout: 5 * time.Second})
				time.Sleep(time.Minute)
				synctest.Wait()
				if c.never {
					require.ErrorContains(t, k.Status().Err, "changes while it is read")
					require.Equal(t, c.at(time.Second), value(k))
					return
				}
				require.Equal(t, whole, value(k))
				require.EqualValues(t, 2, k.Status().Updates, "no other part of it was a document")
			})
		})
	}
}

func TestAChangeNeedsTwoEqualReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text atomic.Value
		text.Store("one")
		g := &growing{begun: time.Now(), at: func(time.Duration) string { return text.Load().(string) }}
		src := live.FS(g, "doc.yaml")
		load := func(want string, reads int64, took time.Duration) {
			t.Helper()
			before, began := g.reads.Load(), time.Now()
			data, err := src.Load(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, string(data))
			require.Equal(t, reads, g.reads.Load()-before)
			require.Equal(t, took, time.Since(began))
		}
		load("one", 1, 0)
		load("one", 1, 0) // unchanged
		text.Store("two")
		load("two", 2, 250*time.Millisecond)
		load("two", 1, 0)
		text.Store("three")
		bounded, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := src.Load(bounded)
		require.ErrorContains(t, err, "changes while it is read")
		load("three", 2, 250*time.Millisecond) // content of a single read was not accepted
		text.Store("one")
		time.AfterFunc(100*time.Millisecond, func() { text.Store("three") })
		load("three", 3, 500*time.Millisecond)
	})
}

// A file that was missing at the first load may be half written at the second one.
func TestAFileThatAppearsNeedsTwoEqualReads(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "doc.yaml")
	src := live.File(path)
	_, err := src.Load(t.Context())
	require.ErrorIs(t, err, fs.ErrNotExist)
	write(t, path, "one")
	began := time.Now()
	data, err := src.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, "one", string(data))
	require.GreaterOrEqual(t, time.Since(began), 250*time.Millisecond)
}

// A writer fills the file in place, piece by piece, while events wake the keeper.
func TestAFileWrittenInPieces(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "doc.yaml")
	write(t, path, "before")
	var seen []string
	k := live.Start(t.Context(), live.File(path), live.Options[string]{
		Poll: time.Hour, Logger: quiet, Parse: text,
		OnUpdate: func(s *live.Snapshot[string]) { seen = append(seen, *s.Value) },
	})
	require.NoError(t, k.Ready(t.Context()))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0o600)
	require.NoError(t, err)
	var lines []string
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 50 {
		_, err := f.WriteString("line\n")
		require.NoError(t, err)
		lines = append(lines, "line")
		<-tick.C
	}
	require.NoError(t, f.Close())
	whole := strings.Join(lines, "\n")
	require.Eventually(t, func() bool { return value(k) == whole }, 20*time.Second, time.Millisecond)
	require.NoError(t, k.Close())
	require.Equal(t, "before", seen[0])
	require.Equal(t, whole, seen[len(seen)-1])
	if len(seen) > 2 { // the writer was delayed for longer than 250 ms
		t.Logf("accepted in between: %q", seen[1:len(seen)-1])
	}
}
