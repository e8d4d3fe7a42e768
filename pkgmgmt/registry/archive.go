package registry

import (
	stdzip "archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"
)

// Bounds of the memory that a zip can use.
const (
	maxDirectory = 8 << 20 // the zip's list of files: 50,000 files with usual names, 150,000 with the shortest
	maxGoMod     = 256 << 10
	maxLines     = 10_000 // of go.mod; a parsed line takes some kilobytes
)

// maxChecks bounds the zips whose list of files is in memory.
const maxChecks = 2

// The contents of a valid upload.
type contents struct {
	goMod    []byte
	sum      string // h1: of the zip
	goModSum string // h1: of go.mod
}

// inspect checks the zip of a module by the rules of golang.org/x/mod/zip and of a registry.
func inspect(m module.Version, f *os.File) (*contents, error) {
	z, err := openZip(m, f)
	if err != nil {
		return nil, err
	}
	return unpack(m, z)
}

// openZip checks the zip of a module by the rules of golang.org/x/mod/zip.
func openZip(m module.Version, f *os.File) (*stdzip.Reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// zip.CheckZip reads the whole list of files into memory. So the list is read before that
	// through a reader with a bound.
	if err := checkEnd(f, info.Size()); err != nil {
		return nil, err
	}
	source := &limited{file: f, left: maxDirectory}
	z, err := stdzip.NewReader(source, info.Size())
	switch {
	case source.left < 0:
		return nil, unsound(ruleSize, "the zip's list of files is larger than %d MiB", maxDirectory>>20)
	case err != nil:
		return nil, unsound(ruleZip, "not a zip file: %v", err)
	}
	if _, err := zip.CheckZip(m, f.Name()); err != nil {
		if _, disk := errors.AsType[*os.PathError](err); disk {
			return nil, err
		}
		return nil, unsoundZip(err)
	}
	source.unlimited = true
	return z, nil
}

// unpack checks the files of a zip and keeps only go.mod.
func unpack(m module.Version, z *stdzip.Reader) (*contents, error) {
	c := &contents{}
	prefix := m.Path + "@" + m.Version + "/"
	for _, f := range z.File {
		if f.Mode()&os.ModeType != 0 && !strings.HasSuffix(f.Name, "/") {
			return nil, unsound(ruleZip, "%s: not a regular file: a module must not have links or devices", shown(f.Name))
		}
		if err := checkLength(strings.TrimPrefix(f.Name, prefix)); err != nil {
			return nil, err
		}
		if f.Name == prefix+"go.mod" {
			var err error
			if c.goMod, err = unpackGoMod(f); err != nil {
				return nil, err
			}
		}
	}
	if c.goMod == nil {
		return nil, unsound(ruleGoMod, "the zip has no %sgo.mod", prefix)
	}
	if err := checkGoMod(m, c.goMod); err != nil {
		return nil, err
	}
	c.goModSum = sumOfGoMod(c.goMod)
	var err error
	if c.sum, err = sumOfFiles(z); err != nil {
		return nil, unsoundOrBroken(err)
	}
	return c, nil
}

func sumOfFiles(z *stdzip.Reader) (string, error) {
	names := make([]string, 0, len(z.File))
	files := make(map[string]*stdzip.File, len(z.File))
	for _, f := range z.File {
		names = append(names, f.Name)
		files[f.Name] = f
	}
	return dirhash.Hash1(names, func(name string) (io.ReadCloser, error) {
		return files[name].Open() // it returns an error after the size in the list of files
	})
}

func sumOfGoMod(data []byte) string {
	sum, _ := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) { // it only fails if Open fails
		return io.NopCloser(bytes.NewReader(data)), nil
	})
	return sum
}

// maxFilePath bounds the paths of files in a module, in bytes. Linux allows 4,096, including
// the folder of the module cache.
const maxFilePath = 3000

// checkLength refuses file names that the go command cannot unpack.
func checkLength(name string) error {
	if len(name) > maxFilePath {
		return unsound(ruleZip, "%s: longer than %d bytes: the go command cannot unpack it", shown(name), maxFilePath)
	}
	for element := range strings.SplitSeq(name, "/") {
		if len(element) > maxFileName {
			return unsound(ruleZip, "%s: an element is longer than %d bytes: the go command cannot unpack it", shown(name), maxFileName)
		}
	}
	return nil
}

