package quorum

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/internal/atomicfile"
)

// Files makes this process a replica in the quorum of one machine, by flock(2) on
// files in the folder dir, which it makes if it is missing. All processes of the fleet name the
// same folder, on a file system of the machine's own, such as one below /run: network file
// systems do not keep such locks. The kernel releases a dead process's locks.
//
// The error is an empty dir, or errors.ErrUnsupported, wrapped, where the system has no
// flock; what cannot be opened is tried again.
//
// Whoever may write to the folder can make it lie. Do not remove files from it while it is in
// use: a replica that finds its own gone joins again, but an operator may have missed it in
// between. The empty file of a window's lock stays; all others go with their process, or
// with the next operator who looks.
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

// The names of files. A life is a random text; a window is hashed, because its id may be no name
// of a file.
//
//	<life>.replica          locked exclusively for life, so that it is there only while its process is
//	<life>.<window>.knows   is there while the member knows of the window
//	<life>.<window>.open    is there while it is open; for people: it proves nothing
//	<window>.lock           locked shared by members that are open, exclusively by the operator
const (
	extReplica = ".replica"
	extKnows   = ".knows"
	extOpen    = ".open"
	extLock    = ".lock"
	extNew     = ".new"
)

func windowFile(window string) string {
	sum := sha256.Sum256([]byte(window))
	return hex.EncodeToString(sum[:16])
}

type fileMember struct {
	dir  string
	life string
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
	switch {
	case len(data) > maxAbout:
		return about{}, errors.New("too large")
	case !utf8.Valid(data):
		return about{}, errors.New("not UTF-8")
	}
	var a about
	if err := json.Unmarshal(data, &a); err != nil {
		return about{}, err
	}
	return a, nil
}

func joinFiles(dir, name string) (member, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	m := &fileMember{dir: dir, life: rand.Text(), held: map[string]*os.File{}}
	if len(name) > maxAbout/8 {
		name = name[:maxAbout/8] // a byte can be six in JSON
	}
	data, err := json.Marshal(about{os.Getpid(), name, time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return nil, err
	}
	// It gets its name only when it is locked, because without a lock it counts as dead.
	fresh := m.path("", extNew)
	m.file, err = os.OpenFile(fresh, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	_, err = m.file.Write(data)
	if err == nil {
		var got bool
		if got, err = atomicfile.Try(m.file, atomicfile.Exclusive); err == nil && !got {
			err = errors.New("locked by another")
		}
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

// path is that of the member's own file for a window; "" for none.
func (m *fileMember) path(window, ext string) string {
	name := m.life
	if window != "" {
		name += "." + windowFile(window)
	}
	return filepath.Join(m.dir, name+ext)
}

func (m *fileMember) know(_ context.Context, windows []string) error {
	return m.touch(windows, extKnows)
}

func (m *fileMember) touch(windows []string, ext string) error {
	for _, w := range windows {
		if err := os.WriteFile(m.path(w, ext), nil, 0o644); err != nil {
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

// openLockFile opens the file of a window's lock. It is never removed, or two might lock
// different files of one name.
func openLockFile(dir, window string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, window+extLock), os.O_RDONLY|os.O_CREATE, 0o644)
}

func (m *fileMember) leave(_ context.Context, windows []string) error {
	for _, w := range windows {
		err := cmp.Or(os.Remove(m.path(w, extOpen)), m.held[w].Close())
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
		if free, err := try(filepath.Join(m.dir, e.Name())); err != nil || !free {
			return err == nil, err
		}
	}
	return false, nil
}

// try says whether a file could be shared just now. A file that is gone could.
func try(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	return atomicfile.Try(f, atomicfile.Shared)
}

// beat checks that others find the files that we have locked.
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
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), life+".") && e.Name() != life+extReplica {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	_ = os.Remove(filepath.Join(dir, life+extReplica))
}

// LookFiles is [Look] for the replicas of [Files]. What it finds of dead ones it removes.
func LookFiles(dir, window string) (Report, error) {
	if err := checkDir(dir); err != nil {
		return Report{Window: window}, err
	}
	rep, err := lookFiles(dir, window, false)
	if err != nil {
		err = fmt.Errorf("quorum: %w", err)
	}
	return rep, err
}

// lookFiles looks for others. held means that we hold the window.
func lookFiles(dir, window string, held bool) (Report, error) {
	rep := Report{Window: window}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return rep, err
	}
	lives := map[string]Peer{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasSuffix(e.Name(), extNew) { // it has died before it had a name, if it is old
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > time.Minute {
				_ = os.Remove(path)
			}
		}
		life, ok := strings.CutSuffix(e.Name(), extReplica)
		if !ok {
			continue
		}
		dead, err := try(path)
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
		rep.Peers = append(rep.Peers, p)
	}
	slices.SortFunc(rep.Peers, func(a, b Peer) int { return a.PID - b.PID })
	if held {
		return rep, nil
	}
	// Only another operator keeps us from sharing.
	free, err := try(filepath.Join(dir, windowFile(window)+extLock))
	if err == nil && !free {
		rep.Peers = append(rep.Peers, Peer{State: StateDraining})
	}
	return rep, err
}

// peer reads who a replica is, as far as it can be read.
func peer(path string) Peer {
	f, err := os.Open(path)
	if err != nil {
		return Peer{}
	}
	defer f.Close()
	data, _ := io.ReadAll(io.LimitReader(f, maxAbout+1))
	a, _ := parseAbout(data)
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

type fileOperator struct {
	dir    string
	window string
	file   *os.File // nil until the first seize
	held   bool
}

func (o *fileOperator) path() string { return filepath.Join(o.dir, windowFile(o.window)+extLock) }

func (o *fileOperator) look(context.Context) (Report, error) {
	return lookFiles(o.dir, o.window, o.held)
}

func (o *fileOperator) seize(context.Context) (bool, error) {
	var err error
	if o.file == nil {
		if o.file, err = openLockFile(o.dir, windowFile(o.window)); err != nil {
			return false, err
		}
	}
	o.held, err = atomicfile.Try(o.file, atomicfile.Exclusive)
	if err == nil && o.held {
		err = o.beat(context.Background(), 0)
	}
	o.held = o.held && err == nil
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
