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

// What a zip may make the registry hold in memory.
const (
	maxDirectory = 8 << 20 // the zip's list of files: 50,000 of usual names, three times as many of the shortest
	maxGoMod     = 256 << 10
	maxLines     = 10_000 // of go.mod, each of which takes some kilobytes once it is parsed
)

// At most this many zips have their directories in memory at once.
const maxChecks = 2

// The contents of an upload that was found to be sound.
type contents struct {
	goMod    []byte
	sum      string // h1: of the zip
	goModSum string // h1: of go.mod
}

// inspect checks the zip of a module: by the rules of golang.org/x/mod/zip, and by
// those of a registry.
func inspect(m module.Version, f *os.File) (*contents, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// The library reads the whole list of files into memory, so the first look is one
	// that ends where the list gets too long.
	if err := checkEnd(f, info.Size()); err != nil {
		return nil, err
	}
	source := &limited{file: f, left: maxDirectory}
	z, err := stdzip.NewReader(source, info.Size())
	switch {
	case source.left < 0:
		return nil, unsound(ruleSize, "the zip's list of files is larger than %d MiB", maxDirectory>>20)
	case err != nil:
		return nil, unsound(ruleZip, "this is no zip file: %v", err)
	}
	if _, err := zip.CheckZip(m, f.Name()); err != nil {
		if _, disk := errors.AsType[*os.PathError](err); disk {
			return nil, err
		}
		return nil, unsoundZip(err)
	}
	source.unlimited = true
	return unpack(m, z)
}

// unpack keeps no more of a zip than go.mod.
func unpack(m module.Version, z *stdzip.Reader) (*contents, error) {
	c := &contents{}
	prefix := m.Path + "@" + m.Version + "/"
	for _, f := range z.File {
		if f.Mode()&os.ModeType != 0 && !strings.HasSuffix(f.Name, "/") {
			return nil, unsound(ruleZip, "%s: is not a regular file, and links and devices have no place in a module", shown(f.Name))
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
		return files[name].Open() // which stops at more bytes than the list of files says
	})
}

func sumOfGoMod(data []byte) string {
	sum, _ := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) { // which does not fail
		return io.NopCloser(bytes.NewReader(data)), nil
	})
	return sum
}

// maxFilePath bounds the names of files below the module, in bytes. Linux has 4,096 with the
// folder of the module cache.
const maxFilePath = 3000

// checkLength refuses the name of a file that the go command cannot make.
func checkLength(name string) error {
	if len(name) > maxFilePath {
		return unsound(ruleZip, "%s: is longer than %d bytes, and cannot be unpacked", shown(name), maxFilePath)
	}
	for element := range strings.SplitSeq(name, "/") {
		if len(element) > maxFileName {
			return unsound(ruleZip, "%s: has an element of more than %d bytes, and cannot be unpacked", shown(name), maxFileName)
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
	// Directives that this release does not know pass, as in a dependency of the go command.
	f, err := modfile.ParseLax("go.mod", data, nil)
	switch {
	case err != nil:
		return unsound(ruleGoMod, "%s", shown(err.Error()))
	case f.Module == nil:
		return unsound(ruleGoMod, "go.mod has no module line")
	case f.Module.Mod.Path != m.Path:
		return unsound(ruleGoMod, "go.mod says module %s, and this is %s", shown(f.Module.Mod.Path), m.Path)
	}
	if line := replaceLine(f.Syntax); line != nil {
		what := strings.TrimPrefix(strings.Join(line.Token, " "), "replace ")
		return unsound(ruleReplace, "go.mod:%d: replaces %s: replace directives hold for the main module only, so whoever uses this module would build something else than what was tested", line.Start.Line, shown(strings.Fields(what + " ?")[0]))
	}
	return nil
}

// replaceLine is the first replace directive, which a lax parser passes over.
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

// checkEnd looks for what stands at the end of a zip, as archive/zip does, and refuses
// what only larger archives need (ZIP64, APPNOTE 4.3.14), by which a small one could
// claim any number of files.
func checkEnd(f io.ReaderAt, size int64) error {
	const most = 65<<10 + 20 // as far as archive/zip looks back, and the ZIP64 locator before that
	tail := make([]byte, min(size, most))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return err
	}
	end, locator := []byte("PK\x05\x06"), []byte("PK\x06\x07")
	if !bytes.Contains(tail, end) {
		return unsound(ruleZip, "this is no zip file: it has no end record; was the upload complete?")
	}
	for at := 20; at < len(tail); at++ {
		if bytes.HasPrefix(tail[at:], end) && bytes.HasPrefix(tail[at-20:], locator) {
			return unsound(ruleZip, "the zip is a ZIP64, which modules do not need: they have fewer than 65,535 files")
		}
	}
	return nil
}

// limited is a file of which at most so many bytes can be read.
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
	if off < 0 { // what a damaged list of files may ask for, and no fault of the disk
		return 0, stdzip.ErrFormat
	}
	return l.file.ReadAt(p, off)
}

// unsoundZip is the answer to what golang.org/x/mod/zip finds wrong: all files, up to
// a bound.
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

// unsoundOrBroken tells a fault of the zip from one of the disk.
func unsoundOrBroken(err error) error {
	if _, disk := errors.AsType[*os.PathError](err); disk {
		return err
	}
	return unsound(ruleZip, "a file of the zip cannot be read: %s", shown(err.Error()))
}
