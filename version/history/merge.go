package history

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"hash/maphash"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/upkeep-go/upkeep/internal/atomicfile"
	"github.com/upkeep-go/upkeep/version"
)

// A record is an entry in a file. Only the fields that a query needs are decoded.
type record struct {
	view
	decoded *Entry // if view cannot read the line
	seq     int64
	at      time.Time
	offset  time.Duration
	line    []byte // valid until the next line is read
	source  *source
	begin   int64 // offset of the line in the source
}

func (r *record) entry(texts map[string]string) Entry {
	var e Entry
	if r.decoded != nil {
		e = *r.decoded
	} else {
		e, _ = r.view.entry(texts) // advance has checked that it is valid
	}
	e.Seq, e.Late, e.Received, e.At, e.offset = r.seq, 0, r.received.UTC(), r.at.UTC(), r.offset
	return e
}

// A source is a segment that is being read.
type source struct {
	path  string
	file  *os.File
	in    *scanner
	epoch int64
	last  time.Time
	next  record
}

// openSources opens the segments that exist. It creates none.
func openSources(path string, most int64) (list []*source, err error) {
	defer func() {
		if err != nil {
			closeSources(list)
			list = nil
		}
	}()
	base := target(path)
	for n := 1; n <= maxSegments; n++ {
		f, err := os.OpenFile(segmentPath(base, n), os.O_RDONLY|atomicfile.NonBlock, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return list, err
		}
		list = append(list, &source{path: f.Name(), file: f})
		info, err := f.Stat()
		if err != nil {
			return list, err
		}
		if !info.Mode().IsRegular() {
			return list, &os.PathError{Op: "read", Path: path, Err: errNotRegular}
		}
		if list[len(list)-1].in, err = newScanner(f, most); err != nil {
			return list, err
		}
	}
	return list, nil
}

func closeSources(list []*source) {
	for _, s := range list {
		_ = s.file.Close()
	}
}

// A merger reads the records of all sources in the order of receipt. It skips repeated ids.
type merger struct {
	path     string
	sources  []*source
	ids      hashes
	seed     maphash.Seed
	seq      int64
	last     time.Time
	offset   time.Duration
	clock    []setting
	rejected int

	// The info of each build: the line that has it, or the decoded info if view cannot read
	// the line.
	lines   map[string]buildLine
	decoded map[string]*version.Info
}

type buildLine struct {
	path   string
	begin  int64
	length int
}

func newMerger(path string, sources []*source) (*merger, error) {
	m := &merger{path: path, seed: maphash.MakeSeed(), lines: map[string]buildLine{}, decoded: map[string]*version.Info{}}
	for _, s := range sources {
		ok, err := m.advance(s)
		if err != nil {
			return nil, err
		}
		if ok {
			m.sources = append(m.sources, s)
		}
	}
	return m, nil
}

func (m *merger) each(ctx context.Context, f func(*record)) error {
	for len(m.sources) > 0 {
		first := 0
		for n, s := range m.sources[1:] {
			if best := m.sources[first]; s.epoch < best.epoch || s.epoch == best.epoch && s.next.received.Before(best.next.received) {
				first = n + 1
			}
		}
		s := m.sources[first]
		r := &s.next
		m.seq++
		if m.seq%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if m.ids.add(maphash.Bytes(m.seed, r.id)) {
			if step := m.last.Sub(r.received); !m.last.IsZero() && step >= setBack {
				m.offset += step
				m.clock = append(m.clock, setting{r.received, m.offset})
			}
			m.last = r.received
			r.seq, r.offset = m.seq, m.offset
			f(r)
		}
		ok, err := m.advance(s)
		if err != nil {
			return err
		}
		if !ok {
			m.sources = append(m.sources[:first], m.sources[first+1:]...)
		}
	}
	return nil
}

// A hashes is a set of hashes. Queries add one hash per line. A map takes three times as long.
type hashes struct {
	slots []uint64 // 0 is a free slot
	count int
}

// add reports whether the hash is new.
func (h *hashes) add(hash uint64) bool {
	if 2*h.count >= len(h.slots) {
		old := h.slots
		h.slots = make([]uint64, max(1024, 4*len(old)))
		for _, o := range old {
			if o != 0 {
				*h.slot(o) = o
			}
		}
	}
	hash = max(hash, 1)
	slot := h.slot(hash)
	if *slot == hash {
		return false
	}
	*slot = hash
	h.count++
	return true
}

