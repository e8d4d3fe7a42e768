//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package quorum

import (
	"errors"
	"os"
)

const (
	flocks        = false
	lockShared    = 1
	lockExclusive = 2
)

func flock(*os.File, int) (bool, error) { return false, errors.ErrUnsupported }

func unlock(*os.File) error { return errors.ErrUnsupported }
