package jsonlogic

import (
	"math"
	"strings"
	"unicode/utf16"
)

// variable walks the data: {"var": "a.b.0"}, {"var": ["a", default]}. The empty path
// is the data itself.
func variable(args []*node) operation {
	path, otherwise := arg(args, 0), arg(args, 1)
	if otherwise == undefinedNode {
		otherwise = nullNode
	}
	if path.constant == nil || path.constant.kind == list || len(path.constant.str) >= bytesPerStep {
		return gives(func(s *Scope) value {
			if v, ok := s.find(path.eval(s)); ok {
				return v
			}
			return defined(otherwise.eval(s))
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
				return defined(otherwise.eval(s))
			}
		}
		return toValue(at)
	})
}

// isEmptyPath says that a path is the data itself. The empty list is not one, though
// its text is empty: that is the member called "".
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

// missing lists the keys that the data has not, or null, or the empty text. The keys
// are the arguments, or the first argument if that is a list.
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

// missingSome is {"missing_some": [how many are enough, keys]}: the missing keys, or
// none if there are enough others.
func missingSome(args []*node) operation {
	need, options := arg(args, 0), arg(args, 1)
	return gives(func(s *Scope) value {
		enough := s.number(need.eval(s))
		keys := options.eval(s)
		count := math.NaN()
		switch keys.kind {
		case list:
			count = float64(keys.length())
		case text: // is one key, but the reference counts its characters
			count = float64(len(utf16.Encode([]rune(s.read(keys.str)))))
			fallthrough
		default:
			keys = listOf([]any{keys.result()})
		}
		lacking := s.missing(keys)
		if count-float64(lacking.length()) >= enough {
			return emptyList
		}
		return lacking
	})
}

func (s *Scope) missing(keys value) value {
	if keys.length() > 0 {
		if first := keys.element(0); first.kind == list {
			keys = first
		}
	}
	var lacking []any
	for i := range keys.length() {
		if !s.spend(1) {
			break
		}
		key := keys.element(i)
		if v := s.optional(key); v.kind == nothing || v.kind == text && v.str == "" {
			lacking = append(lacking, key.result())
		}
	}
	return listOf(lacking)
}

// optional is {"var": key}: a key that is a list is a path and a default.
func (s *Scope) optional(key value) value {
	var otherwise value
	if l := key; l.kind == list {
		if key = (value{}); l.length() > 0 {
			key = l.element(0)
		}
		if l.length() > 1 {
			otherwise = l.element(1)
		}
	}
	if v, ok := s.find(key); ok {
		return v
	}
	return otherwise
}
