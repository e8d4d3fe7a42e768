package downtime_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/downtime"
	"github.com/upkeep-go/upkeep/downtime/status"
)

// operators shows the guard's status to everybody.
func operators(t testing.TB, g *downtime.Guard, opts status.Options) http.Handler {
	opts.Authorize = func(*http.Request) (string, error) { return "", nil }
	h, err := status.Handler(g, &opts)
	require.NoError(t, err)
	return h
}

// users shows them what they may know.
func users(t testing.TB, g *downtime.Guard, opts status.Options) http.Handler {
	h, err := status.PublicHandler(g, &opts)
	require.NoError(t, err)
	return h
}
