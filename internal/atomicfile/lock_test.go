package atomicfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/atomicfile"
)

func TestTry(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|atomicfile.NonBlock, 0o600)
		require.NoError(t, err)
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	a, b := open(), open()
	if !atomicfile.Supported {
		_, err := atomicfile.Try(a, atomicfile.Exclusive)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		return
	}
	try := func(f *os.File, how atomicfile.How) bool {
		got, err := atomicfile.Try(f, how)
		require.NoError(t, err)
		return got
	}
	require.True(t, try(a, atomicfile.Shared))
	require.True(t, try(b, atomicfile.Shared), "any number")
	require.False(t, try(a, atomicfile.Exclusive), "b has it, too")
	require.NoError(t, atomicfile.Unlock(b))
	require.True(t, try(a, atomicfile.Exclusive))
	require.False(t, try(b, atomicfile.Shared))
	require.NoError(t, a.Close())
	require.True(t, try(b, atomicfile.Exclusive), "a lock ends with its file")
	_, err := atomicfile.Try(a, atomicfile.Exclusive)
	require.ErrorIs(t, err, os.ErrClosed)
}
