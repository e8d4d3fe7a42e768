//go:build unix

package quorum_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/quorum"
)

// Replicas and operators of different versions share a database or a folder. These tests check
// that every version keeps the keys and files of the first version.

// goldenKeys are the advisory lock keys of the first version.
var goldenKeys = []struct {
	fleet  quorum.Fleet
	kind   byte
	window string
	key    int64
}{
	{"", 'J', "", 8332111210640146200},
	{"", 'D', "", -1282147696846635526},
	{"", 'K', "orders-db-upgrade", 465966244805824959},
	{"", 'O', "orders-db-upgrade", -1664319337201946814},
	{"", 'K', "../../etc/passwd\x00 ünd more", -2676358833336291153},
	{"", 'O', "../../etc/passwd\x00 ünd more", -7259934755379880089},
	{"mail", 'J', "", 4791427112193231985},
	{"mail", 'D', "", -3242747964722188412},
	{"mail", 'K', "weekly", -7797601508239686939},
	{"mail", 'O', "weekly", -8815638095165537917},
}

func TestGoldenKeys(t *testing.T) {
	t.Parallel()
	for _, g := range goldenKeys {
		require.Equal(t, g.key, quorum.LockKey(g.fleet, g.kind, g.window), "%+v", g)
	}
}

// The folder in testdata was written by the first version: one replica knows two windows
// and is open for the first, the other knows both.
const (
	goldenOpen   = "PBYRPWEHJGKZY5MJS6ZAUAZLY7"
	goldenQuiet  = "VVBLFFB6AC5IRJQR3ER4U2MBN6"
	goldenLock   = "9314fca8b2b3c1cdceb59aced42cad7f" // orders-db-upgrade
	goldenWeekly = "8850eced986ec360f9b350835a621bcf" // weekly
)

// goldenFolder copies the folder and takes the locks that its replicas held.
func goldenFolder(t *testing.T) (dir string, lock *os.File, replicas []*os.File) {
	dir = filepath.Join(t.TempDir(), "quorum")
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/folder")))
	hold := func(name string, how int) *os.File {
		f, err := os.Open(filepath.Join(dir, name))
		require.NoError(t, err)
		t.Cleanup(func() { _ = f.Close() })
		require.NoError(t, syscall.Flock(int(f.Fd()), how))
		return f
	}
	replicas = []*os.File{hold(goldenOpen+".replica", syscall.LOCK_EX), hold(goldenQuiet+".replica", syscall.LOCK_EX)}
	return dir, hold(goldenLock+".lock", syscall.LOCK_SH), replicas
}

func TestGoldenFolderIsRead(t *testing.T) {
	t.Parallel()
	dir, lock, replicas := goldenFolder(t)
	since := time.Date(2026, 11, 28, 19, 32, 17, 0, time.UTC)
	look := func(window string) []quorum.Peer {
		rep, err := quorum.LookFiles(dir, window)
		require.NoError(t, err)
		slices.SortFunc(rep.Peers, func(a, b quorum.Peer) int { return int(b.State) - int(a.State) })
		return rep.Peers
	}
	first := quorum.Peer{PID: 30385, Name: "orders@node-1 17", Since: since}
	second := quorum.Peer{PID: 30385, Name: `old "quoted" 2`, Since: since}
	open, unaware := first, []quorum.Peer{first, second}
	open.State, unaware[0].State, unaware[1].State = quorum.StateOpen, quorum.StateUnaware, quorum.StateUnaware
	require.Equal(t, []quorum.Peer{open, second}, look("orders-db-upgrade"))
	require.ElementsMatch(t, []quorum.Peer{first, second}, look("weekly"))
	require.ElementsMatch(t, unaware, look("another"))

	// An operator waits for the replica that holds the lock.
	_, err := quorum.DrainFiles(contextOf(t, 300*time.Millisecond), dir, "orders-db-upgrade", nil)
	var waiting *quorum.WaitingError
	require.ErrorAs(t, err, &waiting)
	require.Equal(t, []quorum.Peer{open}, waiting.Waiting)
	require.NoError(t, os.Remove(filepath.Join(dir, goldenOpen+"."+goldenLock+".open")))
	_, err = quorum.DrainFiles(contextOf(t, 300*time.Millisecond), dir, "orders-db-upgrade", nil)
	require.Error(t, err, "the marker is for people: the lock counts")
	require.NoError(t, lock.Close())
	held, err := quorum.DrainFiles(t.Context(), dir, "orders-db-upgrade", nil)
	require.NoError(t, err)
	require.Len(t, held.Report().Peers, 2)
	require.NoError(t, held.Close())

	// When its processes end, only the windows' lock files remain.
	for _, f := range replicas {
		require.NoError(t, f.Close())
	}
	require.Empty(t, look("weekly"))
	require.Equal(t, []string{goldenLock + ".lock"}, names(t, dir))
}

