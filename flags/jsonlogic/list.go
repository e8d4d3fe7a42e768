package jsonlogic

import (
	"slices"
	"strings"
	"sync"
)

// A loop is an operator that evaluates its second argument for each element of its first.
type loop struct {
	over, body *node
}

// each visits the elements of a list, with the element as data, until visit returns false. Any other
// value has zero elements. each returns the number of elements.
func (l loop) each(s *Scope, items value, visit func(item any) bool) int {
	if items.kind != list {
		return 0
	}
	outer, fields := s.data, s.fields
	n := items.length()
	for i := range n {
		if !s.spend(1 + l.body.size) {
			break
		}
		item := items.item(i)
		s.enter(item)
		if !visit(item) {
			break
		}
	}
	s.data, s.fields = outer, fields
	return n
}

func mapped(args []*node) operation {
	l := loop{arg(args, 0), arg(args, 1)}
	return gives(func(s *Scope) value {
		var results []any
		l.each(s, l.over.eval(s), func(any) bool {
			results = append(results, l.body.eval(s).result())
			return true
		})
		return listOf(results)
	})
}

func filter(args []*node) operation {
	l := loop{arg(args, 0), arg(args, 1)}
	return gives(func(s *Scope) value {
		var kept []any
		l.each(s, l.over.eval(s), func(item any) bool {
			if l.body.test(s) {
				kept = append(kept, toValue(item).result())
			}
			return true
		})
		return listOf(kept)
	})
}

func reduce(args []*node) operation {
	l := loop{arg(args, 0), arg(args, 1)}
	initial := arg(args, 2)
	return gives(func(s *Scope) value {
		items, acc := l.over.eval(s), defined(initial.eval(s))
		r := &reduction{}
		l.each(s, items, func(item any) bool {
			r.current, r.accumulator = item, acc.result()
			s.enter(r)
			acc = l.body.eval(s)
			return true
		})
		return acc
	})
}

// quantifier looks for an element for which the body has this truth. result makes the result from
// whether there is one, and from the number of elements.
func quantifier(truth bool, result func(found bool, n int) bool) func(args []*node) operation {
	return func(args []*node) operation {
		l := loop{arg(args, 0), arg(args, 1)}
		return decides(func(s *Scope) bool {
			found := false
			n := l.each(s, l.over.eval(s), func(any) bool {
				found = l.body.test(s) == truth
				return !found
			})
			return result(found, n)
		})
	}
}

// merge joins lists; any other value counts as a list of one element.
func merge(args []*node) operation {
	return gives(func(s *Scope) value {
		var merged []any
		for _, a := range args {
			v := a.eval(s)
			if v.kind != list {
				merged = append(merged, v.result())
				continue
			}
			if !s.spend(v.length()) {
				break
			}
			for i := range v.length() {
				merged = append(merged, v.element(i).result())
			}
		}
		return listOf(merged)
	})
}

// in looks for a string in a string or, by strict equality, for an element in a list.
func in(args []*node) operation {
	needle, haystack := arg(args, 0), arg(args, 1)
	if haystack.members != nil {
		return inMembers(needle, haystack)
	}
	if name := needle.field; name != "" && haystack.constant != nil {
		if few, ok := texts(haystack.constant); ok {
			// The usual rule: {"in": [{"var": "country"}, ["ES", "PT", …]]}.
			return decides(func(s *Scope) bool {
				str, ok := s.Text(name)
				return ok && slices.Contains(few, str)
			})
		}
	}
	return decides(func(s *Scope) bool {
		n := needle.eval(s)
		return s.contains(haystack.eval(s), n, haystack.list, func(value) {})
	})
}

// contains looks for a needle in a string or a list, and visits the elements that it compares. paid
// means that the list is in the rule, so its elements cost no steps.
func (s *Scope) contains(haystack, needle value, paid bool, visit func(element value)) bool {
	switch haystack.kind {
	case text:
		return haystack.str != "" && strings.Contains(s.read(haystack.str), s.text(needle)) // "" contains null, not even ""
	case list:
		for i := range haystack.length() {
			if !paid && !s.spend(1) {
				break
			}
			element := haystack.element(i)
			if visit(element); strictEqual(s, needle, element) {
				return true
			}
		}
	}
	return false
}

// texts returns the elements of a list. It returns false if some are not strings.
func texts(v *value) ([]string, bool) {
	if v.kind != list {
		return nil, false
	}
	all := make([]string, v.length())
	for i := range all {
		e := v.element(i)
		if e.kind != text {
			return nil, false
		}
		all[i] = e.str
	}
	return all, true
}

// fewMembers is the largest number of elements for which a linear search beats a look-up.
const fewMembers = 8

// members are the elements of a constant list, for the operator in. All rules that share the list
// share them.
type members struct {
	list []any
	once sync.Once

	texts   map[string]struct{}
	longest int // longest text in bytes
	numbers map[float64]struct{}
	others  []value // compared one by one
}

func (m *members) make() {
	for _, item := range m.list {
		switch e := toValue(item); e.kind {
		case text:
			if m.texts == nil {
				m.texts = make(map[string]struct{}, len(m.list))
			}
			m.texts[e.str] = struct{}{}
			m.longest = max(m.longest, len(e.str))
		case number:
			if m.numbers == nil {
				m.numbers = make(map[float64]struct{}, len(m.list))
			}
			m.numbers[e.num] = struct{}{} // a NaN is never found, because it is not equal to itself
		default:
			m.others = append(m.others, e)
		}
	}
}

func (m *members) hasText(s *Scope, str string) bool {
	if len(str) > m.longest {
		return false
	}
	_, ok := m.texts[s.read(str)]
	return ok && s.err == nil
}

func (m *members) has(s *Scope, v value) bool {
	switch v.kind {
	case text:
		return m.hasText(s, v.str)
	case number:
		_, ok := m.numbers[v.num]
		return ok
	}
	for _, other := range m.others {
		if !s.spend(1) {
			return false
		}
		if strictEqual(s, v, other) {
			return true
		}
	}
	return false
}

// inMembers is in for a constant list of more than fewMembers elements.
func inMembers(needle, haystack *node) operation {
	m := haystack.members
	m.once.Do(m.make)
	if name := needle.field; name != "" && haystack.constant != nil {
		return decides(func(s *Scope) bool {
			if str, ok := s.field(name).(string); ok {
				return m.hasText(s, str)
			}
			return m.has(s, toValue(s.field(name)))
		})
	}
	return decides(func(s *Scope) bool {
		v := needle.eval(s)
		if haystack.constant == nil { // for the trace
			haystack.eval(s)
		}
		return m.has(s, v)
	})
}
