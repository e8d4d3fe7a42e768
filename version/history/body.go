package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

const (
	maxBody   = 2 << 20
	maxInBody = 1000
	maxFaults = 20

	// A body of up to smallBody bytes is read as a whole before it is decoded. A larger one
	// waits up to largeTimeout for one of maxLarge turns. The collector waits for its bytes
	// for largeWait in all, and one second more for each largeRate bytes.
	smallBody    = 64 << 10
	maxLarge     = 4
	largeTimeout = 30 * time.Second
	largeWait    = 2 * time.Second
	largeRate    = 128 << 10
)

// A requestBody is the body of one request, and the entries that are decoded from it.
type requestBody struct {
	in       *bufio.Reader
	bytes    int
	number   int // of the last line that was read
	last     int // number of the last line that is not empty
	entries  []Entry
	faults   []lineFault // at most maxFaults
	rejected int
	large    bool
}

type lineFault struct {
	Line   int    `json:"line"` // from 1
	Reason string `json:"reason"`
}

// A bodyFault is a reason to refuse a request.
type bodyFault struct {
	status     int
	detail     string
	overloaded bool
	unread     bool // the rest of the body may never come
}

// openBody returns a body that may be decoded now. The caller must release it.
func (c *Collector) openBody(w http.ResponseWriter, r *http.Request) (*requestBody, *bodyFault) {
	all := http.MaxBytesReader(w, r.Body, maxBody)
	head, err := io.ReadAll(io.LimitReader(all, smallBody+1))
	b := &requestBody{bytes: len(head)}
	if err != nil {
		return b, readFault(err)
	}
	overloaded := &bodyFault{status: http.StatusServiceUnavailable, detail: "too many requests at the same time", overloaded: true, unread: len(head) > smallBody}
	if len(head) <= smallBody {
		if c.active.Add(1) > maxActive {
			c.active.Add(-1)
			return b, overloaded
		}
		b.in = bufio.NewReader(bytes.NewReader(head))
		return b, nil
	}
	wait := time.NewTimer(largeTimeout)
	defer wait.Stop()
	select {
	case c.large <- struct{}{}:
	case <-wait.C:
		return b, overloaded
	case <-r.Context().Done():
		return b, overloaded
	}
	c.active.Add(1)
	b.large = true
	rest := &paced{in: all, control: http.NewResponseController(w), body: b}
	b.in = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(head), rest), 64<<10)
	return b, nil
}

func (c *Collector) release(b *requestBody) {
	c.active.Add(-1)
	if b.large {
		<-c.large
	}
}

// A paced reader fails if the collector has waited too long for the client. The time for
// decoding does not count.
type paced struct {
	in      io.Reader
	control *http.ResponseController
	waited  time.Duration
	read    int
	body    *requestBody
}

func (p *paced) Read(b []byte) (int, error) {
	began := time.Now()
	left := largeWait + time.Duration(p.read)*time.Second/largeRate - p.waited
	_ = p.control.SetReadDeadline(began.Add(max(left, time.Millisecond)))
	n, err := p.in.Read(b)
	p.waited += time.Since(began)
	p.read += n
	p.body.bytes += n
	return n, err
}

func readFault(err error) *bodyFault {
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case large:
		return &bodyFault{status: http.StatusRequestEntityTooLarge, detail: fmt.Sprintf("a request may have at most %d bytes", maxBody)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &bodyFault{status: http.StatusRequestTimeout, detail: "the body is sent too slowly"}
	}
	return &bodyFault{status: http.StatusBadRequest, detail: "the body cannot be read"}
}

// lines counts lines, without empty ones at the end.
func (b *requestBody) lines() int { return max(b.last, 1) }

// decode decodes lines as they arrive.
func (b *requestBody) decode(client string) *bodyFault {
	var long []byte // the first part of a line that is longer than the buffer
	for {
		piece, err := b.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, piece...)
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return readFault(err)
		}
		line := piece
		if len(long) > 0 {
			line = append(long, piece...)
			long = nil
		}
		if fault := b.decodeLine(bytes.TrimSuffix(line, []byte("\n")), client); fault != nil {
			return fault
		}
		if err != nil {
			return nil
		}
	}
}

func (b *requestBody) decodeLine(line []byte, client string) *bodyFault {
	b.number++
	if len(line) == 0 {
		return nil
	}
	b.last = b.number
	if b.last > maxInBody {
		return &bodyFault{status: http.StatusRequestEntityTooLarge, detail: fmt.Sprintf("a request may have at most %d lines", maxInBody), unread: b.large}
	}
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	e, err := decodeEntry(line, client)
	if err == nil {
		b.entries = append(b.entries, e)
		return nil
	}
	b.rejected++
	if len(b.faults) < maxFaults {
		b.faults = append(b.faults, lineFault{b.number, err.Error()})
	}
	return nil
}

// decodeEntry decodes an entry of a client and sets its Client.
func decodeEntry(line []byte, client string) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return Entry{}, errors.New(cleantext.Line(err.Error(), maxName))
	}
	// Only the store sets these.
	e.Received, e.At = time.Time{}, time.Time{}
	if field, err := e.tidy(maxID); err != nil {
		return Entry{}, errors.New(field + ": " + cleantext.Line(err.Error(), maxName))
	}
	e.Client = client
	if client != "" {
		e.ID = client + "/" + e.ID
		if e.Run != "" {
			e.Run = client + "/" + e.Run
		}
	}
	return e, nil
}
