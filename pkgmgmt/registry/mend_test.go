package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/dirhash"

	"github.com/upkeep-go/upkeep/internal/testsize"
	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

const libAt = "/corp.example/lib/@v/"

// damages are kinds of damage to the files of a version, with the problem that Verify reports.
var damages = []struct {
	name, file string
	damage     func(path string) error
	problem    string
	byVerify   bool // Verify repairs it
}{
	{"zip lost", "v1.1.0.zip", os.Remove, "its .zip is lost", false},
	{"zip truncated", "v1.1.0.zip", halve, "its .zip has 209 bytes instead of 418", false},
	{"zip changed", "v1.1.0.zip", flip, "its .zip", false},
	{"mod lost", "v1.1.0.mod", os.Remove, "its .mod is lost", true},
	{"mod truncated", "v1.1.0.mod", halve, "its .mod has changed since it was published", true},
	{"mod changed", "v1.1.0.mod", flip, "its .mod has changed since it was published", true},
	{"info lost", "v1.1.0.info", os.Remove, "its .info is lost", true},
	{"info truncated", "v1.1.0.info", halve, "its .info cannot be read", true},
	{"info empty", "v1.1.0.info", func(path string) error { return os.Truncate(path, 0) }, "its .info cannot be read", true},
	{"record lost", "v1.1.0.record", os.Remove, "its record is lost", true},
}

func halve(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()/2)
}

// flip changes one byte and keeps the size.
func flip(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[len(data)/2] ^= 0x20
	return os.WriteFile(path, data, 0o600)
}

// three publishes v1.0.0, v1.1.0 and v1.2.0 to a folder.
func three(t *testing.T) (reg *registry.Registry, dir string) {
	t.Helper()
	dir = t.TempDir()
	reg = open(t, registry.Dir(dir), quiet())
	for _, version := range []string{"v1.0.0", "v1.1.0", "v1.2.0"} {
		put(t, reg, http.StatusCreated, "corp.example/lib@"+version, numbered(version))
	}
	return reg, filepath.Join(dir, "corp.example", "lib", "@v")
}

func findings(t *testing.T, reg *registry.Registry, mend bool) (all []string) {
	t.Helper()
	for f := range reg.Verify(t.Context(), mend) {
		all = append(all, f.String())
	}
	return all
}

// TestDamage damages the files of an acknowledged version, while the registry runs and before
// it starts. A damaged file is never served and never 404; other content is refused; the
// identical zip repairs everything.
func TestDamage(t *testing.T) {
	t.Parallel()
	for _, c := range damages {
		for _, before := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", c.name, before), func(t *testing.T) {
				t.Parallel()
				reg, folder := three(t)
				checkWhole(t, reg, "v1.1.0")
				require.NoError(t, c.damage(filepath.Join(folder, c.file)))
				if before {
					reg = open(t, registry.Dir(filepath.Join(folder, "..", "..", "..")), quiet())
				}
				require.Equal(t, http.StatusInternalServerError, get(reg, libAt+c.file[:6]+".zip").Code)
				if !strings.HasSuffix(c.name, "zip changed") { // its size is the same, so only its sum shows the damage
					for _, end := range []string{".info", ".mod"} {
						w := get(reg, libAt+"v1.1.0"+end)
						require.Equal(t, http.StatusInternalServerError, w.Code, end)
						if strings.HasSuffix(c.file, end) || strings.HasSuffix(c.file, ".zip") {
							require.Equal(t, http.StatusInternalServerError, w.Code, end)
							require.Contains(t, w.Body.String(), "corp.example/lib@v1.1.0 is damaged in this registry")
						}
					}
				}
				checkWhole(t, reg, "v1.0.0")
				require.Equal(t, "v1.0.0\nv1.1.0\nv1.2.0\n", get(reg, libAt+"list").Body.String())
				put(t, reg, http.StatusConflict, "corp.example/lib@v1.1.0", lib(t, "corp.example/lib@v1.1.0", "other"))

				put(t, reg, http.StatusOK, "corp.example/lib@v1.1.0", numbered("v1.1.0"))
				checkWhole(t, reg, "v1.1.0")
				require.Equal(t, "v1.0.0\nv1.1.0\nv1.2.0\n", get(reg, libAt+"list").Body.String())
				require.Empty(t, findings(t, reg, false))
			})
		}
	}
}

