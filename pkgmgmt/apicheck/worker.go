package apicheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// ErrNoWorker is returned by [New], [Gate] and [Compare] in a program that has not called
// [Main], and by a comparison whose worker did not reach Main.
var ErrNoWorker = errors.New("apicheck: this program cannot start itself as a worker: call apicheck.Main first in main, and first in TestMain for tests")

// mainCalled is a fact about this process. It is never reset.
var mainCalled atomic.Bool

// Main makes the program able to compare modules. Call it first in main, before flags are
// read or anything is opened, and first in TestMain for tests.
//
// In a worker, which is this program started once more by a comparison, Main does the
// comparison and ends the process. Everywhere else it returns at once.
func Main() {
	mainCalled.Store(true)
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

func work(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, startedFile), nil, 0o600); err != nil {
		return err
	}
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
