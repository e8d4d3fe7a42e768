package downtime_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/internal/testsize"
)

// lasting are handlers that do not end by themselves while their client is there: each ends in
// the one way in which a window can end it. Witnesses count what of them runs.
type lasting struct {
	running [2]atomic.Int64 // below /a and /b
	served  sync.Map        // kind: *atomic.Int64
	sockets sync.WaitGroup
}

var lastingKinds = []string{"quick", "stream", "export", "upload", "job", "taken over", "taken over and returned"}

// witness counts a request from here on. gone is to be called when it has ended.
func (l *lasting) witness(r *http.Request) (gone func()) {
	kind := r.Header.Get("Kind")
	n, _ := l.served.LoadOrStore(kind, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
	of := &l.running[r.URL.Path[1]-'a']
	of.Add(1)
	return func() { of.Add(-1) }
}

func (l *lasting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	gone := l.witness(r)
	kind := r.Header.Get("Kind")
	if kind == "taken over" || kind == "taken over and returned" {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil { // it was cut
			gone()
			return
		}
		socket := func() {
			for err == nil {
				_, err = conn.Read(make([]byte, 1))
			}
			gone() // before the close, from when it is not counted
			_ = conn.Close()
		}
		if kind == "taken over" {
			socket()
		} else {
			l.sockets.Go(socket)
		}
		return
	}
	defer gone()
	switch kind {
	case "stream":
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case "export": // an undeclared stream, which only checks its writes
		for err := error(nil); err == nil; {
			time.Sleep(300 * time.Millisecond)
			_, err = io.WriteString(w, "1,2\n")
		}
	case "upload":
		_, _ = io.Copy(io.Discard, r.Body)
	case "job":
		<-r.Context().Done()
	}
}

// TestQuietIsHonestOfWhatLasts has clients of all kinds come and stay, while a window begins and
// edits bring more into its scope. Quiet must not be reported while anything of the scope runs,
// and must be reported soon after the grace.
func TestQuietIsHonestOfWhatLasts(t *testing.T) {
	t.Parallel()
	for round := range testsize.Pick(2, 8, 200) {
		synctest.Test(t, func(t *testing.T) { honestOfWhatLasts(t, uint64(round)) })
	}
}

func honestOfWhatLasts(t *testing.T, seed uint64) {
	const grace, jitter, soon = 10 * time.Second, 2 * time.Second, 500 * time.Millisecond
	dice := rand.New(rand.NewPCG(seed, 1))
	src := newSource(windows())
	g := open(t, src, &downtime.Options{Grace: grace, StreamJitter: jitter})
	l := &lasting{}
	h := g.Handler(l)
	stop, stopped := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for i := range 40 {
		clients.Go(func() {
			dice := rand.New(rand.NewPCG(seed, uint64(i)+2))
			for stop.Err() == nil {
				kind := lastingKinds[dice.IntN(len(lastingKinds))]
				ctx, leaves := context.WithCancel(stop)
				patience := time.Hour
				if dice.IntN(3) == 0 {
					patience = time.Duration(dice.IntN(int(8 * time.Second)))
				}
				impatient := time.AfterFunc(patience, leaves)
				body, upload := io.Pipe()
				r := httptest.NewRequest("POST", fmt.Sprintf("/%c/x", 'a'+rune(dice.IntN(2))), body).WithContext(ctx)
				r.Header.Set("Kind", kind)
				conn, peer := net.Pipe()
				w := &hangsUp{httptest.NewRecorder(), ctx, conn}
				served := make(chan struct{})
				clients.Go(func() { // what the client does meanwhile
					tick := time.NewTicker(700 * time.Millisecond)
					defer tick.Stop()
					for {
						select {
						case <-tick.C:
							if kind == "upload" {
								_, _ = upload.Write([]byte("a"))
							}
							continue
						case <-ctx.Done():
							_ = peer.Close()
						case <-served:
						}
						_ = upload.CloseWithError(io.ErrUnexpectedEOF)
						return
					}
				})
				h.ServeHTTP(w, r)
				_ = body.Close()
				close(served)
				if kind == "taken over and returned" {
					stay := time.NewTimer(time.Duration(dice.IntN(int(20 * time.Second))))
					select {
					case <-stay.C:
					case <-ctx.Done():
					}
					stay.Stop()
				}
				_ = peer.Close()
				impatient.Stop()
				leaves()
				time.Sleep(time.Duration(dice.IntN(int(time.Second))))
			}
		})
	}

	// watch reads reports of the window for a while. Requests that run between two reports of quiet were
	// running while it was quiet.
	watch := func(d time.Duration) (quiet bool) {
		for until := time.Now().Add(d); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
			before, err := g.Report("w")
			if err != nil {
				continue // not read yet
			}
			seen := [2]int64{l.running[0].Load(), l.running[1].Load()}
			rep, err := g.Report("w")
			require.NoError(t, err)
			if !before.Quiet || !rep.Quiet || before.Occurrence.Window != rep.Occurrence.Window {
				quiet = false
				continue
			}
			quiet = true
			for i := range rep.Occurrence.Window.Scope.Paths {
				require.Zero(t, seen[i], "quiet was reported while something ran: seed %d", seed)
			}
		}
		return quiet
	}
	time.Sleep(time.Duration(dice.IntN(int(20 * time.Second))))
	start := time.Now().Add(time.Duration(dice.IntN(int(3 * time.Second))))
	edit := func(scope, message string) {
		src.mu.Lock()
		src.text = windows(fmt.Sprintf("  - {id: w, start: %q, duration: 90s, overrun: reopen, scope: {paths: [%s]}, message: %q}\n",
			start.UTC().Format(time.RFC3339Nano), scope, message))
		src.mu.Unlock()
		src.bell <- struct{}{}
	}
	edit(`"/a/**"`, "first")
	watch(time.Until(start) + time.Duration(dice.IntN(int(grace)))) // the edits come before or after it is quiet
	edit(`"/a/**"`, "second")
	watch(time.Duration(dice.IntN(int(grace))))
	edit(`"/a/**", "/b/**"`, "third")
	watch(soon + grace + jitter)
	require.True(t, watch(20*time.Second), "the grace is over: seed %d", seed)
	require.Zero(t, l.running[0].Load()+l.running[1].Load())
	rep, err := g.Drain(t.Context(), "w")
	require.NoError(t, err)
	require.True(t, rep.Quiet)
	require.Zero(t, rep.Uncut)
	require.Positive(t, g.Stats()["cut"])
	require.Positive(t, g.Stats()["refused"])

	time.Sleep(time.Until(rep.End) + 10*time.Second)
	require.Positive(t, l.running[0].Load(), "it is open again")
	stopped()
	clients.Wait()
	l.sockets.Wait()
	require.InDelta(t, 0, g.Stats()["in_flight"], 0, "something was left counted")
	for _, kind := range lastingKinds {
		n, served := l.served.Load(kind)
		require.True(t, served && n.(*atomic.Int64).Load() > 0, kind)
	}
}

// hangsUp is a response to a client that may go: then writes fail.
type hangsUp struct {
	*httptest.ResponseRecorder
	ctx  context.Context
	conn net.Conn
}

func (w *hangsUp) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

func (w *hangsUp) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

func (w *hangsUp) Write(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, w.ctx.Err()
	}
	return w.ResponseRecorder.Write(p)
}
