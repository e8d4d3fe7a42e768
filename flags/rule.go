package flags

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
	"github.com/upkeep-go/upkeep/internal/document"
)

// predicates and fractional are flagd's operators
// (https://flagd.dev/reference/custom-operations). Unsuitable arguments give null, so that the
// flag uses its default variant.
var predicates = map[string]jsonlogic.Predicate{
	"starts_with": affix(strings.HasPrefix),
	"ends_with":   affix(strings.HasSuffix),
	"sem_ver":     semVer,
}

// maxReferences bounds the length of a chain of references.
const maxReferences = 100

// A rulebook compiles the rules of one document. It compiles an evaluator once, when a rule first
// refers to it, and all rules share the result. So the size of the document bounds the work and
// the memory, and [jsonlogic.Options.MaxSteps] bounds an evaluation.
type rulebook struct {
	bucketing  Bucketing
	opts       *jsonlogic.Options
	evaluators map[string]*evaluator
	common     commonRules
	print      []byte // buffer for the fingerprint of the flag that is being compiled

	// State of the rule that is being compiled: the evaluators that it refers to, and the names
	// on the path to the current one.
	refs      []*evaluator
	following []string
}

// An evaluator is an entry of $evaluators.
type evaluator struct {
	file string
	node *document.Node

	compiled bool
	fault    *ruleFault // why it cannot be used
	rule     *jsonlogic.Rule
	split    splitUse
	chain    int               // length of the longest chain of references from here, itself included
	print    [sha256.Size]byte // fingerprint of its text and of everything that it refers to
}

// A ruleFault is a fault at a place in a rule, which may be in another document.
type ruleFault struct {
	file  string
	at    *document.Node
	err   error
	chain bool // it depends on the path of references, so it is not the evaluator's own
}

func newRulebook(bucketing Bucketing) *rulebook {
	return &rulebook{
		bucketing: bucketing,
		opts: &jsonlogic.Options{
			Dialect: jsonlogic.DialectFlagd, MaxSize: math.MaxInt,
			Operators: map[string]jsonlogic.Operator{"fractional": bucketing.fractional}, Predicates: predicates,
		},
		evaluators: map[string]*evaluator{},
		common:     commonRules{rules: map[string]*jsonlogic.Rule{}},
	}
}

// add adds the evaluators of a document. A name that is present already keeps its first rule.
func (b *rulebook) add(file string, evaluators *document.Node) {
	if evaluators == nil || evaluators.Kind != document.Map {
		return
	}
	for i, key := range evaluators.Keys {
		if b.evaluators[key.Text] == nil {
			b.evaluators[key.Text] = &evaluator{file: file, node: evaluators.Items[i]}
		}
	}
}

// targeting compiles the rule of a flag, and appends to print everything that its result depends
// on. The rule is nil if the field is missing, null or {}.
func (b *rulebook) targeting(file string, n *document.Node, print []byte) (*jsonlogic.Rule, []byte, *ruleFault) {
	if n == nil || n.Kind == document.Null || n.Kind == document.Map && len(n.Keys) == 0 {
		return nil, print, nil
	}
	rule, _, print, fault := b.compile(file, n, print)
	return rule, print, fault
}

// compile compiles a rule. chain is the length of its longest chain of references.
func (b *rulebook) compile(file string, n *document.Node, print []byte) (rule *jsonlogic.Rule, chain int, _ []byte, fault *ruleFault) {
	first := len(b.refs)
	defer func() { b.refs = b.refs[:first] }()
	value, fault := b.value(file, n)
	if fault != nil {
		return nil, 0, print, fault
	}
	print = n.AppendJSON(print)
	for _, e := range b.refs[first:] {
		print = append(print, e.print[:]...)
		chain = max(chain, e.chain)
	}
	rule, err := jsonlogic.CompileValue(value, b.opts)
	if err != nil {
		at := n
		if place := (*jsonlogic.Error)(nil); errors.As(err, &place) {
			at = locate(n, place.Path)
		}
		return nil, 0, print, &ruleFault{file: file, at: at, err: err}
	}
	return rule, chain, print, nil
}

// value converts a rule for [jsonlogic.CompileValue]. A reference becomes a compiled rule.
func (b *rulebook) value(file string, n *document.Node) (any, *ruleFault) {
	switch {
	case n.Kind == document.List:
		list := make([]any, len(n.Items))
		for i, item := range n.Items {
			var fault *ruleFault
			if list[i], fault = b.value(file, item); fault != nil {
				return nil, fault
			}
		}
		return list, nil
	case n.Kind == document.Map && len(n.Keys) == 1 && n.Keys[0].Text == "$ref":
		return b.follow(file, n.Items[0])
	case n.Kind == document.Map && len(n.Keys) == 1:
		if rule := b.common.rule(n, b.opts); rule != nil {
			return rule, nil
		}
		arg, fault := b.argument(file, n.Items[0])
		return map[string]any{n.Keys[0].Text: arg}, fault
	}
	var fault *ruleFault
	eachNumber(n, func(number *document.Node, err error) {
		if fault == nil && beyondFloat(err) {
			fault = &ruleFault{file: file, at: number, err: err}
		}
	})
	return n.Value(), fault
}

