//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package history

import (
	"errors"
	"os"
	"syscall"
)

// openFlags keep a pipe in the file's place from waiting for its other end.
const openFlags = syscall.O_NONBLOCK

// flock locks an open file for itself, or says at once that another has it.
func flock(f *os.File) (bool, error) {
	err := control(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func unlock(f *os.File) error { return control(f, syscall.LOCK_UN) }

func control(f *os.File, how int) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	err = raw.Control(func(fd uintptr) {
		for {
			if locked = syscall.Flock(int(fd), how); !errors.Is(locked, syscall.EINTR) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if locked != nil {
		return &os.PathError{Op: "flock", Path: f.Name(), Err: locked}
	}
	return nil
}
