package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/upkeep-go/upkeep/version"
)

const maxLine = version.MaxSnapshot + 64<<10

// line is the JSON form of an entry, with the info that tidy has encoded.
type line struct {
	*plainEntry
	At    *time.Time      `json:"at,omitempty"` // nil if it equals Time
	Epoch int64           `json:"epoch,omitempty"`
	Build string          `json:"build,omitempty"`
	Info  json.RawMessage `json:"info,omitempty"` // directly after Build: see buildWithInfo
}

// plainEntry is an Entry without methods.
type plainEntry Entry

func appendLine(b []byte, e Entry) ([]byte, error) {
	l := line{plainEntry: (*plainEntry)(&e), Epoch: e.epoch, Build: e.Build, Info: e.infoJSON}
	if !e.At.IsZero() && !e.At.Equal(e.Time) {
		l.At = &e.At
	}
	data, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	return append(append(b, data...), '\n'), nil
}

// parseLine decodes an entry and cleans its texts. It does not set Build.
func parseLine(data []byte, limit int) (Entry, error) {
	var e Entry
	l := struct {
		*plainEntry
		Epoch int64 `json:"epoch"`
	}{plainEntry: (*plainEntry)(&e)}
	if err := json.Unmarshal(data, &l); err != nil {
		return Entry{}, err
	}
	e.epoch = l.Epoch
	_, err := e.check(limit)
	return e, err
}

// buildWithInfo returns the build whose info is in the line, or "". appendLine writes build and
// info last, and no other text in a line has unescaped quotes.
func buildWithInfo(line []byte) string {
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
	torn       // the end of the file without a newline; a writer may be writing it
	long       // the first part of a line that is too long
	rest       // another part of it
)

// A scanner reads the lines of a file without their newlines. It reads a line that is too long
// in parts.
type scanner struct {
	in     *bufio.Reader
	line   []byte // valid until the next call
	of     part
	at     int64 // offset of line
	unread int64 // bytes at the beginning of the file that were skipped

	next   int64 // offset of the next line
	joined []byte
	inLong bool
	done   bool
	err    error
}

// newScanner reads the file up to its present size: only the last most bytes, or all of it if
// most is 0.
func newScanner(r io.ReadSeeker, most int64) (*scanner, error) {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	s := new(scanner)
	if most > 0 {
		s.unread = max(0, size-most)
	}
	if _, err := r.Seek(s.unread, io.SeekStart); err != nil {
		return nil, err
	}
	s.next = s.unread
	s.in = bufio.NewReaderSize(io.LimitReader(r, size-s.unread), 256<<10)
	if s.unread > 0 && s.scan() {
		// The first line may be incomplete.
		for s.inLong && s.scan() {
		}
	}
	return s, nil
}

func (s *scanner) scan() bool {
	if s.done {
		return false
	}
	s.joined = s.joined[:0]
	s.of, s.at = whole, s.next
	if s.inLong {
		s.of = rest
	}
	for {
		piece, err := s.in.ReadSlice('\n')
		s.next += int64(len(piece))
		switch {
		case err == nil:
			s.line, s.inLong = piece[:len(piece)-1], false
			if len(s.joined) > 0 {
				s.joined = append(s.joined, s.line...)
				s.line = s.joined
			}
			return true
		case errors.Is(err, bufio.ErrBufferFull):
			s.joined = append(s.joined, piece...)
			if s.of == rest || len(s.joined) > maxLine {
				s.line, s.of, s.inLong = s.joined, max(s.of, long), true
				return true
			}
		default:
			s.done, s.inLong = true, false
			if !errors.Is(err, io.EOF) {
				s.err = err
			}
			s.line, s.of = append(s.joined, piece...), max(s.of, torn)
			return len(s.line) > 0
		}
	}
}
