package registry

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/upkeep-go/upkeep/internal/atomicfile"
)

// processLock stands for all others where the system has no flock(2).
var processLock sync.Mutex

// lock waits until nobody else holds the lock of that file, in this process or in
// another, or ctx ends. The system gives it back when a process dies, and not when one
// is stopped.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	if !atomicfile.Supported {
		processLock.Lock()
		return processLock.Unlock, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	// A flock(2) that waits cannot be told to stop, and each holds a thread.
	for wait := time.Millisecond; ; wait = min(2*wait, 16*time.Millisecond) {
		locked, err := atomicfile.Try(f, atomicfile.Exclusive)
		switch {
		case locked:
			return func() { f.Close() }, nil
		case err != nil:
			f.Close()
			return nil, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			f.Close()
			return nil, &os.PathError{Op: "flock", Path: path, Err: ctx.Err()}
		}
	}
}

// hold says that a temporary file has an owner, as long as it is open.
func hold(f *os.File) { _, _ = atomicfile.Try(f, atomicfile.Exclusive) }

// abandoned says whether a file has no owner. Without flock(2) nobody can tell.
func abandoned(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	locked, err := atomicfile.Try(f, atomicfile.Exclusive)
	return err == nil && locked
}
