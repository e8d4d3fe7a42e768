package registry_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// If this variable is set, the test binary runs as the named child process.
const part = "UPKEEP_REGISTRY_TEST_PART"

// child runs the child process that the variable names, and then exits.
func child() {
	switch os.Getenv(part) {
	case "":
		return
	case "publish":
		publishForever(os.Args[1], os.Args[2])
	case "serve":
		serveUntilEOF(os.Args[1])
	case "die":
		publishAndDie(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	case "verify":
		verifyAndDie(os.Args[1], os.Args[2], os.Args[3])
	case "fetch":
		fetchForever(os.Args[1], os.Args[2])
	case "filelimit":
		publishAtTheLimit(os.Args[1])
	}
	os.Exit(0)
}

func run(t *testing.T, as string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), part+"="+as)
	cmd.Stderr = os.Stderr
	return cmd
}

// publishForever publishes versions in ascending order, four at a time, and prints each
// acknowledged version.
func publishForever(dir, first string) {
	n, err := strconv.Atoi(first)
	if err != nil {
		panic(err)
	}
	reg, err := registry.New(registry.Dir(dir), quiet())
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				mu.Lock()
				version := fmt.Sprintf("v1.0.%d", n)
				n++
				mu.Unlock()
				w := ask(reg, http.MethodPut, "/corp.example/lib/@v/"+version+".zip", bytes.NewReader(numbered(version)))
				if w.Code != http.StatusCreated && w.Code != http.StatusOK {
					panic(fmt.Sprint(version, w.Code, w.Body))
				}
				mu.Lock()
				fmt.Println(version)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// numbered returns the zip of a version of corp.example/lib. It is the same at each call.
func numbered(version string) []byte {
	return lib(panics{}, "corp.example/lib@"+version, strings.Repeat(version, 200))
}

// panics replaces a *testing.T for test helpers in a child process.
type panics struct{ testing.TB }

func (panics) Helper()                   {}
func (panics) FailNow()                  { panic("failed") }
func (panics) Errorf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// TestKill kills processes that publish the same versions, at random moments. After each kill
// every listed version is complete, and every acknowledged version is listed.
func TestKill(t *testing.T) {
	t.Parallel()
	const together = 4
	kills := testsize.Pick(8, 80, 800)
	dir := t.TempDir()
	reg := open(t, registry.Dir(dir), quiet())
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	checked := map[string]bool{}
	next, halfway := 0, 0
	for range kills / together {
		var wg sync.WaitGroup
		for i := range together {
			cmd := run(t, "publish", dir, strconv.Itoa(next+i/2))
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			wg.Go(func() {
				// Kill the process after its first success, so that it dies while it publishes
				// and not while it starts.
				var death *time.Timer
				for lines := bufio.NewScanner(out); lines.Scan(); {
					if death == nil {
						death = time.AfterFunc(rand.N(20*time.Millisecond), func() { cmd.Process.Kill() })
					}
					mu.Lock()
					acknowledged[lines.Text()] = true
					mu.Unlock()
				}
				cmd.Wait()
				if death == nil {
					t.Error("a process has published nothing")
					return
				}
				death.Stop()
			})
		}
		wg.Wait()

		listed := strings.Fields(get(reg, "/corp.example/lib/@v/list").Body.String())
		is := map[string]bool{}
		for _, version := range listed {
			is[version] = true
			if !checked[version] {
				checkWhole(t, reg, version)
				checked[version] = true
			}
			var patch int
			_, err := fmt.Sscanf(version, "v1.0.%d", &patch)
			require.NoError(t, err)
			next = max(next, patch+1)
		}
		for version := range acknowledged {
			require.True(t, is[version], "%s was acknowledged, and is not listed", version)
		}

		// An unfinished version is completed by the same content, or replaced by other
		// content, because its publish was never acknowledged.
		zips, err := filepath.Glob(filepath.Join(dir, "corp.example", "lib", "@v", "v1.0.*.zip"))
		require.NoError(t, err)
		for _, name := range zips {
			version := strings.TrimSuffix(filepath.Base(name), ".zip")
			if is[version] {
				continue
			}
			halfway++
			if halfway%2 == 0 {
				if halfway%30 != 2 { // keep the claim of the others, so that the publisher waits
					age(t, filepath.Dir(name), version)
				}
				other := lib(t, "corp.example/lib@"+version, "other")
				put(t, reg, http.StatusCreated, "corp.example/lib@"+version, other)
				put(t, reg, http.StatusConflict, "corp.example/lib@"+version, numbered(version))
				require.Equal(t, other, get(reg, "/corp.example/lib/@v/"+version+".zip").Body.Bytes())
				checked[version], acknowledged[version] = true, true
				continue
			}
			put(t, reg, http.StatusOK, "corp.example/lib@"+version, numbered(version))
			checkWhole(t, reg, version)
			acknowledged[version] = true
		}
		next += 8 // skip the versions that may not have a zip
	}
	t.Logf("%d deaths, %d versions acknowledged, %d cut off after their zip was there", kills, len(acknowledged), halfway)
	left, err := os.ReadDir(filepath.Join(dir, ".tmp"))
	require.NoError(t, err)
	t.Logf("%d temporary files left", len(left))
}

// age makes the claim on a version old, so that the next publisher does not wait.
func age(t *testing.T, folder, version string) {
	t.Helper()
	name := filepath.Join(folder, version+".record")
	data, err := os.ReadFile(name)
	if err == nil {
		require.NoError(t, os.WriteFile(name, bytes.ReplaceAll(data, []byte(time.Now().UTC().Format("2006-01-02T")), []byte("2020-01-01T")), 0o600))
	}
}

// checkWhole reads and checks all files of a version.
func checkWhole(t *testing.T, reg http.Handler, version string) {
	t.Helper()
	at := "/corp.example/lib/@v/" + version
	require.Contains(t, get(reg, at+".info").Body.String(), `"Version":"`+version+`"`)
	require.Equal(t, "module corp.example/lib\n\ngo 1.24\n", get(reg, at+".mod").Body.String())
	w := get(reg, at+".zip")
	require.Equal(t, http.StatusOK, w.Code, version)
	require.Equal(t, numbered(version), w.Body.Bytes(), version)
	name := filepath.Join(t.TempDir(), "whole.zip")
	require.NoError(t, os.WriteFile(name, w.Body.Bytes(), 0o600))
	_, err := zip.CheckZip(module.Version{Path: "corp.example/lib", Version: version}, name)
	require.NoError(t, err)
	sum, err := dirhash.HashZip(name, dirhash.Hash1)
	require.NoError(t, err)
	require.Equal(t, `"`+sum+`"`, w.Header().Get("Etag"))
	require.Contains(t, get(reg, "/corp.example/lib/@record/"+version).Body.String(), sum)
}

// TestTwoProcesses: two processes publish the same versions to one folder.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	reg := open(t, registry.Dir(dir), quiet())
	var acknowledged [2][]string
	var wg sync.WaitGroup
	for i := range 2 {
		cmd := run(t, "publish", dir, "0")
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		wg.Go(func() {
			lines := bufio.NewScanner(io.LimitReader(out, 1<<20))
			for len(acknowledged[i]) < 25 && lines.Scan() {
				acknowledged[i] = append(acknowledged[i], lines.Text())
			}
			cmd.Process.Kill()
			cmd.Wait()
		})
	}
	wg.Wait()
	listed := strings.Fields(get(reg, "/corp.example/lib/@v/list").Body.String())
	for _, versions := range acknowledged {
		require.GreaterOrEqual(t, len(versions), 25)
		require.Subset(t, listed, versions)
	}
	for _, version := range listed {
		checkWhole(t, reg, version)
	}
	require.IsIncreasing(t, patches(t, listed))
}

