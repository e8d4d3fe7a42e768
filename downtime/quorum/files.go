package quorum

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/internal/atomicfile"
)

// Files makes this process a replica in the quorum of one machine, with flock(2) on files in the
// folder dir, which it creates if missing. All processes of the fleet use the same folder. It must
// be on a local file system, such as below /run, because locks over a network are unreliable. The
// kernel releases a dead process's locks.
//
// Files returns an error if dir is empty, and errors.ErrUnsupported, wrapped, on systems without
// flock. It retries files that cannot be opened.
//
// Every process with write access to the folder can falsify its state. Do not remove files while
// it is in use: a replica whose file is gone joins again, but meanwhile an operator could miss it. A
// window's empty lock file remains. The other files are removed by their process, or by the next
// operator who looks.
func Files(dir string, opts *Options) (*Replica, error) {
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	o := opts.resolve()
	return newReplica(o, 0, func(context.Context, bool) (member, error) { return joinFiles(dir, o.Name) }), nil
}

func checkDir(dir string) error {
	switch {
	case !atomicfile.Supported:
		return fmt.Errorf("quorum: this system has no flock: %w", errors.ErrUnsupported)
	case dir == "":
		return errors.New("quorum: the folder has no name")
	}
	return nil
}

// The names of files. life is a random text for each member. window is a hash, because a window's
// id may be invalid as a file name.
//
//	<life>.replica          locked exclusively while the process lives
//	<life>.<window>.knows   exists while the member knows the window; it contains the digest, or
//	                        nothing if an earlier version wrote it
//	<life>.<window>.open    exists while the member is open; for people, it proves nothing
//	<window>.lock           locked shared by open members, exclusively by the operator
//	<window>.<occurrence>.<life>.unfinished
//	                        exists from the moment at which the guard's Drain reported the window
//	                        quiet until its work is completed, even if the process has ended; it
//	                        names its member, for people
const (
	extReplica = ".replica"
	extKnows   = ".knows"
	extOpen    = ".open"
	extLock    = ".lock"
	extMark    = ".unfinished"
	extNew     = ".new"
)

func windowFile(window string) string {
	sum := sha256.Sum256([]byte(window))
	return hex.EncodeToString(sum[:16])
}

// A fileMember is one membership of a replica.
type fileMember struct {
	dir  string
	life string
	name string
	file *os.File
	held map[string]*os.File // by window
}

// about is the content of a replica's file.
type about struct {
	PID   int       `json:"pid"`
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
}

const maxAbout = 4096 // bytes

// parseAbout reads untrusted bytes.
func parseAbout(data []byte) (about, error) {
	var a about
	if len(data) > maxAbout {
		return about{}, errors.New("too large")
	}
	if !utf8.Valid(data) {
		return about{}, errors.New("not UTF-8")
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return about{}, err
	}
	return a, nil
}

