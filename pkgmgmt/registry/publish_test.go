package registry_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// A problem is the body of a refusal.
type problem struct {
	Title   string
	Status  int
	Detail  string
	Rule    string
	Verdict *registry.Verdict
	Details []string
}

func problemOf(t testing.TB, w *httptest.ResponseRecorder) problem {
	t.Helper()
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"), w.Body)
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	var p problem
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(t, w.Code, p.Status)
	return p
}

// TestBadUploads: an invalid upload is refused with the name of the rule, and leaves nothing.
func TestBadUploads(t *testing.T) {
	t.Parallel()
	const at = "corp.example/lib@v1.0.0"
	const goMod = "module corp.example/lib\n"
	with := func(files ...string) []byte { return archive(t, at, append([]string{"@/go.mod", goMod}, files...)...) }
	sound := with("@/lib.go", "package lib\n")
	for name, c := range map[string]struct {
		at     string
		body   []byte
		status int
		rule   string
		detail string
	}{
		"an empty body":                {at, nil, 422, "zip", "not a zip file"},
		"no zip":                       {at, []byte("hello"), 422, "zip", "not a zip file"},
		"a zip cut off":                {at, sound[:len(sound)-30], 422, "zip", "not a zip file"},
		"a zip of nothing":             {at, archive(t, at), 422, "go.mod", "the zip has no corp.example/lib@v1.0.0/go.mod"},
		"no go.mod":                    {at, archive(t, at, "@/lib.go", "package lib\n"), 422, "go.mod", "the zip has no corp.example/lib@v1.0.0/go.mod"},
		"another module's go.mod":      {at, archive(t, at, "@/go.mod", "module corp.example/other\n"), 422, "go.mod", "go.mod has module corp.example/other, want corp.example/lib"},
		"a go.mod of a letter's case":  {at, archive(t, at, "@/go.mod", "module corp.example/Lib\n"), 422, "go.mod", "corp.example/Lib"},
		"no module line":               {at, archive(t, at, "@/go.mod", "go 1.24\n"), 422, "go.mod", "go.mod has no module line"},
		"a go.mod that is none":        {at, archive(t, at, "@/go.mod", "module \x00\x1b[31m"), 422, "go.mod", "go.mod:1"},
		"a large go.mod":               {at, archive(t, at, "@/go.mod", goMod+strings.Repeat("// x\n", 300_000)), 422, "size", "go.mod is larger than 256 KiB"},
		"a go.mod of many lines":       {at, archive(t, at, "@/go.mod", goMod+strings.Repeat("x\n", 20_000)), 422, "size", "go.mod has more than 10000 lines"},
		"replace":                      {at, archive(t, at, "@/go.mod", goMod+"\nreplace a.example/x => ../x\n"), 422, "replace", "go.mod:3: replaces a.example/x"},
		"another version inside":       {at, archive(t, "corp.example/lib@v1.0.1", "@/go.mod", goMod), 422, "zip", `path does not have prefix "corp.example/lib@v1.0.0/"`},
		"another module inside":        {at, archive(t, "corp.example/other@v1.0.0", "@/go.mod", goMod), 422, "zip", "path does not have prefix"},
		"path traversal":               {at, with("@/../../../etc/passwd", "x"), 422, "zip", "invalid path element"},
		"path traversal outside":       {at, with("../x", "x"), 422, "zip", "path does not have prefix"},
		"an absolute path":             {at, with("/etc/passwd", "x"), 422, "zip", "path does not have prefix"},
		"a backslash":                  {at, with(`@/..\..\x`, "x"), 422, "zip", `invalid char '\\'`},
		"a colliding case":             {at, with("@/a.go", "package lib\n", "@/A.go", "package lib\n"), 422, "zip", "case-insensitive file name collision"},
		"a file twice":                 {at, with("@/a.go", "package lib\n", "@/a.go", "package lib\n"), 422, "zip", "multiple entries for file"},
		"a file and a folder":          {at, with("@/a", "x", "@/a/b", "y"), 422, "zip", "both a file and a directory"},
		"GO.MOD":                       {at, archive(t, at, "@/GO.MOD", goMod), 422, "zip", "go.mod files must have lowercase names"},
		"a module inside":              {at, with("@/sub/go.mod", goMod), 422, "zip", "not in module root"},
		"a reserved name":              {at, with("@/con.go", "x"), 422, "zip", "con"},
		"a control character":          {at, with("@/a\nb.go", "x"), 422, "zip", "invalid char"},
		"a symbolic link":              {at, special(t, at, goMod, fs.ModeSymlink), 422, "zip", "corp.example/lib@v1.0.0/odd: not a regular file"},
		"a device":                     {at, special(t, at, goMod, fs.ModeDevice), 422, "zip", "not a regular file"},
		"v2 without /v2":               {"corp.example/lib@v2.0.0", archive(t, "corp.example/lib@v2.0.0", "@/go.mod", goMod), 422, "major-version", "should be v0 or v1, not v2"},
		"v1 with /v2":                  {"corp.example/lib/v2@v1.0.0", archive(t, "corp.example/lib/v2@v1.0.0", "@/go.mod", "module corp.example/lib/v2\n"), 422, "major-version", "should be v2, not v1"},
		"/v2 with a go.mod of v1":      {"corp.example/lib/v2@v2.0.0", archive(t, "corp.example/lib/v2@v2.0.0", "@/go.mod", goMod), 422, "go.mod", "go.mod has module corp.example/lib"},
		"+incompatible":                {"corp.example/lib@v2.0.0+incompatible", sound, 422, "major-version", "+incompatible"},
		"/v1":                          {"corp.example/lib/v1@v1.0.0", sound, 422, "module-path", "malformed module path"},
		"build metadata":               {"corp.example/lib@v1.0.0+meta", sound, 422, "version", `write "v1.0.0"`},
		"half a version":               {"corp.example/lib@v1.0", sound, 422, "version", `write "v1.0.0"`},
		"a branch":                     {"corp.example/lib@main", sound, 422, "version", `invalid version "main"`},
		"an upper-case path":           {"corp.example/Lib@v1.0.0", sound, 422, "module-path", "invalid escaped module path"},
		"not private":                  {"other.example/lib@v1.0.0", sound, 404, "private", "other.example/lib is outside the private prefixes"},
		"nearly private":               {"corp.example.org/lib@v1.0.0", sound, 404, "private", "outside the private prefixes"},
		"more than it says":            {at, lying(t, at, goMod, 1, 1<<20), 422, "zip", "cannot be read"},
		"less than it says":            {at, lying(t, at, goMod, 1<<20, 1), 422, "zip", "cannot be read"},
		"a wrong checksum":             {at, damaged(t, sound), 422, "zip", "cannot be read"},
		"a bomb by its own word":       {at, lying(t, at, goMod, 600<<20, 1), 422, "size", "too large"},
		"a bomb of many files":         {at, crowd(at, 1), 422, "size", "list of files is larger than 8 MiB"},
		"a bomb that hides its number": {at, crowd(at, 65536), 422, "size", "list of files is larger than 8 MiB"},
		"a ZIP64":                      {at, zip64(sound), 422, "zip", "ZIP64"},
		"larger than MaxZip":           {at, make([]byte, 12<<20), 413, "size", "larger than 11534336 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			opts := quiet()
			opts.MaxZip = 11 << 20
			opts.Gate = func(context.Context, *registry.Release) (registry.Judgement, error) {
				return registry.Judgement{}, errors.New("no gate is asked about what is not sound")
			}
			reg := open(t, registry.Dir(dir), opts)
			path, version, _ := strings.Cut(c.at, "@")
			w := ask(reg, http.MethodPut, "/"+path+"/@v/"+version+".zip", bytes.NewReader(c.body))
			p := problemOf(t, w)
			require.Equal(t, c.status, p.Status, p.Detail)
			require.Equal(t, c.rule, p.Rule, p.Detail)
			require.Contains(t, p.Detail+strings.Join(p.Details, " "), c.detail)
			var left []string
			require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
				if !d.IsDir() {
					left = append(left, name)
				}
				return err
			}))
			require.Empty(t, left)
		})
	}
}

