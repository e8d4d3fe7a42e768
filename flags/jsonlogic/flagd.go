package jsonlogic

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// flagdOperators are the standard operators that differ in the dialect [DialectFlagd]. Nil means that
// the operator does not exist there.
var flagdOperators = map[string]func(o operands) operation{
	"var":          flagdVariable,
	"missing":      flagdMissing,
	"missing_some": flagdMissingSome,

	"if":  flagdLazy(flagdBranch),
	"?:":  flagdLazy(flagdBranch),
	"!":   flagdNot(not),
	"!!":  flagdNot(notNot),
	"and": flagdLazy(andOr(false)),
	"or":  flagdLazy(andOr(true)),

	"==":  flagdCompare(flagdEqual(true), func(a, b float64) bool { return a == b }),
	"!=":  flagdCompare(flagdEqual(false), func(a, b float64) bool { return a != b }),
	"===": flagdIdentity(strictEqual),
	"!==": flagdIdentity(comparison(strictEqual).negated()),
	"<":   flagdCompare(ordered(false), func(a, b float64) bool { return a < b }),
	"<=":  flagdCompare(ordered(true), func(a, b float64) bool { return a <= b }),
	">":   flagdCompare(ordered(false).swapped(), func(a, b float64) bool { return a > b }),
	">=":  flagdCompare(ordered(true).swapped(), func(a, b float64) bool { return a >= b }),

	"+":   flagdAdd,
	"-":   flagdSubtract,
	"*":   flagdMultiply,
	"/":   flagdDivide,
	"%":   flagdRemainder,
	"min": flagdExtreme(func(a, b float64) float64 { return min(a, b) }, math.Inf(1)),
	"max": flagdExtreme(func(a, b float64) float64 { return max(a, b) }, math.Inf(-1)),

	"map":    flagdLoop(mapped, false),
	"filter": flagdLoop(filter, false),
	"reduce": flagdReduce,
	"all":    flagdLoop(operators["all"], true),
	"some":   flagdLoop(operators["some"], true),
	"none":   flagdLoop(operators["none"], true),
	"merge":  flagdMerge,
	"in":     flagdIn,

	"cat":    flagdCat,
	"substr": flagdSubstr,

	"log": nil,
}

// flagdLazy is for operators whose arguments must be written as a list.
func flagdLazy(of func(args []*node) operation) func(o operands) operation {
	return func(o operands) operation {
		if !o.bare && len(o.args) == 0 {
			return nullNode.operation
		}
		if !o.bare {
			return of(o.args)
		}
		return gives(func(s *Scope) value {
			s.refuse(both, o.name)
			return value{}
		})
	}
}

// flagdBranch notes that the Go core evaluates a result with one field as a rule.
func flagdBranch(args []*node) operation {
	guarded := slices.Clone(args)
	for i, arg := range args {
		if arg.fixed || i%2 == 0 && i < len(args)-1 {
			continue
		}
		n := *arg
		n.operation = gives(func(s *Scope) value {
			v := arg.eval(s)
			if m, ok := v.ref.(map[string]any); ok && len(m) == 1 {
				s.refuse(goCore, "if")
			}
			return v
		})
		n.test, n.plain = arg.test, func(s *Scope) any {
			v := arg.plain(s)
			if m, ok := v.(map[string]any); ok && len(m) == 1 {
				s.refuse(goCore, "if")
			}
			return v
		}
		guarded[i] = &n
	}
	return branch(guarded)
}

// flagdNot is ! or !!, applied to the first argument.
func flagdNot(of func(args []*node) operation) func(o operands) operation {
	return func(o operands) operation {
		made := of(o.args)
		if len(o.args) < 2 {
			return made
		}
		return decides(func(s *Scope) bool {
			s.evalForRefusals(s.eager(), o.args[1:]...)
			return made.test(s)
		})
	}
}

// flagdEqual is == or !=.
func flagdEqual(want bool) comparison {
	return func(s *Scope, a, b value) bool { return looseEqual(s, a, b) == want }
}

// A pair compares two values. The second one is the value of node at.
type pair func(s *Scope, a, b value, at *node) bool

