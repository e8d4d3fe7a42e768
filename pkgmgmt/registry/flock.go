//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package registry

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// readFlags open a file for reading. It does not matter to files that they are opened
// without blocking, but package os needs two system calls less.
const readFlags = os.O_RDONLY | syscall.O_NONBLOCK

// lock waits until nobody else holds the lock of that file, in this process or in
// another, or ctx ends. The system gives it back when a process dies, and not when one
// is stopped.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 16*time.Millisecond) {
		// A flock(2) that waits cannot be told to stop, and each holds a thread.
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return func() { f.Close() }, nil
		case errors.Is(err, syscall.EINTR):
		case !errors.Is(err, syscall.EWOULDBLOCK):
			f.Close()
			return nil, &os.PathError{Op: "flock", Path: path, Err: err}
		default:
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				f.Close()
				return nil, &os.PathError{Op: "flock", Path: path, Err: ctx.Err()}
			}
		}
	}
}

// claim says that a temporary file has an owner, as long as it is open.
func claim(f *os.File) { tryLock(f) }

// abandoned says whether a file has no owner.
func abandoned(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return tryLock(f)
}

func tryLock(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	locked := false
	err = raw.Control(func(fd uintptr) {
		locked = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB) == nil
	})
	return err == nil && locked
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
