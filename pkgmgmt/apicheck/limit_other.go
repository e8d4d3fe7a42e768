//go:build !linux

package apicheck

import "os/exec"

// alone leaves a command as it is: the deadline ends the worker, and what it has
// started ends when it finds nobody to answer.
func alone(*exec.Cmd) {}

// limit leaves the memory to the collector.
func limit(int64) error { return nil }
