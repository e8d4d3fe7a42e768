package history

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/upkeep-go/upkeep/version"
)

const maxLine = version.MaxSnapshot + 64<<10

// line is an entry as it is written: with the info that tidy has made, if any.
type line struct {
	*plainEntry
	At    *time.Time      `json:"at,omitempty"` // where it is not Time
	Build string          `json:"build,omitempty"`
	Info  json.RawMessage `json:"info,omitempty"` // right after the build: see toldBuild
}

// plainEntry has no methods.
type plainEntry Entry

func appendLine(b []byte, e Entry) ([]byte, error) {
	l := line{plainEntry: (*plainEntry)(&e), Build: e.Build, Info: e.infoJSON}
	if !e.At.IsZero() && !e.At.Equal(e.Time) {
		l.At = &e.At
	}
	data, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	return append(append(b, data...), '\n'), nil
}

// parseLine reads an entry, of which the text is clean then. It does not digest Info.
func parseLine(data []byte, limit int) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(data, &e); err != nil {
		return Entry{}, err
	}
	_, err := e.check(limit)
	return e, err
}

// toldBuild is the build whose info is in a line. It is written last, after the build, and
// other text cannot hold plain quotes.
func toldBuild(line []byte) string {
	const build, info = `"build":"`, `","info":{`
	at := bytes.Index(line, []byte(info))
	if at < len(build)+digestLength || string(line[at-digestLength-len(build):at-digestLength]) != build {
		return ""
	}
	if digest := string(line[at-digestLength : at]); isDigest(digest) {
		return digest
	}
	return ""
}

type part int

const (
	whole part = iota
	torn       // the end of the file, without a newline: it may be being written
	long       // the beginning of a line that is too long
	rest       // more of it
)

// scanLines calls each for each line, without its newline, and for each piece of one that
// is too long. Only the last four times limit are read: unread is the rest.
func scanLines(r io.ReadSeeker, limit int64, each func(line []byte, of part)) (unread int64, err error) {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	unread = max(0, size-4*limit)
	if _, err := r.Seek(unread, io.SeekStart); err != nil {
		return 0, err
	}
	in := bufio.NewReaderSize(io.LimitReader(r, size-unread), 64<<10)
	if unread > 0 {
		// The first is not whole.
		if err := skipLine(in); err != nil {
			return unread, notEOF(err)
		}
	}
	var line []byte // as far as it was read
	of := whole
	for {
		piece, err := in.ReadSlice('\n')
		switch {
		case err == nil && len(line) == 0 && of == whole:
			each(piece[:len(piece)-1], whole)
			continue
		case err == nil:
			each(append(line, piece[:len(piece)-1]...), of)
			line, of = line[:0], whole
		case errors.Is(err, bufio.ErrBufferFull):
			line, err = append(line, piece...), nil
			if of == rest || len(line) > maxLine {
				each(line, max(of, long))
				line, of = line[:0], rest
			}
		default:
			if line = append(line, piece...); len(line) > 0 {
				each(line, max(of, torn))
			}
		}
		if err != nil {
			return unread, notEOF(err)
		}
	}
}

func skipLine(in *bufio.Reader) error {
	for {
		if _, err := in.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

type reading struct {
	entries  []Entry
	rejected int
	unread   int64
}

func (s *FileStore) read(ctx context.Context, r io.ReadSeeker) (reading, error) {
	var got reading
	var ended error
	ids := map[string]bool{}
	builds := map[string]*version.Info{}
	seq := int64(0)
	unread, err := scanLines(r, s.max, func(line []byte, of part) {
		seq++
		if seq%1024 == 0 && ended == nil {
			ended = context.Cause(ctx)
		}
		if ended != nil || of == rest || len(bytes.TrimSpace(line)) == 0 {
			return
		}
		e, err := parseLine(line, maxStoredID)
		if err != nil || of == long {
			if of != torn {
				got.rejected++
			}
			return
		}
		if e.Info != nil && builds[e.Build] == nil {
			builds[e.Build] = e.Info
		}
		if ids[e.ID] {
			return
		}
		ids[e.ID] = true
		e.Seq, e.Late = seq, 0
		if !inRange(e.Received) {
			e.Received = e.Time
		}
		if !inRange(e.At) {
			e.At = e.Time
		}
		e.Received, e.At = e.Received.UTC(), e.At.UTC()
		got.entries = append(got.entries, e)
	})
	got.unread = unread
	if err == nil {
		err = ended
	}
	for n := range got.entries {
		if e := &got.entries[n]; e.sighted() && e.Build != "" {
			e.Info = builds[e.Build]
		}
	}
	return got, err
}
