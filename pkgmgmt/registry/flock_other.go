//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package registry

import (
	"context"
	"os"
	"sync"
)

const readFlags = os.O_RDONLY

// One lock for all of the process: these systems have no flock(2).
var locked sync.Mutex

func lock(context.Context, string) (unlock func(), err error) {
	locked.Lock()
	return locked.Unlock, nil
}

// Folders of these systems cannot be synced.
func syncFolder(string) error { return nil }

func claim(*os.File) {}

func abandoned(string) bool { return false }