// slot returns the slot that has the hash, or the free slot for it.
func (h *hashes) slot(hash uint64) *uint64 {
	mask := uint64(len(h.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if s := &h.slots[i]; *s == hash || *s == 0 {
			return s
		}
	}
}

// advance reads the source's next record. It returns false at the end.
func (m *merger) advance(s *source) (bool, error) {
	for s.in.scan() {
		r := &s.next
		line := s.in.line
		if s.in.of == rest {
			continue
		}
		r.decoded, r.line, r.source, r.begin = nil, line, s, s.in.at
		if s.in.of == long || !r.view.read(line) || !r.valid() {
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			e, err := parseLine(line, maxStoredID)
			if err != nil || s.in.of == long {
				if s.in.of != torn {
					m.rejected++
				}
				continue
			}
			r.decode(&e)
		}
		if !inRange(r.received) {
			r.received = r.time
		}
		if r.at = r.view.at; !inRange(r.at) {
			r.at = r.time
		}
		m.learn(r)
		if !s.last.IsZero() && s.last.Sub(r.received) >= setBack {
			s.epoch++
		}
		s.epoch, s.last = max(s.epoch, r.epoch), r.received
		return true, nil
	}
	return false, s.in.err
}

// decode sets the fields of view that queries use.
func (r *record) decode(e *Entry) {
	r.decoded = e
	r.view = view{
		id: []byte(e.ID), kind: []byte(e.Kind), run: []byte(e.Run), service: []byte(e.Service), environment: []byte(e.Environment), build: []byte(e.Build),
		time: e.Time, received: e.Received, at: e.At, every: int64(e.Every), rollback: e.Rollback, epoch: e.epoch,
	}
	if v := e.Event; v != nil {
		r.eventService, r.eventEnvironment = []byte(v.Service), []byte(v.Environment)
	}
}

func (m *merger) learn(r *record) {
	if e := r.decoded; e != nil && e.Info != nil {
		if _, ok := m.decoded[e.Build]; !ok {
			m.decoded[e.Build] = e.Info
		}
		if e.Build != "" {
			e.Info = nil // infos returns it
		}
	}
	if r.info == nil {
		return
	}
	if _, ok := m.lines[string(r.build)]; !ok {
		m.lines[string(r.build)] = buildLine{r.source.path, r.begin, len(r.line)}
	}
}

// infos returns the infos of builds. It searches the files again if one of them was rewritten
// since the lines were read.
func (m *merger) infos(ctx context.Context, builds []string) (map[string]*version.Info, error) {
	found := make(map[string]*version.Info, len(builds))
	missing := map[string]bool{}
	files := map[string]*os.File{}
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for n, b := range builds {
		if n%64 == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if info := m.decoded[b]; info != nil {
			found[b] = info
			continue
		}
		at, ok := m.lines[b]
		if !ok {
			continue
		}
		f := files[at.path]
		if f == nil {
			var err error
			if f, err = os.Open(at.path); err != nil {
				missing[b] = true
				continue
			}
			files[at.path] = f
		}
		line := make([]byte, at.length)
		if _, err := f.ReadAt(line, at.begin); err == nil {
			if info := infoOf(line, b); info != nil {
				found[b] = info
				continue
			}
		}
		missing[b] = true
	}
	if len(missing) == 0 {
		return found, nil
	}
	return found, m.search(ctx, missing, found)
}

// search adds the missing infos to found. It reads all lines.
func (m *merger) search(ctx context.Context, missing map[string]bool, found map[string]*version.Info) error {
	sources, err := openSources(m.path, 0)
	if err != nil {
		return err
	}
	defer closeSources(sources)
	for _, s := range sources {
		for n := 0; len(missing) > 0 && s.in.scan(); n++ {
			if n%1024 == 0 && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if b := buildWithInfo(s.in.line); missing[b] {
				if info := infoOf(s.in.line, b); info != nil {
					found[b] = info
					delete(missing, b)
				}
			}
		}
		if s.in.err != nil {
			return s.in.err
		}
	}
	return nil
}

// infoOf returns the info of the build in the line, or nil.
func infoOf(line []byte, build string) *version.Info {
	var v view
	if buildWithInfo(line) != build || !v.read(line) || v.info == nil {
		return nil
	}
	info := new(version.Info)
	if json.Unmarshal(v.info, info) != nil {
		return nil
	}
	return info
}

// complete sets the infos of entries.
func (m *merger) complete(ctx context.Context, entries []Entry) error {
	builds := map[string]bool{}
	for n := range entries {
		if e := &entries[n]; e.sighted() && e.Build != "" {
			builds[e.Build] = true
		}
	}
	infos, err := m.infos(ctx, slices.Collect(maps.Keys(builds)))
	if err != nil {
		return err
	}
	for n := range entries {
		if e := &entries[n]; e.sighted() && e.Build != "" {
			e.Info = infos[e.Build]
		}
	}
	return nil
}
