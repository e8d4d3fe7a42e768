package apicheck

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// run starts a worker, which does the job. It gives the worker so much time to reach Main.
func (j job) run(ctx context.Context, dir, command string, patience time.Duration) (v Verdict, err error) {
	data, err := json.Marshal(j)
	if err != nil {
		return v, fmt.Errorf("apicheck: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, jobFile), data, 0o600); err != nil {
		return v, fmt.Errorf("apicheck: %w", err)
	}
	// The worker finds the go command and nothing else.
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return v, fmt.Errorf("apicheck: %w", err)
	}
	if real, err := filepath.EvalSymlinks(command); err == nil {
		command = real
	}
	if os.Symlink(command, filepath.Join(bin, filepath.Base(command))) != nil {
		bin = filepath.Dir(command) // Windows, without the right to make links
	}
	deadline, cancel := context.WithTimeout(ctx, j.Timeout)
	defer cancel()
	deadline, giveUp := context.WithCancelCause(deadline)
	defer giveUp(nil)
	started := func() bool {
		_, err := os.Stat(filepath.Join(dir, startedFile))
		return err == nil
	}
	hurry := time.AfterFunc(patience, func() {
		if !started() {
			giveUp(ErrNoWorker)
		}
	})
	defer hurry.Stop()
	self, err := executable()
	if err != nil {
		return v, fmt.Errorf("apicheck: the worker: %w", err)
	}
	cmd := exec.CommandContext(deadline, self)
	cmd.Args = []string{"apicheck-worker"}
	var said head
	cmd.Stderr = &said
	cmd.Dir = dir
	cmd.Env = environment(dir, bin)
	cmd.WaitDelay = 5 * time.Second
	alone(cmd)
	failed := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return v, ctx.Err()
	case errors.Is(context.Cause(deadline), ErrNoWorker):
		return v, fmt.Errorf("%w; the worker did not get there within %v", ErrNoWorker, patience)
	case deadline.Err() != nil:
		return unknown(fmt.Sprintf("the comparison took longer than %v: raise Options.Timeout", j.Timeout)), nil
	case failed != nil && cmd.Process == nil:
		return v, fmt.Errorf("apicheck: the worker: %w", failed)
	case !started():
		return v, fmt.Errorf("%w; the worker ended before it got there: %s", ErrNoWorker, cmp.Or(said.line(failed), "exit status 0"))
	case failed != nil:
		return unknown(said.why(failed, j.Memory, peak(cmd.ProcessState))), nil
	}
	data, err = readAtMost(filepath.Join(dir, answerFile), maxAnswer)
	if err != nil {
		return unknown(err.Error()), nil
	}
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return v, fmt.Errorf("apicheck: the worker's answer: %w", err)
	}
	if a.Error != "" {
		return v, errors.New("apicheck: " + a.Error)
	}
	return a.Verdict, nil
}

// environment is all that the worker and the go command know.
func environment(dir, bin string) []string {
	env := []string{
		workerVariable + "=" + dir,
		"PATH=" + bin,
		"HOME=" + filepath.Join(dir, "home"),
		"TMPDIR=" + dir,
		"GOPATH=" + filepath.Join(dir, "gopath"),
		"GOMODCACHE=" + filepath.Join(dir, "modcache"),
		"GOCACHE=" + filepath.Join(dir, "cache"),
		"GOENV=off",
		"GOWORK=off",
		"GO111MODULE=on",
		"GOTOOLCHAIN=local",
		"GOFLAGS=-mod=mod -modcacherw",
		"GOSUMDB=off",
		"GOVCS=*:off",
		"GOAUTH=off",
		"GOTELEMETRY=off",
		"CGO_ENABLED=0",
		"GOPACKAGESDRIVER=off",
	}
	if runtime.GOOS == "windows" {
		// Without them no process starts, nor is there a place for temporary files.
		env = append(env, "SystemRoot="+os.Getenv("SystemRoot"), "TMP="+dir, "TEMP="+dir, "USERPROFILE="+filepath.Join(dir, "home"))
	}
	return env
}

// A head keeps the first that a worker says before it dies.
type head struct{ text []byte }

const maxHead = 8 << 10

func (h *head) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(maxHead-len(h.text), len(p))]...)
	return len(p), nil
}

// why says what a worker has died of. A runtime of Go that gets no memory ends in several
// ways, so a worker that had most of what it may have died of that.
func (h *head) why(err error, memory, peak int64) string {
	first := string(h.text)
	switch {
	case strings.Contains(first, "stack exceeds"), strings.Contains(first, "stack overflow"):
		return "the source is nested too deeply: exclude the package with Options.Exclude"
	case peak > memory/2, strings.Contains(first, "out of memory"), strings.Contains(first, "cannot allocate"), strings.Contains(first, "failed to allocate"), strings.Contains(first, "pthread_create failed"), strings.Contains(first, "new OS thread"):
		return fmt.Sprintf("the comparison needs more than %d MiB of memory: raise Options.Memory", memory>>20)
	}
	return "the comparison has failed: " + h.line(err)
}

func (h *head) line(err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(h.text)), "\n")
	if line == "" && err != nil {
		return err.Error()
	}
	return line
}

// workerVariable names the folder of a job. A program in whose environment it stands is a
// worker.
const workerVariable = "UPKEEP_APICHECK_WORKER"

const (
	jobFile     = "job.json"
	startedFile = "started" // the worker has reached Main
	answerFile  = "answer.json"
)

type job struct {
	Old, New  side
	Platforms []string
	Exclude   []Exclusion
	Memory    int64
	Timeout   time.Duration // for a worker whose asker has died
	Registry  string        // an address that texts do not show
}

type side struct{ Path, Version, Proxy string }

type answer struct {
	Verdict Verdict
	Error   string
}