// flagdCompare compares each argument with the next one. numbers is the faster form for numbers.
func flagdCompare(holds comparison, numbers func(a, b float64) bool) func(o operands) operation {
	return func(o operands) operation {
		equality := o.name == "==" || o.name == "!="
		compare := func(s *Scope, a, b value, at *node) bool {
			if a.kind == number && b.kind == number {
				return numbers(a.num, b.num)
			}
			if s.refused&jsCore != 0 {
				return goCompares(o.name, a, b)
			}
			before := a
			if !o.interpreted {
				before = s.before(a, at)
			}
			s.comparable(o.name, before, b)
			if equality && (at.fixed || at.folds) {
				a, b = nullEquals(a, b)
			}
			return holds(s, a, b)
		}
		if len(o.args) != 2 {
			return o.compare(compare)
		}
		a, b := o.args[0], o.args[1]
		if a.field != "" && b.constant != nil && b.constant.kind == number {
			// The usual rule: {">=": [{"var": "age"}, 18]}.
			name, with := a.field, *b.constant
			return decides(func(s *Scope) bool {
				v := s.field(name)
				if f, ok := v.(float64); ok {
					return numbers(f, with.num)
				}
				return compare(s, toValue(v), with, b)
			})
		}
		return decides(func(s *Scope) bool {
			x := a.eval(s)
			return compare(s, x, b.eval(s), b)
		})
	}
}

// goCompares compares as the Go core does. Its result counts once the JavaScript core has refused.
func goCompares(operator string, a, b value) bool {
	equal := a.isNone() && b.isNone() || !a.isNone() && !b.isNone() && goNumber(a, math.NaN()) == goNumber(b, math.NaN())
	less := func(a, b value) bool { return goNumber(a, math.NaN()) < goNumber(b, math.NaN()) }
	if a.kind == text && b.kind == text {
		equal, less = a.str == b.str, func(a, b value) bool { return a.str < b.str }
	}
	switch operator {
	case "==":
		return equal
	case "!=":
		return !equal
	case "<":
		return less(a, b)
	case "<=":
		return less(a, b) || equal
	case ">":
		return less(b, a)
	}
	return less(b, a) || equal
}

// goNumber converts a value to a number as the Go core does, and returns none if that fails.
func goNumber(v value, none float64) float64 {
	switch v.kind {
	case number, truth:
		return v.num
	case null, undefined:
		return 0
	case text:
		if strings.TrimSpace(v.str) == "" {
			return 0
		}
		f, err := strconv.ParseFloat(v.str, 64)
		if err == nil || math.IsInf(f, 0) {
			return f
		}
	}
	return none
}

// nullEquals makes null equal to 0 and false. The caller checks that the second value is constant.
func nullEquals(a, b value) (value, value) {
	zero := func(v value) bool { return (v.kind == number || v.kind == truth) && v.num == 0 }
	if a.isNone() && zero(b) || b.isNone() && zero(a) {
		return value{}, value{}
	}
	return a, b
}

// before returns what the JavaScript core compares as the first of two values: it uses the variable
// that it evaluated last, which may be in the second.
func (s *Scope) before(a value, at *node) value {
	if at.last == nil {
		return a
	}
	return at.last.eval(s)
}

// comparable notes that the JavaScript core refuses to compare a number with a string that is not
// numeric, and anything with a list or an object.
func (s *Scope) comparable(operator string, a, b value) {
	texts := func(v value) bool { return v.kind == text || v.isNone() }
	if texts(a) && texts(b) {
		return
	}
	odd := func(v value) bool { return v.isReference() || math.IsNaN(s.number(v)) }
	if b.isReference() || odd(b) && !a.isNone() || odd(a) {
		s.refuse(jsCore, operator)
	}
}

// flagdIdentity is === or !==.
func flagdIdentity(holds comparison) func(o operands) operation {
	return func(o operands) operation {
		return o.compare(func(s *Scope, a, b value, _ *node) bool { return holds(s, a, b) })
	}
}

// compare compares each argument with the next one.
func (o operands) compare(holds pair) operation {
	few := o.name == "!=" || o.name == "!=="
	if !o.bare && len(o.args) >= 2 {
		return decides(func(s *Scope) bool {
			before := o.args[0].eval(s)
			for i, arg := range o.args[1:] {
				v := arg.eval(s)
				if !holds(s, before, v, arg) {
					s.evalForRefusals(jsCore, o.args[i+2:]...)
					return false
				}
				before = v
			}
			return true
		})
	}
	return decides(func(s *Scope) bool {
		s.refuse(jsCore, o.name)
		if !o.bare {
			o.each(s, func(int, value) {})
			return few
		}
		v := o.args[0].eval(s)
		if v.kind != list {
			s.refuse(goCore, o.name)
			return few
		}
		if v.length() < 2 {
			return few
		}
		return holds(s, v.element(0), v.element(1), undefinedNode)
	})
}

