package apicheck_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
)

// TestInternalTypesThatAreShown changes a type of an internal package that is in the API.
func TestInternalTypesThatAreShown(t *testing.T) {
	t.Parallel()
	needGo(t)
	for _, decl := range []string{
		"type Handle = in.Handle", "func Open() *in.Handle { panic(0) }", "var All []map[string]in.Handle",
		"type Opener interface{ Open(in.Handle) }", "type T struct{ H func() chan *in.Handle }",
		"type T struct{ h in.Handle }", "func f() *in.Handle { panic(0) }",
	} {
		lib := "-- SIDE/lib.go --\npackage lib\nimport \"corp.example/lib/internal/in\"\n" + decl + "\n"
		old, new := pair(t, strings.ReplaceAll(lib, "SIDE", "old")+`
-- old/internal/in/in.go --
package in
type Handle struct { Fd int; Name string }
func (Handle) Close() {}
func Gone() {}
`+strings.ReplaceAll(lib, "SIDE", "new")+`
-- new/internal/in/in.go --
package in
type Handle struct { Fd int }
func (*Handle) Read() {}
`)
		v, err := checker(t, nil).Compare(t.Context(), old, new)
		require.NoError(t, err)
		if strings.Contains(decl, "h in") || strings.Contains(decl, "f()") {
			require.Equal(t, apicheck.BumpPatch, v.Bump, "%s: %v", decl, v)
			continue
		}
		require.Equal(t, apicheck.BumpMajor, v.Bump, "%s: %v", decl, v)
		require.NotContains(t, v.String(), "Gone")
		require.Contains(t, v.String(), "./internal/in.Handle.Name: removed")
	}
}