// special makes a module with a link or a device.
func special(t testing.TB, at, goMod string, mode fs.FileMode) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	part, err := w.Create(at + "/go.mod")
	require.NoError(t, err)
	_, err = io.WriteString(part, goMod)
	require.NoError(t, err)
	header := &zip.FileHeader{Name: at + "/odd"}
	header.SetMode(mode | 0o777)
	part, err = w.CreateHeader(header)
	require.NoError(t, err)
	_, err = io.WriteString(part, "/etc/passwd")
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// lying makes a module with a file whose header has a wrong size.
func lying(t testing.TB, at, goMod string, said, real int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	part, err := w.Create(at + "/go.mod")
	require.NoError(t, err)
	_, err = io.WriteString(part, goMod)
	require.NoError(t, err)
	content := make([]byte, real)
	part, err = w.CreateRaw(&zip.FileHeader{
		Name: at + "/zeros", Method: zip.Store, CRC32: crc32.ChecksumIEEE(content),
		CompressedSize64: uint64(real), UncompressedSize64: uint64(said),
	})
	require.NoError(t, err)
	_, err = part.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// damaged flips a bit of the content of a zip's last file.
func damaged(t testing.TB, sound []byte) []byte {
	t.Helper()
	at := bytes.LastIndex(sound, []byte("lib.go")) // in the list of files
	at = bytes.LastIndex(sound[:at], []byte("lib.go")) + len("lib.go") + 4
	b := bytes.Clone(sound)
	b[at] ^= 1
	return b
}

// crowd makes a zip with a very long list of files. Its end record has their number modulo
// 65,536.
func crowd(at string, said int) []byte {
	var b bytes.Buffer
	b.WriteString("PK\x03\x04")
	b.Write(make([]byte, 100))
	start := b.Len()
	entry := make([]byte, 46)
	copy(entry, "PK\x01\x02")
	name := at + "/x"
	entry[28] = byte(len(name))
	entry = append(entry, name...)
	n := 65536*2 + said%65536
	for range n {
		b.Write(entry)
	}
	size := b.Len() - start
	end := make([]byte, 22)
	copy(end, "PK\x05\x06")
	put16 := func(at, v int) { end[at], end[at+1] = byte(v), byte(v>>8) }
	put16(8, n)
	put16(10, n)
	put16(12, size)
	put16(14, size>>16)
	put16(16, start)
	b.Write(end)
	return b.Bytes()
}

// zip64 inserts a ZIP64 locator before the end record of a zip.
func zip64(sound []byte) []byte {
	end := bytes.LastIndex(sound, []byte("PK\x05\x06"))
	locator := make([]byte, 20)
	copy(locator, "PK\x06\x07")
	return append(append(append([]byte{}, sound[:end]...), locator...), sound[end:]...)
}

// TestCutOff sends incomplete bodies.
func TestCutOff(t *testing.T) {
	t.Parallel()
	reg := fresh(t)
	sound := lib(t, "corp.example/lib@v1.0.0", "x")
	r := httptest.NewRequest(http.MethodPut, "/corp.example/lib/@v/v1.0.0.zip", io.MultiReader(bytes.NewReader(sound), iotest.ErrReader(io.ErrUnexpectedEOF)))
	w := httptest.NewRecorder()
	reg.ServeHTTP(w, r)
	p := problemOf(t, w)
	require.Equal(t, http.StatusBadRequest, p.Status)
	require.Equal(t, "upload", p.Rule)

	// The same over a connection that breaks: the zip is complete, but the body is shorter than
	// its Content-Length. The publisher never gets an answer, so the version must not be published.
	server := httptest.NewServer(reg)
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "PUT /corp.example/lib/@v/v1.0.0.zip HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(sound)+1, sound)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Contains(t, string(answer), "400 Bad Request")
	require.Equal(t, http.StatusNotFound, get(reg, "/corp.example/lib/@v/list").Code)
	require.Equal(t, http.StatusUnsupportedMediaType, ask(reg, http.MethodPut, "/corp.example/lib/@v/v1.0.0.zip", bytes.NewReader(sound), "Content-Encoding", "gzip").Code)
}

// TestOnePublisherWins: of many concurrent publishers of one version exactly one gets 201.
func TestOnePublisherWins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stores := []http.Handler{open(t, registry.Dir(dir), quiet()), open(t, registry.Dir(dir), quiet())}
	for round := range 5 {
		at := fmt.Sprintf("corp.example/lib@v1.0.%d", round)
		var wg sync.WaitGroup
		bodies := [][]byte{lib(t, at, "one"), lib(t, at, "two")}
		statuses := make(chan [2]int, 16)
		for i := range 16 {
			wg.Go(func() {
				_, version, _ := strings.Cut(at, "@")
				w := ask(stores[i/2%2], http.MethodPut, "/corp.example/lib/@v/"+version+".zip", bytes.NewReader(bodies[i%2]))
				statuses <- [2]int{i % 2, w.Code}
			})
		}
		wg.Wait()
		close(statuses)
		count := map[[2]int]int{}
		for s := range statuses {
			count[s]++
		}
		winner := 0
		if count[[2]int{1, 201}] == 1 {
			winner = 1
		}
		require.Equal(t, map[[2]int]int{{winner, 201}: 1, {winner, 200}: 7, {1 - winner, 409}: 8}, count)
		_, version, _ := strings.Cut(at, "@")
		require.Equal(t, bodies[winner], get(stores[0], "/corp.example/lib/@v/"+version+".zip").Body.Bytes())
	}
}