// operand converts an operand of arithmetic to a number.
func (s *Scope) operand(operator string, v value) float64 {
	switch v.kind {
	case number:
		return v.num
	case text:
		if s.refused&jsCore != 0 {
			return goNumber(v, 0)
		}
		f := s.number(v)
		if math.IsNaN(f) {
			s.refuse(jsCore, operator)
		}
		return f
	case list, object:
		s.refuse(both, operator)
		return math.NaN()
	}
	s.refuse(goCore, operator)
	return v.num
}

// numeric makes a result of arithmetic. The JavaScript core refuses NaN.
func (s *Scope) numeric(operator string, f float64) value {
	if math.IsNaN(f) {
		s.refuse(jsCore, operator)
	}
	return value{kind: number, num: f}
}

// fold combines the operands from the left. n is their number; listed means that they are a list.
func (o operands) fold(s *Scope, of func(a, b float64) float64) (result float64, n int, listed bool) {
	n, listed = o.each(s, func(i int, v value) {
		if f := s.operand(o.name, v); i == 0 {
			result = f
		} else {
			result = of(result, f)
		}
	})
	return result, n, listed
}

func flagdAdd(o operands) operation {
	return gives(func(s *Scope) value {
		sum, _, _ := o.fold(s, func(a, b float64) float64 { return a + b })
		return s.numeric(o.name, sum)
	})
}

// flagdSubtract negates a single operand.
func flagdSubtract(o operands) operation {
	return gives(func(s *Scope) value {
		difference, n, listed := o.fold(s, func(a, b float64) float64 { return a - b })
		if !listed {
			s.refuse(goCore, o.name)
		}
		switch n {
		case 0:
			s.refuse(jsCore, o.name)
		case 1:
			difference = -difference
		}
		return s.numeric(o.name, difference)
	})
}

func flagdMultiply(o operands) operation {
	return gives(func(s *Scope) value {
		product, n, listed := o.fold(s, func(a, b float64) float64 { return a * b })
		if !listed {
			s.refuse(o.strict(), o.name)
		}
		if n == 0 {
			product = 1
		}
		return s.numeric(o.name, product)
	})
}

// strict returns the engines that refuse a bare argument that is not a list, for the operators whose
// arguments must be a list unless the only one is a constant.
func (o operands) strict() engines {
	if o.args[0].fixed {
		return goCore
	}
	return both
}

// flagdDivide takes the reciprocal of a single operand.
func flagdDivide(o operands) operation {
	return gives(func(s *Scope) value {
		quotient, n, listed := o.fold(s, func(a, b float64) float64 {
			if b == 0 {
				s.refuse(jsCore, o.name)
			}
			return a / b
		})
		if !listed {
			s.refuse(o.strict(), o.name)
		}
		switch n {
		case 0:
			s.refuse(jsCore, o.name)
		case 1:
			if quotient == 0 {
				s.refuse(jsCore, o.name)
			}
			quotient = 1 / quotient
		}
		return s.numeric(o.name, quotient)
	})
}

func flagdRemainder(o operands) operation {
	return gives(func(s *Scope) value {
		rest, n, _ := o.fold(s, math.Mod)
		if n < 2 {
			s.refuse(both, o.name)
		}
		return s.numeric(o.name, rest)
	})
}

// flagdExtreme is min or max.
func flagdExtreme(of func(a, b float64) float64, none float64) func(o operands) operation {
	return func(o operands) operation {
		return gives(func(s *Scope) value {
			most := none
			n, listed := o.each(s, func(_ int, v value) {
				switch v.kind {
				case number:
				case text:
					s.refuse(jsCore, o.name)
				default:
					s.refuse(both, o.name)
				}
				most = of(most, s.number(v))
			})
			switch {
			case n == 0:
				s.refuse(jsCore, o.name)
				return value{}
			case !listed:
				s.refuse(goCore, o.name)
			}
			return value{kind: number, num: most}
		})
	}
}

