package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/observe/replay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestIncident is the test that a developer writes. It replays the bundle of INCIDENT_BUNDLE.
func TestIncident(t *testing.T) {
	bundle := os.Getenv("INCIDENT_BUNDLE")
	if bundle == "" {
		t.Skip("INCIDENT_BUNDLE names no bundle; go run ./examples/incident plays the whole story")
	}
	replay.Run(t, bundle, func(c *replay.Case) http.Handler {
		return newService(c.FlagClient(), c.HTTPClient(), "http://prices.example", slog.New(slog.DiscardHandler))
	})
}

func TestStory(t *testing.T) {
	if testing.Short() {
		t.Skip("runs go test twice")
	}
	t.Parallel()
	var out strings.Builder
	require.NoError(t, run(t.Context(), nil, &out, io.Discard), out.String())
	require.Contains(t, out.String(), "--- FAIL: TestIncident")
	require.Contains(t, out.String(), "--- PASS: TestIncident")
	require.Contains(t, out.String(), "The incident is over.")
}

// TestByHand runs the commands of the package comment.
func TestByHand(t *testing.T) {
	if testing.Short() {
		t.Skip("runs go test")
	}
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "captures")
	var out strings.Builder
	require.NoError(t, run(t.Context(), []string{"-captures", folder}, &out, io.Discard))
	bundles, err := filepath.Glob(filepath.Join(folder, "*.har"))
	require.NoError(t, err)
	require.Len(t, bundles, 3, "three alike in a minute")
	require.Contains(t, out.String(), "INCIDENT_BUNDLE="+bundles[0]+" go test -run TestIncident ./examples/incident\n")
	for _, bundle := range bundles {
		said, err := goTest(t.Context(), bundle)
		require.Error(t, err)
		require.Contains(t, said, "fails as it did then")
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(context.Background(), []string{"extra"}, io.Discard, io.Discard), "takes no arguments")
	require.Error(t, run(context.Background(), []string{"-frobnicate"}, io.Discard, io.Discard))
}
