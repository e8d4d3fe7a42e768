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

// Files makes this process a replica in the quorum of one machine, by flock(2) on
// files in the folder dir, which is made when it is missing. All processes of the fleet name the
// same folder, on a file system of the machine's own, such as one below /run: over a
// network locks are not what they seem. The kernel lets a dead process's locks go.
//
// The error is an empty dir, or errors.ErrUnsupported, wrapped, where the system has no
// flock; what cannot be opened is tried again.
//
// Whoever may write to the folder can make it lie. Do not remove files from it while it is in
// use. A replica that finds its own gone joins again, but an operator may have been
// told in between that nobody is there. The empty file of a window's lock stays; all
// others go with their process, or with the next operator who looks.
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

// The names of files. A member has a life, a random text; a window is hashed, for its id
// may be no name of a file.
//
//	<life>.replica          locked exclusively for life, so that it is there only while its process is
//	<life>.<window>.knows   is there while the member knows of the window; it holds the digest by
//	                        which it does, and nothing when it was written by an earlier version
//	<life>.<window>.open    is there while it is open; for people: it proves nothing
//	<window>.lock           locked shared by members that are open, exclusively by the operator
//	<window>.<occurrence>.<life>.unfinished
//	                        is there from when the guard's Drain has reported the window quiet
//	                        until its work is completed, also when the process has ended; it
//	                        says of whom it is, for people
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

// A fileMember is one life of a replica.
type fileMember struct {
	dir  string
	life string
	name string
	file *os.File
	held map[string]*os.File // by window
}

// about is what the file of a replica says of it.
type about struct {
	PID   int       `json:"pid"`
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
}

const maxAbout = 4096 // bytes

// parseAbout reads what others wrote, who may be anybody.
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
		name = name[:maxAbout/8] // a byte can be six in JSON
	}
	m := &fileMember{dir: dir, life: rand.Text(), name: name, held: map[string]*os.File{}}
	data, err := json.Marshal(about{os.Getpid(), name, time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return nil, err
	}
	// It gets its name only when it is locked, for an operator takes one that is not for
	// dead.
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

// lockOf makes an error of a lock that is not had.
func lockOf(got bool, err error) error {
	if err == nil && !got {
		err = errors.New("locked by another")
	}
	return err
}

// path is that of the member's own file for a window; "" for none.
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

// write writes a file at once, so that nobody reads a part of it. It is there until it is
// removed, but need not survive a crash of the machine, because no process does.
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

// parseDigest reads the digest in a file of others, who may be anybody. What is none is a
// digest that no replica has.
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

// markOf is the part that all marks of an occurrence begin with.
func markOf(window, planned string) string {
	return windowFile(window) + "." + windowFile(planned) + "."
}

// tend makes the mark of unfinished work, or removes it. A mark outlasts its process, and
// so shows to all replicas, and to the next process, that the work is unfinished.
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
			err = os.Remove(own) // it is unfinished no more
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

func (m *fileMember) linger(context.Context) {} // a file is there at once

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

// openLockFile opens the file of a window's lock. It is never removed: of two who lock
// the file of one name each might have a file of its own. To lock it takes no right to
// write it.
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

// try says whether a file could be locked just now. A file that is gone could.
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

// beat looks whether what we have locked is still what others find.
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
		return fmt.Errorf("%s is another file than the one that was locked", path)
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

// sweep removes the files of a life, that of the replica last: as long as that is
// there, somebody will sweep.
func sweep(dir, life string) {
	own, _ := filepath.Glob(filepath.Join(escape(dir), life+".*"))
	for _, path := range own {
		if !strings.HasSuffix(path, extReplica) {
			_ = os.Remove(path)
		}
	}
	_ = os.Remove(filepath.Join(dir, life+extReplica))
}

// maxMarkAge is longer than any window lasts.
const maxMarkAge = 400 * 24 * time.Hour

// sweepOld removes a file that is older than that. A file without its name yet is left for a
// minute: its process has died, or has to join again.
func sweepOld(path string, e fs.DirEntry, age time.Duration) {
	if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > age {
		_ = os.Remove(path)
	}
}

// escape makes a folder's name mean itself in a pattern.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// LookFiles is [Look] for the replicas of [Files]. What it finds of dead ones it removes.
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
		// Looked for here and not in the list, which is older than the life's lock.
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

// readDigest reads by which definition a replica knows a window.
func readDigest(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return parseDigest([]byte(err.Error())) // it has just forgotten the window
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDigest+1))
	if err != nil {
		return parseDigest([]byte(err.Error()))
	}
	return parseDigest(data)
}

// peer reads who a replica is, as far as it can be read.
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

// DrainFiles is [Drain] for the replicas of [Files]. It needs the folder, which only they
// make: otherwise the error is fs.ErrNotExist, wrapped. Nothing needs a fence here, because
// the kernel takes no lock from a process that lives, even if it is stopped.
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
	// Only another operator keeps us from sharing.
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
