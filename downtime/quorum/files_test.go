//go:build unix

package quorum_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/quorum"
	"github.com/upkeep-go/upkeep/internal/testsize"
)

// processDir is the environment variable that makes the test binary a replica.
const processDir = "UPKEEP_QUORUM_TEST_DIR"

// beGuard runs a replica with a guard that writes as often as it can: a byte into one file for
// each admitted piece of work, a byte into a second file for each refused one.
func beGuard(dir, folder string) int {
	file := func(name string) *os.File {
		f, err := os.OpenFile(filepath.Join(folder, name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
		if err != nil {
			panic(err)
		}
		return f
	}
	written, refused := file("written"), file("refused")
	q, err := quorum.Files(dir, &quorum.Options{Logger: discard})
	if err != nil {
		panic(err)
	}
	g, err := downtime.Open(context.Background(), downtime.File(filepath.Join(folder, "windows.yaml")),
		&downtime.Options{Quorum: q, Logger: discard, Poll: 200 * time.Millisecond})
	if err != nil {
		panic(err)
	}
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); { // to the end of the test's process, however that ends
			switch in.Text() {
			case "drain":
				rep, err := g.Drain(context.Background(), "w")
				fmt.Println(rep.Quiet, err)
			case "complete":
				_, err := g.Complete("w")
				fmt.Println(err)
			default:
				rep, err := g.Report("w")
				fmt.Println(rep.Unfinished, err)
			}
		}
		os.Exit(1)
	}()
	for {
		leave, err := g.Enter(context.Background(), downtime.Work{Name: "orders"})
		if err == nil {
			_, err = written.WriteString("x")
		} else {
			_, err = refused.WriteString("x")
			time.Sleep(time.Millisecond)
		}
		if err != nil {
			panic(err)
		}
		leave()
	}
}

// beProcess runs a replica with commands on standard input, such as "agree w=true v=false". It
// answers each line with a line.
func beProcess(dir string) int {
	if folder := os.Getenv("UPKEEP_QUORUM_TEST_GUARD"); folder != "" {
		return beGuard(dir, folder)
	}
	r, err := quorum.Files(dir, &quorum.Options{Name: os.Getenv("UPKEEP_QUORUM_TEST_NAME"), Logger: discard})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		told := windows{}
		for _, field := range strings.Fields(in.Text())[1:] {
			w, value, _ := strings.Cut(field, "=")
			told[w] = value == "true"
		}
		open, err := r.Agree(context.Background(), told)
		var answer []string
		for w := range open {
			answer = append(answer, w)
		}
		slices.Sort(answer)
		fmt.Println(strings.Join(answer, " "), err)
	}
	if err := r.Close(); err != nil {
		return 1
	}
	return 0
}

// A process is a replica in a separate process.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startProcess(t *testing.T, dir, name string) *process {
	exe, err := os.Executable()
	require.NoError(t, err)
	p := &process{t: t, cmd: exec.Command(exe)}
	p.cmd.Env = append(os.Environ(), processDir+"="+dir, "UPKEEP_QUORUM_TEST_NAME="+name)
	p.in, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.out = bufio.NewScanner(out)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.in.Close()
		_ = p.cmd.Wait()
	})
	return p
}

func (p *process) agree(windows string) string {
	p.t.Helper()
	_, err := fmt.Fprintln(p.in, "agree", windows)
	require.NoError(p.t, err)
	require.True(p.t, p.out.Scan())
	return p.out.Text()
}

func (p *process) kill() {
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGKILL))
	_ = p.cmd.Wait()
}

// awaitPeers waits until a look shows the given number of peers in each state.
func awaitPeers(t *testing.T, dir, window string, want ...quorum.State) quorum.Report {
	t.Helper()
	var rep quorum.Report
	require.Eventually(t, func() bool {
		var err error
		rep, err = quorum.LookFiles(dir, window)
		require.NoError(t, err)
		var got []quorum.State
		for _, p := range rep.Peers {
			got = append(got, p.State)
		}
		slices.Sort(got)
		return slices.Equal(want, got)
	}, 20*time.Second, 10*time.Millisecond, "%v", want)
	return rep
}

