package flagd_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/open-feature/flagd/core/pkg/evaluator"
)

// A walk looks in a rule, from the inside out, for the operations on which the two JsonLogic
// implementations disagree. An operation is at fault if they agree on all of its arguments but not on its
// result.
type walk struct {
	faults  []string // names of known faults
	unknown []string
	judged  int // operations

	done    bool
	meaning result // of the whole rule
}

// A culprit is an operation on which the two disagree.
type culprit struct {
	op      string
	args    []any // evaluated, except for the bodies of loops
	list    bool  // the arguments are written as a list
	failing bool  // an argument is an error
	rule    any
	data    any
	theirs  result
	ours    result
}

func (c culprit) String() string {
	return fmt.Sprintf("%s of %s in %s: flagd %s, upkeep %s", encode(c.rule), texts(c.args), encode(finite(c.data)), c.theirs.text(), c.ours.text())
}

func texts(values []any) (list []string) {
	for _, v := range values {
		list = append(list, result{value: v}.text())
	}
	return list
}

// operation splits a rule into its operator and arguments.
func operation(rule any) (op string, args []any, list, ok bool) {
	m, _ := rule.(map[string]any)
	if len(m) != 1 {
		return "", nil, false, false
	}
	for name, value := range m {
		op = name
		if args, list = value.([]any); !list {
			args = []any{value}
		}
	}
	return op, args, list, true
}

var scopedOperators = []string{"map", "filter", "reduce", "all", "none", "some"}

// settle returns the rule with each disagreement replaced by our result.
func (w *walk) settle(rule, data any) any {
	if list, ok := rule.([]any); ok {
		settled := make([]any, len(list))
		for i := range list {
			settled[i] = w.settle(list[i], data)
		}
		return settled
	}
	op, args, list, ok := operation(rule)
	if !ok || op == literalOperator {
		return rule
	}
	ours := evalOurs(rule, data)
	if ours.equal(evalTheirs(rule, data)) {
		return rule
	}
	before := w.judged
	settled, evaluated := slices.Clone(args), slices.Clone(args)
	failing := false
	for i := range args {
		if i == 1 && slices.Contains(scopedOperators, op) {
			continue
		}
		settled[i] = w.settle(args[i], data)
		r := evalOurs(settled[i], data)
		evaluated[i] = r.value
		failing = failing || r.err
	}
	if len(args) > 1 && slices.Contains(scopedOperators, op) {
		inBody := w.judged
		for _, scope := range scopes(op, evaluated) {
			w.settle(args[1], scope)
		}
		if w.judged > inBody {
			return literal(ours.value)
		}
	}
	var now any = map[string]any{op: settled}
	if !list && len(settled) == 1 {
		now = map[string]any{op: settled[0]}
	}
	c := culprit{op, evaluated, list, failing, now, data, evalTheirs(now, data), evalOurs(now, data)}
	if c.theirs.equal(c.ours) && w.judged > before {
		return literal(ours.value)
	}
	w.judge(c)
	return literal(ours.value)
}

func (w *walk) judge(c culprit) {
	w.judged++

	for _, f := range operatorFaults {
		if slices.Contains(f.ops, c.op) && f.is(c) {
			if !slices.Contains(w.faults, f.name) {
				w.faults = append(w.faults, f.name)
			}
			return
		}
	}
	w.unknown = append(w.unknown, c.String())
}

// scopes are the data for a body.
func scopes(op string, args []any) []any {
	list, _ := args[0].([]any)
	if op != "reduce" {
		return list
	}
	var accumulator any
	if len(args) > 2 {
		accumulator = args[2]
	}
	var each []any
	for _, element := range list {
		scope := map[string]any{"current": element, "accumulator": accumulator}
		each = append(each, scope)
		accumulator = evalOurs(args[1], scope).value
	}
	return each
}

// A use is one use of one of flagd's own operators, with evaluated arguments.
type use struct {
	op   string
	args []any
	data any
}

func (u use) String() string {
	return fmt.Sprintf("%s of %s", u.op, texts(u.args))
}

var customOperators = []string{
	evaluator.FractionEvaluationName, evaluator.StartsWithEvaluationName, evaluator.EndsWithEvaluationName, evaluator.SemVerEvaluationName,
}

// customUses returns the uses of flagd's own operators outside bodies. A body lacks the targeting key.
func customUses(rule, data any) (uses []use) {
	if list, ok := rule.([]any); ok {
		for _, item := range list {
			uses = append(uses, customUses(item, data)...)
		}
		return uses
	}
	op, args, _, ok := operation(rule)
	if !ok {
		return nil
	}
	for i, arg := range args {
		if i != 1 || !slices.Contains(scopedOperators, op) {
			uses = append(uses, customUses(arg, data)...)
		}
	}
	if slices.Contains(customOperators, op) {
		u := use{op: op, data: data}
		for _, arg := range args {
			r := evalOurs(arg, data)
			if !reflect.DeepEqual(finite(r.value), r.value) {
				return uses // such a context cannot exist
			}
			u.args = append(u.args, r.value)
		}
		uses = append(uses, u)
	}
	return uses
}

// explain evaluates the operation alone in both, with its arguments in the context.
func (u use) explain(t *testing.T, key string) (fault string, differs bool) {
	// The variants of fractional get plain names, because names do not matter here.
	variants := map[string]any{"true": true, "false": false}
	args, values := make([]any, len(u.args)), slices.Clone(u.args)
	for i, arg := range u.args {
		args[i] = variable(fmt.Sprintf("arguments.%d", i))
		if entry, ok := arg.([]any); ok && len(entry) > 0 && entry[0] != nil && !isList(entry[0]) && !isMap(entry[0]) {
			name := fmt.Sprintf("entry-%d", i)
			variants[name] = name
			values[i] = append([]any{name}, entry[1:]...)
		}
	}
	evalCtx := map[string]any{"arguments": values}
	if data, ok := u.data.(map[string]any); ok {
		if subject, ok := data["targetingKey"]; ok {
			evalCtx["targetingKey"] = subject
		}
	}
	document := encode(map[string]any{"flags": map[string]any{
		key: map[string]any{"state": "ENABLED", "variants": variants, "targeting": map[string]any{u.op: args}},
	}})
	if err := setFlagd(document); err != nil {
		t.Fatal(err)
	}
	p := open(t, document)
	ours, theirs := ask(p, key, "any", evalCtx), askFlagd(key, "any", evalCtx)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if ours.equal(theirs) {
		return "", false
	}
	c := culprit{op: u.op, args: u.args, list: true, data: u.data}
	for _, f := range customFaults {
		if slices.Contains(f.ops, u.op) && f.is(c) {
			return f.name, true
		}
	}
	return "", true
}
