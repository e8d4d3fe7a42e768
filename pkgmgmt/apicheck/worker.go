package apicheck

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"
)

// workerVariable names the folder of a job. A program in whose environment it stands is a
// worker.
const workerVariable = "UPKEEP_APICHECK_WORKER"

const (
	jobFile    = "job.json"
	answerFile = "answer.json"
)

// A job is what a worker is asked.
type job struct {
	Old, New  side
	Platforms []string
	Exclude   []Exclusion
	Memory    int64
	Timeout   time.Duration // for a worker whose asker has died
}

// A side is one of the two versions.
type side struct{ Path, Version, Proxy string }

// An answer is what a worker says.
type answer struct {
	Verdict Verdict
	Error   string
}

func init() {
	dir := os.Getenv(workerVariable)
	if dir == "" {
		return
	}
	if err := work(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// work does the job of a folder.
func work(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, jobFile))
	if err != nil {
		return err
	}
	var j job
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	// The collector tries to stay below what the kernel enforces.
	debug.SetMemoryLimit(j.Memory / 4 * 3)
	if err := limit(j.Memory); err != nil {
		return err
	}
	time.AfterFunc(j.Timeout, func() { os.Exit(1) })
	ctx, cancel := context.WithTimeout(context.Background(), j.Timeout)
	defer cancel()
	var a answer
	if a.Verdict, err = j.compare(ctx, dir); err != nil {
		a = answer{Error: err.Error()}
	}
	if data, err = json.Marshal(a); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, answerFile), data, 0o600)
}
