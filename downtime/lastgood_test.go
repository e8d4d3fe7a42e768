package downtime_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/schedule"
)

// The last good copy that an earlier version wrote is read and obeyed.
func TestLastGoodCopyOfAnEarlierVersion(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "lastgood", "windows.yaml"))
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) { // it begins at 2000-01-01T00:00:00Z
		path := filepath.Join(t.TempDir(), "last-good")
		require.NoError(t, os.WriteFile(path, golden, 0o600))
		src := newSource("")
		src.err = errors.New("out of reach")
		g := open(t, src, &downtime.Options{LastGood: path})

		require.Equal(t, "8a92e45fdfc64461", g.Revision())
		require.Len(t, g.Problems(), 1, "the source, and nothing else")
		state := g.State()
		require.Len(t, state.Windows, 2)

		now := state.Windows[0]
		require.Equal(t, "orders-db-upgrade", now.Window.ID)
		require.Equal(t, schedule.PhaseInProgress, now.Phase)
		require.Equal(t, "1999-12-31T23:30:00Z", now.Planned.UTC().Format(time.RFC3339))
		require.Equal(t, "1999-12-31T23:45:00Z", now.Start.UTC().Format(time.RFC3339))
		require.Equal(t, "2000-01-01T02:00:00Z", now.End.UTC().Format(time.RFC3339))
		require.Equal(t, schedule.ModeClosed, now.Window.Mode)
		require.Equal(t, schedule.OverrunReopen, now.Window.Overrun)

		next := state.Windows[1]
		require.Equal(t, "weekly", next.Window.ID)
		require.Equal(t, schedule.PhaseAnnounced, next.Phase)
		require.Equal(t, "2000-01-11T08:00:00Z", next.Start.UTC().Format(time.RFC3339), "neither the exception nor the freeze")
		require.Equal(t, schedule.ModeReadOnly, next.Window.Mode)

		h := g.Handler(ok)
		require.Equal(t, 503, get(h, "POST", "http://shop.example/orders/1").Code)
		require.Equal(t, 200, get(h, "DELETE", "http://shop.example/orders/1").Code)
		require.Equal(t, 200, get(h, "POST", "http://shop.example/catalogue").Code)
		require.Equal(t, 200, get(h, "POST", "http://other.example/orders/1").Code)
		_, err := g.Enter(t.Context(), downtime.Work{Name: "import"})
		require.ErrorIs(t, err, downtime.ErrWindow)
	})
}

// The format has not changed.
func TestLastGoodCopyIsTheDocument(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile(filepath.Join("testdata", "lastgood", "windows.yaml"))
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "last-good")
	open(t, downtime.Bytes("windows.yaml", golden), &downtime.Options{LastGood: path})
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(golden), string(written))
}
