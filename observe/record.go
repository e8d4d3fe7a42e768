package observe

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// A log record that waits for the end of its request is kept packed: as bytes that
// point to nothing, so that what it holds is bounded by its length, and neither the
// garbage collector nor a map that the application changes later has to do with it.
//
//	span flag, number of attributes left out, level, time, program counter, [span], message, attributes
//
// The attributes are those of the logger, with its groups, and then the record's own;
// each is a kind, a key and a value. The kind packGroup has its attributes inside; with
// packOpen all that follow are inside, as after Logger.WithGroup.
const (
	packNil byte = iota
	packFalse
	packTrue
	packDuration
	packFloat
	packInt
	packUint
	packTime
	packString
	packBytes
	packJSON // the value is a JSON text
	packGroup
	packOpen
)

// Which span a packed record belongs to.
const (
	spanOfRequest byte = iota // that of the request or job
	spanNone
	spanOther // told in the record
)

// A packer packs values as the handler that will write them would have shown them.
type packer struct {
	text bool // it is a slog.TextHandler
}

func appendText(b []byte, s string) []byte {
	if len(s) < 0x80 {
		b = append(b, byte(len(s)))
	} else {
		b = binary.AppendUvarint(b, uint64(len(s)))
	}
	return append(b, s...)
}

func appendKey(b []byte, kind byte, key string) []byte {
	if len(key) >= 0x80 {
		return appendText(append(b, kind), cut(key, maxText))
	}
	b = append(b, kind, byte(len(key)))
	return append(b, key...)
}

func appendTime(b []byte, t time.Time) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(t.Unix()))
	b = binary.LittleEndian.AppendUint32(b, uint32(t.Nanosecond()))
	switch t.Location() {
	case time.Local:
		return append(b, 0)
	case time.UTC:
		return append(b, 1)
	}
	_, offset := t.Zone()
	b = append(b, 2)
	return binary.LittleEndian.AppendUint32(b, uint32(int32(offset)))
}

// scalar packs a into b when its value is of a kind that needs no rendering, and gives
// the length: 0 when it is of another kind or does not fit. It stands apart from attr,
// which calls itself, so that b can be on the stack.
func scalar(b []byte, a slog.Attr) (n int) {
	const most = 1 + 3 + 13 // a kind, the length of a key or text, a time
	if len(a.Key) >= 0x80 {
		a.Key = cut(a.Key, maxText)
	}
	if len(b) < len(a.Key)+most {
		return 0
	}
	n = 1 + putText(b[1:], a.Key)
	var bits uint64
	switch a.Value.Kind() {
	case slog.KindString:
		s := cut(a.Value.String(), maxTailText)
		if len(b) < n+len(s)+3 {
			return 0
		}
		b[0] = packString
		return n + putText(b[n:], s)
	case slog.KindInt64:
		b[0], bits = packInt, uint64(a.Value.Int64())
	case slog.KindBool:
		b[0] = packFalse
		if a.Value.Bool() {
			b[0] = packTrue
		}
		return n
	case slog.KindDuration:
		b[0], bits = packDuration, uint64(a.Value.Duration())
	case slog.KindFloat64:
		b[0], bits = packFloat, math.Float64bits(a.Value.Float64())
	case slog.KindUint64:
		b[0], bits = packUint, a.Value.Uint64()
	case slog.KindTime:
		b[0] = packTime
		return n + len(appendTime(b[n:n], a.Value.Time()))
	default:
		return 0
	}
	binary.LittleEndian.PutUint64(b[n:], bits)
	return n + 8
}

// putText is appendText for a b that has room for s.
func putText(b []byte, s string) int {
	n := 1
	if b[0] = byte(len(s)); len(s) >= 0x80 {
		n = binary.PutUvarint(b, uint64(len(s)))
	}
	return n + copy(b[n:], s)
}

