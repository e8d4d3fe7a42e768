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

// attr returns a as it is kept, and what that counts: 0 for an empty attribute or group,
// which is not kept.
func (h *Handler) attr(a slog.Attr, depth int) (slog.Attr, int) {
	a.Key = cut(a.Key, maxKey)
	if a.Value.Kind() == slog.KindLogValuer {
		a.Value = a.Value.Resolve()
	}
	size := 8
	switch a.Value.Kind() {
	case slog.KindString:
		text := cut(a.Value.String(), maxText)
		a.Value, size = slog.StringValue(text), len(text)
	case slog.KindAny:
		if a.Value.Any() != nil {
			a.Value, size = h.render(a.Value.Any())
		} else if size = 0; a.Key == "" {
			return a, 0
		}
	case slog.KindGroup:
		members := a.Value.Group()
		if len(members) == 0 {
			return a, 0
		}
		if depth >= maxDepth {
			members = nil
		}
		var kept []slog.Attr
		size = 0
		for _, member := range members {
			inside, n := h.attr(member, depth+1)
			if n > 0 {
				kept = append(kept, inside)
			}
			if size += n; size > maxRecord {
				break // it is going to be left out
			}
		}
		a.Value = slog.GroupValue(kept...)
		if members == nil {
			a.Value, size = slog.StringValue("!TOO DEEP"), len("!TOO DEEP")
		}
	}
	return a, size + attrSize + len(a.Key)
}

// render shows v by the rules of slog's own handlers.
func (h *Handler) render(v any) (kept slog.Value, size int) {
	text := func(s string) (slog.Value, int) {
		s = cut(s, maxText)
		return slog.StringValue(s), len(s)
	}
	defer func() {
		if value := recover(); value != nil {
			kept, size = text(fmt.Sprint("!PANIC: ", value))
		}
	}()
	if h.text {
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
