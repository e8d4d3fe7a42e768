package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestService(t *testing.T) {
	handler, admin, err := newService(t.Context())
	require.NoError(t, err)
	for _, c := range []struct {
		handler http.Handler
		path    string
		status  int
		holds   string
	}{
		{handler, "/?user=ada", 200, "."},
		{handler, "/nothing", 404, ""},
		{admin, "/version", 200, `"version"`},
		{admin, "/maintenance/", 200, "move-house"},
	} {
		w := httptest.NewRecorder()
		c.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.path, nil))
		require.Equal(t, c.status, w.Code, c.path)
		require.Contains(t, w.Body.String(), c.holds)
	}
}
