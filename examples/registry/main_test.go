package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
)

func TestMain(m *testing.M) {
	apicheck.Main()
	goleak.VerifyTestMain(m)
}

func TestPlay(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs programs")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command")
	}
	var out strings.Builder
	require.NoError(t, play(t.Context(), &out), "%s", &out)
	text := out.String()
	for _, part := range []string{
		"422 Unprocessable Entity: the gate refuses v1.1.0",
		"published corp.example/money/v2@v2.0.0 h1:",
		"shop runs, and asks 19.99 EUR for a book",
		"server response: corp.example/money@v1.0.0 is blocked: negative amounts are wrong: MONEY-17",
		"public.example/slug@v1.1.0 is too new: it appeared at ",
		"public.example/slug@v1.1.1: checksum mismatch: the upstream's content has h1:",
		"public.example/slug@v1.1.0 has known vulnerabilities: GO-2026-0001 (CVE-2026-2): slug.Separator may end a path; fixed in v1.2.0",
		"All steps did what they say.",
	} {
		require.Contains(t, text, part)
	}
	t.Log(text)
}

// TestPlayThatIsInterrupted: an interrupted run removes its files.
func TestPlayThatIsInterrupted(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, play(ctx, &strings.Builder{}), "step 1, a shared module, and two services that use it: ")
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left)
}
