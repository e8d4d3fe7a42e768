package flags

import (
	"math"
	"slices"
	"strconv"

	"github.com/upkeep-go/upkeep/internal/document"
)

// An outcome is what a rule can give.
type outcome struct {
	names    []namedResult
	falls    bool // it can give null
	complete bool // it gives nothing else
}

type namedResult struct {
	text  string
	at    *document.Node
	never bool // the rule goes on instead of giving it
}

func (o *outcome) add(other outcome) {
	for _, name := range other.names {
		if !slices.Contains(o.names, name) {
			o.names = append(o.names, name)
		}
	}
	o.falls = o.falls || other.falls
	o.complete = o.complete && other.complete
}

// A meaning is what is known about an evaluator.
type meaning struct {
	rule    *document.Node
	outcome outcome
	kinds   kinds
	fixed   bool // it is the same for everybody

	hasOutcome, hasKinds, hasFixed bool
}

// results follows a rule to what it can give.
func (l *linter) results(n *document.Node, depth int) outcome {
	switch {
	case depth > document.MaxDepth:
		return outcome{}
	case n.Kind == document.Null:
		return outcome{falls: true, complete: true}
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
			m.hasOutcome = true // also for the evaluator itself
			m.outcome = l.results(m.rule, depth+1)
		}
		if m == nil {
			return outcome{falls: true}
		}
		return m.outcome
	}
	operator, args := operation(n)
	if k := operators[operator]; k.gives&^(nullKind|boolKind) == 0 && k.gives != 0 {
		return outcome{names: []namedResult{{text: "true", at: n}, {text: "false", at: n}}, falls: k.gives&nullKind != 0, complete: true}
	}
	switch operator {
	case "if", "?:":
		return l.branches(args, depth)
	case "fractional":
		return l.split(args, depth)
	case "and", "or":
		return l.until(operator == "or", args, depth)
	}
	return outcome{falls: true}
}

// branches follows if: condition, result, …, otherwise.
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
		all.falls = true
	}
	return all
}

// until follows or, which gives its first argument that is true, and else the last; and is the
// other way round.
func (l *linter) until(truth bool, args []*document.Node, depth int) outcome {
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
			one.falls = one.falls && !truth
		}
		all.add(one)
	}
	return all
}

// split follows fractional. Without a targeting key it gives null.
func (l *linter) split(args []*document.Node, depth int) outcome {
	all := outcome{falls: true, complete: true}
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

// constantTruth says whether a condition is the same for all data. A condition that
// compares constants is not looked into.
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

// losesDigits says whether a number of JSON has more digits than a float64 keeps.
func losesDigits(text string) bool {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || len(text) <= 15 && f != 0 {
		return false // a float64 keeps fifteen digits
	}
	digits, exponent := significant(text)
	kept, same := significant(strconv.FormatFloat(f, 'e', -1, 64))
	return !math.IsInf(f, 0) && (digits != kept || digits != "" && exponent != same)
}

// significant are the digits of a number from the first to the last that is not 0, and the power
// of ten of the first one.
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
