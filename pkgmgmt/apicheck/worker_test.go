package apicheck_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/testsize"
)

// program builds a program that compares the modules in its first two arguments. begin and before
// are code that it runs before that.
func program(t *testing.T, begin, before string) string {
	t.Helper()
	needGo(t)
	dir := t.TempDir()
	source := fmt.Sprintf(`package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/pkgmgmt/apicheck"
)

var _ = time.Now

func main() {
	%s
	checker, err := apicheck.New(nil)
	if err != nil {
		fmt.Println("New:", err)
		return
	}
	%s
	fmt.Println(checker.Compare(context.Background(), apicheck.Module{Dir: os.Args[1]}, apicheck.Module{Dir: os.Args[2]}))
}
`, begin, before)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600))
	name := filepath.Join(dir, "program.exe")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", name, filepath.Join(dir, "main.go")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return name
}

const greetings = `
-- old/greet.go --
package greet
-- new/greet.go --
package greet
func Hello() {}
`

func compare(t *testing.T, name string) string {
	t.Helper()
	old, new := pair(t, greetings)
	cmd := exec.CommandContext(t.Context(), name, old.Dir, new.Dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

const withoutMain = "apicheck: this program cannot start itself as a worker: call apicheck.Main first in main, and first in TestMain for tests"

// TestMainIsForgotten has a program that does not call Main. It gets an error and is not started
// again.
func TestMainIsForgotten(t *testing.T) {
	t.Parallel()
	name := program(t, "", "")
	require.Equal(t, "New: "+withoutMain, compare(t, name))
	t.Run("and the variable is set", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), name)
		cmd.Env = append(os.Environ(), "UPKEEP_APICHECK_WORKER="+t.TempDir())
		out, err := cmd.Output()
		require.NoError(t, err)
		require.Equal(t, "New: "+withoutMain+"\n", string(out))
	})
}

// TestMainIsCalledLate has programs whose workers do not reach Main.
func TestMainIsCalledLate(t *testing.T) {
	t.Parallel()
	t.Run("because they end", func(t *testing.T) {
		t.Parallel()
		name := program(t, `if len(os.Args) < 2 { fmt.Fprintln(os.Stderr, "usage: program old new"); os.Exit(2) }; apicheck.Main()`, "")
		require.Equal(t, "unknown: the change of the API cannot be judged "+withoutMain+"; the worker ended before it reached Main: usage: program old new", compare(t, name))
	})
	t.Run("because they serve", func(t *testing.T) {
		t.Parallel()
		if !testsize.Long() {
			t.Skip("takes half a minute")
		}
		name := program(t, `if os.Getenv("HOME") != "" && len(os.Args) < 2 { time.Sleep(time.Hour) }; apicheck.Main()`, "")
		require.Equal(t, "unknown: the change of the API cannot be judged "+withoutMain+"; the worker did not reach Main within 30s", compare(t, name))
	})
}

// TestTheProgramIsReplaced replaces the file of a program before it compares, as an update does.
func TestTheProgramIsReplaced(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the worker is the new file")
	}
	const replace = `
	self, err := os.Executable()
	if err == nil {
		err = os.WriteFile(self+".new", []byte("#!/bin/sh\necho another program\n"), 0o700)
	}
	if err == nil {
		err = os.Rename(self+".new", self)
	}
	if err != nil {
		fmt.Println(err)
		return
	}`
	name := program(t, "apicheck.Main()", replace)
	require.Equal(t, "minor: 0 incompatible and 1 compatible changes\n  + Hello: added <nil>", compare(t, name))
	out, err := exec.CommandContext(t.Context(), name).Output()
	require.NoError(t, err)
	require.Equal(t, "another program\n", string(out), "the file was replaced")
}
