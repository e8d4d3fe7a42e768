package registry_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPublishAndRead(t *testing.T) {
	t.Parallel()
	reg := fresh(t)
	w := put(t, reg, 201, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "one"))
	require.Contains(t, w.Body.String(), `"Sum":"h1:`)
	put(t, reg, 200, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "one"))
	put(t, reg, 409, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "two"))
	put(t, reg, 201, "corp.example/lib@v1.1.0", lib(t, "corp.example/lib@v1.1.0", "two"))
	w = get(reg, "/corp.example/lib/@v/list")
	require.Equal(t, "v1.0.0\nv1.1.0\n", w.Body.String())
	t.Log(w.Header(), get(reg, "/corp.example/lib/@latest").Body.String(), get(reg, "/corp.example/lib/@record/v1.0.0").Body.String())
}
