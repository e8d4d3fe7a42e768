package sbom_test

import (
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt/sbom"
)

func TestManyOfOneName(t *testing.T) {
	for _, n := range []int{100_000} {
		bi := &debug.BuildInfo{Path: "x.example/x", Main: debug.Module{Path: "x.example/x"}}
		for range n {
			bi.Deps = append(bi.Deps, &debug.Module{Path: "a.example/x", Version: "v1.0.0"})
		}
		start := time.Now()
		_, err := sbom.New(bi, nil)
		require.NoError(t, err)
		require.Less(t, time.Since(start), 30*time.Second)
	}
}