// TestVerify finds each kind of damage, and repairs it if the zip is intact.
func TestVerify(t *testing.T) {
	t.Parallel()
	for _, c := range damages {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg, folder := three(t)
			require.Empty(t, findings(t, reg, true))
			require.NoError(t, c.damage(filepath.Join(folder, c.file)))
			found := findings(t, reg, false)
			require.Len(t, found, 1)
			require.Contains(t, found[0], "corp.example/lib@v1.1.0: "+c.problem[:4])
			require.Contains(t, found[0], c.problem)
			require.NotContains(t, found[0], "(mended)")
			found = findings(t, reg, true)
			require.Len(t, found, 1)
			require.Equal(t, c.byVerify, strings.HasSuffix(found[0], " (mended)"), found[0])
			if !c.byVerify {
				require.Len(t, findings(t, reg, false), 1, "it is reported until the zip is published again")
				put(t, reg, http.StatusOK, "corp.example/lib@v1.1.0", numbered("v1.1.0"))
			}
			checkWhole(t, reg, "v1.1.0")
			require.Empty(t, findings(t, reg, false))
		})
	}
}

// TestLostList: a lost list is not a missing module, and each repair restores all of it.
func TestLostList(t *testing.T) {
	t.Parallel()
	const pseudo = "v1.2.1-0.20260102030405-abcdefabcdef"
	for _, lists := range [][]string{{"list"}, {"pseudo"}, {"list", "pseudo"}} {
		for _, mend := range []string{"verify", "publish", "publish again", "publish pseudo", "yank"} {
			t.Run(strings.Join(lists, " and ")+"/"+mend, func(t *testing.T) {
				t.Parallel()
				reg, folder := three(t)
				put(t, reg, http.StatusCreated, "corp.example/lib@"+pseudo, lib(t, "corp.example/lib@"+pseudo, "x"))
				require.Equal(t, http.StatusOK, ask(reg, http.MethodPut, "/corp.example/lib/@yank/v1.1.0?reason=x", nil).Code)
				want := "v1.0.0\nv1.2.0\n"
				for _, list := range lists {
					require.NoError(t, os.Remove(filepath.Join(folder, list)))
				}
				if slices.Contains(lists, "list") {
					require.Equal(t, http.StatusInternalServerError, get(reg, libAt+"list").Code)
					require.Contains(t, get(reg, libAt+"list").Body.String(), "the list of corp.example/lib is lost")
					require.Equal(t, http.StatusInternalServerError, get(reg, "/corp.example/lib/@latest").Code)
				}
				checkWhole(t, reg, "v1.0.0")
				put(t, reg, http.StatusConflict, "corp.example/lib@v1.0.0", lib(t, "corp.example/lib@v1.0.0", "other"))
				switch mend {
				case "verify":
					for _, text := range findings(t, reg, true) {
						require.Regexp(t, `^corp.example/lib: its (list|pseudo) is lost \(mended\)$|v1.*it is missing in the pseudo \(mended\)$`, text)
					}
				case "publish":
					put(t, reg, http.StatusCreated, "corp.example/lib@v1.3.0", numbered("v1.3.0"))
					want += "v1.3.0\n"
				case "publish again":
					put(t, reg, http.StatusOK, "corp.example/lib@v1.0.0", numbered("v1.0.0"))
				case "publish pseudo":
					put(t, reg, http.StatusOK, "corp.example/lib@"+pseudo, lib(t, "corp.example/lib@"+pseudo, "x"))
				case "yank":
					require.Equal(t, http.StatusOK, ask(reg, http.MethodPut, "/corp.example/lib/@yank/v1.2.0?reason=x", nil).Code)
					want = "v1.0.0\n"
				}
				if mend == "verify" || mend == "publish pseudo" || slices.Contains(lists, "list") {
					require.Equal(t, want, get(reg, libAt+"list").Body.String())
				}
				findings(t, reg, true)
				require.Empty(t, findings(t, reg, false))
				require.Equal(t, want, get(reg, libAt+"list").Body.String())
				data, err := os.ReadFile(filepath.Join(folder, "pseudo"))
				require.NoError(t, err)
				require.Equal(t, pseudo+"\n", string(data))
			})
		}
	}
}

