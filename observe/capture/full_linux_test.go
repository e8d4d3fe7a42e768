package capture_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe/capture"
)

// TestDirOnAFullDisk: nothing half is left behind. A limit of the size of files plays the
// full disk, in a process of its own.
func TestDirOnAFullDisk(t *testing.T) {
	if path := os.Getenv("UPKEEP_TEST_FULL"); path != "" {
		limit := syscall.Rlimit{Cur: 4096, Max: 4096}
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
		err := newDir(t, path, nil).Put(t.Context(), capture.NewName(time.Now()), make([]byte, 1<<20))
		require.ErrorIs(t, err, syscall.EFBIG)
		return
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "captures")
	cmd := exec.Command(os.Args[0], "-test.run=^TestDirOnAFullDisk$")
	cmd.Env = append(os.Environ(), "UPKEEP_TEST_FULL="+path)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	files, err := os.ReadDir(path)
	require.NoError(t, err)
	require.Empty(t, files)
}