// argument is value for the argument of an operator.
func (b *rulebook) argument(file string, n *document.Node) (any, *ruleFault) {
	if n.Kind != document.List {
		if rule := b.common.rule(n, b.opts); rule != nil {
			return rule, nil
		}
		return b.value(file, n)
	}
	list := make([]any, len(n.Items))
	for i, item := range n.Items {
		if rule := b.common.rule(item, b.opts); rule != nil {
			list[i] = rule
			continue
		}
		var fault *ruleFault
		if list[i], fault = b.value(file, item); fault != nil {
			return nil, fault
		}
	}
	return list, nil
}

// commonRules are constants and attributes that occur often, compiled once for all rules. A nil
// rule in the map occurred once.
type commonRules struct {
	rules map[string]*jsonlogic.Rule
	key   []byte
}

// rule returns the shared rule for a node, or nil.
func (c *commonRules) rule(n *document.Node, opts *jsonlogic.Options) *jsonlogic.Rule {
	const most, longest = 4096, 64
	leaf := n
	if n.Kind == document.Map && len(n.Keys) == 1 && n.Keys[0].Text == "var" {
		leaf = n.Items[0]
	}
	if leaf.Kind != document.String && (leaf != n || leaf.Kind != document.Number || beyondFloat(numberFault(n))) || len(leaf.Text) > longest {
		return nil
	}
	c.key = n.AppendJSON(c.key[:0])
	rule, seen := c.rules[string(c.key)]
	if rule != nil || !seen && len(c.rules) == most {
		return rule
	}
	if seen {
		rule, _ = jsonlogic.CompileValue(n.Value(), opts)
	}
	c.rules[string(c.key)] = rule
	return rule
}

func (b *rulebook) follow(file string, ref *document.Node) (any, *ruleFault) {
	fault := func(format string, args ...any) *ruleFault {
		return &ruleFault{file: file, at: ref, err: fmt.Errorf("$ref: "+format, args...)}
	}
	if ref.Kind != document.String {
		return nil, fault("must be the name of an evaluator, got %v", ref.Kind)
	}
	if slices.Contains(b.following, ref.Text) {
		return nil, fault("%s refers to itself: %s → %s", ref.Text, strings.Join(b.following, " → "), ref.Text)
	}
	e := b.evaluators[ref.Text]
	if e == nil {
		return nil, fault("there is no evaluator %q", ref.Text)
	}
	if len(b.following)+max(e.chain, 1) > maxReferences {
		long := fault("more than %d references follow one another", maxReferences)
		long.chain = true
		return nil, long
	}
	if !e.compiled {
		b.following = append(b.following, ref.Text)
		rule, chain, print, failed := b.compile(e.file, e.node, nil)
		b.following = b.following[:len(b.following)-1]
		if failed != nil && failed.chain {
			return nil, failed
		}
		e.compiled, e.fault, e.rule, e.split = true, failed, rule, b.splitUse(e.node)
		e.chain, e.print = chain+1, sha256.Sum256(print)
	}
	if e.fault != nil {
		return nil, e.fault
	}
	b.refs = append(b.refs, e)
	return e.rule, nil
}

// A splitUse is how a rule uses fractional.
type splitUse uint8

const (
	splitNone    splitUse = iota // not at all
	splitDecides                 // each use gives the result of the rule, so an evaluation has at most one
	splitInside                  // in a condition or an argument
)

// splitUse examines a rule whose references are compiled.
func (b *rulebook) splitUse(n *document.Node) splitUse {
	switch {
	case n.Kind == document.List:
		return b.splitInside(n.Items)
	case n.Kind != document.Map || len(n.Keys) != 1:
		return splitNone
	}
	arg := n.Items[0]
	switch operator := n.Keys[0].Text; {
	case operator == "$ref":
		if e := b.evaluators[arg.Text]; e != nil {
			return e.split
		}
		return splitNone
	case operator == "fractional":
		return max(splitDecides, b.splitUse(arg)) // a list with another use is splitInside
	case (operator == "if" || operator == "?:") && arg.Kind == document.List:
		use := splitNone
		for i, item := range arg.Items {
			isResult := i%2 == 1 || i == len(arg.Items)-1
			one := b.splitUse(item)
			if one != splitNone && !isResult {
				return splitInside
			}
			use = max(use, one)
		}
		return use
	}
	return b.splitInside(n.Items)
}

func (b *rulebook) splitInside(items []*document.Node) splitUse {
	for _, item := range items {
		if b.splitUse(item) != splitNone {
			return splitInside
		}
	}
	return splitNone
}

// locate finds a place in a rule by its JSON pointer. For an operation it is the operator's name.
func locate(n *document.Node, pointer string) *document.Node {
	at := n
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		step = unescape.Replace(step)
		i, err := strconv.Atoi(step)
		switch {
		case n.Kind == document.Map && len(n.Keys) == 1 && n.Keys[0].Text == step:
			at, n = n.Keys[0], n.Items[0]
		case n.Kind == document.List && err == nil && i >= 0 && i < len(n.Items):
			n = n.Items[i]
			at = n
		default:
			return at
		}
	}
	return at
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")
