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

// run does the job in a worker. The worker must reach Main within patience.
func (j job) run(ctx context.Context, dir, command string, patience time.Duration) (v Verdict, err error) {
	data, err := json.Marshal(j)
	if err != nil {
		return v, fmt.Errorf("apicheck: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, jobFile), data, 0o600); err != nil {
		return v, fmt.Errorf("apicheck: %w", err)
	}
	// The PATH of the worker only has the go command.
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return v, fmt.Errorf("apicheck: %w", err)
	}
	if real, err := filepath.EvalSymlinks(command); err == nil {
		command = real
	}
	if os.Symlink(command, filepath.Join(bin, filepath.Base(command))) != nil {
		bin = filepath.Dir(command) // on Windows, creating links may be forbidden
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
	var output head
	cmd.Stderr = &output
	cmd.Dir = dir
	cmd.Env = environment(dir, bin)
	cmd.WaitDelay = 5 * time.Second
	alone(cmd)
	failed := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return v, ctx.Err()
	case errors.Is(context.Cause(deadline), ErrNoWorker):
		return v, fmt.Errorf("%w; the worker did not reach Main within %v", ErrNoWorker, patience)
	case deadline.Err() != nil:
		return unknown(fmt.Sprintf("the comparison took longer than %v: raise Options.Timeout", j.Timeout)), nil
	case failed != nil && cmd.Process == nil:
		return v, fmt.Errorf("apicheck: the worker: %w", failed)
	case !started():
		return v, fmt.Errorf("%w; the worker ended before it reached Main: %s", ErrNoWorker, cmp.Or(output.line(failed), "exit status 0"))
	case failed != nil:
		return unknown(output.why(failed, j.Memory, peak(cmd.ProcessState))), nil
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

// environment returns the whole environment of the worker and of the go command.
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
		// Processes and temporary files need these.
		env = append(env, "SystemRoot="+os.Getenv("SystemRoot"), "TMP="+dir, "TEMP="+dir, "USERPROFILE="+filepath.Join(dir, "home"))
	}
	return env
}

// A head keeps the first output of a worker.
type head struct{ text []byte }

const maxHead = 8 << 10

func (h *head) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(maxHead-len(h.text), len(p))]...)
	return len(p), nil
}

// why returns why a worker died. The Go runtime ends in several ways when memory runs out, so a
// worker that used most of its memory is assumed to have died of that.
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

// workerVariable has the folder of a job. A program with this variable is a worker.
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
	Timeout   time.Duration // also ends a worker whose parent has died
	Registry  string        // an address that texts must not have
}

type side struct{ Path, Version, Proxy string }

type answer struct {
	Verdict Verdict
	Error   string
}
