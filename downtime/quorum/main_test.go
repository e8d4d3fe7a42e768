//go:build unix

package quorum_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(processDir); dir != "" {
		os.Exit(beProcess(dir))
	}
	goleak.VerifyTestMain(m)
}
