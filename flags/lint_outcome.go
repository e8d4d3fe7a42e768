package flags

import (
	"math"
	"slices"
	"strconv"

	"github.com/upkeep-go/upkeep/internal/document"
)

// An outcome is the set of possible results of a rule.
type outcome struct {
	names     []namedResult
	canBeNull bool // null is possible
	complete  bool // names and canBeNull are all that is possible
}

type namedResult struct {
	text  string
	at    *document.Node
	never bool // the result is not possible, because and or or continues with the next argument
}

func (o *outcome) add(other outcome) {
	for _, name := range other.names {
		if !slices.Contains(o.names, name) {
			o.names = append(o.names, name)
		}
	}
	o.canBeNull = o.canBeNull || other.canBeNull
	o.complete = o.complete && other.complete
}

// An evaluatorInfo caches what the linter found out about an evaluator.
type evaluatorInfo struct {
	rule    *document.Node
	outcome outcome
	kinds   kinds
	fixed   bool // the same for everybody

	hasOutcome, hasKinds, hasFixed bool
}

// results returns the possible results of a rule.
func (l *linter) results(n *document.Node, depth int) outcome {
	switch {
	case depth > document.MaxDepth:
		return outcome{}
	case n.Kind == document.Null:
		return outcome{canBeNull: true, complete: true}
	case n.Kind == document.Number:
		return outcome{names: []namedResult{{text: numberText(numberOf(n)), at: n}}, complete: true}
	case n.Kind == document.String || n.Kind == document.Bool:
		return outcome{names: []namedResult{{text: n.Text, at: n}}, complete: true}
	case n.Kind == document.List || len(n.Keys) != 1:
		l.at(n, SeverityError, "targeting", "gives %v, which names no variant", n.Kind)
		return outcome{complete: true}
	}
	if name, ok := reference(n); ok {
		m := l.evaluators[name]
		if m != nil && !m.hasOutcome {
			m.hasOutcome = true // set first: the evaluator may refer to itself
			m.outcome = l.results(m.rule, depth+1)
		}
		if m == nil {
			return outcome{canBeNull: true}
		}
		return m.outcome
	}
	operator, args := operation(n)
	if k := operators[operator]; k.gives&^(nullKind|boolKind) == 0 && k.gives != 0 {
		return outcome{names: []namedResult{{text: "true", at: n}, {text: "false", at: n}}, canBeNull: k.gives&nullKind != 0, complete: true}
	}
	switch operator {
	case "if", "?:":
		return l.branches(args, depth)
	case "fractional":
		return l.split(args, depth)
	case "and", "or":
		return l.andOr(operator == "or", args, depth)
	}
	return outcome{canBeNull: true}
}

// branches follows if: condition, result, …, else.
func (l *linter) branches(args []*document.Node, depth int) outcome {
	all := outcome{complete: true}
	i := 0
	for ; i+1 < len(args); i += 2 {
		truth, constant := constantTruth(args[i])
		if !constant || truth {
			all.add(l.results(args[i+1], depth+1))
		}
		if constant && truth {
			return all
		}
	}
	if i < len(args) {
		all.add(l.results(args[i], depth+1))
	} else {
		all.canBeNull = true
	}
	return all
}

// andOr follows or, which gives its first true argument or else the last, and and, which gives
// its first false argument or else the last.
func (l *linter) andOr(truth bool, args []*document.Node, depth int) outcome {
	all := outcome{complete: true}
	for i, arg := range args {
		one := l.results(arg, depth+1)
		if i < len(args)-1 {
			one.names = slices.Clone(one.names)
			for i, name := range one.names {
				is, constant := constantTruth(name.at)
				if name.at.Kind == document.Map { // an operator that answers true or false
					is, constant = name.text == "true", true
				}
				one.names[i].never = name.never || constant && is != truth
			}
			one.canBeNull = one.canBeNull && !truth
		}
		all.add(one)
	}
	return all
}

// split follows fractional. Without a targeting key it gives null.
func (l *linter) split(args []*document.Node, depth int) outcome {
	all := outcome{canBeNull: true, complete: true}
	if len(args) > 0 && args[0].Kind != document.List {
		args = args[1:]
	}
	for _, entry := range args {
		switch {
		case entry.Kind == document.List && len(entry.Items) > 0:
			all.add(l.results(entry.Items[0], depth+1))
		case entry.Kind == document.Map && len(entry.Keys) == 1:
			all.complete = false // computed
		}
	}
	return all
}

// constantTruth reports whether a condition is the same for all data. It does not evaluate
// comparisons of constants.
func constantTruth(n *document.Node) (truth, constant bool) {
	switch n.Kind {
	case document.Null:
		return false, true
	case document.Bool:
		return n.Text == "true", true
	case document.Number:
		return numberOf(n) != 0, true
	case document.String:
		return n.Text != "", true
	case document.List:
		return len(n.Items) > 0, len(n.Items) == 0
	case document.Map:
		return false, len(n.Keys) == 0
	}
	return false, false
}

func numberOf(n *document.Node) float64 {
	f, _ := strconv.ParseFloat(n.Text, 64)
	return f
}

// losesDigits reports whether a JSON number has more digits than a float64 keeps.
func losesDigits(text string) bool {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || len(text) <= 15 && f != 0 {
		return false // a float64 keeps fifteen digits
	}
	digits, exponent := significant(text)
	kept, same := significant(strconv.FormatFloat(f, 'e', -1, 64))
	return !math.IsInf(f, 0) && (digits != kept || digits != "" && exponent != same)
}

// significant returns the digits of a number from the first to the last that is not 0, and the
// power of ten of the first one.
func significant(text string) (digits string, exponent int) {
	var all []byte
	point, seen := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			all = append(all, c)
			if !seen {
				point++
			}
		case c == '.':
			seen = true
		case c == 'e' || c == 'E':
			exponent, _ = strconv.Atoi(text[i+1:])
			i = len(text)
		}
	}
	first := 0
	for first < len(all) && all[first] == '0' {
		first++
	}
	last := len(all)
	for last > first && all[last-1] == '0' {
		last--
	}
	return string(all[first:last]), exponent + point - first
}