func startDrainFiles(ctx context.Context, t *testing.T, dir, window string) *draining {
	d := &draining{done: make(chan struct{})}
	go func() {
		defer close(d.done)
		d.lock, d.err = quorum.DrainFiles(ctx, dir, window, nil)
	}()
	t.Cleanup(func() {
		<-d.done
		if d.lock != nil {
			_ = d.lock.Close()
		}
	})
	return d
}

// TestFilesOfProcesses drains a window over real processes and kills one of them.
func TestFilesOfProcesses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new [1] *", "quorum")
	const window = "../../etc/passwd\x00 ünd more"
	a, b, c := startProcess(t, dir, "a"), startProcess(t, dir, "b"), startProcess(t, dir, "c")
	for _, p := range []*process{a, b, c} {
		require.Equal(t, "w <nil>", p.agree("w=true v=false"))
	}
	rep := awaitPeers(t, dir, "w", quorum.StateOpen, quorum.StateOpen, quorum.StateOpen)
	for _, p := range rep.Peers {
		i := slices.IndexFunc([]*process{a, b, c}, func(q *process) bool { return q.cmd.Process.Pid == p.PID })
		require.Equal(t, []string{"a", "b", "c"}[i], p.Name)
		require.WithinDuration(t, time.Now(), p.Since, time.Hour)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := quorum.DrainFiles(ctx, dir, "w", nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, fmt.Sprintf(`pid %d "b" is open`, b.cmd.Process.Pid))
	require.Equal(t, "w <nil>", a.agree("w=true v=false"), "given up")

	d := startDrainFiles(t.Context(), t, dir, "w")
	require.Equal(t, " <nil>", a.agree("w=false v=false"))
	require.Equal(t, " <nil>", b.agree("w=false v=false"))
	awaitPeers(t, dir, "w", quorum.StateQuiet, quorum.StateQuiet, quorum.StateOpen)
	require.True(t, d.waits(200*time.Millisecond))
	c.kill()
	<-d.done
	require.NoError(t, d.err)
	require.Len(t, d.lock.Report().Peers, 2)
	require.NoError(t, d.lock.Check(t.Context()))

	require.Equal(t, " <nil>", a.agree("w=true v=false"), "the operator has it")
	newcomer := startProcess(t, dir, "newcomer")
	require.Equal(t, " "+downtime.ErrOutdated.Error(), newcomer.agree("v=true"))
	require.Equal(t, "v <nil>", newcomer.agree("v=true w=true"))
	require.NoError(t, d.lock.Close())
	require.Equal(t, "w <nil>", a.agree("w=true v=false"))
	require.Equal(t, "v w <nil>", newcomer.agree("v=true w=true"))

	// Any window id.
	lock, err := quorum.DrainFiles(contextOf(t, 300*time.Millisecond), dir, window, nil)
	require.Error(t, err, "nobody knows it")
	require.Nil(t, lock)

	// Processes that end leave only the windows' lock files.
	for _, p := range []*process{a, b, newcomer} {
		require.NoError(t, p.in.Close())
		require.NoError(t, p.cmd.Wait())
	}
	awaitPeers(t, dir, "w")
	_, err = quorum.DrainFiles(t.Context(), dir, window, nil)
	require.ErrorIs(t, err, quorum.ErrNobody)
	r := files(t, dir)
	agree(t, r, windows{window: false})
	lock, err = quorum.DrainFiles(t.Context(), dir, window, nil)
	require.NoError(t, err)
	require.NoError(t, lock.Close())
	require.NoError(t, r.Close())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	require.ElementsMatch(t, []string{quorum.WindowFile("w"), quorum.WindowFile("v"), quorum.WindowFile(window)}, names)
}

