package flags

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

// Lint says what is wrong with a document, and what is hardly meant, in the order of
// the document: flags that do not work; rules that give what is no variant; branches
// that nothing reaches and weights that nothing falls on; variants and evaluators that
// nothing names; fields that mean nothing; variants of different types; flags without
// a default variant; and flags past metadata.expires, as of now. An expired flag is a
// warning, for it must not block a hotfix.
//
// Lint reads what is written. What a rule computes, with cat for instance, it does not
// judge.
func Lint(name string, doc []byte) Faults {
	defs, err := readDefinitions(name, doc)
	if err != nil {
		return faultsIn(name, err)
	}
	l := linter{doc: defs, now: time.Now(), used: map[string]bool{}}
	ps := parser{}
	set, faults := ps.compile(defs, []*definitions{defs}, nil)
	l.faults = slices.Concat(defs.unknown, set.unknown, faults)
	l.document(set)
	slices.SortStableFunc(l.faults, func(a, b *Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return l.faults
}

type linter struct {
	doc    *definitions
	now    time.Time
	flag   string          // that is being read
	used   map[string]bool // evaluators that a rule refers to
	faults Faults
}

func (l *linter) at(n *document.Node, severity Severity, field, format string, args ...any) {
	l.faults = append(l.faults, &Fault{
		File: l.doc.name, Line: n.Line, Column: n.Column, Flag: l.flag, Field: field, Severity: severity, Err: fmt.Errorf(format, args...),
	})
}

func (l *linter) document(set *flagSet) {
	for i, key := range l.doc.flags.Keys {
		l.flag = key.Text
		node := l.doc.flags.Items[i]
		l.numbers("targeting", node.Get("targeting"))
		l.numbers("metadata", node.Get("metadata"))
		if set.flags[key.Text].fault == nil {
			l.definition(key, node, set.flags[key.Text])
		} else if targeting := node.Get("targeting"); targeting != nil {
			l.refer(targeting, 0) // what a broken rule refers to is referred to all the same
		}
	}
	l.flag = ""
	l.numbers("metadata", l.doc.metadata)
	l.numbers("$evaluators", l.doc.evaluators)
	if l.doc.evaluators == nil {
		return
	}
	for i, key := range l.doc.evaluators.Keys {
		from := linter{doc: l.doc, used: map[string]bool{}}
		l.nested(l.doc.evaluators.Items[i], 0)
		from.refer(l.doc.evaluators.Items[i], 0)
		delete(from.used, key.Text) // that it refers to itself is no use
		maps.Copy(l.used, from.used)
	}
	for _, key := range l.doc.evaluators.Keys {
		if !l.used[key.Text] {
			l.at(key, SeverityWarning, "$evaluators", "no rule refers to %q", key.Text)
		}
	}
}

// nested warns of references inside of an evaluator.
func (l *linter) nested(n *document.Node, depth int) {
	if depth > document.MaxDepth {
		return
	}
	if n.Kind == document.Map && len(n.Keys) == 1 && n.Keys[0].Text == "$ref" {
		l.at(n.Keys[0], SeverityWarning, "$evaluators", "flagd does not reliably resolve a $ref inside of an evaluator")
	}
	for _, item := range n.Items {
		l.nested(item, depth+1)
	}
}

// numbers warns of integers that lose digits.
func (l *linter) numbers(field string, n *document.Node) {
	eachNumber(n, func(number *document.Node, err error) {
		if inexact := (*inexactError)(nil); errors.As(err, &inexact) {
			l.at(number, SeverityWarning, field, "%w", err)
		}
	})
}

// refer notes the evaluators that a rule refers to.
func (l *linter) refer(n *document.Node, depth int) {
	if depth > document.MaxDepth {
		return
	}
	if n.Kind == document.Map && len(n.Keys) == 1 && n.Keys[0].Text == "$ref" && n.Items[0].Kind == document.String {
		name := n.Items[0].Text
		if !l.used[name] {
			l.used[name] = true
			if rule := l.doc.evaluators.Get(name); rule != nil {
				l.refer(rule, depth+1)
			}
		}
		return
	}
	for _, item := range n.Items {
		l.refer(item, depth+1)
	}
}

func (l *linter) definition(key, node *document.Node, f *flag) {
	variants := node.Get("variants")
	for _, item := range variants.Items[1:] {
		if item.Kind != variants.Items[0].Kind {
			l.at(item, SeverityWarning, "variants", "are of different types: %v after %v", item.Kind, variants.Items[0].Kind)
			break
		}
	}
	l.expiry(node)
	for _, name := range variants.Keys {
		if strings.ContainsAny(name.Text, "\"<>&\\") {
			l.at(name, SeverityWarning, "variants", "flagd's Go core does not find a variant whose name has a character that JSON escapes, when a rule gives it")
		}
	}
	for i, item := range variants.Items {
		if item.Kind == document.List {
			l.at(variants.Items[i], SeverityWarning, "variants", "flagd's Go core answers TYPE_MISMATCH where a list is asked for as an object")
			break
		}
	}

	targeting := node.Get("targeting")
	gives := outcome{falls: true, complete: true}
	if f.rule != nil {
		l.refer(targeting, 0)
		gives = l.results(targeting, 0)
		for _, name := range gives.names {
			if f.variants[name.text] == nil {
				l.at(name.at, SeverityError, "targeting", "gives %q, which is not a variant", name.text)
			}
		}
	}
	if f.standard == nil && gives.falls && !f.disabled {
		l.at(key, SeverityWarning, "defaultVariant", "missing: the code's default stands in")
	}
	if f.disabled || !gives.complete {
		return
	}
	for i, name := range variants.Keys {
		named := f.standard != nil && f.standard.name == name.Text && gives.falls
		for _, n := range gives.names {
			named = named || n.text == name.Text
		}
		// One that is merely left over, beside the default of a flag without a rule, is how
		// flags are switched by hand.
		if !named && f.rule != nil {
			l.at(variants.Keys[i], SeverityWarning, "variants", "nothing gives %q", name.Text)
		}
	}
}

func (l *linter) expiry(node *document.Node) {
	expires := node.Get("metadata").Get("expires")
	if expires == nil {
		return
	}
	switch at, err := parseExpiry(expires.Text); {
	case err != nil:
		l.at(expires, SeverityWarning, "metadata.expires", "must be a date of RFC 3339, got %s", expires.AppendJSON(nil))
	case !l.now.Before(at):
		l.at(expires, SeverityWarning, "metadata.expires", "has passed: %s", expires.Text)
	}
}

// An outcome is what a rule can give.
type outcome struct {
	names    []namedResult
	falls    bool // it can give null
	complete bool // it gives nothing else
}

type namedResult struct {
	text string
	at   *document.Node
}

func (o *outcome) add(other outcome) {
	o.names = append(o.names, other.names...)
	o.falls = o.falls || other.falls
	o.complete = o.complete && other.complete
}

// answers are the operators whose result is true or false; those of value true can
// give null besides.
var answers = map[string]bool{
	"!": false, "!!": false, "==": false, "!=": false, "===": false, "!==": false, "<": false, "<=": false, ">": false, ">=": false,
	"in": false, "all": false, "some": false, "none": false, "starts_with": true, "ends_with": true, "sem_ver": true,
}

// results follows a rule to what it can give, and notes what can never happen.
func (l *linter) results(n *document.Node, depth int) outcome {
	switch {
	case depth > document.MaxDepth:
		return outcome{}
	case n.Kind == document.Null:
		return outcome{falls: true, complete: true}
	case n.Kind == document.Number:
		f, _ := strconv.ParseFloat(n.Text, 64)
		return outcome{names: []namedResult{{numberText(f), n}}, complete: true}
	case n.Kind == document.String || n.Kind == document.Bool:
		return outcome{names: []namedResult{{n.Text, n}}, complete: true}
	case n.Kind == document.List || len(n.Keys) != 1:
		l.at(n, SeverityError, "targeting", "gives %v, which names no variant", n.Kind)
		return outcome{complete: true}
	}
	operator, args := n.Keys[0].Text, n.Items[0].Items
	if n.Items[0].Kind != document.List {
		args = n.Items[:1]
	}
	if null, is := answers[operator]; is {
		return outcome{names: []namedResult{{"true", n}, {"false", n}}, falls: null, complete: true}
	}
	switch operator {
	case "$ref":
		if rule := l.doc.evaluators.Get(n.Items[0].Text); rule != nil {
			return l.results(rule, depth+1)
		}
	case "if", "?:":
		return l.branches(args, depth)
	case "fractional":
		return l.split(n, args, depth)
	case "and", "or":
		all := outcome{complete: true}
		for _, arg := range args {
			all.add(l.results(arg, depth+1))
		}
		return all
	}
	return outcome{falls: true}
}

// branches follows if: condition, result, …, otherwise.
func (l *linter) branches(args []*document.Node, depth int) outcome {
	all := outcome{complete: true}
	i := 0
	for ; i+1 < len(args); i += 2 {
		truth, constant := constantTruth(args[i])
		switch {
		case constant && truth:
			if i+2 < len(args) {
				l.at(args[i+2], SeverityWarning, "targeting", "is never reached: the condition before is always true")
			}
			all.add(l.results(args[i+1], depth+1))
			return all
		case constant:
			l.at(args[i+1], SeverityWarning, "targeting", "is never reached: its condition is always false")
		default:
			all.add(l.results(args[i+1], depth+1))
		}
	}
	if i < len(args) {
		all.add(l.results(args[i], depth+1))
	} else {
		all.falls = true
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
		f, _ := strconv.ParseFloat(n.Text, 64)
		return f != 0, true
	case document.String:
		return n.Text != "", true
	case document.List:
		return len(n.Items) > 0, len(n.Items) == 0
	case document.Map:
		return len(n.Keys) > 1, len(n.Keys) != 1
	}
	return false, false
}

// split follows fractional. Without a targeting key it gives null.
func (l *linter) split(n *document.Node, args []*document.Node, depth int) outcome {
	all := outcome{falls: true, complete: true}
	if len(args) > 0 && args[0].Kind != document.List {
		args = args[1:]
	}
	sum, known := 0.0, true
	for _, entry := range args {
		if entry.Kind != document.List || len(entry.Items) == 0 {
			known = false
			if entry.Kind == document.Map && len(entry.Keys) == 1 {
				all.complete = false // computed
				continue
			}
			l.at(entry, SeverityError, "targeting", "an entry of fractional is [variant] or [variant, weight]; without, it gives null")
			continue
		}
		all.add(l.results(entry.Items[0], depth+1))
		if len(entry.Items) == 1 || entry.Items[1].Kind == document.Null {
			sum++
			continue
		}
		weight := entry.Items[1]
		f, err := strconv.ParseFloat(weight.Text, 64)
		switch {
		case weight.Kind == document.Map && len(weight.Keys) == 1:
			known = false // computed
		case weight.Kind != document.Number || err != nil || f != math.Trunc(f):
			known = false
			l.at(weight, SeverityError, "targeting", "a weight of fractional is a whole number; with %s it gives null", weight.AppendJSON(nil))
		case f <= 0:
			l.at(weight, SeverityWarning, "targeting", "nobody falls on a weight of %s", weight.Text)
		default:
			sum += f
		}
	}
	switch {
	case known && sum == 0:
		l.at(n, SeverityWarning, "targeting", "fractional without any weight gives null")
	case known && sum > math.MaxInt32:
		l.at(n, SeverityError, "targeting", "the weights of fractional sum to %s, more than 2^31−1: it gives null", strings.TrimSuffix(strconv.FormatFloat(sum, 'f', -1, 64), ".0"))
	}
	return all
}