func unpackGoMod(f *stdzip.File) ([]byte, error) {
	if f.UncompressedSize64 > maxGoMod {
		return nil, unsound(ruleSize, "go.mod is larger than %d KiB", maxGoMod>>10)
	}
	r, err := f.Open()
	if err != nil {
		return nil, unsoundOrBroken(err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxGoMod+1))
	if err != nil {
		return nil, unsoundOrBroken(err)
	}
	return data, nil
}

func checkGoMod(m module.Version, data []byte) error {
	if bytes.Count(data, []byte("\n")) > maxLines {
		return unsound(ruleSize, "go.mod has more than %d lines", maxLines)
	}
	// Unknown directives are ignored, as the go command ignores them in dependencies.
	f, err := modfile.ParseLax("go.mod", data, nil)
	switch {
	case err != nil:
		return unsound(ruleGoMod, "%s", shown(err.Error()))
	case f.Module == nil:
		return unsound(ruleGoMod, "go.mod has no module line")
	case f.Module.Mod.Path != m.Path:
		return unsound(ruleGoMod, "go.mod has module %s, want %s", shown(f.Module.Mod.Path), m.Path)
	}
	if line := replaceLine(f.Syntax); line != nil {
		what := strings.TrimPrefix(strings.Join(line.Token, " "), "replace ")
		return unsound(ruleReplace, "go.mod:%d: replaces %s: replace directives apply to the main module only, so users would build other code than you tested; remove it", line.Start.Line, shown(strings.Fields(what + " ?")[0]))
	}
	return nil
}

// replaceLine returns the first replace directive. ParseLax skips them.
func replaceLine(syntax *modfile.FileSyntax) *modfile.Line {
	for _, stmt := range syntax.Stmt {
		switch stmt := stmt.(type) {
		case *modfile.Line:
			if len(stmt.Token) > 0 && stmt.Token[0] == "replace" {
				return stmt
			}
		case *modfile.LineBlock:
			if len(stmt.Token) > 0 && stmt.Token[0] == "replace" && len(stmt.Line) > 0 {
				return stmt.Line[0]
			}
		}
	}
	return nil
}

// checkEnd finds the end record of a zip as archive/zip does. It refuses ZIP64 (APPNOTE
// 4.3.14), because with it a small zip can claim any number of files.
func checkEnd(f io.ReaderAt, size int64) error {
	const most = 65<<10 + 20 // the bytes that archive/zip searches, and the ZIP64 locator before them
	tail := make([]byte, min(size, most))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return err
	}
	end, locator := []byte("PK\x05\x06"), []byte("PK\x06\x07")
	if !bytes.Contains(tail, end) {
		return unsound(ruleZip, "not a zip file: the end record is missing; was the upload complete?")
	}
	for at := 20; at < len(tail); at++ {
		if bytes.HasPrefix(tail[at:], end) && bytes.HasPrefix(tail[at-20:], locator) {
			return unsound(ruleZip, "the zip is a ZIP64: a module must have fewer than 65,535 files")
		}
	}
	return nil
}

// limited is a reader that fails after a number of bytes, unless it is unlimited.
type limited struct {
	file      io.ReaderAt
	left      int64
	unlimited bool
}

func (l *limited) ReadAt(p []byte, off int64) (int, error) {
	if !l.unlimited {
		if l.left -= int64(len(p)); l.left < 0 {
			return 0, errTooLarge
		}
	}
	if off < 0 { // from a damaged list of files; ReadAt would return an error of the disk
		return 0, stdzip.ErrFormat
	}
	return l.file.ReadAt(p, off)
}

// unsoundZip is the answer to an error of golang.org/x/mod/zip. It lists the first 50 files.
func unsoundZip(err error) *Refusal {
	const most = 50
	p := unsound(ruleZip, "%s", shown(err.Error()))
	if list, ok := errors.AsType[zip.FileErrorList](err); ok {
		for i, file := range list {
			if i == most {
				p.Details = append(p.Details, fmt.Sprintf("and %d more", len(list)-most))
				break
			}
			p.Details = append(p.Details, shown(file.Error()))
		}
	} else if strings.Contains(err.Error(), "too large") {
		p.Rule = ruleSize
	}
	return p
}

// unsoundOrBroken returns errors of the disk as they are, and all others as a refusal.
func unsoundOrBroken(err error) error {
	if _, disk := errors.AsType[*os.PathError](err); disk {
		return err
	}
	return unsound(ruleZip, "a file of the zip cannot be read: %s", shown(err.Error()))
}
