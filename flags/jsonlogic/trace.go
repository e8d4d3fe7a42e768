package jsonlogic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Trace is the evaluation of one part of a rule: an operation, a list, or plain data.
// [Rule.Explain] makes it, and the caller owns it. It can be encoded as JSON and has at most about
// 1 MiB. Large values are shortened with "…", and infinities and NaN are their names.
type Trace struct {
	// Path is the place of the part in the rule, as a JSON pointer (RFC 6901). For an operation it
	// is the path of its object, such as "/if/0".
	Path string `json:"path"`

	// Operator is the operation's operator. Empty means a list or plain data.
	Operator string `json:"operator,omitempty"`

	// Result is the value of the part.
	Result any `json:"result"`

	// Inputs are the evaluated arguments of an operation, or the elements of a list, in the order
	// of evaluation. The second argument of a loop occurs once for each element. Arguments that
	// were not evaluated, such as the other branch of an if, do not occur.
	Inputs []*Trace `json:"inputs,omitempty"`

	// Omitted is the number of inputs that are left out because the trace is too large.
	Omitted int `json:"omitted,omitempty"`

	// Notes are the details that a custom operator added with [Scope.Note].
	Notes map[string]any `json:"notes,omitempty"`

	// Error is the reason why the evaluation failed in this part. Result is then nil.
	Error string `json:"error,omitempty"`
}

// Explain is [Rule.Eval] with a trace. The result and the error are Eval's, and there is a trace even
// if the evaluation fails. Explain makes the rule's operators again and takes many times longer than
// Eval. Custom operators and [Options.Log] are called as in Eval.
func (r *Rule) Explain(data any) (result any, trace *Trace, err error) {
	top := &Trace{}
	s := &Scope{bounds: r.bounds, left: r.bounds.steps, refused: r.refused}
	tr := &tracer{at: top, room: traceRoom}
	root, err := tr.instance(r.root, nil)
	if err != nil {
		return nil, nil, err // of a custom operator that no longer accepts its arguments
	}
	s.enter(data)
	result = root.plain(s)
	if s.err != nil {
		result = nil
	}
	return result, top.Inputs[0], s.err
}

// Bounds of a trace. Each part and value costs its text and traceCost.
const (
	traceRoom     = 1 << 20 // bytes, roughly
	traceCost     = 64      // of a part or value, in addition to its text
	traceText     = 1 << 10 // bytes of a text
	traceElements = 100     // of a list or object
	traceDepth    = 20      // of a value
)

// A tracer records an evaluation.
type tracer struct {
	at     *Trace // the part being evaluated; nil in parts that are left out
	room   int    // bytes left
	failed bool   // the trace has the failure already
}

// instance copies a node so that it and its arguments record their evaluation.
func (tr *tracer) instance(n *node, at *place) (*node, error) {
	switch {
	case n.shared != nil && !n.list:
		t := *n
		t.operation = gives(func(s *Scope) value { return tr.follow(s, n, at) })
		return &t, nil
	case n.name != "":
		args, err := tr.all(n.args, at.down(n.name), n.bare)
		if err != nil {
			return nil, err
		}
		t := *n
		if t.args = args; !n.custom {
			args = unfolded(args)
		}
		if t.operation, err = n.of(args); err != nil {
			return nil, &Error{at.down(n.name).pointer(), err}
		}
		return tr.traced(&t, at), nil
	case n.constant == nil && n.shared == nil:
		args, err := tr.all(n.args, at, false)
		if err != nil {
			return nil, err
		}
		t := *n
		t.args, t.operation = args, listed(args)
		return tr.traced(&t, at), nil
	}
	t := *n
	t.elements = func() []*node { return tr.elements(n, at) }
	if n.constant == nil {
		t.operation = charged(gives(func(s *Scope) value { return listed(t.elements()).eval(s) }), 1+len(n.args))
	}
	return tr.traced(&t, at), nil
}

// elements returns instances of the elements of a constant or shared list.
func (tr *tracer) elements(n *node, at *place) []*node {
	if n.constant == nil {
		if items, err := tr.all(n.args, at, false); err == nil {
			return items
		}
		return n.args // a custom operator no longer accepts its arguments
	}
	items := n.items()
	for i, item := range items {
		items[i] = tr.traced(item, at.down(strconv.Itoa(i)))
	}
	return items
}

// follow evaluates a reference to a shared rule. It makes the rule's instances only now, because
// there could be too many if they were made for each reference.
func (tr *tracer) follow(s *Scope, n *node, at *place) value {
	if tr.at == nil {
		return n.eval(s)
	}
	if !s.spend(n.shared.size) {
		return value{}
	}
	root, err := tr.instance(n.shared, at)
	if err != nil {
		s.fail(err)
		return value{}
	}
	return root.eval(s)
}

func (tr *tracer) all(nodes []*node, at *place, bare bool) ([]*node, error) {
	instances := make([]*node, len(nodes))
	for i, n := range nodes {
		place := at
		if !bare {
			place = at.down(strconv.Itoa(i))
		}
		var err error
		if instances[i], err = tr.instance(n, place); err != nil {
			return nil, err
		}
	}
	return instances, nil
}

