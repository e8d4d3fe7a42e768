package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// A process is a replica in a process of its own.
type process struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	mu   sync.Mutex // held from a question to its answer
}

func parseConfig(text string) (config, error) {
	var c config
	err := json.Unmarshal([]byte(text), &c)
	return c, err
}

// start starts a replica and waits until it serves.
func start(c config) (*process, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{name: c.Name, cmd: exec.Command(exe)}
	p.cmd.Env = append(os.Environ(), asReplica+"="+string(text))
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if line, err := p.out.ReadString('\n'); line != "serving\n" {
		p.kill()
		return nil, fmt.Errorf("replica %s does not serve: %q, %v", c.Name, line, err)
	}
	return p, nil
}

// ask sends a line and returns the answer.
func (p *process) ask(line string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		return "", err
	}
	answer, err := p.out.ReadString('\n')
	return strings.TrimSuffix(answer, "\n"), err
}

// stats returns the written rows, and the batches that were refused by the guard, by the store,
// or for another reason.
type stats struct{ written, refused, fenced, failed int64 }

func (p *process) stats() (s stats, err error) {
	answer, err := p.ask("stats")
	if err == nil {
		_, err = fmt.Sscan(answer, &s.written, &s.refused, &s.fenced, &s.failed)
	}
	return s, err
}

// quit stops it normally.
func (p *process) quit() error {
	_ = p.in.Close()
	return p.cmd.Wait()
}

// kill sends SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// A document is the file of windows that all replicas read.
type document struct {
	path  string
	start time.Time // planned; the actual begin and end are written when they happen
}

// newDocument returns a document with one window that begins soon.
func newDocument(path string) (document, error) {
	d := document{path, time.Now().Add(30 * time.Minute)}
	return d, d.write("")
}

// begin begins the window, complete ends it, and none writes a document without it.
func (d document) begin() error { return d.write("begin: " + now()) }

func (d document) complete() error {
	return d.write("begin: " + now() + ", end: " + now())
}

func (d document) none() error { return d.replace("windows: []\n") }

func now() string { return time.Now().UTC().Format(time.RFC3339Nano) }

func (d document) write(actual string) error {
	return d.replace(fmt.Sprintf(`windows:
  - id: %s
    title: Orders database upgrade
    start: %s
    duration: 4h
    scope: {work: [%s]}
    actual: {%s}
`, window, d.start.UTC().Format(time.RFC3339), work, actual))
}

// replace replaces the file atomically, so that no replica reads half of it.
func (d document) replace(text string) error {
	if err := os.WriteFile(d.path+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(d.path+".new", d.path)
}