// TestVerifyLists finds lists that do not agree with the records.
func TestVerifyLists(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]string{
		"v1.0.0\nv1.1.0\nv1.2.0\n":         nil,
		"v1.0.0\nv1.2.0\n":                 {"corp.example/lib@v1.1.0: it is missing in the list (mended)"},
		"v1.2.0\nv1.0.0\nv1.1.0\n":         {"corp.example/lib: its list is not sorted, or has a version twice (mended)"},
		"v1.0.0\nv1.1.0\nv1.2":             {"corp.example/lib@v1.2.0: it is missing in the list (mended)", "corp.example/lib@v1.2: it must not be in the list (mended)"},
		"v1.0.0\nv1.1.0\nv1.2.0\nv1.9.0\n": {"corp.example/lib@v1.9.0: all of its files are lost"},
	} {
		reg, folder := three(t)
		require.NoError(t, os.WriteFile(filepath.Join(folder, "list"), []byte(list), 0o600))
		require.Equal(t, want, findings(t, reg, true), list)
		for _, version := range []string{"v1.0.0", "v1.1.0", "v1.2.0"} {
			checkWhole(t, reg, version)
		}
		lost := strings.Contains(list, "v1.9.0")
		require.Len(t, findings(t, reg, false), map[bool]int{true: 1}[lost])
		if lost {
			require.Equal(t, http.StatusInternalServerError, get(reg, libAt+"v1.9.0.info").Code, "it was acknowledged, so it is not missing")
			put(t, reg, http.StatusConflict, "corp.example/lib@v1.9.0", numbered("v1.9.0"))
		}
	}
	var err error
	for f := range open(t, struct{ registry.Store }{registry.Dir(t.TempDir())}, quiet()).Verify(t.Context(), true) {
		err = f.Err
	}
	require.ErrorContains(t, err, "the store cannot list its files")
	require.Empty(t, findings(t, open(t, registry.Dir(filepath.Join(t.TempDir(), "new")), quiet()), true))
}