// flagdMerge joins lists; any other value counts as a list of one element.
func flagdMerge(o operands) operation {
	if !o.bare {
		return merge(o.args)
	}
	return o.unwrapped(standard(merge), func(v value) bool { return !v.isNone() && v.kind != object })
}

func flagdIn(o operands) operation {
	if o.bare {
		return o.unwrapped(func(args []*node) (operation, error) {
			return flagdIn(operands{name: o.name, args: args}), nil
		}, func(value) bool { return false })
	}
	needle, haystack := arg(o.args, 0), arg(o.args, 1)
	if len(o.args) < 3 && haystack.constant != nil {
		if _, ok := texts(haystack.constant); ok {
			return in(o.args)
		}
	}
	return decides(func(s *Scope) bool {
		n, h := needle.eval(s), haystack.eval(s)
		if len(o.args) > 2 {
			s.evalForRefusals(s.eager(), o.args[2:]...)
		}
		switch {
		case len(o.args) == 0:
			s.refuse(goCore, o.name)
		case h.kind == text && n.kind != text:
			s.refuse(goCore, o.name)
		case h.kind == object || (h.kind == truth || h.kind == number) && h.truth():
			s.refuse(jsCore, o.name)
		}
		return s.contains(h, n, haystack.list, func(element value) {
			if n.kind == number && !element.isPlain() || n.kind == object && element.kind == object || element.kind == list && !s.inRange(n, element) {
				s.refuse(goCore, o.name)
			}
		})
	})
}

// isPlain reports whether a value is a number or a string.
func (v value) isPlain() bool { return v.kind == number || v.kind == text }

// inRange reports whether the Go core can compare a value with the first two elements of a list,
// which it takes for a range.
func (s *Scope) inRange(n, bounds value) bool {
	return n.isPlain() && bounds.length() > 1 && bounds.element(0).isPlain() && bounds.element(1).isPlain()
}

func flagdCat(o operands) operation {
	return gives(func(s *Scope) value {
		var b []byte
		fits, last := true, null
		_, listed := o.each(s, func(_ int, v value) {
			if v.kind == truth || v.isReference() {
				s.refuse(goCore, o.name)
			}
			last = v.kind
			if fits {
				b, fits = s.join(b, v)
			}
		})
		switch {
		case listed || last == text:
		case last == null:
			s.refuse(o.strict(), o.name)
		default:
			s.refuse(goCore, o.name)
		}
		if !fits {
			return value{}
		}
		return value{kind: text, str: string(b)}
	})
}

func flagdSubstr(o operands) operation {
	if o.bare {
		return o.unwrapped(func(args []*node) (operation, error) {
			return flagdSubstr(operands{name: o.name, args: args}), nil
		}, func(value) bool { return false })
	}
	source, start, length := arg(o.args, 0), arg(o.args, 1), arg(o.args, 2)
	return gives(func(s *Scope) value {
		v, from, n := source.eval(s), start.eval(s), length.eval(s)
		switch v.kind {
		case text:
		case number:
			s.refuse(jsCore, o.name)
		case null, undefined:
			s.refuse(jsCore, o.name)
			v = value{kind: text}
		default:
			s.refuse(both, o.name)
		}
		if len(o.args) > 3 {
			s.evalForRefusals(0, o.args[3:]...)
		}
		if !from.isPlain() || n.kind != undefined && !n.isPlain() || s.cutsBackwards(v, from, n) {
			s.refuse(goCore, o.name)
		}
		return s.substr(v, from, n)
	})
}

// cutsBackwards reports whether a substring would end before its start.
func (s *Scope) cutsBackwards(v, start, length value) bool {
	if length.kind == undefined {
		return false
	}
	n := float64(utf8.RuneCountInString(s.text(v)))
	from, take := truncate(s.number(start)), truncate(s.number(length))
	if from < 0 {
		from += n
	}
	if from < 0 || from > n {
		return false
	}
	return take < 0 && n+take < from
}

