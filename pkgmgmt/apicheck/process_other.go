//go:build !linux

package apicheck

import (
	"os"
	"os/exec"
)

// executable returns the file that this program was started from, perhaps replaced meanwhile.
func executable() (string, error) { return os.Executable() }

// alone does nothing: the deadline ends the worker, and its child processes end when they cannot
// write their output.
func alone(*exec.Cmd) {}

// limit does nothing: only the garbage collector limits memory.
func limit(int64) error { return nil }

func peak(*os.ProcessState) int64 { return 0 }
