//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package atomicfile

import (
	"errors"
	"os"
)

// Supported reports whether the system has flock(2).
const Supported = false

// NonBlock is a flag for opening files; zero here.
const NonBlock = 0

// A How is a kind of lock.
type How int

// The kinds of locks.
const (
	Shared How = iota + 1
	Exclusive
)

// Try fails with errors.ErrUnsupported.
func Try(*os.File, How) (bool, error) { return false, errors.ErrUnsupported }

// Unlock fails with errors.ErrUnsupported.
func Unlock(*os.File) error { return errors.ErrUnsupported }
