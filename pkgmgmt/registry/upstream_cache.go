package registry

import (
	"cmp"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Small files that are never removed: the sums, the ages of a module's versions, and the latest
// verified tree of a checksum database. They cannot be fetched again, or not safely.
const (
	modSumEnd = ".modsum"
	zipSumEnd = ".zipsum"
	agesFile  = "ages"
	treeFile  = "latest.tree"
)

// missingEnd is the end of a file that has the text of a 404.
const missingEnd = ".missing"

// recently is how long a file is kept after its use, because a request may be about to open it.
const recently = time.Minute

// A fileProof records that the content of a .mod or .zip had a sum.
type fileProof struct {
	stamp
	sum string
}

// An upstreamCache is a folder with the layout of a module proxy. The modification time of a
// file is the time of its last use, to the hour.
type upstreamCache struct {
	*dir
	parent *dir // the store that the folder is in, or nil
	max    int64

	evicting sync.Mutex // held while files are removed

	mu      sync.Mutex
	counted bool // the files that existed at the start are in total
	total   int64
	uses    map[string]time.Time // when the modification time was set
	until   map[string]time.Time // how long a file that can change is fresh
	proofs  map[string]fileProof
	old     map[string]struct{} // versions that are old enough, and so for ever
}

// maxRemembered bounds each map of a cache.
const maxRemembered = 100_000

func remember[V any](m map[string]V, name string, v V) {
	if len(m) >= maxRemembered {
		clear(m)
	}
	m[name] = v
}

func (c *upstreamCache) isFresh(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Before(c.until[name])
}

func (c *upstreamCache) keepFresh(name string, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	remember(c.until, name, time.Now().Add(d))
}

// proof returns the recorded sum of a file if the file has not changed since.
func (c *upstreamCache) proof(name string, st stamp) (sum string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.proofs[name]
	return p.sum, p.stamp == st
}

func (c *upstreamCache) prove(name string, st stamp, sum string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	remember(c.proofs, name, fileProof{st, sum})
}

func (c *upstreamCache) isOld(file string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.old[file]
	return ok
}

func (c *upstreamCache) setOld(file string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	remember(c.old, file, struct{}{})
}

// open opens a file and records its use.
func (c *upstreamCache) open(ctx context.Context, name string) (File, error) {
	c.mu.Lock()
	used := time.Since(c.uses[name]) >= time.Hour
	if used {
		remember(c.uses, name, time.Now())
	}
	c.mu.Unlock()
	if used {
		now := time.Now()
		_ = os.Chtimes(filepath.Join(c.root, filepath.FromSlash(name)), now, now) // a missing file is found below
	}
	return c.Open(ctx, name)
}

func (c *upstreamCache) read(ctx context.Context, name string) ([]byte, error) {
	data, _, err := c.load(ctx, name)
	return data, err
}

func (c *upstreamCache) load(ctx context.Context, name string) ([]byte, stamp, error) {
	f, err := c.open(ctx, name)
	if err != nil {
		return nil, stamp{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, stamp{}, err
	}
	data := make([]byte, info.Size())
	_, err = io.ReadFull(f, data)
	return data, stampOf(info), err
}

// prepare creates the folder that the cache is in.
func (c *upstreamCache) prepare() error {
	if c.parent != nil {
		return c.parent.folder(c.parent.root)
	}
	return nil
}

func (c *upstreamCache) temp() (*os.File, error) {
	if err := c.prepare(); err != nil {
		return nil, err
	}
	return c.dir.temp()
}

func (c *upstreamCache) write(_ context.Context, name string, data []byte) error {
	f, err := c.temp()
	if err != nil {
		return err
	}
	defer discard(f)
	if _, err := f.Write(data); err != nil {
		return err
	}
	return c.put(name, f)
}

// put moves a temporary file to its place. A crash leaves the old file or the new one.
func (c *upstreamCache) put(name string, f *os.File) error {
	path, err := c.path("create", name)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var old int64
	if st, err := c.stat(name); err == nil {
		old = onDisk(st.size)
	}
	if err := c.folder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := c.rename(f, path); err != nil {
		return err
	}
	if c.add(name, onDisk(info.Size())-old) > c.max {
		c.evict()
	}
	return nil
}

// add adds to the total and returns it.
func (c *upstreamCache) add(name string, size int64) int64 {
	c.mu.Lock()
	counted := c.counted
	c.counted = true
	remember(c.uses, name, time.Now())
	c.total += size
	c.mu.Unlock()
	if !counted {
		files := c.files()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.total = sizeOf(files)
		return c.total
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

func (c *upstreamCache) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

func (c *upstreamCache) remove(name string) {
	os.Remove(filepath.Join(c.root, filepath.FromSlash(name)))
}

type cachedFile struct {
	path string
	size int64
	used time.Time
}

func sizeOf(files []cachedFile) (total int64) {
	for _, f := range files {
		total += f.size
	}
	return total
}

// onDisk is the size of a file on disk, where it occupies whole blocks.
func onDisk(size int64) int64 { return (size + 4095) / 4096 * 4096 }

// files returns the files that may be removed. A file that cannot be read is left out.
func (c *upstreamCache) files() (files []cachedFile) {
	_ = filepath.WalkDir(c.root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil
		case e.IsDir() && path == c.tmp:
			return fs.SkipDir
		case !e.Type().IsRegular(), strings.HasSuffix(path, modSumEnd), strings.HasSuffix(path, zipSumEnd), e.Name() == treeFile, e.Name() == agesFile, e.Name() == ".lock":
			return nil
		}
		if info, err := e.Info(); err == nil {
			files = append(files, cachedFile{path, onDisk(info.Size()), info.ModTime()})
		}
		return nil
	})
	return files
}

// evict removes the files that were not used for the longest time, until a tenth of the bound
// is free.
func (c *upstreamCache) evict() {
	if !c.evicting.TryLock() {
		return // another request does it
	}
	defer c.evicting.Unlock()
	files := c.files()
	total := sizeOf(files)
	slices.SortFunc(files, func(a, b cachedFile) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.path, b.path)) })
	for _, f := range files {
		if total <= c.max/10*9 || time.Since(f.used) < recently {
			break
		}
		if os.Remove(f.path) == nil {
			total -= f.size
		}
	}
	c.mu.Lock()
	c.total = total
	c.mu.Unlock()
}
