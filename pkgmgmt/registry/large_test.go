package registry_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	stdzip "archive/zip"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// A copier is a ResponseWriter with ReadFrom, as the server's.
type copier struct {
	sink
	from []io.Reader
}

func (c *copier) ReadFrom(src io.Reader) (int64, error) {
	c.from = append(c.from, src)
	return io.Copy(io.Discard, src)
}

// TestSendfile: the server's ReadFrom gets the file itself, so that it can use sendfile.
func TestSendfile(t *testing.T) {
	t.Parallel()
	reg := fresh(t)
	body := lib(t, "corp.example/lib@v1.0.0", "x")
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", body)
	before := reg.Stats()["bytes_sent"]
	w := &copier{sink: sink{header: http.Header{}}}
	reg.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/corp.example/lib/@v/v1.0.0.zip", nil))
	require.Equal(t, http.StatusOK, w.status)
	require.Len(t, w.from, 1)
	part, ok := w.from[0].(*io.LimitedReader)
	require.True(t, ok, "%T", w.from[0])
	require.IsType(t, (*os.File)(nil), part.R)
	require.Zero(t, w.n)
	require.Equal(t, float64(len(body)), reg.Stats()["bytes_sent"]-before)
}

// serveUntilEOF serves a registry until its input ends.
func serveUntilEOF(dir string) {
	reg, err := registry.New(registry.Dir(dir), quiet())
	if err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { _ = http.Serve(l, reg) }()
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// TestMemory publishes and serves a large zip, and checks the peak memory of the process. The
// long test uses the largest allowed zip, 500 MiB.
func TestMemory(t *testing.T) {
	t.Parallel()
	if testing.Short() || raceEnabled {
		t.Skip("measures")
	}
	size := testsize.Pick(0, 48, 500)
	cmd := run(t, "serve", t.TempDir())
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() {
		require.NoError(t, in.Close())
		require.NoError(t, cmd.Wait())
	}()
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	url := "http://" + lines.Text()

	// Publish a small zip first, so that the idle figure has the memory of any server.
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &registry.Client{URL: url, HTTP: &http.Client{Transport: transport}}
	zip, _ := large(t, "corp.example/lib@v1.0.0", 1<<20)
	_, err = client.PublishZip(t.Context(), module.Version{Path: "corp.example/lib", Version: "v1.0.0"}, zip, nil)
	require.NoError(t, err)
	idle := resident(t, cmd.Process.Pid, "VmRSS")

	// The file is smaller than the bound, because the zip has headers.
	zip, want := large(t, "corp.example/lib@v1.0.1", size<<20-4096)
	_, err = client.PublishZip(t.Context(), module.Version{Path: "corp.example/lib", Version: "v1.0.1"}, zip, nil)
	require.NoError(t, err)
	res, err := client.HTTP.Get(url + "/corp.example/lib/@v/v1.0.1.zip")
	require.NoError(t, err)
	got := sha256.New()
	_, err = io.Copy(got, res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, want.Sum(nil), got.Sum(nil))

	peak := resident(t, cmd.Process.Pid, "VmHWM")
	t.Logf("a zip of %d MiB is published and served: %d MiB idle, at most %d MiB", size, idle>>20, peak>>20)
	require.LessOrEqual(t, peak-idle, int64(64<<20))
	if size < 64 {
		require.LessOrEqual(t, peak-idle, int64(size/2)<<20, "the zip must not be held in memory")
	}
}

// large writes a zip of a module with incompressible content to disk.
func large(t *testing.T, at string, size int) (name string, sum hash.Hash) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "large.zip"))
	require.NoError(t, err)
	defer f.Close()
	sum = sha256.New()
	w := stdzip.NewWriter(io.MultiWriter(f, sum))
	path, _, _ := strings.Cut(at, "@")
	part, err := w.Create(at + "/go.mod")
	require.NoError(t, err)
	_, err = io.WriteString(part, "module "+path+"\n")
	require.NoError(t, err)
	part, err = w.CreateHeader(&stdzip.FileHeader{Name: at + "/noise.bin", Method: stdzip.Store})
	require.NoError(t, err)
	noise := bufio.NewReaderSize(rand.NewChaCha8([32]byte{1}), 1<<16)
	_, err = io.CopyN(part, noise, int64(size))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return f.Name(), sum
}

// resident reads a memory figure of a process from /proc, in bytes.
func resident(t *testing.T, pid int, figure string) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("this system does not say how large a process is")
	}
	_, rest, found := bytes.Cut(status, []byte(figure+":"))
	require.True(t, found)
	var kilobytes int64
	_, err = fmt.Sscan(string(rest), &kilobytes)
	require.NoError(t, err)
	return kilobytes << 10
}