// TestIdentical: two zips of the same files are the same version, with any compression.
func TestIdentical(t *testing.T) {
	t.Parallel()
	reg := fresh(t)
	const at = "corp.example/lib@v1.0.0"
	first := archive(t, at, "@/go.mod", "module corp.example/lib\n", "@/lib.go", "package lib\n")
	put(t, reg, http.StatusCreated, at, first)
	w := put(t, reg, http.StatusOK, at, archive(t, at, "@/lib.go", "package lib\n", "@/go.mod", "module corp.example/lib\n"))
	var published registry.Published
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &published))
	require.False(t, published.New)
	require.Equal(t, first, get(reg, "/corp.example/lib/@v/v1.0.0.zip").Body.Bytes(), "the first zip must stay")

	p := problemOf(t, put(t, reg, http.StatusConflict, at, archive(t, at, "@/go.mod", "module corp.example/lib\n", "@/lib.go", "package lib \n")))
	require.Equal(t, "immutable", p.Rule)
	require.Contains(t, p.Detail, published.Sum)
	require.Contains(t, p.Detail, "publish a new version")
}

// TestSlowUploads: a slow upload does not block other publishers, even of the same version, and
// ends with an error.
func TestSlowUploads(t *testing.T) {
	t.Parallel()
	const slow = 20
	reg := fresh(t, func(o *registry.Options) { o.MaxUploads = slow + 1 })
	server := httptest.NewServer(reg)
	t.Cleanup(server.Close)
	sound := lib(t, "corp.example/lib@v1.0.0", "x")
	var bodies []*io.PipeWriter
	var wg sync.WaitGroup
	for range slow {
		r, w := io.Pipe()
		bodies = append(bodies, w)
		wg.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/corp.example/lib/@v/v1.0.0.zip", r)
			if err != nil {
				t.Error(err)
				return
			}
			res, err := server.Client().Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Errorf("a slow one was told %d", res.StatusCode)
			}
		})
		_, err := w.Write(sound[:100])
		require.NoError(t, err)
	}
	for reg.Stats()["uploads"] != slow {
		runtime.Gosched()
	}
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", sound)

	// An upload above MaxUploads gets 503 with Retry-After.
	r, w := io.Pipe()
	wg.Go(func() {
		req := httptest.NewRequest(http.MethodPut, "/corp.example/lib/@v/v1.0.0.zip", r)
		reg.ServeHTTP(httptest.NewRecorder(), req)
	})
	_, err := w.Write(sound[:100])
	require.NoError(t, err)
	refused := put(t, reg, http.StatusServiceUnavailable, "corp.example/lib@v1.0.0", sound)
	require.Equal(t, "upload", problemOf(t, refused).Rule)
	require.Equal(t, "10", refused.Header().Get("Retry-After"))
	w.CloseWithError(io.ErrUnexpectedEOF)

	for _, w := range bodies {
		_, err := w.Write(sound[100:])
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	wg.Wait()
}

