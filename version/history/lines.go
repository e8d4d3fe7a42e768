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

// line is an entry as it is written: with the info that tidy has made, if any.
type line struct {
	*plainEntry
	At    *time.Time      `json:"at,omitempty"` // where it is not Time
	Epoch int64           `json:"epoch,omitempty"`
	Build string          `json:"build,omitempty"`
	Info  json.RawMessage `json:"info,omitempty"` // right after the build: see toldBuild
}

// plainEntry has no methods.
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

// parseLine reads an entry, of which the text is clean then. It does not digest Info.
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

// A scanner reads the lines of a file, without their newlines, and in pieces those that are
// too long.
type scanner struct {
	in     *bufio.Reader
	line   []byte // until the next call
	of     part
	at     int64 // where line begins
	unread int64 // what stands before, and was left out

	next   int64 // where the line after it begins
	joined []byte
	inLong bool
	done   bool
	err    error
}

// newScanner reads the last bytes of a file, as many as most, as they are now. Zero means
// all.
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
		// The first is not whole.
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
