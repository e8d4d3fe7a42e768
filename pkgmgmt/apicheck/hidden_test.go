package apicheck_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

func TestInternalPackagesOfOtherPlatforms(t *testing.T) {
	old, new := pair(t, `
-- old/lib.go --
package lib
func F() {}
-- old/lib_windows.go --
package lib
import "corp.example/lib/internal/win"
type Handle win.Handle
-- old/internal/win/win.go --
package win
type Handle struct { Fd int; Name string }
func (Handle) Close() {}
-- new/lib.go --
package lib
func F() {}
-- new/lib_windows.go --
package lib
import "corp.example/lib/internal/win"
type Handle win.Handle
-- new/internal/win/win.go --
package win
type Handle struct { Fd int }
`)
	v, err := checker(t, nil).Compare(t.Context(), old, new)
	require.NoError(t, err)
	require.Equal(t, apicheck.BumpMajor, v.Bump)
}

func TestAPlusBuildLineThatIsAComment(t *testing.T) {
	old, new := pair(t, `
-- old/go.mod --
module corp.example/lib
go 1.17
-- old/lib.go --
package lib
func F() {}
-- old/sub/sub.go --
// +build ignore
package sub
func Removed() {}
-- new/go.mod --
module corp.example/lib
go 1.17
-- new/lib.go --
package lib
func F() {}
-- new/sub/sub.go --
// +build ignore
package sub
`)
	v, err := checker(t, nil).Compare(t.Context(), old, new)
	require.NoError(t, err)
	require.NotEqual(t, apicheck.BumpPatch, v.Bump)
}

func TestGateIsBounded(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "go")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\n/bin/echo start >>"+dir+"/log\n/bin/sleep 0.2\n/bin/echo stop >>"+dir+"/log\nexit 1\n"), 0o700))
	gate, err := apicheck.Gate(&apicheck.GateOptions{Options: apicheck.Options{Go: script}})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			_, _ = gate(context.Background(), &registry.Release{Path: "corp.example/lib", Version: fmt.Sprintf("v1.0.%d", i+1), Versions: []string{"v1.0.0"}, Proxy: http.NotFoundHandler()})
		})
	}
	wg.Wait()
	data, _ := os.ReadFile(dir + "/log")
	n, top := 0, 0
	for _, l := range strings.Fields(string(data)) {
		if l == "start" {
			n++
		} else {
			n--
		}
		top = max(top, n)
	}
	require.Positive(t, top)
	require.LessOrEqual(t, top, 2)
}