func joinFiles(dir, name string) (member, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if len(name) > maxAbout/8 {
		name = name[:maxAbout/8] // one byte can become six in JSON
	}
	m := &fileMember{dir: dir, life: rand.Text(), name: name, held: map[string]*os.File{}}
	data, err := json.Marshal(about{os.Getpid(), name, time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return nil, err
	}
	// The file gets its final name after it is locked, because operators consider a replica with
	// an unlocked file dead.
	fresh := m.path("", extNew)
	m.file, err = os.OpenFile(fresh, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	_, err = m.file.Write(data)
	if err == nil {
		err = lockOf(atomicfile.Try(m.file, atomicfile.Exclusive))
	}
	if err == nil {
		err = os.Rename(fresh, m.path("", extReplica))
	}
	if err != nil {
		_ = os.Remove(fresh)
		m.end()
		return nil, err
	}
	return m, nil
}

// lockOf returns an error for a lock that was not obtained.
func lockOf(got bool, err error) error {
	if err == nil && !got {
		err = errors.New("locked by another process")
	}
	return err
}

// path returns the path of the member's file for a window. An empty window means the member's own
// file.
func (m *fileMember) path(window, ext string) string {
	name := m.life
	if window != "" {
		name += "." + windowFile(window)
	}
	return filepath.Join(m.dir, name+ext)
}

func (m *fileMember) know(_ context.Context, digests map[string]string) error {
	for w, digest := range digests {
		if err := m.write(m.path(w, extKnows), []byte(digest)); err != nil {
			return err
		}
	}
	return nil
}

// write writes a file atomically. It does not sync, because the file need not survive a crash of
// the machine: processes do not survive one either.
func (m *fileMember) write(path string, data []byte) error {
	fresh := path + extNew
	err := os.WriteFile(fresh, data, 0o644)
	if err == nil {
		err = os.Rename(fresh, path)
	}
	return err
}

// maxDigest is the length of the longest digest that is read.
const maxDigest = 64

// parseDigest reads an untrusted digest. For invalid bytes it returns a text that replicas never
// use as a digest.
func parseDigest(data []byte) string {
	const none = "unreadable"
	if len(data) > maxDigest {
		return none
	}
	for _, c := range data {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return none
		}
	}
	return string(data[:min(len(data), 8)])
}

// markOf returns the prefix of all marks of an occurrence.
func markOf(window, planned string) string {
	return windowFile(window) + "." + windowFile(planned) + "."
}

// tend writes or removes the mark of unfinished work. A mark outlasts its process, so all replicas,
// including new ones, see that the work is unfinished.
func (m *fileMember) tend(_ context.Context, windows map[string]downtime.Position) (unfinished map[string]bool, err error) {
	unfinished = map[string]bool{}
	for w, p := range windows {
		if p.Occurrence == "" {
			continue
		}
		prefix := filepath.Join(m.dir, markOf(w, p.Occurrence))
		own := prefix + m.life + extMark
		switch {
		case p.Unfinished:
			if _, err := os.Stat(own); errors.Is(err, fs.ErrNotExist) {
				data, err := json.Marshal(about{os.Getpid(), m.name, time.Now().UTC().Truncate(time.Second)})
				if err == nil {
					err = m.write(own, data)
				}
				if err != nil {
					return nil, err
				}
			}
		case !p.Completed:
			err = os.Remove(own) // the work is completed
		}
		marks, _ := filepath.Glob(escape(prefix) + "*" + extMark)
		if p.Completed {
			for _, path := range marks {
				if e := os.Remove(path); err == nil {
					err = e
				}
			}
			marks = nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		unfinished[w] = len(marks) > 0
	}
	maps.DeleteFunc(unfinished, func(_ string, is bool) bool { return !is })
	return unfinished, nil
}

func (m *fileMember) linger(context.Context) {} // others see files at once

func (m *fileMember) touch(windows []string, ext string) error {
	for _, w := range windows {
		f, err := os.OpenFile(m.path(w, ext), os.O_RDWR|os.O_CREATE, 0o644)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *fileMember) forget(_ context.Context, windows []string) error {
	for _, w := range windows {
		if err := os.Remove(m.path(w, extKnows)); err != nil {
			return err
		}
	}
	return nil
}

func (m *fileMember) enter(_ context.Context, windows []string) (entered []string, err error) {
	for _, w := range windows {
		f, err := openLockFile(m.dir, windowFile(w))
		if err != nil {
			return nil, err
		}
		got, err := atomicfile.Try(f, atomicfile.Shared)
		if err == nil && got {
			err = m.touch([]string{w}, extOpen)
		}
		if err != nil || !got {
			_ = f.Close()
		}
		if err != nil {
			return nil, err
		}
		if got {
			m.held[w] = f
			entered = append(entered, w)
		}
	}
	return entered, nil
}

// openLockFile opens the file of a window's lock. The file is never removed; otherwise two
// processes could lock two different files of the same name. Locking does not need write
// permission.
func openLockFile(dir, window string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, window+extLock), os.O_RDONLY|os.O_CREATE, 0o644)
}

func (m *fileMember) leave(_ context.Context, windows []string) error {
	for _, w := range windows {
		err := os.Remove(m.path(w, extOpen))
		if e := m.held[w].Close(); err == nil {
			err = e
		}
		delete(m.held, w)
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *fileMember) outdated(_ context.Context, known map[string]bool) (bool, error) {
	names := make(map[string]bool, len(known))
	for w := range known {
		names[windowFile(w)+extLock] = true
	}
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), extLock) || names[e.Name()] {
			continue
		}
		free, err := try(filepath.Join(m.dir, e.Name()), atomicfile.Shared)
		if err != nil {
			return false, err
		}
		if !free {
			return true, nil
		}
	}
	return false, nil
}

// try reports whether a file can be locked now. For a missing file it reports true.
func try(path string, how atomicfile.How) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	return atomicfile.Try(f, how)
}

// beat checks that our locked files are still the files at their paths.
func (m *fileMember) beat(context.Context, time.Duration) error {
	if err := same(m.file, m.path("", extReplica)); err != nil {
		return err
	}
	for w, f := range m.held {
		if err := same(f, filepath.Join(m.dir, windowFile(w)+extLock)); err != nil {
			return err
		}
	}
	return nil
}

func same(f *os.File, path string) error {
	ours, err := f.Stat()
	if err != nil {
		return err
	}
	theirs, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(ours, theirs) {
		return fmt.Errorf("%s was replaced after it was locked", path)
	}
	return nil
}

func (m *fileMember) end() {
	for _, f := range m.held {
		_ = f.Close()
	}
	sweep(m.dir, m.life)
	_ = m.file.Close()
}

// sweep removes the files of a dead member, its own file last: while that exists, the next
// operator sweeps again.
func sweep(dir, life string) {
	own, _ := filepath.Glob(filepath.Join(escape(dir), life+".*"))
	for _, path := range own {
		if !strings.HasSuffix(path, extReplica) {
			_ = os.Remove(path)
		}
	}
	_ = os.Remove(filepath.Join(dir, life+extReplica))
}

