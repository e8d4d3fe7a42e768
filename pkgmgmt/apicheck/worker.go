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

// ErrNoWorker is returned by [New], [Gate] and [Compare] if the program has not called [Main],
// and by a comparison if its worker did not reach Main.
var ErrNoWorker = errors.New("apicheck: this program cannot start itself as a worker: call apicheck.Main first in main, and first in TestMain for tests")

// mainCalled is set by Main and never reset.
var mainCalled atomic.Bool

// Main allows the program to compare modules. Call it first in main, before flags are parsed or
// files are opened, and first in TestMain for tests.
//
// A comparison starts this program again as a worker. In a worker Main does the comparison and
// exits; otherwise it returns at once.
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
	// The garbage collector tries to stay below the limit of the kernel.
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
