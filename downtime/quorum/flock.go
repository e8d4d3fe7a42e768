//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package quorum

import (
	"errors"
	"os"
	"syscall"
)

const (
	flocks        = true
	lockShared    = syscall.LOCK_SH
	lockExclusive = syscall.LOCK_EX
)

// flock locks an open file, or says at once that others have it.
func flock(f *os.File, how int) (bool, error) {
	err := control(f, how|syscall.LOCK_NB)
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
