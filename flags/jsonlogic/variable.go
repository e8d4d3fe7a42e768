package jsonlogic

import (
	"math"
	"strings"
	"unicode/utf16"
)

// variable reads the data: {"var": "a.b.0"}, {"var": ["a", default]}. The empty path is the data
// itself.
func variable(args []*node) operation {
	path, fallback := arg(args, 0), arg(args, 1)
	if fallback == undefinedNode {
		fallback = nullNode
	}
	if path.constant == nil || path.constant.kind == list || len(path.constant.str) >= bytesPerStep {
		return gives(func(s *Scope) value {
			if v, ok := s.find(path.eval(s)); ok {
				return v
			}
			return defined(fallback.eval(s))
		})
	}
	if path.constant.isEmptyPath() {
		return gives(func(s *Scope) value { return toValue(s.data) })
	}
	if name := fieldOf(args); name != "" {
		return gives(func(s *Scope) value { return toValue(s.field(name)) })
	}
	names := strings.Split(path.constant.text(), ".")
	return gives(func(s *Scope) value {
		at, ok := s.data, true
		for _, name := range names {
			if at, ok = member(at, name); !ok {
				return defined(fallback.eval(s))
			}
		}
		return toValue(at)
	})
}

// isEmptyPath reports whether a path means the data itself. The empty list does not, although its
// text is empty: it means the field called "".
func (v value) isEmptyPath() bool { return v.isNone() || v.kind == text && v.str == "" }

func (s *Scope) find(path value) (value, bool) {
	if path.isEmptyPath() {
		return toValue(s.data), true
	}
	rest := s.read(s.text(path))
	at, more := s.data, true
	for more {
		var name string
		name, rest, more = strings.Cut(rest, ".")
		var ok bool
		if at, ok = member(at, name); !ok {
			return value{}, false
		}
	}
	return toValue(at), true
}

// missing returns the keys that are absent in the data, null or "". The keys are the arguments, or
// the first argument if that is a list.
func missing(args []*node) operation {
	if keys, ok := constants(args); ok {
		return gives(func(s *Scope) value { return s.missing(keys) })
	}
	return gives(func(s *Scope) value {
		keys := make([]any, len(args))
		for i, a := range args {
			keys[i] = a.eval(s).result()
		}
		return s.missing(listOf(keys))
	})
}

func constants(args []*node) (value, bool) {
	values := make([]any, len(args))
	for i, a := range args {
		if a.constant == nil {
			return value{}, false
		}
		values[i] = a.constant.result()
	}
	return listOf(values), true
}

// missingSome is {"missing_some": [minimum, keys]}: the missing keys, or an empty list if at least
// minimum keys are present.
func missingSome(args []*node) operation {
	need, options := arg(args, 0), arg(args, 1)
	return gives(func(s *Scope) value {
		enough := s.number(need.eval(s))
		keys := options.eval(s)
		count := math.NaN()
		switch keys.kind {
		case list:
			count = float64(keys.length())
		case text: // one key, but the reference counts its characters
			count = float64(len(utf16.Encode([]rune(s.read(keys.str)))))
			fallthrough
		default:
			keys = listOf([]any{keys.result()})
		}
		absent := s.missing(keys)
		if count-float64(absent.length()) >= enough {
			return emptyList
		}
		return absent
	})
}

func (s *Scope) missing(keys value) value {
	if keys.length() > 0 {
		if first := keys.element(0); first.kind == list {
			keys = first
		}
	}
	var absent []any
	for i := range keys.length() {
		if !s.spend(1) {
			break
		}
		key := keys.element(i)
		if v := s.optional(key); v.kind == null || v.kind == text && v.str == "" {
			absent = append(absent, key.result())
		}
	}
	return listOf(absent)
}

// optional is {"var": key}. A key that is a list is a path and a default.
func (s *Scope) optional(key value) value {
	var fallback value
	if l := key; l.kind == list {
		if key = (value{}); l.length() > 0 {
			key = l.element(0)
		}
		if l.length() > 1 {
			fallback = l.element(1)
		}
	}
	if v, ok := s.find(key); ok {
		return v
	}
	return fallback
}
