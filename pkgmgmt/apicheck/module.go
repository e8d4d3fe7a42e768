package apicheck

import (
	"archive/zip"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
)

// A Module is one version of a module and the place of its content: Zip, Dir, or without both
// Proxy.
type Module struct {
	// Path and Version name the module. With Dir both may be empty: then the path comes from
	// go.mod, and the version is above all others.
	Path, Version string

	// Zip is the name of a file with the module's zip, as a proxy serves it.
	Zip string

	// Dir is a folder with the module's source and go.mod. Files that golang.org/x/mod/zip
	// leaves out of a module are ignored.
	Dir string

	// Proxy is the place of the module's dependencies, and of the module without Zip and Dir:
	// http, https or file URLs of module proxies, separated by commas, as in GOPROXY. They may
	// have credentials. "direct" is refused. Empty means none, so only modules without
	// dependencies can be judged.
	Proxy string
}

// unpublished is the version of a folder without a version, above all others of its path.
const unpublished = ".999999999.999999999"

func (m Module) name() module.Version { return module.Version{Path: m.Path, Version: m.Version} }

// checked returns the module with Path and Version set, or an error.
func (m Module) checked() (Module, error) {
	if m.Zip != "" && m.Dir != "" {
		return m, m.fault(errors.New("has both a zip and a folder"))
	}
	if m.Dir != "" && (m.Path == "" || m.Version == "") {
		path, err := modulePath(filepath.Join(m.Dir, "go.mod"))
		if err != nil {
			return m, m.fault(err)
		}
		m.Path = cmp.Or(m.Path, path)
		_, major, _ := module.SplitPathVersion(m.Path)
		m.Version = cmp.Or(m.Version, cmp.Or(module.PathMajorPrefix(major), "v1")+unpublished)
	}
	if err := module.Check(m.Path, m.Version); err != nil {
		return m, m.fault(err)
	}
	if module.CanonicalVersion(m.Version) != m.Version {
		return m, m.fault(errors.New("the version is not canonical"))
	}
	if m.Zip == "" && m.Dir == "" && m.Proxy == "" {
		return m, m.fault(errors.New("needs a zip, a folder or a proxy"))
	}
	for entry := range strings.FieldsFuncSeq(m.Proxy, func(r rune) bool { return r == ',' || r == '|' }) {
		u, err := url.Parse(entry)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "file" {
			return m, m.fault(errors.New("a proxy must be an http, https or file URL")) // not quoted, because it may have a password
		}
	}
	return m, nil
}

// A ModuleError is returned by [Compare] for a [Module] with an invalid path, version or place,
// or with a zip or folder that is unreadable or breaks the rules of module zips.
type ModuleError struct {
	Path, Version string
	Err           error
}

// Error returns the module and the fault:
//
//	apicheck: corp.example/lib@v1.4: the version is not canonical
func (e *ModuleError) Error() string {
	name := strings.TrimSuffix(e.Path+"@"+e.Version, "@")
	return "apicheck: " + cmp.Or(name, "the module") + ": " + e.Err.Error()
}

func (e *ModuleError) Unwrap() error { return e.Err }

func (m Module) fault(err error) error {
	return &ModuleError{Path: m.Path, Version: m.Version, Err: err}
}

func modulePath(file string) (string, error) {
	data, err := readAtMost(file, modzip.MaxGoMod)
	if err != nil {
		return "", err
	}
	path := modfile.ModulePath(data)
	if path == "" {
		return "", fmt.Errorf("%s names no module", file)
	}
	return path, nil
}

// publish writes the module to a folder with the layout of a module proxy
// (https://go.dev/ref/mod#goproxy-protocol).
func (m Module) publish(root string) error {
	path, err := module.EscapePath(m.Path)
	if err != nil {
		return err
	}
	version, err := module.EscapeVersion(m.Version)
	if err != nil {
		return err
	}
	dir := filepath.Join(root, filepath.FromSlash(path), "@v")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	name := filepath.Join(dir, version+".zip")
	if err := m.writeZip(name); err != nil {
		return err
	}
	if _, err := modzip.CheckZip(m.name(), name); err != nil {
		return err
	}
	mod, err := goMod(name, m.name())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, version+".mod"), mod, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, version+".info"), fmt.Appendf(nil, "{%q:%q}", "Version", m.Version), 0o600)
}

func (m Module) writeZip(name string) (err error) {
	dst, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	if m.Dir != "" {
		return modzip.CreateFromDir(dst, m.name(), m.Dir)
	}
	src, err := os.Open(m.Zip)
	if err != nil {
		return err
	}
	defer src.Close()
	n, err := io.Copy(dst, io.LimitReader(src, modzip.MaxZipFile+1))
	if err == nil && n > modzip.MaxZipFile {
		return fmt.Errorf("the zip is larger than %d bytes", modzip.MaxZipFile)
	}
	return err
}

func goMod(name string, m module.Version) ([]byte, error) {
	z, err := zip.OpenReader(name)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	f, err := z.Open(m.Path + "@" + m.Version + "/go.mod")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Appendf(nil, "module %s\n", modfile.AutoQuote(m.Path)), nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, modzip.MaxGoMod))
}

func readAtMost(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return data, err
}
