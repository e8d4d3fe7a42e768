//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrNotInstalled is what [Start] returns without a PostgreSQL server on the machine.
var ErrNotInstalled = errors.New("no PostgreSQL server is installed: put its programs initdb and postgres on the PATH")

// A Cluster is a running PostgreSQL server. It ends with [Cluster.Stop] or with this process.
type Cluster struct {
	dir    string
	as     *syscall.Credential // Nil means our own.
	server *Program
}

// Start makes a cluster in dir and waits until it accepts connections. The server refuses
// to run as root, so root runs it as the user postgres.
func Start(ctx context.Context, dir string) (*Cluster, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	credential, err := notRoot(dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, as: credential}
	data := filepath.Join(dir, "data")
	initdb := c.command(filepath.Join(bin, "initdb"), "--pgdata", data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	c.server, err = c.Run("QUIT", filepath.Join(bin, "postgres"), "-D", data, "-k", dir,
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=100")
	if err != nil {
		return nil, err
	}
	for !ready(data) {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-c.server.exited:
			text, _ := os.ReadFile(filepath.Join(dir, "postgres.log"))
			return nil, fmt.Errorf("postgres has ended: %s", text)
		case <-ctx.Done():
			c.Stop()
			return nil, fmt.Errorf("waiting for postgres: %w", context.Cause(ctx))
		}
	}
	return c, nil
}

// ready reads the state from the last line of postmaster.pid, as pg_ctl does.
func ready(data string) bool {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	lines := strings.Split(string(text), "\n")
	return err == nil && len(lines) >= 8 && strings.TrimSpace(lines[7]) == "ready"
}

// Host is the folder of the server's socket. Drivers and pgbouncer accept it as a host.
func (c *Cluster) Host() string { return c.dir }

// DSN is the connection string of a database. A new cluster has the database postgres.
func (c *Cluster) DSN(database string) string {
	return "host=" + c.dir + " user=postgres dbname=" + database
}

// Stop ends the server and its sessions at once.
func (c *Cluster) Stop() { c.server.Stop() }

// Dir makes a folder in the cluster's folder, for programs that [Cluster.Run] starts.
func (c *Cluster) Dir(name string) (string, error) {
	dir := filepath.Join(c.dir, name)
	err := os.Mkdir(dir, 0o755)
	if err == nil && c.as != nil {
		err = os.Chown(dir, int(c.as.Uid), int(c.as.Gid))
	}
	return dir, err
}

// A Program runs beside a cluster.
type Program struct {
	exited chan struct{}
	end    func()
}

// Stop ends the program and waits for its end. It may be called more than once.
func (p *Program) Stop() {
	p.end()
	<-p.exited
}

// Run starts a program as the cluster's user. It writes to NAME.log in the cluster's
// folder. The named signal ends it on [Program.Stop] or when this process ends in any way.
func (c *Cluster) Run(signal, program string, args ...string) (*Program, error) {
	log, err := os.Create(filepath.Join(c.dir, filepath.Base(program)+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := c.command("sh", append([]string{"-c", untilEOF, "sh", signal, program}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Program{make(chan struct{}), sync.OnceFunc(func() { _ = stdin.Close() })}
	go func() {
		_ = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// untilEOF runs a command until it ends or standard input reaches its end.
const untilEOF = `exec 3<&0; end=$1; shift; "$@" 3<&- & p=$!; (cat <&3 >/dev/null; kill -$end $p) & wait $p`

func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	// Its own process group, so that a terminal's signals do not reach it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as, Setpgid: true}
	return cmd
}

// programs is the folder of PostgreSQL's programs. Debian does not put it on the PATH.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return "", err
		}
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", ErrNotInstalled
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

// notRoot gives dir to the user postgres when we are root, and lets that user reach it.
func notRoot(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	for d := filepath.Dir(dir); d != filepath.Dir(d); d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(d, os.TempDir()+"/") {
			break // not ours to change
		}
		if err := os.Chmod(d, info.Mode()|fs.ModePerm&0o111); err != nil {
			return nil, err
		}
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, int(uid), int(gid))
}
