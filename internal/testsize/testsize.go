// Package testsize decides how much a test does. Tests have three sizes: short with -short,
// long with UPKEEP_LONG=1 in the environment, and plain otherwise.
//
//	go test -short ./...          # builds no programs, runs no soak tests
//	go test ./...
//	UPKEEP_LONG=1 go test -timeout 2h ./...
package testsize

import (
	"os"
	"testing"
)

// Long reports whether tests run at their long size.
func Long() bool { return os.Getenv("UPKEEP_LONG") == "1" }

// Pick returns the argument for the size at which tests run. -short wins over UPKEEP_LONG.
func Pick[T any](short, plain, long T) T {
	switch {
	case testing.Short():
		return short
	case Long():
		return long
	}
	return plain
}