// TestPseudoVersionWithoutATime: such a version is refused before anything is stored.
func TestPseudoVersionWithoutATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	reg := open(t, registry.Dir(dir), quiet())
	for _, version := range []string{"v0.0.0-99999999999999-abcdefabcdef", "v1.2.4-0.20261301000000-abcdefabcdef", "v1.2.3-pre.0.20260230000000-abcdefabcdef"} {
		w := put(t, reg, http.StatusUnprocessableEntity, "corp.example/lib@"+version, lib(t, "corp.example/lib@"+version, "x"))
		require.Equal(t, "version", problemOf(t, w).Rule)
		for _, end := range []string{".info", ".mod", ".zip"} {
			require.Equal(t, http.StatusNotFound, get(reg, libAt+version+end).Code)
		}
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// TestNotAcknowledged fails a publish at each step. The unacknowledged version can be replaced
// by other content, in stores with and without Replace.
func TestNotAcknowledged(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{true, false} {
		for _, after := range []bool{false, true} {
			for steps := range 6 {
				t.Run(fmt.Sprintf("%v/%v/%d", plain, after, steps), func(t *testing.T) {
					t.Parallel()
					limited := &faulty{Store: registry.Dir(t.TempDir()), after: after, err: &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}}
					var store registry.Store = limited
					if !plain {
						store = &whole{limited}
					}
					limited.left.Store(1000)
					reg := open(t, store, quiet())
					put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", numbered("v1.0.0"))
					limited.left.Store(int64(steps))
					put(t, reg, http.StatusInsufficientStorage, "corp.example/lib@v1.1.0", numbered("v1.1.0"))
					limited.left.Store(1000)
					listed := strings.Contains(get(reg, libAt+"list").Body.String(), "v1.1.0")
					for _, end := range []string{".info", ".mod", ".zip"} {
						code := get(reg, libAt+"v1.1.0"+end).Code
						require.Equal(t, map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[listed], code, end)
					}
					other := lib(t, "corp.example/lib@v1.1.0", "smaller")
					if listed { // the error came after the last step
						put(t, reg, http.StatusConflict, "corp.example/lib@v1.1.0", other)
						checkWhole(t, reg, "v1.1.0")
						return
					}
					put(t, reg, http.StatusCreated, "corp.example/lib@v1.1.0", other)
					put(t, reg, http.StatusConflict, "corp.example/lib@v1.1.0", numbered("v1.1.0"))
					require.Equal(t, other, get(reg, libAt+"v1.1.0.zip").Body.Bytes())
					require.Equal(t, "v1.0.0\nv1.1.0\n", get(reg, libAt+"list").Body.String())
				})
			}
		}
	}
}

// A whole store is a faulty one with all methods of Dir.
type whole struct{ *faulty }

func (w *whole) Replace(ctx context.Context, name string, content io.Reader, check func() error) error {
	return w.do(func() error { return w.Store.(registry.Replacer).Replace(ctx, name, content, check) })
}

func (w *whole) Names(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return w.Store.(registry.Namer).Names(ctx, prefix)
}

// TestTwoContents repeatedly publishes different content from two publishers at once. One of
// them wins, and its content is served.
func TestTwoContents(t *testing.T) {
	t.Parallel()
	reg := open(t, registry.Dir(t.TempDir()), quiet())
	for i := range 30 {
		version := "v1.0." + strconv.Itoa(i)
		bodies := [][]byte{lib(t, "corp.example/lib@"+version, "a"), lib(t, "corp.example/lib@"+version, "b"), lib(t, "corp.example/lib@"+version, "c")}
		codes := make(chan [2]int, len(bodies))
		for n, body := range bodies {
			go func() {
				codes <- [2]int{n, ask(reg, http.MethodPut, libAt+version+".zip", bytes.NewReader(body)).Code}
			}()
		}
		winner := -1
		for range bodies {
			answer := <-codes
			if answer[1] == http.StatusCreated {
				require.Equal(t, -1, winner, "both publishers won")
				winner = answer[0]
				continue
			}
			require.Equal(t, http.StatusConflict, answer[1])
		}
		require.Equal(t, bodies[winner], get(reg, libAt+version+".zip").Body.Bytes())
	}
	require.Empty(t, findings(t, reg, false))
}

// A killer is a store that kills its process before or after its n-th write.
type killer struct {
	registry.Store
	left  atomic.Int64
	after bool
}

func (k *killer) do(write func() error) error {
	last := k.left.Add(-1) == 0
	if last && !k.after {
		kill()
	}
	err := write()
	if last {
		kill()
	}
	return err
}

func kill() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {}
}

func (k *killer) Create(ctx context.Context, name string, content io.Reader) error {
	return k.do(func() error { return k.Store.Create(ctx, name, content) })
}

func (k *killer) Update(ctx context.Context, name string, edit func([]byte) ([]byte, error)) error {
	return k.do(func() error { return k.Store.Update(ctx, name, edit) })
}

func (k *killer) Replace(ctx context.Context, name string, content io.Reader, check func() error) error {
	return k.do(func() error { return k.Store.(registry.Replacer).Replace(ctx, name, content, check) })
}