// TestGoldenFolderIsWritten repeats the steps with which the first version wrote testdata, and
// checks that that version could read the result.
func TestGoldenFolderIsWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := quorum.Files(dir, &quorum.Options{Name: "orders@node-1 17", Logger: discard})
	require.NoError(t, err)
	defer r.Close()
	agree(t, r, windows{"orders-db-upgrade": true, "weekly": false})
	replica := regexp.MustCompile(`^([A-Z2-7]{26})\.replica$`)
	found := names(t, dir)
	i := slices.IndexFunc(found, replica.MatchString)
	require.GreaterOrEqual(t, i, 0, "%v", found)
	life := replica.FindStringSubmatch(found[i])[1]
	require.ElementsMatch(t, []string{
		goldenLock + ".lock", life + ".replica",
		life + "." + goldenLock + ".knows", life + "." + goldenLock + ".open", life + "." + goldenWeekly + ".knows",
	}, found)

	data, err := os.ReadFile(filepath.Join(dir, life+".replica"))
	require.NoError(t, err)
	var about map[string]any
	require.NoError(t, json.Unmarshal(data, &about))
	require.Len(t, about, 3)
	require.InDelta(t, os.Getpid(), about["pid"], 0)
	require.Equal(t, "orders@node-1 17", about["name"])
	since, err := time.Parse(time.RFC3339, about["since"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), since, time.Minute)

	locked := func(name string, how int) bool {
		f, err := os.Open(filepath.Join(dir, name))
		require.NoError(t, err)
		defer f.Close()
		return syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB) != nil
	}
	require.True(t, locked(life+".replica", syscall.LOCK_SH), "exclusively, for life")
	require.True(t, locked(goldenLock+".lock", syscall.LOCK_EX))
	require.False(t, locked(goldenLock+".lock", syscall.LOCK_SH), "shared with others that are open")
	agree(t, r, windows{"orders-db-upgrade": false})
	require.False(t, locked(goldenLock+".lock", syscall.LOCK_EX))
	held, err := quorum.DrainFiles(t.Context(), dir, "orders-db-upgrade", nil)
	require.NoError(t, err)
	require.True(t, locked(goldenLock+".lock", syscall.LOCK_SH), "the operator's")
	require.NoError(t, held.Close())
}

func names(t *testing.T, dir string) []string {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// A replica that learns of a window, or of a new definition, may have work running in it. It takes
// the open lock before it publishes the window, so that an operator who has the lock for a moment
// does not consider it quiet.
func TestNobodyIsQuietByChance(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := quorum.Files(dir, &quorum.Options{Logger: discard})
	require.NoError(t, err)
	defer r.Close()
	agree(t, r, windows{"other": true})
	look := func() (quorum.State, string) {
		rep, err := quorum.LookFiles(dir, "w")
		require.NoError(t, err)
		return rep.Peers[0].State, rep.Peers[0].Digest
	}
	operator, err := os.OpenFile(filepath.Join(dir, quorum.WindowFile("w")), os.O_RDONLY|os.O_CREATE, 0o644)
	require.NoError(t, err)
	defer operator.Close()
	say := func(wanted bool, digest string) {
		_, _, err := r.AgreeOn(t.Context(), map[string]downtime.Position{"other": {Wanted: true}, "w": {Wanted: wanted, Digest: digest}})
		require.NoError(t, err)
	}
	flock := func(how int) { require.NoError(t, syscall.Flock(int(operator.Fd()), how)) }

	flock(syscall.LOCK_EX)
	say(true, "11111111")
	state, _ := look()
	require.Equal(t, quorum.StateUnaware, state)
	flock(syscall.LOCK_UN)
	say(true, "11111111")
	state, digest := look()
	require.Equal(t, []any{quorum.StateOpen, "11111111"}, []any{state, digest})
	say(false, "11111111")

	flock(syscall.LOCK_EX)
	say(true, "22222222") // the document now has a wider scope
	_, digest = look()
	require.Equal(t, "11111111", digest)
	say(false, "22222222")
	_, digest = look()
	require.Equal(t, "22222222", digest, "nothing runs in it")
}