func patches(t *testing.T, versions []string) (all []int) {
	t.Helper()
	for _, version := range versions {
		var patch int
		_, err := fmt.Sscanf(version, "v1.0.%d", &patch)
		require.NoError(t, err)
		all = append(all, patch)
	}
	return all
}

// TestFullDisk limits the size of files, so that writes fail as on a full disk.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if !canLimitFiles {
		t.Skip("this system has no limit for files")
	}
	dir := t.TempDir()
	out, err := run(t, "filelimit", dir).Output()
	require.NoError(t, err)
	require.Equal(t, "201 507 201\n", string(out))
	reg := open(t, registry.Dir(dir), quiet())
	require.Equal(t, "v1.0.1\nv1.0.3\n", get(reg, "/corp.example/lib/@v/list").Body.String())
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.2", lib(t, "corp.example/lib@v1.0.2", "another content, for the first one has left nothing"))
	left, err := os.ReadDir(filepath.Join(dir, ".tmp"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func publishAtTheLimit(dir string) {
	limitFiles(64 << 10)
	reg, err := registry.New(registry.Dir(dir), quiet())
	if err != nil {
		panic(err)
	}
	var codes []string
	for i, size := range []int{1, 1 << 20, 1} {
		version := fmt.Sprintf("v1.0.%d", i+1)
		w := ask(reg, http.MethodPut, "/corp.example/lib/@v/"+version+".zip", bytes.NewReader(sized(panics{}, "corp.example/lib@"+version, size)))
		codes = append(codes, strconv.Itoa(w.Code))
	}
	fmt.Println(strings.Join(codes, " "))
}

// sized returns a module with an incompressible file of the given size.
func sized(t testing.TB, at string, size int) []byte {
	path, _, _ := strings.Cut(at, "@")
	noise := make([]byte, size)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(noise)
	return archive(t, at, "@/go.mod", "module "+path+"\n", "@/noise.bin", string(noise))
}
