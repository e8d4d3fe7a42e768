//go:build unix

package pgtest_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/pgtest"
)

// TestCluster starts a server where there is one, and finds it gone when it is stopped.
func TestCluster(t *testing.T) {
	t.Parallel()
	parent, err := os.MkdirTemp("", "pg") // a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(parent)) })
	c, err := pgtest.Start(t.Context(), filepath.Join(parent, "c"))
	if errors.Is(err, pgtest.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(c.Stop)
	socket := filepath.Join(c.Host(), ".s.PGSQL.5432")
	conn, err := net.Dial("unix", socket)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Contains(t, c.DSN("orders"), "dbname=orders")
	dir, err := c.Dir("more")
	require.NoError(t, err)
	p, err := c.Run("TERM", "sh", "-c", "pwd; exec cat >"+filepath.Join(dir, "out"))
	require.NoError(t, err)
	p.Stop()
	p.Stop()

	c.Stop()
	c.Stop()
	_, err = net.Dial("unix", socket)
	require.Error(t, err)
}
