package apicheck_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
	"github.com/upkeep-go/upkeep/pkgmgmt/proxytest"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// TestRegistry uses the gate in a registry, with an override.
func TestRegistry(t *testing.T) {
	t.Parallel()
	needGo(t)
	gate, err := apicheck.Gate(nil)
	require.NoError(t, err)
	lib := func(version, source string) proxytest.Module {
		return proxytest.Module{Path: "corp.example/lib", Version: version, Files: proxytest.Files{"lib.go": "package lib\n" + source}}
	}
	p := proxytest.Start(t, &registry.Options{Gate: gate}, lib("v1.0.0", "func F() {}\n"))
	require.NoError(t, p.Publish(t.Context(), lib("v1.1.0", "func F() {}\nfunc G() {}\n")))

	broken := lib("v1.2.0", "func G() {}\n")
	err = p.Publish(t.Context(), broken)
	var refusal *registry.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Contains(t, err.Error(), "v1.2.0 is not enough for 1 incompatible changes since v1.1.0; keep the old API, or publish v2.0.0 as the new module corp.example/lib/v2")
	require.Contains(t, strings.Join(refusal.Details, "\n"), "F: removed")

	dir := folders(t, "-- go.mod --\nmodule corp.example/lib\n-- lib.go --\npackage lib\nfunc G() {}\n")
	_, err = p.Client.Publish(t.Context(), dir, "v1.2.0", &registry.PublishOptions{Override: "nobody used F"})
	require.NoError(t, err)
	require.NoError(t, p.Publish(t.Context(), lib("v1.2.1", "func G() {}\n")), "it is compared with the one that was let through")
}