func (k *killer) Names(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return k.Store.(registry.Namer).Names(ctx, prefix)
}

// publishAndDie publishes a version to a folder and dies at a step.
func publishAndDie(dir, version, content, step, after string) {
	n, err := strconv.ParseInt(step, 10, 64)
	if err != nil {
		panic(err)
	}
	k := &killer{Store: registry.Dir(dir), after: after == "true"}
	k.left.Store(n)
	reg, err := registry.New(k, quiet())
	if err != nil {
		panic(err)
	}
	body := numbered(version)
	if content != "" {
		body = lib(panics{}, "corp.example/lib@"+version, content)
	}
	w := ask(reg, http.MethodPut, libAt+version+".zip", bytes.NewReader(body))
	fmt.Println(w.Code)
}

// verifyAndDie repairs a folder and dies at a step.
func verifyAndDie(dir, step, after string) {
	n, err := strconv.ParseInt(step, 10, 64)
	if err != nil {
		panic(err)
	}
	k := &killer{Store: registry.Dir(dir), after: after == "true"}
	k.left.Store(n)
	reg, err := registry.New(k, quiet())
	if err != nil {
		panic(err)
	}
	for range reg.Verify(context.Background(), true) {
	}
}

// TestKillVerify kills a process at each step of a repair. The next process completes it.
func TestKillVerify(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts many processes")
	}
	for _, after := range []bool{false, true} {
		t.Run(strconv.FormatBool(after), func(t *testing.T) {
			t.Parallel()
			for step := 1; ; step++ {
				dir := t.TempDir()
				folder := filepath.Join(dir, "corp.example", "lib", "@v")
				reg := open(t, registry.Dir(dir), quiet())
				put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", numbered("v1.0.0"))
				put(t, reg, http.StatusCreated, "corp.example/lib@v1.1.0", numbered("v1.1.0"))
				require.NoError(t, os.Remove(filepath.Join(folder, "list")))
				require.NoError(t, os.Remove(filepath.Join(folder, "v1.0.0.info")))
				require.NoError(t, halve(filepath.Join(folder, "v1.1.0.mod")))

				err := run(t, "verify", dir, strconv.Itoa(step), strconv.FormatBool(after)).Run()
				reg = open(t, registry.Dir(dir), quiet())
				if err != nil {
					require.ErrorAs(t, err, new(*exec.ExitError))
					findings(t, reg, true)
				}
				require.Empty(t, findings(t, reg, false))
				require.Equal(t, "v1.0.0\nv1.1.0\n", get(reg, libAt+"list").Body.String())
				checkWhole(t, reg, "v1.0.0")
				checkWhole(t, reg, "v1.1.0")
				if err == nil {
					require.Greater(t, step, 3, "a list and two files were written")
					return
				}
			}
		})
	}
}

