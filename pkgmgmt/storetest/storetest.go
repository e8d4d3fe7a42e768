// Package storetest tests implementations of [registry.Store]. A store that passes keeps every
// published file unchanged, in the cases that one process can test.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) registry.Store { return mystore.New(…) })
//	}
//
// The implementer has to test that writes survive a crash, and that several processes can use
// one store.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/upkeep-go/upkeep/pkgmgmt/registry"
)

// Run tests a store. Each call of open must return a new, empty one.
func Run(t *testing.T, open func(t *testing.T) registry.Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, registry.Store){
		"what is missing is fs.ErrNotExist":   missing,
		"what is created can be read":         created,
		"what exists is not created again":    exists,
		"one of many creates":                 race,
		"a failed create leaves nothing":      failed,
		"an open file does not change":        steady,
		"update":                              updated,
		"no update is lost":                   counted,
		"an update may open files":            nested,
		"names are kept apart":                names,
		"many readers while there are writes": readers,
		"a file is replaced":                  replaced,
		"no replace comes between":            replacedOnce,
		"names are listed":                    listed,
	} {
		t.Run(name, func(t *testing.T) {
			store := open(t)
			// A store with a file counts as used.
			create(t, store, "corp.example/seed/@v/v1.0.0.mod", "seed")
			test(t, store)
		})
	}
}

const name = "corp.example/lib/@v/v1.0.0.zip"

func create(t *testing.T, store registry.Store, name, content string) {
	t.Helper()
	if err := store.Create(t.Context(), name, strings.NewReader(content)); err != nil {
		t.Fatalf("Create(%q): %v", name, err)
	}
}

func content(ctx context.Context, store registry.Store, name string) (string, error) {
	f, err := store.Open(ctx, name)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(f)
	return string(data), errors.Join(err, f.Close())
}