func (tr *tracer) traced(n *node, at *place) *node {
	t := *n
	t.field = "" // else an operator would read the field without a record
	t.operation = gives(func(s *Scope) value { return tr.record(s, n, at) })
	return &t
}

// unfolded removes the constants of arguments, so that an operator evaluates them and they appear
// in the trace.
func unfolded(args []*node) []*node {
	nodes := make([]*node, len(args))
	for i, arg := range args {
		n := *arg
		n.constant = nil
		nodes[i] = &n
	}
	return nodes
}

func (tr *tracer) record(s *Scope, n *node, at *place) value {
	if s.err != nil {
		return value{}
	}
	parent := tr.at
	if parent == nil {
		return n.eval(s)
	}
	outer := s.note
	tr.at, s.note = nil, nil
	if tr.room > 0 {
		tr.at = &Trace{Path: at.pointer(), Operator: n.name}
		tr.room -= traceCost + len(tr.at.Path)
		parent.Inputs = append(parent.Inputs, tr.at)
		s.note = tr.note
	} else {
		parent.Omitted++
	}
	t := tr.at
	v := n.eval(s)
	tr.at, s.note = parent, outer
	switch {
	case t == nil:
	case s.err == nil:
		t.Result = tr.shorten(v, 0)
	case !tr.failed:
		tr.failed = true
		t.Error = s.err.Error()
	}
	return v
}

func (tr *tracer) note(key string, v any) {
	if tr.at.Notes == nil {
		tr.at.Notes = map[string]any{}
	}
	key = tr.shortenText(key)
	tr.at.Notes[key] = tr.shorten(toValue(v), 0)
}

const ellipsis = "…"

// shorten copies a value as plain JSON of bounded size.
func (tr *tracer) shorten(v value, depth int) any {
	tr.room -= traceCost
	switch v.kind {
	case truth:
		return v.num != 0
	case number:
		if math.IsNaN(v.num) || math.IsInf(v.num, 0) {
			return formatNumber(v.num)
		}
		return v.num
	case text:
		return tr.shortenText(v.str)
	case list:
		return tr.shortenList(v, depth)
	case object:
		return tr.shortenObject(v, depth)
	}
	return nil
}

func (tr *tracer) shortenText(t string) string {
	if tr.room < 0 {
		return ellipsis
	}
	if len(t) > traceText {
		n := traceText
		for n > 0 && !utf8.RuneStart(t[n]) {
			n--
		}
		t = t[:n] + ellipsis
	}
	tr.room -= len(t)
	return strings.ToValidUTF8(strings.Clone(t), "\ufffd")
}

func (tr *tracer) shortenList(v value, depth int) any {
	if depth == traceDepth {
		return ellipsis
	}
	items := []any{}
	for i := range v.length() {
		if i == traceElements || tr.room < 0 {
			return append(items, ellipsis)
		}
		items = append(items, tr.shorten(v.element(i), depth+1))
	}
	return items
}

func (tr *tracer) shortenObject(v value, depth int) any {
	if _, ok := v.ref.(Object); ok {
		return v.text() // its fields cannot be listed
	}
	if depth == traceDepth || tr.room < 0 || v.members() > traceElements {
		return ellipsis
	}
	m := map[string]any{}
	for name, member := range v.each {
		m[tr.shortenText(name)] = tr.shorten(member, depth+1)
	}
	return m
}

// String formats the trace for people: one line for each operation, with its inputs below.
func (t *Trace) String() string {
	var b strings.Builder
	t.write(&b, "")
	return strings.TrimSuffix(b.String(), "\n")
}

func (t *Trace) write(b *strings.Builder, indent string) {
	b.WriteString(indent)
	nested := t.Inputs
	switch {
	case t.Operator == "" && len(t.Inputs) > 0:
		b.WriteString("list → ")
	case t.Operator != "" && t.plain():
		args := make([]string, len(t.Inputs))
		for i, in := range t.Inputs {
			args[i] = in.result()
		}
		fmt.Fprintf(b, "%s(%s) → ", t.Operator, strings.Join(args, ", "))
		nested = nil
	case t.Operator != "":
		b.WriteString(t.Operator + " → ")
	}
	b.WriteString(t.result())
	for i, key := range slices.Sorted(maps.Keys(t.Notes)) {
		separator := ", "
		if i == 0 {
			separator = "   # "
		}
		b.WriteString(separator + key + ": " + encode(t.Notes[key]))
	}
	b.WriteByte('\n')
	for _, in := range nested {
		in.write(b, indent+"  ")
	}
	if t.Omitted > 0 {
		fmt.Fprintf(b, "%s  … %d more\n", indent, t.Omitted)
	}
}

// plain reports whether the inputs are few and all data, so that they fit on one line.
func (t *Trace) plain() bool {
	for _, in := range t.Inputs {
		if in.Operator != "" || len(in.Inputs) > 0 || in.Error != "" {
			return false
		}
	}
	return len(t.Inputs) <= 3 && t.Omitted == 0
}

func (t *Trace) result() string {
	if t.Error != "" {
		return "failed: " + t.Error
	}
	return encode(t.Result)
}

func encode(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return fmt.Sprint(v) // a trace that Explain did not make
	}
	return strings.TrimSuffix(b.String(), "\n")
}
