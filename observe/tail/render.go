package tail

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"unicode/utf8"
)

// What a record may hold.
const (
	maxRecord = 4 << 10 // bytes, as they are counted
	maxText   = 1 << 10 // bytes of a message or of an attribute's text
	maxKey    = 256     // bytes of a key or of a group's name
	maxLogger = 2 << 10 // bytes of what a logger adds by With
	maxGroups = 512     // bytes of a logger's groups after those
	maxDepth  = 8       // groups inside groups

	recordSize = 40 // what a record counts beside its texts and attributes
	attrSize   = 16 // what an attribute counts beside its texts
)

// A renderer makes values that can be kept.
type renderer struct {
	text bool // the wrapped handler is a slog.TextHandler
}

// simple returns a as it is kept if that takes no rendering, and what it counts.
func simple(a slog.Attr) (kept slog.Attr, size int, ok bool) {
	switch a.Value.Kind() {
	case slog.KindString:
		if text := a.Value.String(); len(text) > maxText {
			a.Value = slog.StringValue(cut(text, maxText))
		}
		size = len(a.Value.String())
	case slog.KindInt64, slog.KindUint64, slog.KindFloat64, slog.KindBool, slog.KindDuration, slog.KindTime:
		size = 8
	default:
		return a, 0, false
	}
	if len(a.Key) > maxKey {
		a.Key = cut(a.Key, maxKey)
	}
	return a, size + attrSize + len(a.Key), true
}

// attr appends a as it is kept, which is nothing for an empty attribute or group, and
// returns what that counts.
func (p renderer) attr(to []slog.Attr, a slog.Attr, depth int) ([]slog.Attr, int) {
	a.Value = a.Value.Resolve()
	switch {
	case a.Value.Kind() == slog.KindGroup:
		return p.group(to, a, depth)
	case a.Value.Kind() == slog.KindAny && a.Value.Any() == nil:
		if a.Key == "" {
			return to, 0
		}
		a.Key = strings.Clone(cut(a.Key, maxKey))
		return append(to, a), attrSize + len(a.Key)
	case a.Value.Kind() == slog.KindAny:
		kept, size := p.render(a.Value.Any())
		a = slog.Attr{Key: strings.Clone(cut(a.Key, maxKey)), Value: kept}
		return append(to, a), size + attrSize + len(a.Key)
	}
	a, size, _ := simple(a)
	if a.Value.Kind() == slog.KindString {
		a = slog.String(strings.Clone(a.Key), strings.Clone(a.Value.String()))
	}
	return append(to, a), size
}

func (p renderer) group(to []slog.Attr, a slog.Attr, depth int) ([]slog.Attr, int) {
	attrs := a.Value.Group()
	if len(attrs) == 0 {
		return to, 0
	}
	key := strings.Clone(cut(a.Key, maxKey))
	size := attrSize + len(key)
	if depth >= maxDepth {
		return append(to, slog.String(key, "!TOO DEEP")), size + 9
	}
	var inside []slog.Attr
	for _, member := range attrs {
		var n int
		inside, n = p.attr(inside, member, depth+1)
		if size += n; size > maxRecord {
			break // it is going to be left out
		}
	}
	if key == "" { // its attributes belong to what the group is in
		return append(to, inside...), size
	}
	return append(to, slog.Attr{Key: key, Value: slog.GroupValue(inside...)}), size
}

// render shows v by the rules of slog's own handlers.
func (p renderer) render(v any) (kept slog.Value, size int) {
	text := func(s string) (slog.Value, int) {
		s = cut(s, maxText)
		return slog.StringValue(s), len(s)
	}
	defer func() {
		if value := recover(); value != nil {
			kept, size = text(fmt.Sprint("!PANIC: ", value))
		}
	}()
	if p.text {
		if m, ok := v.(encoding.TextMarshaler); ok {
			b, err := m.MarshalText()
			if err != nil {
				return text("!ERROR:" + err.Error())
			}
			return text(string(b))
		}
		if t := reflect.TypeOf(v); t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			b := bytes.Clone(reflect.ValueOf(v).Bytes())
			b = b[:min(len(b), maxText)]
			return slog.AnyValue(b), len(b)
		}
		return text(fmt.Sprintf("%+v", v))
	}
	_, isMarshaler := v.(json.Marshaler)
	if err, ok := v.(error); ok && !isMarshaler {
		return text(err.Error())
	}
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return text("!ERROR:" + err.Error())
	}
	shown := strings.TrimSuffix(buf.String(), "\n")
	var s string
	switch {
	case shown[0] == '"' && json.Unmarshal([]byte(shown), &s) == nil:
		return text(s)
	case len(shown) > maxText:
		return text(shown) // it is not JSON any more
	}
	return slog.AnyValue(rendered(shown)), len(shown)
}

// rendered is a value that became JSON when it was logged.
type rendered string

func (r rendered) MarshalJSON() ([]byte, error) { return []byte(r), nil }
func (r rendered) String() string               { return string(r) }

// cut cuts s to at most limit bytes, between characters. Invalid bytes stay, for the
// wrapped handler to show as it does.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for i := limit; i > limit-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:limit]
}