func expect(t *testing.T, store registry.Store, name, want string) {
	t.Helper()
	got, err := content(t.Context(), store, name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if got != want {
		t.Fatalf("%s holds %q, want %q", name, got, want)
	}
}

func expectMissing(t *testing.T, store registry.Store, name string) {
	t.Helper()
	if _, err := store.Open(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Open(%q): %v, want fs.ErrNotExist", name, err)
	}
}

func missing(t *testing.T, store registry.Store) {
	for _, name := range []string{name, "corp.example/seed/@v/v1.0.0.zip", "corp.example/seed/@v/v1.0.0.mod/x", "other.example/x"} {
		expectMissing(t, store, name)
	}
	// No name is a folder of another, so a store need not check for folders. But it must not
	// return a folder as a readable file.
	if text, err := content(t.Context(), store, "corp.example/seed"); err == nil {
		t.Fatalf("corp.example/seed is no file, and holds %q", text)
	}
}

func created(t *testing.T, store registry.Store) {
	big := strings.Repeat("0123456789", 100_000)
	for name, want := range map[string]string{name: "content", "corp.example/lib/@v/list": "", "corp.example/!upper/@v/v1.0.0-!r!c1.mod": "x", "corp.example/big/@v/v1.0.0.zip": big} {
		create(t, store, name, want)
		expect(t, store, name, want)
	}
	f, err := store.Open(t.Context(), "corp.example/big/@v/v1.0.0.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != int64(len(big)) {
		t.Fatalf("Stat says %d bytes, want %d", info.Size(), len(big))
	}
	if _, err := f.Seek(999_990, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(f)
	if err != nil || string(rest) != "0123456789" {
		t.Fatalf("after Seek: %q, %v", rest, err)
	}
	if end, err := f.Seek(0, io.SeekEnd); err != nil || end != int64(len(big)) {
		t.Fatalf("the end is at %d, %v", end, err)
	}
}

func exists(t *testing.T, store registry.Store) {
	create(t, store, name, "first")
	if err := store.Create(t.Context(), name, strings.NewReader("second")); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("a second Create: %v, want fs.ErrExist", err)
	}
	expect(t, store, name, "first")
}

func race(t *testing.T, store registry.Store) {
	const writers = 16
	var wg sync.WaitGroup
	winner := make(chan string, writers)
	for i := range writers {
		wg.Go(func() {
			text := strings.Repeat(strconv.Itoa(i)+" ", 10_000)
			switch err := store.Create(t.Context(), name, strings.NewReader(text)); {
			case err == nil:
				winner <- text
			case !errors.Is(err, fs.ErrExist):
				t.Errorf("Create: %v, want fs.ErrExist", err)
			}
		})
	}
	wg.Wait()
	if won := len(winner); won != 1 {
		t.Fatalf("%d of %d creates have succeeded, want 1", won, writers)
	}
	expect(t, store, name, <-winner)
}

func failed(t *testing.T, store registry.Store) {
	broken := errors.New("broken")
	if err := store.Create(t.Context(), name, io.MultiReader(strings.NewReader("part"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Fatalf("Create: %v, want what its content has failed with", err)
	}
	expectMissing(t, store, name)
	create(t, store, name, "whole")
	expect(t, store, name, "whole")
	if err := store.Update(t.Context(), name+"x", func([]byte) ([]byte, error) { return []byte("x"), broken }); !errors.Is(err, broken) {
		t.Fatalf("Update: %v, want what edit has failed with", err)
	}
	expectMissing(t, store, name+"x")
}

func steady(t *testing.T, store registry.Store) {
	const name = "corp.example/lib/@v/list"
	create(t, store, name, "old")
	f, err := store.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	update(t, store, name, "old", "new and longer")
	if data, err := io.ReadAll(f); err != nil || string(data) != "old" {
		t.Fatalf("an open file holds %q, %v after an update, want %q", data, err, "old")
	}
	expect(t, store, name, "new and longer")
}

func update(t *testing.T, store registry.Store, name, from, to string) {
	t.Helper()
	err := store.Update(t.Context(), name, func(old []byte) ([]byte, error) {
		if string(old) != from {
			t.Errorf("edit was given %q, want %q", old, from)
		}
		return []byte(to), nil
	})
	if err != nil {
		t.Fatalf("Update(%q): %v", name, err)
	}
}

func updated(t *testing.T, store registry.Store) {
	const name = "corp.example/lib/@v/list"
	err := store.Update(t.Context(), name, func(old []byte) ([]byte, error) {
		if old != nil {
			t.Errorf("edit was given %q for a missing file, want nil", old)
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	expectMissing(t, store, name)
	update(t, store, name, "", "") // makes an empty file
	expect(t, store, name, "")
	err = store.Update(t.Context(), name, func(old []byte) ([]byte, error) {
		if old == nil {
			t.Error("edit was given nil for an empty file")
		}
		return []byte("one\n"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, store, name, "one\n")
	if err := store.Update(t.Context(), name, func([]byte) ([]byte, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	expect(t, store, name, "one\n")
	update(t, store, name, "one\n", "")
	expect(t, store, name, "")
}

func counted(t *testing.T, store registry.Store) {
	const name, writers, each = "corp.example/lib/@v/list", 8, 10
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				err := store.Update(t.Context(), name, func(old []byte) ([]byte, error) {
					n, _ := strconv.Atoi(string(old))
					return strconv.AppendInt(nil, int64(n+1), 10), nil
				})
				if err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	wg.Wait()
	expect(t, store, name, fmt.Sprint(writers*each))
}

func nested(t *testing.T, store registry.Store) {
	create(t, store, name, "zip")
	err := store.Update(t.Context(), "corp.example/lib/@v/list", func([]byte) ([]byte, error) {
		text, err := content(t.Context(), store, name)
		return []byte("from " + text), err
	})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, store, "corp.example/lib/@v/list", "from zip")
}

func names(t *testing.T, store registry.Store) {
	all := []string{
		"corp.example/lib/@v/list", "corp.example/lib/v2/@v/list", "corp.example/lib/sub/@v/list", "corp.example/!lib/@v/list", "corp.example/@v/list",
		"corp.example/lib/@v/v1.0.0.info", "corp.example/lib/@v/v1.0.0-rc.1.info", "corp.example/lib/@v/v1.0.0-!r!c.1.info", "corp.example/l~i_b-x/@v/v0.0.0.info",
	}
	for _, name := range all {
		create(t, store, name, name)
	}
	for _, name := range all {
		expect(t, store, name, name)
	}
}

func readers(t *testing.T, store registry.Store) {
	const name = "corp.example/lib/@v/list"
	create(t, store, name, strings.Repeat("0", 1000))
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				text, err := content(t.Context(), store, name)
				if err != nil || len(text) != 1000 || strings.Trim(text, text[:1]) != "" {
					t.Errorf("a reader has seen %d bytes that were never written: %v", len(text), err)
					return
				}
			}
		})
	}
	for i := range 20 {
		err := store.Update(t.Context(), name, func([]byte) ([]byte, error) {
			return bytes.Repeat([]byte{byte('0' + i%10)}, 1000), nil
		})
		if err != nil {
			t.Errorf("Update: %v", err)
		}
	}
	close(done)
	wg.Wait()
}

// replaced tests a [registry.Replacer]. Other stores pass.
func replaced(t *testing.T, store registry.Store) {
	r, ok := store.(registry.Replacer)
	if !ok {
		return
	}
	never := errors.New("never")
	replace := func(text string, check func() error) error {
		return r.Replace(t.Context(), name, strings.NewReader(text), check)
	}
	if err := replace("x", func() error { return never }); !errors.Is(err, never) {
		t.Fatalf("Replace gives %v, want the error of check", err)
	}
	expectMissing(t, store, name)
	if err := replace("first", func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	expect(t, store, name, "first")
	f, err := store.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := replace("second", func() error {
		_, err := content(t.Context(), store, name) // it may be opened meanwhile
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(f); err != nil || string(data) != "first" {
		t.Fatalf("an open file has become %q, %v", data, err)
	}
	expect(t, store, name, "second")
	failure := errors.New("the upload has ended")
	if err := r.Replace(t.Context(), name, io.MultiReader(strings.NewReader("half"), iotest.ErrReader(failure)), func() error { return nil }); !errors.Is(err, failure) {
		t.Fatalf("Replace gives %v, want the error of content", err)
	}
	expect(t, store, name, "second")
}

// replacedOnce replaces a file from many goroutines at once. Each replaces only the version
// that it has read, so exactly one succeeds.
func replacedOnce(t *testing.T, store registry.Store) {
	r, ok := store.(registry.Replacer)
	if !ok {
		return
	}
	create(t, store, name, "first")
	late := errors.New("late")
	var done sync.WaitGroup
	winner := make(chan string, 8)
	for i := range 8 {
		done.Go(func() {
			text := strconv.Itoa(i)
			err := r.Replace(t.Context(), name, strings.NewReader(text), func() error {
				if now, err := content(t.Context(), store, name); err != nil || now != "first" {
					return errors.Join(late, err)
				}
				return nil
			})
			if err == nil {
				winner <- text
			}
		})
		done.Go(func() {
			_ = store.Update(t.Context(), name, func(old []byte) ([]byte, error) { return nil, nil })
		})
	}
	done.Wait()
	if won := len(winner); won != 1 {
		t.Fatalf("%d have replaced the first content, want one", won)
	}
	expect(t, store, name, <-winner)
}

// listed tests a [registry.Namer]. Other stores pass.
func listed(t *testing.T, store registry.Store) {
	n, ok := store.(registry.Namer)
	if !ok {
		return
	}
	for _, name := range []string{name, "corp.example/lib/@v/list", "corp.example/lib/v2/@v/list", "corp.example/library/@v/list"} {
		create(t, store, name, "x")
	}
	for prefix, want := range map[string][]string{
		"":                       {"corp.example/lib/@v/list", name, "corp.example/lib/v2/@v/list", "corp.example/library/@v/list", "corp.example/seed/@v/v1.0.0.mod"},
		"corp.example/lib/@v/":   {"corp.example/lib/@v/list", name},
		"corp.example/lib":       {"corp.example/lib/@v/list", name, "corp.example/lib/v2/@v/list", "corp.example/library/@v/list"},
		"corp.example/lib/@v/v1": {name},
		"corp.example/none/@v/":  nil,
	} {
		var got []string
		for name, err := range n.Names(t.Context(), prefix) {
			if err != nil {
				t.Fatalf("Names(%q): %v", prefix, err)
			}
			got = append(got, name)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("Names(%q) gives %q, want %q", prefix, got, want)
		}
		for range n.Names(t.Context(), prefix) {
			break // ending early must be harmless
		}
	}
}