// TestKillAtEachStep kills publishers at each step: of a first publish, of one that takes over
// from a dead publisher, and of a repair. Every acknowledged version is kept, only acknowledged
// versions are served, and the next publisher succeeds with the same or other content.
func TestKillAtEachStep(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts many processes")
	}
	publish := func(t *testing.T, dir, content string, step int, after bool) (died bool) {
		t.Helper()
		out, err := run(t, "die", dir, "v1.1.0", content, strconv.Itoa(step), strconv.FormatBool(after)).Output()
		if err == nil {
			require.Contains(t, []string{"200\n", "201\n"}, string(out))
			return false
		}
		require.ErrorAs(t, err, new(*exec.ExitError))
		require.Empty(t, string(out))
		return true
	}
	for _, scene := range []string{"first", "takeover", "mend"} {
		for _, after := range []bool{false, true} {
			for _, same := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%v/%v", scene, after, same), func(t *testing.T) {
					t.Parallel()
					for step := 1; ; step++ {
						dir := t.TempDir()
						folder := filepath.Join(dir, "corp.example", "lib", "@v")
						reg := open(t, registry.Dir(dir), quiet())
						put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", numbered("v1.0.0"))
						switch scene {
						case "takeover":
							require.True(t, publish(t, dir, "of one that died", 4, true))
							age(t, folder, "v1.1.0")
						case "mend":
							put(t, reg, http.StatusCreated, "corp.example/lib@v1.1.0", numbered("v1.1.0"))
							for _, end := range []string{".zip", ".mod", ".info"} {
								require.NoError(t, halve(filepath.Join(folder, "v1.1.0"+end)))
							}
						}
						died := publish(t, dir, "", step, after)
						age(t, folder, "v1.1.0")
						reg = open(t, registry.Dir(dir), quiet())
						checkWhole(t, reg, "v1.0.0")
						listed := strings.Contains(get(reg, libAt+"list").Body.String(), "v1.1.0")
						code := get(reg, libAt+"v1.1.0.zip").Code
						switch {
						case !died:
							require.True(t, listed)
							checkWhole(t, reg, "v1.1.0")
						case listed && scene != "mend":
							checkWhole(t, reg, "v1.1.0")
						case scene == "mend":
							require.NotEqual(t, http.StatusNotFound, code)
						default:
							require.Equal(t, http.StatusNotFound, code)
						}
						other := lib(t, "corp.example/lib@v1.1.0", "other")
						switch {
						case same || listed:
							if !same {
								put(t, reg, http.StatusConflict, "corp.example/lib@v1.1.0", other)
							}
							w := ask(reg, http.MethodPut, libAt+"v1.1.0.zip", bytes.NewReader(numbered("v1.1.0")))
							require.Contains(t, []int{200, 201}, w.Code, w.Body)
							checkWhole(t, reg, "v1.1.0")
						default:
							put(t, reg, http.StatusCreated, "corp.example/lib@v1.1.0", other)
							require.Equal(t, other, get(reg, libAt+"v1.1.0.zip").Body.Bytes())
						}
						require.Empty(t, findings(t, reg, false))
						if !died {
							return
						}
					}
				})
			}
		}
	}
}

// TestVerifyManyVersions: Verify takes at most a minute for 10,000 versions, or for 1,000 in
// plain runs.
func TestVerifyManyVersions(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("measures")
	}
	n := testsize.Pick(0, 1_000, 10_000)
	dir := t.TempDir()
	folder := filepath.Join(dir, "corp.example", "lib", "@v")
	reg := open(t, registry.Dir(dir), quiet())
	put(t, reg, http.StatusCreated, "corp.example/lib@v1.0.0", numbered("v1.0.0"))
	mod, err := os.ReadFile(filepath.Join(folder, "v1.0.0.mod"))
	require.NoError(t, err)
	var rec registry.Record
	require.NoError(t, json.Unmarshal(get(reg, "/corp.example/lib/@record/v1.0.0").Body.Bytes(), &rec))
	var list bytes.Buffer
	for i := range n {
		version := fmt.Sprintf("v1.%d.%d", i/100, i%100)
		fmt.Fprintln(&list, version)
		name := filepath.Join(folder, version)
		require.NoError(t, os.WriteFile(name+".zip", numbered(version), 0o600))
		rec.Version = version
		rec.Sum, err = dirhash.HashZip(name+".zip", dirhash.Hash1)
		require.NoError(t, err)
		rec.Size = 0
		data, err := json.Marshal(rec)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(name+".record", data, 0o600))
		require.NoError(t, os.WriteFile(name+".mod", mod, 0o600))
		require.NoError(t, os.WriteFile(name+".info", fmt.Appendf(nil, `{"Version":%q,"Time":"2026-01-02T03:04:05Z"}`, version), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "list"), list.Bytes(), 0o600))
	start := time.Now()
	require.Empty(t, findings(t, reg, true))
	t.Logf("%d versions in %v", n, time.Since(start))
	require.LessOrEqual(t, time.Since(start), time.Minute)
}