// flagdVariable also replaces null by the default if the path is a constant and the default is the
// last argument.
func flagdVariable(o operands) operation {
	path, fallback := arg(o.args, 0), arg(o.args, 1)
	switch {
	case fieldOf(o.args) != "":
		return variable(o.args)
	case len(o.args) == 1 && !path.fixed:
		return gives(func(s *Scope) value {
			v := path.eval(s)
			if v.kind != list {
				return s.variable(o, v, false, undefinedNode)
			}
			if !o.bare {
				s.refuse(goCore, o.name)
			}
			args := [2]value{{kind: undefined}, {kind: undefined}}
			for i := range min(v.length(), len(args)) {
				args[i] = v.element(i)
			}
			return s.variable(operands{name: o.name}, args[0], false, literal(args[1]))
		})
	}
	fixed := path.fixed && len(o.args) <= 2
	return gives(func(s *Scope) value { return s.variable(o, path.eval(s), fixed, fallback) })
}

func (s *Scope) variable(o operands, path value, fixed bool, fallback *node) value {
	if path.kind != text && path.kind != undefined && !(o.bare && path.kind == number) {
		s.refuse(goCore, o.name)
	}
	v, ok := s.find(path)
	if !ok || fixed && v.kind == null {
		if len(o.args) > 2 {
			s.evalForRefusals(0, o.args[2:]...)
		}
		return defined(fallback.eval(s))
	}
	if len(o.args) > 1 {
		by := jsCore
		if !fixed || len(o.args) > 2 {
			by = 0
		}
		s.evalForRefusals(by, o.args[1:]...)
	}
	return v
}

// flagdMissing returns the keys that are absent in the data, or null.
func flagdMissing(o operands) operation {
	if keys, ok := constants(o.args); ok && !o.bare {
		return gives(func(s *Scope) value { return s.flagdMissing(o.name, keys) })
	}
	return gives(func(s *Scope) value {
		if o.bare {
			v := o.args[0].eval(s)
			if v.kind != list {
				if v.kind != text {
					s.refuse(goCore, o.name)
				}
				v = listOf([]any{v.result()})
			}
			return s.flagdMissing(o.name, v)
		}
		keys := make([]any, len(o.args))
		for i, a := range o.args {
			keys[i] = a.eval(s).result()
		}
		return s.flagdMissing(o.name, listOf(keys))
	})
}

func (s *Scope) flagdMissing(operator string, keys value) value {
	if keys.length() > 0 {
		if first := keys.element(0); first.kind == list && first.length() > 1 {
			if first.element(0).kind != text {
				s.refuse(goCore, operator)
			}
			keys = first
		}
	}
	var absent []any
	for i := range keys.length() {
		if !s.spend(1) {
			break
		}
		key := keys.element(i)
		if key.kind == truth || key.kind == object || key.kind == list && key.length() > 0 && key.element(0).kind != text {
			s.refuse(goCore, operator)
		}
		if key.kind == null || s.optional(key).kind == null {
			absent = append(absent, key.result())
		}
	}
	return listOf(absent)
}

func flagdMissingSome(o operands) operation {
	if o.bare {
		return o.unwrapped(func(args []*node) (operation, error) {
			return flagdMissingSome(operands{name: o.name, args: args}), nil
		}, func(value) bool { return false })
	}
	need, options := arg(o.args, 0), arg(o.args, 1)
	return gives(func(s *Scope) value {
		n, keys := need.eval(s), options.eval(s)
		if len(o.args) > 2 && options.list {
			s.evalForRefusals(s.eager(), o.args[2:]...)
		} else if len(o.args) > 2 {
			s.evalForRefusals(0, o.args[2:]...)
		}
		if n.kind != number && n.kind != text {
			s.refuse(goCore, o.name)
		}
		switch {
		case keys.isNone():
			s.refuse(both, o.name)
			return value{}
		case keys.kind != list:
			s.refuse(goCore, o.name)
			keys = listOf([]any{keys.result()})
		}
		absent := s.flagdMissing(o.name, keys)
		if float64(keys.length()-absent.length()) < s.number(n) {
			return absent
		}
		return emptyList
	})
}

// flagdLoop is for operators that evaluate their second argument for each element of the first.
// quantified means all, some and none.
func flagdLoop(of func(args []*node) operation, quantified bool) func(o operands) operation {
	return func(o operands) operation {
		if o.bare {
			return flagdLazy(of)(o)
		}
		if len(o.args) == 0 {
			made := of(nil)
			return gives(func(s *Scope) value {
				if quantified {
					s.refuse(goCore, o.name)
				}
				return made.eval(s)
			})
		}
		args := append([]*node{o.subject(quantified)}, o.args[1:]...)
		return of(args)
	}
}