func contextOf(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestGuardsOfProcesses checks that the guards of three processes, which write hundreds of
// thousands of times, never write after the operator has the lock.
func TestGuardsOfProcesses(t *testing.T) {
	t.Parallel()
	many := testsize.Pick[int64](20_000, 300_000, 3_000_000)
	dir, folder := t.TempDir(), t.TempDir()
	size := func(name string) int64 {
		info, err := os.Stat(filepath.Join(folder, name))
		if errors.Is(err, fs.ErrNotExist) {
			return 0
		}
		require.NoError(t, err)
		return info.Size()
	}
	start := time.Now().Add(30 * time.Minute).UTC().Format(time.RFC3339)
	document := func(actual string) {
		name := filepath.Join(folder, "windows.yaml")
		text := fmt.Sprintf("windows: [{id: w, start: %s, duration: 4h, scope: {work: [orders]}, actual: {%s}}]\n", start, actual)
		require.NoError(t, os.WriteFile(name+".new", []byte(text), 0o644))
		require.NoError(t, os.Rename(name+".new", name))
	}
	document("")
	until := func(what string, holds func() bool) {
		require.Eventually(t, holds, time.Minute, 5*time.Millisecond, what)
	}
	guard := func() *exec.Cmd {
		exe, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), processDir+"="+dir, "UPKEEP_QUORUM_TEST_GUARD="+folder)
		cmd.Stderr = os.Stderr
		_, err = cmd.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		return cmd
	}
	first := guard()
	guard()
	guard()
	awaitPeers(t, dir, "w", quorum.StateOpen, quorum.StateOpen, quorum.StateOpen)
	d := startDrainFiles(contextOf(t, time.Minute), t, dir, "w")
	until("many", func() bool { return size("written") > many })
	require.True(t, d.waits(0))
	now := time.Now().UTC().Format(time.RFC3339Nano)
	document("begin: " + now)
	require.NoError(t, first.Process.Kill())
	<-d.done
	require.NoError(t, d.err)

	written := size("written")
	require.Len(t, d.lock.Report().Peers, 2)
	newcomer := guard()
	awaitPeers(t, dir, "w", quorum.StateQuiet, quorum.StateQuiet, quorum.StateQuiet, quorum.StateDraining)
	refused := size("refused")
	until("all try to write", func() bool { return size("refused") > refused+300 })
	require.Equal(t, written, size("written"), "written after the lock was had")
	document("begin: " + now + ", end: " + time.Now().UTC().Format(time.RFC3339Nano))
	until("all try to write", func() bool { return size("refused") > refused+1000 })
	require.Equal(t, written, size("written"), "the lock holds, whatever the document says")
	require.NoError(t, newcomer.Process.Kill())
	require.NoError(t, d.lock.Close())
	until("they open", func() bool { return size("written") > written })
	t.Logf("%d guarded writes before the lock, none under it", written)
}

// A guardProcess is a process with a guard, which writes into its folder.
type guardProcess struct {
	*process
	folder string
}

func startGuard(t *testing.T, dir, folder string) *guardProcess {
	exe, err := os.Executable()
	require.NoError(t, err)
	p := &process{t: t, cmd: exec.Command(exe)}
	p.cmd.Env = append(os.Environ(), processDir+"="+dir, "UPKEEP_QUORUM_TEST_GUARD="+folder)
	p.in, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.out = bufio.NewScanner(out)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.in.Close()
		_ = p.cmd.Wait()
	})
	return &guardProcess{p, folder}
}

func (p *guardProcess) ask(line string) string {
	p.t.Helper()
	_, err := fmt.Fprintln(p.in, line)
	require.NoError(p.t, err)
	require.True(p.t, p.out.Scan())
	return p.out.Text()
}

