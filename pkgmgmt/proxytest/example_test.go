package proxytest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/upkeep-go/upkeep/pkgmgmt/proxytest"
)

// Build a service that uses a shared module. Only Go is needed. In a test, t is the *testing.T.
func ExampleNew() {
	t := new(T)
	defer t.done()

	p := proxytest.New(t, proxytest.Module{
		Path: "corp.example/greet", Version: "v1.0.0",
		Files: proxytest.Files{"greet.go": "package greet\n\nconst Text = \"hello\"\n"},
	})
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module shop.example/shop\n"), 0o600)
	os.WriteFile(filepath.Join(dir, "main.go"), []byte(`package main

import (
	"fmt"

	"corp.example/greet"
)

func main() { fmt.Println(greet.Text) }
`), 0o600)
	for _, args := range [][]string{{"get", "corp.example/greet@latest"}, {"run", "."}} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir, cmd.Env = dir, p.Env()
		out, err := cmd.Output()
		fmt.Print(string(out))
		if err != nil {
			fmt.Println(err)
		}
	}
	// Output: hello
}

// T replaces the *testing.T, which an example lacks.
type T struct {
	testing.TB
	cleanups []func()
}

func (*T) Helper()                  {}
func (*T) Context() context.Context { return context.Background() }
func (*T) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }
func (t *T) Cleanup(f func())       { t.cleanups = append(t.cleanups, f) }

func (t *T) TempDir() string {
	dir, err := os.MkdirTemp("", "proxytest")
	if err != nil {
		panic(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (t *T) done() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}
