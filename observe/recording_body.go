package observe

import (
	"io"
	"net/http"
	"sync"
)

// A kept is what is kept of a body.
type kept struct {
	buf   *buffer
	total int64
	ended bool // it was read to its end
	cut   bool
}

// A buffer has the capacity of its class: 4 KiB, 16 KiB and so on to 1 MiB. A pool for
// each keeps short bodies from taking the room of long ones.
type buffer struct {
	b     []byte
	class int
}

var bufferPools [bufferClasses]sync.Pool

func bufferSize(class int) int { return minBuffer << (2 * class) }

func newBuffer(class int) *buffer {
	if b, ok := bufferPools[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, 0, bufferSize(class)), class: class}
}

func (b *buffer) free() {
	b.b = b.b[:0]
	bufferPools[b.class].Put(b)
}

// keep adds p to a body, as far as there is room, and never more after a gap; rec.mu
// is held.
func keep[Bytes []byte | string](rec *recording, k *kept, p Bytes) {
	if rec.closed {
		return
	}
	k.total += int64(len(p))
	if k.cut || len(p) == 0 {
		return
	}
	n := rec.extend(k, len(p))
	k.cut = n < len(p)
	if n > 0 {
		k.buf.b = append(k.buf.b, p[:n]...)
	}
}

// extend makes room for n more bytes of a body, or for as many as may be.
func (rec *recording) extend(k *kept, n int) int {
	have, size := 0, 0
	if k.buf != nil {
		have, size = len(k.buf.b), cap(k.buf.b)
	}
	n = min(n, rec.room.maxBody-have)
	if have+n <= size {
		return n
	}
	class := 0
	for bufferSize(class) < have+n {
		class++
	}
	if !rec.reserve(bufferSize(class) - size) {
		return size - have
	}
	larger := newBuffer(class)
	if k.buf != nil {
		larger.b = append(larger.b, k.buf.b...)
		k.buf.free()
	}
	k.buf = larger
	return n
}

// reserve takes n bytes from what a request, and all of them, may hold; rec.mu is held.
func (rec *recording) reserve(n int) bool {
	if rec.held+n > maxBodies*rec.room.maxBody {
		return false
	}
	if rec.room.held.Add(int64(n)) > maxRecording {
		rec.room.held.Add(int64(-n))
		return false
	}
	rec.held += n
	return true
}

func (k *kept) text() string {
	if k.buf == nil {
		return ""
	}
	return string(k.buf.b)
}

func (k *kept) free() {
	if k.buf != nil {
		k.buf.free()
		k.buf = nil
	}
}

// close ends the recording: whoever still reads or writes does so unrecorded. It
// reports whether it was open.
func (rec *recording) close() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	was := !rec.closed
	rec.closed = true
	return was
}

// free gives the buffers back. The recording is closed.
func (rec *recording) free() {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.fields.free()
	rec.request.free()
	rec.response.free()
	for _, x := range rec.exchanges {
		x.request.free()
		x.response.free()
	}
	rec.fields, rec.exchanges, rec.values, rec.flags, rec.logs, rec.logSizes = nil, nil, nil, nil, nil, nil
	rec.room.held.Add(int64(-rec.held))
	rec.held = 0
}

// bodyTee keeps what is read of a body.
type bodyTee struct {
	io.ReadCloser
	rec  *recording
	kept *kept
}

func (b *bodyTee) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.rec.mu.Lock()
	if n > 0 {
		keep(b.rec, b.kept, p[:n])
	}
	if err == io.EOF && !b.rec.closed {
		b.kept.ended = true
	}
	b.rec.mu.Unlock()
	return n, err
}

// wrote keeps what was written of the response.
func (rec *recording) wrote(p []byte) {
	rec.mu.Lock()
	keep(rec, &rec.response, p)
	rec.mu.Unlock()
}

func (rec *recording) wroteString(s string) {
	rec.mu.Lock()
	keep(rec, &rec.response, s)
	rec.mu.Unlock()
}

// wants reports whether there is room for more of the response.
func (rec *recording) wants() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return !rec.closed && !rec.response.cut && (rec.response.buf == nil || len(rec.response.buf.b) < rec.room.maxBody)
}

// passed counts what went past the recording.
func (rec *recording) passed(n int64) {
	if n <= 0 {
		return
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if !rec.closed {
		rec.response.total += n
		rec.response.cut = true
	}
}

// began notes the header that a failure is sent with: a handler may change it after.
func (rec *recording) began(status int, h http.Header) {
	if status < http.StatusInternalServerError {
		return
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.header == nil && !rec.closed {
		rec.header = h.Clone()
	}
}
