package version_test

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/upkeep-go/upkeep/version"
)

const shopLine = "shop v1.4.2 (a1b2c3d4e5f6, 2026-11-20T11:20:00Z, go1.26.8, linux/amd64)\n"

func TestFlagContinueOnError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  string
		asked bool
		fails bool
	}{
		{"", false, false},
		{"-version", true, false},
		{"--version", true, false},
		{"-version -version", true, false},
		{"-version=true", true, false},
		{"-version=false", false, false},
		{"-version=nonsense", false, true},
	} {
		var out strings.Builder
		flags := flag.NewFlagSet("shop", flag.ContinueOnError)
		flags.SetOutput(&out)
		asked := version.BindFlag(shop(), flags)
		err := flags.Parse(strings.Fields(c.args))
		require.Equal(t, c.fails, err != nil, c.args)
		require.Equal(t, c.asked, *asked, c.args)
		if !c.fails {
			require.Equal(t, map[bool]string{true: shopLine}[c.asked], out.String(), c.args)
		}
	}
}

func TestFlagPanicOnError(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	flags := flag.NewFlagSet("shop", flag.PanicOnError)
	flags.SetOutput(&out)
	version.BindFlag(shop(), flags)
	require.PanicsWithValue(t, flag.ErrHelp, func() { _ = flags.Parse([]string{"-version"}) })
	require.Equal(t, shopLine, out.String())
}

func TestFlagExitOnError(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	require.NoError(t, err)
	run := func(args ...string) (stdout, stderr string, status int) {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = append(os.Environ(), flagHelper+"=1")
		var out, fault strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &fault
		err := cmd.Run()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return out.String(), fault.String(), exit.ExitCode()
		}
		require.NoError(t, err)
		return out.String(), fault.String(), 0
	}
	stdout, stderr, status := run("-version")
	require.Equal(t, shopLine, stdout)
	require.Empty(t, stderr)
	require.Zero(t, status)

	_, _, status = run()
	require.Equal(t, 3, status, "without the flag the program goes on")
	_, stderr, status = run("-version=nonsense")
	require.Equal(t, 2, status)
	require.Contains(t, stderr, "must be true or false")
}

func TestFlagIsDocumented(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	flags.SetOutput(&out)
	asked := version.BindFlag(version.Current(), flags)
	flags.PrintDefaults()
	require.Equal(t, "  -version\n    \tprint the version and exit\n", out.String())
	require.False(t, *asked)
}