// maxMarkAge is longer than any window.
const maxMarkAge = 400 * 24 * time.Hour

// sweepOld removes a file older than age. A file that does not have its final name after a minute
// belongs to a process that has died or must join again.
func sweepOld(path string, e fs.DirEntry, age time.Duration) {
	if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > age {
		_ = os.Remove(path)
	}
}

// escape escapes a folder's name for a glob pattern.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// LookFiles is [Look] for the replicas of [Files]. It removes files of dead replicas.
func LookFiles(dir, window string) (Report, error) {
	if err := checkDir(dir); err != nil {
		return Report{Window: window}, err
	}
	rep, err := lookFiles(dir, window)
	free := true
	if err == nil {
		free, err = try(filepath.Join(dir, windowFile(window)+extLock), atomicfile.Shared)
	}
	if err != nil {
		return rep, fmt.Errorf("quorum: %w", err)
	}
	if !free {
		rep.Peers = append(rep.Peers, Peer{State: StateDraining})
	}
	return rep, nil
}

func lookFiles(dir, window string) (Report, error) {
	rep := Report{Window: window}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return rep, err
	}
	lives := map[string]Peer{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch filepath.Ext(e.Name()) {
		case extNew:
			sweepOld(path, e, time.Minute)
		case extMark:
			sweepOld(path, e, maxMarkAge)
		}
		life, ok := strings.CutSuffix(e.Name(), extReplica)
		if !ok {
			continue
		}
		dead, err := try(path, atomicfile.Shared)
		if err != nil {
			return rep, err
		}
		if dead {
			sweep(dir, life)
			continue
		}
		lives[life] = peer(path)
	}
	for life, p := range lives {
		// The list of entries is older than the check of the member's lock, so look again.
		own := filepath.Join(dir, life+"."+windowFile(window))
		_, knows := os.Stat(own + extKnows)
		_, open := os.Stat(own + extOpen)
		switch {
		case knows != nil:
			p.State = StateUnaware
		case open == nil:
			p.State = StateOpen
		}
		if knows == nil {
			p.Digest = readDigest(own + extKnows)
		}
		rep.Peers = append(rep.Peers, p)
	}
	rep.compare()
	slices.SortFunc(rep.Peers, func(a, b Peer) int { return a.PID - b.PID })
	return rep, nil
}

func readDigest(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return parseDigest([]byte(err.Error())) // the replica has just forgotten the window
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDigest+1))
	if err != nil {
		return parseDigest([]byte(err.Error()))
	}
	return parseDigest(data)
}

// peer reads a replica's file. An unreadable file gives a peer without a name.
func peer(path string) Peer {
	f, err := os.Open(path)
	if err != nil {
		return Peer{}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxAbout+1))
	if err != nil {
		return Peer{}
	}
	a, err := parseAbout(data)
	if err != nil {
		return Peer{}
	}
	return Peer{PID: a.PID, Name: a.Name, Since: a.Since}
}

// DrainFiles is [Drain] for the replicas of [Files]. The folder must exist, because only replicas
// create it; otherwise the error is fs.ErrNotExist, wrapped. Files do not need a fence, because the
// kernel never takes a lock from a living process, even if it is stopped.
func DrainFiles(ctx context.Context, dir, window string, opts *DrainOptions) (*Lock, error) {
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	return drain(ctx, window, opts, func(context.Context) (operator, error) {
		return &fileOperator{dir: dir, window: window}, nil
	})
}

// A fileOperator holds a window's file.
type fileOperator struct {
	dir    string
	window string
	file   *os.File // nil until the first seize
	held   bool
}

func (o *fileOperator) path() string { return filepath.Join(o.dir, windowFile(o.window)+extLock) }

func (o *fileOperator) look(context.Context) (Report, error) {
	rep, err := lookFiles(o.dir, o.window)
	if err != nil || o.held {
		return rep, err
	}
	// Only a different operator can prevent a shared lock.
	free, err := try(o.path(), atomicfile.Shared)
	if err == nil && !free {
		rep.Peers = append(rep.Peers, Peer{State: StateDraining})
	}
	return rep, err
}

func (o *fileOperator) seize(context.Context) (bool, error) {
	if o.file == nil {
		f, err := openLockFile(o.dir, windowFile(o.window))
		if err != nil {
			return false, err
		}
		o.file = f
	}
	got, err := atomicfile.Try(o.file, atomicfile.Exclusive)
	if err != nil {
		return false, err
	}
	if got {
		err = o.beat(context.Background(), 0)
	}
	o.held = got && err == nil
	return o.held, err
}

func (o *fileOperator) yield(context.Context) error {
	o.held = false
	return atomicfile.Unlock(o.file)
}

func (o *fileOperator) beat(context.Context, time.Duration) error { return same(o.file, o.path()) }

func (o *fileOperator) end() {
	if o.file != nil {
		_ = o.file.Close()
	}
}
