package jsonlogic

import (
	"slices"
	"strings"
)

// A loop is an operator that evaluates its second argument for each element of its
// first.
type loop struct {
	over, body *node
}

// each calls visit with each element of a list, the element being the data, until
// visit is false. What is no list has no elements. It returns their number.
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
		items, so := l.over.eval(s), defined(initial.eval(s))
		r := &reduction{}
		l.each(s, items, func(item any) bool {
			r.current, r.accumulator = item, so.result()
			s.enter(r)
			so = l.body.eval(s)
			return true
		})
		return so
	})
}

// quantifier looks for an element for which the body has a truth; result makes the answer of
// whether there is one, and of how many elements there are.
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

// merge joins lists, and what is no list as if it were one.
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

// in finds a text in a text or, by strict equality, an element in a list.
func in(args []*node) operation {
	needle, haystack := arg(args, 0), arg(args, 1)
	if haystack.constant != nil {
		if has := textSet(haystack.constant); has != nil {
			// The usual rule: {"in": [{"var": "country"}, ["ES", "PT", …]]}.
			if name := needle.field; name != "" {
				return decides(func(s *Scope) bool {
					str, ok := s.Text(name)
					return ok && has(str)
				})
			}
			return decides(func(s *Scope) bool {
				v := needle.eval(s)
				return v.kind == text && has(v.str)
			})
		}
	}
	return decides(func(s *Scope) bool {
		n := needle.eval(s)
		return s.contains(haystack.eval(s), n, haystack.list, func(value) {})
	})
}

// contains looks for a needle in a text or a list, and calls visit with the elements that it
// compares. A list in the rule is paid for by its place there.
func (s *Scope) contains(haystack, needle value, paid bool, visit func(element value)) bool {
	switch haystack.kind {
	case text:
		return haystack.str != "" && strings.Contains(s.read(haystack.str), s.text(needle)) // nothing is in "", not even ""
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

// textSet tells the members of a list of texts, nil for any other value.
func textSet(v *value) func(string) bool {
	if v.kind != list {
		return nil
	}
	members := make([]string, v.length())
	for i := range members {
		e := v.element(i)
		if e.kind != text {
			return nil
		}
		members[i] = e.str
	}
	const few = 8 // that are sooner compared than hashed
	if len(members) <= few {
		return func(s string) bool { return slices.Contains(members, s) }
	}
	set := make(map[string]struct{}, len(members))
	for _, m := range members {
		set[m] = struct{}{}
	}
	return func(s string) bool {
		_, ok := set[s]
		return ok
	}
}