// attr appends a, or nothing when it says nothing. Values of any type are rendered
// here and now; so are those of a LogValuer.
func (p packer) attr(b []byte, a slog.Attr, depth int) []byte {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindGroup:
		return p.group(b, a.Key, v.Group(), depth)
	case slog.KindAny:
	default:
		size := len(a.Key) + 32
		if v.Kind() == slog.KindString {
			size += len(v.String())
		}
		b = slices.Grow(b, size)
		return b[:len(b)+scalar(b[len(b):cap(b)], slog.Attr{Key: a.Key, Value: v})]
	}
	if v.Any() == nil {
		if a.Key == "" {
			return b
		}
		return appendKey(b, packNil, a.Key)
	}
	kind, text := p.render(v.Any())
	return appendText(appendKey(b, kind, a.Key), text)
}

func (p packer) group(b []byte, key string, attrs []slog.Attr, depth int) []byte {
	if len(attrs) == 0 {
		return b
	}
	if depth >= maxTailDepth {
		return appendText(appendKey(b, packString, key), "!TOO DEEP")
	}
	if key != "" { // the attributes of a group without a name are those of what it is in
		b = appendKey(b, packGroup, key)
		b = append(b, 0, 0, 0, 0)
	}
	start := len(b)
	for _, a := range attrs {
		if b = p.attr(b, a, depth+1); len(b) > 2*maxTailRecord {
			break // it is going to be cut: no need to know how long it would be
		}
	}
	if key != "" {
		binary.LittleEndian.PutUint32(b[start-4:], uint32(len(b)-start))
	}
	return b
}

// render shows v by the rules of slog's own handlers.
func (p packer) render(v any) (kind byte, text string) {
	defer func() {
		if value := recover(); value != nil {
			kind, text = packString, cut(fmt.Sprint("!PANIC: ", value), maxTailText)
		}
	}()
	if p.text {
		if m, ok := v.(encoding.TextMarshaler); ok {
			b, err := m.MarshalText()
			if err != nil {
				return packString, cut("!ERROR:"+err.Error(), maxTailText)
			}
			return packString, cut(string(b), maxTailText)
		}
		if t := reflect.TypeOf(v); t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			b := reflect.ValueOf(v).Bytes()
			return packBytes, string(b[:min(len(b), maxTailText)])
		}
		return packString, cut(fmt.Sprintf("%+v", v), maxTailText)
	}
	_, isMarshaler := v.(json.Marshaler)
	if err, ok := v.(error); ok && !isMarshaler {
		return packString, cut(err.Error(), maxTailText)
	}
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return packString, cut("!ERROR:"+err.Error(), maxTailText)
	}
	text = string(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
	if text[0] == '"' {
		var s string
		if err := json.Unmarshal([]byte(text), &s); err == nil {
			return packString, cut(s, maxTailText)
		}
	}
	if len(text) > maxTailText {
		return packString, cut(text, maxTailText) // no JSON any more
	}
	return packJSON, text
}

// rendered is a value that was made JSON when it was logged.
type rendered string

func (r rendered) MarshalJSON() ([]byte, error) { return []byte(r), nil }
func (r rendered) String() string               { return string(r) }

// A tailRecord is a packed record unpacked.
type tailRecord struct {
	record slog.Record
	span   byte
	other  trace.SpanContext // for spanOther
	own    idSet             // ids that its own attributes give
}