func (p *guardProcess) size(name string) int64 {
	info, err := os.Stat(filepath.Join(p.folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	require.NoError(p.t, err)
	return info.Size()
}

func (p *guardProcess) write(actual string) {
	name := filepath.Join(p.folder, "windows.yaml")
	text := fmt.Sprintf("windows: [{id: w, start: 2026-01-01T00:00:00Z, duration: 1h, scope: {work: [orders]}, actual: {%s}}]\n", actual)
	require.NoError(p.t, os.WriteFile(name+".new", []byte(text), 0o644))
	require.NoError(p.t, os.Rename(name+".new", name))
}

// TestKilledWithItsWorkUnfinished kills the process that has drained the window, with SIGKILL. The
// other process holds the window past its end, and so does the killed one after a restart.
func TestKilledWithItsWorkUnfinished(t *testing.T) {
	t.Parallel()
	dir, folders := t.TempDir(), []string{t.TempDir(), t.TempDir()}
	text := func(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }
	began := time.Now().Add(-time.Minute)
	documents := func(actual string) {
		for _, folder := range folders {
			(&guardProcess{&process{t: t}, folder}).write("begin: " + text(began) + ", " + actual)
		}
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		require.Eventually(t, holds, time.Minute, 5*time.Millisecond, what)
	}
	closed := func(p *guardProcess) {
		t.Helper()
		refused := p.size("refused")
		until("it is refused", func() bool { return p.size("refused") > refused+20 })
		require.Equal(t, "true <nil>", p.ask("unfinished"))
	}
	documents("until: " + text(began.Add(4*time.Hour)))
	doomed, other := startGuard(t, dir, folders[0]), startGuard(t, dir, folders[1])
	require.Equal(t, "true <nil>", doomed.ask("drain"))
	until("the other has heard of it", func() bool { return other.ask("unfinished") == "true <nil>" })
	doomed.kill()
	end := time.Now().Add(3 * time.Second)
	documents("until: " + text(end))
	until("the end", func() bool { return time.Now().After(end.Add(2 * time.Second)) })
	closed(other)
	other.kill()
	again := startGuard(t, dir, folders[0]) // the only process, so only the file has the mark
	closed(again)
	require.Zero(t, again.size("written"))
	require.Equal(t, "<nil>", again.ask("complete"))
	until("it opens", func() bool { return again.size("written") > 0 })
	last := startGuard(t, dir, folders[1])
	until("the next is open", func() bool { return last.size("written") > 0 })
	marks, err := filepath.Glob(filepath.Join(dir, "*.unfinished"))
	require.NoError(t, err)
	require.Empty(t, marks)
}

// TestStoppedProcess checks that a stopped process keeps its locks.
func TestStoppedProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProcess(t, dir, "p")
	require.Equal(t, "w <nil>", p.agree("w=true"))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGSTOP))
	_, err := quorum.DrainFiles(contextOf(t, 300*time.Millisecond), dir, "w", nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGCONT))
	require.Equal(t, " <nil>", p.agree("w=false"))
	lock, err := quorum.DrainFiles(t.Context(), dir, "w", nil)
	require.NoError(t, err)
	require.NoError(t, lock.Close())
}

func files(t *testing.T, dir string) *quorum.Replica {
	r, err := quorum.Files(dir, &quorum.Options{Logger: discard, Name: strings.Repeat("\x01", 5000)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

func TestSecondOperatorOfFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	agree(t, files(t, dir), windows{"w": false})
	first, err := quorum.DrainFiles(t.Context(), dir, "w", nil)
	require.NoError(t, err)
	second := startDrainFiles(t.Context(), t, dir, "w")
	require.True(t, second.waits(200*time.Millisecond))
	awaitPeers(t, dir, "w", quorum.StateQuiet, quorum.StateDraining)
	require.NoError(t, first.Close())
	<-second.done
	require.NoError(t, second.err)
}

// TestDrainFilesMakesNothing drains a missing folder and a folder without replicas.
func TestDrainFilesMakesNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "quorum")
	_, err := quorum.DrainFiles(t.Context(), dir, "w", nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, dir)
	require.NoDirExists(t, dir)
	require.NoError(t, os.Mkdir(dir, 0o755))
	_, err = quorum.DrainFiles(t.Context(), dir, "w", nil)
	require.ErrorIs(t, err, quorum.ErrNobody)
	require.Empty(t, names(t, dir), "somebody else's folder stays as it is")

	agree(t, files(t, dir), windows{"w": false})
	_, err = quorum.DrainFiles(contextOf(t, 300*time.Millisecond), dir, "w", &quorum.DrainOptions{Replicas: 2})
	var waiting *quorum.WaitingError
	require.ErrorAs(t, err, &waiting)
	require.Equal(t, 1, waiting.Missing)
	agree(t, files(t, dir), windows{"w": false})
	lock, err := quorum.DrainFiles(t.Context(), dir, "w", &quorum.DrainOptions{Replicas: 2})
	require.NoError(t, err)
	require.Len(t, lock.Report().Peers, 2)
	require.NoError(t, lock.Close())
}

