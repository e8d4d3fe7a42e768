//go:build linux

package registry_test

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

func TestUpdateEndsWithItsContext(t *testing.T) {
	root := t.TempDir()
	store := registry.Dir(root)
	require.NoError(t, store.Update(t.Context(), "corp.example/lib/@v/list", func([]byte) ([]byte, error) { return []byte("x"), nil }))
	f, err := os.OpenFile(root+"/corp.example/lib/@v/.lock", os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- store.Update(ctx, "corp.example/lib/@v/list", func([]byte) ([]byte, error) { return []byte("y"), nil })
	}()
	select {
	case err := <-done:
		require.ErrorIs(t, err, context.DeadlineExceeded)
		f.Close()
	case <-time.After(2 * time.Second):
		f.Close()
		<-done
		t.Fatal("Update ignores its context while another process holds the lock")
	}
}