// record appends r as logged by h.
func (p packer) record(b []byte, h *logHandler, r *slog.Record, span byte, sc trace.SpanContext) []byte {
	b = append(b, span, 0, 0)
	b = binary.AppendVarint(b, int64(r.Level))
	b = appendTime(b, r.Time)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.PC))
	if span == spanOther {
		traceID, spanID := sc.TraceID(), sc.SpanID()
		b = append(b, traceID[:]...)
		b = append(b, spanID[:]...)
		b = append(b, byte(sc.TraceFlags()))
	}
	b = appendText(b, cut(r.Message, maxTailText))
	b = append(b, h.packed...)
	left := h.left
	r.Attrs(func(a slog.Attr) bool {
		before := len(b)
		if n := scalar(b[before:cap(b)], a); n > 0 {
			b = b[:before+n]
		} else {
			b = append(b, p.attr(nil, a, 0)...)
		}
		if len(b) > maxTailRecord {
			b = b[:before]
			left++
		}
		return true
	})
	binary.LittleEndian.PutUint16(b[1:], uint16(min(left, math.MaxUint16)))
	return b
}

// An unpacker reads what a packer has written.
type unpacker struct{ s string }

func (u *unpacker) bytes(n int) string {
	s := u.s[:n]
	u.s = u.s[n:]
	return s
}

func (u *unpacker) byte() byte { return u.bytes(1)[0] }

func (u *unpacker) uint32() uint32 { return binary.LittleEndian.Uint32([]byte(u.bytes(4))) }

func (u *unpacker) uint64() uint64 { return binary.LittleEndian.Uint64([]byte(u.bytes(8))) }

func (u *unpacker) uvarint() uint64 {
	var v uint64
	for shift := 0; ; shift += 7 {
		c := u.byte()
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
}

func (u *unpacker) varint() int64 {
	v := u.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (u *unpacker) text() string { return u.bytes(int(u.uvarint())) }

func (u *unpacker) time() time.Time {
	t := time.Unix(int64(u.uint64()), int64(u.uint32()))
	switch u.byte() {
	case 0:
		return t
	case 1:
		return t.UTC()
	}
	return t.In(time.FixedZone("", int(int32(u.uint32()))))
}

func (u *unpacker) attrs() []slog.Attr {
	var attrs []slog.Attr
	for len(u.s) > 0 {
		kind := u.byte()
		a := slog.Attr{Key: u.text()}
		switch kind {
		case packFalse, packTrue:
			a.Value = slog.BoolValue(kind == packTrue)
		case packDuration:
			a.Value = slog.DurationValue(time.Duration(u.uint64()))
		case packFloat:
			a.Value = slog.Float64Value(math.Float64frombits(u.uint64()))
		case packInt:
			a.Value = slog.Int64Value(int64(u.uint64()))
		case packUint:
			a.Value = slog.Uint64Value(u.uint64())
		case packTime:
			a.Value = slog.TimeValue(u.time())
		case packString:
			a.Value = slog.StringValue(u.text())
		case packBytes:
			a.Value = slog.AnyValue([]byte(u.text()))
		case packJSON:
			a.Value = slog.AnyValue(rendered(u.text()))
		case packGroup:
			inside := unpacker{u.bytes(int(u.uint32()))}
			a.Value = slog.GroupValue(inside.attrs()...)
		case packOpen:
			a.Value = slog.GroupValue(u.attrs()...)
		}
		attrs = append(attrs, a)
	}
	return attrs
}

func unpackRecord(b []byte) tailRecord {
	u := unpacker{string(b)}
	t := tailRecord{span: u.byte()}
	left := binary.LittleEndian.Uint16([]byte(u.bytes(2)))
	level := slog.Level(u.varint())
	at := u.time()
	pc := uintptr(u.uint64())
	if t.span == spanOther {
		var c trace.SpanContextConfig
		copy(c.TraceID[:], u.bytes(16))
		copy(c.SpanID[:], u.bytes(8))
		c.TraceFlags = trace.TraceFlags(u.byte())
		t.other = trace.NewSpanContext(c)
	}
	t.record = slog.NewRecord(at, level, u.text(), pc)
	attrs := u.attrs()
	for i := range attrs {
		t.own |= idOf(attrs[i].Key)
	}
	t.record.AddAttrs(attrs...)
	if left > 0 {
		t.record.AddAttrs(slog.Int(logTailLeft, int(left)))
	}
	return t
}
