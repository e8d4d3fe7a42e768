//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package atomicfile

import (
	"errors"
	"os"
	"syscall"
)

// Supported reports whether the system has flock(2).
const Supported = true

// NonBlock is a flag for opening files: opening a pipe by mistake returns at once, and
// opening a file takes two system calls less. Zero on systems without it.
const NonBlock = syscall.O_NONBLOCK

// A How says how a file is locked.
type How int

const (
	// Shared is for any number of holders.
	Shared How = syscall.LOCK_SH
	// Exclusive is for one.
	Exclusive How = syscall.LOCK_EX
)

// Try locks an open file, or says at once that others have it. The lock is that of the
// open file: it ends with [Unlock], with Close, and with the process.
func Try(f *os.File, how How) (bool, error) {
	err := control(f, int(how)|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// Unlock gives the lock back.
func Unlock(f *os.File) error { return control(f, syscall.LOCK_UN) }

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
	if err != nil { // Control fails for a closed file only
		return &os.PathError{Op: "flock", Path: f.Name(), Err: os.ErrClosed}
	}
	if locked != nil {
		return &os.PathError{Op: "flock", Path: f.Name(), Err: locked}
	}
	return nil
}