// TestFilesAreRemoved removes the files of a replica and of an operator. They report it, and the
// replica joins again.
func TestFilesAreRemoved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "quorum")
	r := files(t, dir)
	require.Equal(t, windows{"w": true}, agree(t, r, windows{"w": true}))
	for _, gone := range []string{quorum.WindowFile("w"), "*.replica", "*"} {
		paths, err := filepath.Glob(filepath.Join(dir, gone))
		require.NoError(t, err)
		require.NotEmpty(t, paths)
		for _, path := range paths {
			require.NoError(t, os.Remove(path))
		}
		select {
		case <-r.Changed():
		case <-time.After(20 * time.Second):
			require.Fail(t, "nothing was noticed")
		}
		require.Eventually(t, func() bool {
			open, err := r.Agree(t.Context(), windows{"w": true})
			return err == nil && open["w"]
		}, 20*time.Second, 10*time.Millisecond)
		awaitPeers(t, dir, "w", quorum.StateOpen)
	}

	// The operator's file.
	agree(t, r, windows{"w": false})
	lock, err := quorum.DrainFiles(t.Context(), dir, "w", nil)
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, quorum.WindowFile("w"))))
	ctx := lock.Context(t.Context())
	<-ctx.Done()
	require.ErrorIs(t, context.Cause(ctx), quorum.ErrLost)
	require.ErrorIs(t, lock.Close(), quorum.ErrLost)
}

func TestFilesThatCannotBe(t *testing.T) {
	t.Parallel()
	_, err := quorum.Files("", nil)
	require.EqualError(t, err, "quorum: the folder has no name")
	_, err = quorum.DrainFiles(t.Context(), "", "w", nil)
	require.EqualError(t, err, "quorum: the folder has no name")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = files(t, file).Agree(t.Context(), windows{"w": true})
	require.ErrorIs(t, err, syscall.ENOTDIR)
	_, err = quorum.DrainFiles(t.Context(), file, "w", nil)
	require.ErrorIs(t, err, syscall.ENOTDIR)
	_, err = quorum.LookFiles(file, "w")
	require.ErrorIs(t, err, syscall.ENOTDIR)
}

// TestForeignFiles adds files of others to the folder. Files without a replica's name stay, a
// replica's unreadable file gives a peer without a name, and an unlocked one means that it is dead.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"README", "DEAD.replica", "DEAD.0123.knows", "OLD.new", "YOUNG.new"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("\x00{"), 0o600))
	}
	require.NoError(t, os.Chtimes(filepath.Join(dir, "OLD.new"), time.Time{}, time.Now().Add(-time.Hour)))
	garbled := filepath.Join(dir, "GARBLED.replica")
	require.NoError(t, os.WriteFile(garbled, make([]byte, 10000), 0o600))
	f, err := os.Open(garbled)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))

	rep, err := quorum.LookFiles(dir, "w")
	require.NoError(t, err)
	require.Equal(t, []quorum.Peer{{State: quorum.StateUnaware}}, rep.Peers)
	require.Equal(t, "w: waiting for 1 of 1: pid 0 does not know of the window", rep.String())
	var names []string
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	require.Equal(t, []string{"GARBLED.replica", "README", "YOUNG.new"}, names)
}

func FuzzAbout(f *testing.F) {
	for _, seed := range []string{
		`{"pid":4711,"name":"orders@node 4711","since":"2026-12-06T01:02:03Z"}`,
		`{"pid":-1,"name":"\u001b[2J","since":null}`, `{"pid":1e999}`, `{}`, `null`, ``, `[`, "{\"name\":\"\xff\"}", strings.Repeat("[", 5000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		pid, name, since, err := quorum.ParseAbout(data)
		if err != nil {
			require.Zero(t, pid)
			return
		}
		text := quorum.Peer{PID: pid, Name: name, Since: since}.String()
		require.NotContains(t, text, "\n")
		require.NotContains(t, text, "\x1b")
		require.True(t, len(text) < 1000, len(text))
	})
}