// subject is the first argument of a loop. It notes what the engines refuse.
func (o operands) subject(quantified bool) *node {
	over, body := o.args[0], arg(o.args, 1)
	n := *over
	n.operation = gives(func(s *Scope) value {
		v := over.eval(s)
		switch {
		case len(o.args) < 2 && !quantified:
			if v.truth() && v.kind != list {
				s.refuse(jsCore, o.name)
			}
		case v.kind == list:
			if quantified || o.name == "reduce" {
				s.applies(o.name, body, v)
			}
		case v.isNone():
		case over.fixed && v.kind != object || quantified && !s.truth(v):
			if v.truth() && !(quantified && over.fixed && body.foldsLooped) {
				s.refuse(jsCore, o.name)
			}
		case v.truth():
			s.refuse(both, o.name)
		default:
			s.refuse(goCore, o.name)
		}
		return v
	})
	return &n
}

// applies notes what the Go core refuses as the body of a loop: it accepts only an operation, and it
// has already replaced variables by their values.
func (s *Scope) applies(operator string, body *node, items value) {
	if items.length() == 0 {
		return
	}
	switch {
	case body.name == "", body.name == "var" && len(body.args) == 2 && body.args[1].fixed && operator != "reduce":
		s.refuse(goCore, operator)
	case body.field == "" || operator == "reduce":
	case operator != "all" && s.field(body.field) != nil:
		s.refuse(goCore, operator)
	case operator != "none":
		if v, ok := member(items.item(0), body.field); ok && v != nil {
			s.refuse(goCore, operator)
		}
	}
}

func flagdReduce(o operands) operation {
	if o.bare || len(o.args) == 0 {
		return flagdLazy(reduce)(o)
	}
	if len(o.args) < 3 {
		l := loop{o.subject(false), arg(o.args, 1)}
		return gives(func(s *Scope) value { // the first element is the initial accumulator
			items := l.over.eval(s)
			if items.kind != list || items.length() == 0 {
				s.refuse(jsCore, o.name)
				return value{kind: number}
			}
			acc, first := value{}, true
			r := &reduction{}
			l.each(s, items, func(item any) bool {
				if first {
					acc, first = toValue(item), false
					return true
				}
				r.current, r.accumulator = item, acc.result()
				s.enter(r)
				acc = l.body.eval(s)
				return true
			})
			return acc
		})
	}
	l := loop{o.subject(false), o.args[1]}
	initial := o.args[2]
	return gives(func(s *Scope) value {
		items, acc := l.over.eval(s), defined(initial.eval(s))
		first := acc.kind
		s.accumulates(o.name, first, acc)
		r := &reduction{}
		l.each(s, items, func(item any) bool {
			r.current, r.accumulator = item, acc.result()
			s.enter(r)
			acc = l.body.eval(s)
			s.accumulates(o.name, first, acc)
			return true
		})
		return acc
	})
}

// accumulates notes that the Go core refuses an accumulator that is not of one plain type, and the
// JavaScript core one that contains a list or an object.
func (s *Scope) accumulates(operator string, first kind, v value) {
	switch {
	case first == null || first == list || first == object,
		first == number && v.kind != number && v.kind != text,
		first == text && v.kind != number && v.kind != text && v.kind != null:
		s.refuse(goCore, operator)
	}
	if v.kind != list {
		return
	}
	for i := range v.length() {
		if !s.spend(1) {
			return
		}
		if v.element(i).isReference() {
			s.refuse(jsCore, operator)
		}
	}
}

// flagdCustom makes a custom operator. A bare argument that evaluates to a list is the list of its
// arguments. The JavaScript core refuses flagd's own operators inside loops.
func flagdCustom(name string, of func(args []*node) (operation, error), bare, looped bool) func(args []*node) (operation, error) {
	return func(args []*node) (operation, error) {
		made, err := of(args)
		if err != nil {
			return made, err
		}
		if bare && !args[0].fixed {
			made = operands{name: name, args: args, bare: bare}.unwrapped(of, func(value) bool { return true })
		}
		if looped {
			inner := made
			made = gives(func(s *Scope) value {
				s.refuse(jsCore, name)
				return inner.eval(s)
			})
		}
		return made, nil
	}
}
