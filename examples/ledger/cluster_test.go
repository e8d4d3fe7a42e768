package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// howTo is what to do when errNoPostgres says that there is none.
const howTo = "run ./setup, or put PostgreSQL's initdb and postgres on the PATH"

var errNoPostgres = errors.New("no PostgreSQL server is installed: " + howTo)

// A cluster is a PostgreSQL server of our own: on a Unix socket in its folder, on no
// port, and gone when it is stopped.
type cluster struct {
	dir    string
	as     *syscall.Credential // who runs it; nil: we ourselves
	stdin  io.Closer
	exited chan struct{}
}

// startCluster makes a cluster in dir and waits until it answers. As root it runs as the
// user postgres, for the server refuses to run as root.
func startCluster(ctx context.Context, dir string) (*cluster, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	credential, err := notRoot(dir)
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir, as: credential, exited: make(chan struct{})}
	data := filepath.Join(dir, "data")
	if out, err := c.command(filepath.Join(bin, "initdb"), "--pgdata", data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--no-sync").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	c.stdin, err = c.start(c.exited, "QUIT", filepath.Join(bin, "postgres"), "-D", data, "-k", dir,
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=100")
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("pgx", c.url())
	if err != nil {
		c.stop()
		return nil, err
	}
	defer db.Close()
	for {
		if db.PingContext(ctx) == nil {
			return c, nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-c.exited:
			text, _ := os.ReadFile(filepath.Join(dir, "postgres.log"))
			return nil, fmt.Errorf("postgres has ended: %s", text)
		case <-ctx.Done():
			c.stop()
			return nil, fmt.Errorf("waiting for postgres: %w", context.Cause(ctx))
		}
	}
}

// command is a program in the cluster's folder, run by the cluster's user.
func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	// What a terminal tells us is not for the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as, Setpgid: true}
	return cmd
}

// start starts a server, which writes what it has to say to a file called by its name. It
// runs until stdin is closed, which sends it the signal end; then exited is closed.
func (c *cluster) start(exited chan struct{}, end, name string, args ...string) (stdin io.Closer, err error) {
	log, err := os.Create(filepath.Join(c.dir, filepath.Base(name)+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	server := c.command("sh", append([]string{"-c", untilEOF, "sh", end, name}, args...)...)
	server.Stdout, server.Stderr = log, log
	if stdin, err = server.StdinPipe(); err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = server.Wait()
		close(exited)
	}()
	return stdin, nil
}

// untilEOF runs a command until it ends, or our process does, however that ends.
const untilEOF = `exec 3<&0; end=$1; shift; "$@" 3<&- & p=$!; (cat <&3 >/dev/null; kill -$end $p) & wait $p`

// url is the data source of the cluster.
func (c *cluster) url() string { return "host=" + c.dir + " user=postgres dbname=postgres" }

// stop ends the server at once, and its sessions with it.
func (c *cluster) stop() {
	_ = c.stdin.Close()
	<-c.exited
}

// postgresBin is the folder of PostgreSQL's programs. Debian does not put it on the PATH.
func postgresBin() (string, error) {
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
		return "", errNoPostgres
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(found[len(found)-1]), nil
}

// notRoot gives dir to the user postgres, who is to run there, when we are root; and lets
// that user come to it.
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
