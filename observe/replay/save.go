package replay

import (
	"bytes"
	"cmp"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/upkeep-go/upkeep/observe/capture"
)

// Save makes a bundle a regression test: it copies the file from to the file to, such as
// "testdata/march14.har", making the directory, and returns the Go source of a test that
// replays it. In that newHandler stands for whatever makes the application's handler. The test's
// name is made of the file's. It is for the package in whose folder testdata the file is;
// a file elsewhere it names as to does.
//
// A file that is no bundle is not copied, and a file that is there and differs is not replaced:
// the error is that of [capture.Parse], or fs.ErrExist.
func Save(from, to string) (source string, err error) {
	data, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	b, err := capture.Parse(from, data)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return "", err
	}
	if err := create(to, data); err != nil {
		return "", err
	}
	c := &Case{Bundle: b}
	comment := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, c.name()+" "+c.thenText()+".")
	src := fmt.Sprintf(`package main

// %s replays %s
func %s(t *testing.T) {
	// Run this before the bug is fixed: it must say "reproduced", and notes that beside the bundle.
	// What redaction took, such as credentials, is put back by Options.Prepare, and with
	// Options.Key pseudonyms are compared: replay.Options{Key: …, Prepare: …}.Run(t, …
	replay.Run(t, %q, func(c *replay.Case) http.Handler {
		return newHandler(c.FlagClient(), c.HTTPClient())
	})
}
`, testName(to), comment, testName(to), fromTest(to))
	formatted, err := format.Source([]byte(src))
	if err != nil {
		return "", fmt.Errorf("replay: the source of the test: %w", err)
	}
	_, source, _ = strings.Cut(string(formatted), "\n\n")
	return source, nil
}

// fromTest is a path as a test sees it, which runs in the folder of its package.
func fromTest(path string) string {
	path = filepath.ToSlash(filepath.Clean(path))
	if i := strings.LastIndex(path, "/testdata/"); i >= 0 {
		return path[i+1:]
	}
	return path
}

// create writes a file that is not there yet, or is there already as it should be.
func create(path string, data []byte) error {
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, data) {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = cmp.Or(err, f.Close()); err != nil {
		_ = os.Remove(path)
	}
	return err
}

// testName makes TestMarch14Checkout of testdata/march14-checkout.har.
func testName(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if len(words) == 0 {
		return "TestReplay"
	}
	for i, word := range words {
		first, n := utf8.DecodeRuneInString(word)
		words[i] = string(unicode.ToUpper(first)) + word[n:]
	}
	name = strings.Join(words, "")
	if first, _ := utf8.DecodeRuneInString(name); !unicode.IsUpper(first) {
		name = "_" + name // go test takes no lower case letter there
	}
	return "Test" + name
}
