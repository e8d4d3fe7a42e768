//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package registry

import (
	"errors"
	"os"
	"syscall"
)

// readFlags open a file for reading. It does not matter to files that they are opened
// without blocking, but package os needs two system calls less.
const readFlags = os.O_RDONLY | syscall.O_NONBLOCK

// lock waits until nobody else holds the lock of that file, in this process or in
// another. The system gives it back when a process dies.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, &os.PathError{Op: "flock", Path: path, Err: err}
		}
	}
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