func TestUploadTimeout(t *testing.T) {
	t.Parallel()
	reg := fresh(t, func(o *registry.Options) { o.UploadTimeout = time.Millisecond })
	server := httptest.NewServer(reg)
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "PUT /corp.example/lib/@v/v1.0.0.zip HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nPK")
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Contains(t, string(answer), "408 Request Timeout")
	require.Contains(t, string(answer), "the body did not arrive within 1ms")
	for reg.Stats()["uploads"] != 0 {
		runtime.Gosched()
	}
}

// TestNames: every valid path and version is read back from the store unchanged.
func TestNames(t *testing.T) {
	t.Parallel()
	reg := fresh(t)
	for at, path := range map[string]string{
		"corp.example/Upper@v1.0.0":                                  "/corp.example/!upper/@v/v1.0.0",
		"corp.example/upper@v1.0.0":                                  "/corp.example/upper/@v/v1.0.0",
		"corp.example/lib@v1.0.0-RC.1":                               "/corp.example/lib/@v/v1.0.0-!r!c.1",
		"corp.example/lib@v1.0.0-rc.1":                               "/corp.example/lib/@v/v1.0.0-rc.1",
		"corp.example@v1.0.0":                                        "/corp.example/@v/v1.0.0",
		"corp.example/lib/v10@v10.0.1":                               "/corp.example/lib/v10/@v/v10.0.1",
		"corp.example/li_b-x.y~z@v0.0.0-20260102030405-abcdefabcdef": "/corp.example/li_b-x.y~z/@v/v0.0.0-20260102030405-abcdefabcdef",
	} {
		body := lib(t, at, at)
		require.Equal(t, http.StatusCreated, ask(reg, http.MethodPut, path+".zip", bytes.NewReader(body)).Code, at)
		require.Equal(t, body, get(reg, path+".zip").Body.Bytes())
	}
	require.Equal(t, "v1.0.0\n", get(reg, "/corp.example/!upper/@v/list").Body.String())
	require.Equal(t, "v1.0.0-RC.1\nv1.0.0-rc.1\n", get(reg, "/corp.example/lib/@v/list").Body.String())
	pseudo := "/corp.example/li_b-x.y~z/@v/v0.0.0-20260102030405-abcdefabcdef"
	require.Equal(t, `{"Version":"v0.0.0-20260102030405-abcdefabcdef","Time":"2026-01-02T03:04:05Z"}`+"\n", get(reg, pseudo+".info").Body.String())
	w := get(reg, "/corp.example/li_b-x.y~z/@v/list")
	require.Equal(t, http.StatusOK, w.Code)
	require.Empty(t, w.Body.String())
	require.Contains(t, get(reg, "/corp.example/li_b-x.y~z/@latest").Body.String(), "abcdefabcdef")
}
