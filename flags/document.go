package flags

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/flags/jsonlogic"
	"github.com/upkeep-go/upkeep/internal/document"
	"github.com/upkeep-go/upkeep/internal/live"
)

// A flagSet is a document, compiled. It never changes.
type flagSet struct {
	flags       map[string]*flag
	revision    string // of the document's content
	allowShrink bool
	partial     []string // names of merged documents that are missing, or not up to date
	parts       []string // texts of merged documents, as they count
}

// flag returns a flag, nil when the set, which may be nil, does not have it.
func (s *flagSet) flag(key string) *flag {
	if s == nil {
		return nil
	}
	return s.flags[key]
}

// A flag is one definition, compiled. It never changes.
type flag struct {
	key         string
	keyValue    any // key, boxed once
	disabled    bool
	fault       *Problem // not nil: nothing below can be used
	rule        *jsonlogic.Rule
	variants    map[string]*variant
	few         []*variant // the variants, where there are at most fewVariants
	standard    *variant   // of defaultVariant; nil when there is none
	metadata    openfeature.FlagMetadata
	fingerprint [sha256.Size]byte // of all that an evaluation depends on
	usage       *usage            // outlives the flag: the next definition counts on
}

// A variant is a name and the value that it stands for.
type variant struct {
	name  string
	value any // bool, string, float64, []any or map[string]any
	index int // in the flag's usage
}

// fewVariants is up to how many looking at each is faster than a map.
const fewVariants = 4

// A parser compiles documents as the options of its provider say.
type parser struct {
	strict    bool
	operators map[string]jsonlogic.Operator
	declared  func() []Declared
	merged    bool // documents are the parts of a [Merge]
	live      bool // the document before was the source's, not a copy that stood in
}

// parse compiles a document. A flag that is wrong keeps its definition of prev; the
// faults of single flags are returned as problems, or refuse the document where the
// parser is strict.
func (ps *parser) parse(name string, data []byte, prev *flagSet) (*flagSet, []error, error) {
	set, problems, err := ps.compile(name, data, prev)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range ps.declared() {
		if err := set.fits(d); err != nil {
			problems = append(problems, &Problem{File: name, Flag: d.Key(), Err: err})
		}
	}
	if prev != nil && ps.live && !set.allowShrink {
		if err := ps.shrunk(name, prev, set); err != nil {
			return nil, nil, err
		}
	}
	if ps.strict && len(problems) > 0 {
		return nil, nil, errors.Join(problems...)
	}
	return set, problems, nil
}

// shrunk is the error of a document that has suddenly lost what is in use: a flag that
// the code has declared, or many at once. A document that is cut short looks so.
func (ps *parser) shrunk(name string, prev, set *flagSet) error {
	const mostPercent = 30
	gone := 0
	for key := range prev.flags {
		if set.flags[key] == nil {
			gone++
		}
	}
	if gone > 1 && gone*100 > len(prev.flags)*mostPercent {
		return &Problem{File: name, Err: fmt.Errorf("%d of %d flags are gone; the document is held back until it says allowShrink: true", gone, len(prev.flags))}
	}
	for _, d := range ps.declared() {
		if prev.flags[d.Key()] != nil && set.flags[d.Key()] == nil {
			return &Problem{File: name, Flag: d.Key(), Err: errors.New("the code has declared it, and it is gone; the document is held back until it says allowShrink: true")}
		}
	}
	return nil
}

// compile reads a document, or the parts of a merged one.
func (ps *parser) compile(name string, data []byte, prev *flagSet) (*flagSet, []error, error) {
	if ps.merged {
		// A fallback may be a plain document all the same.
		if parts, err := live.Parts(data); err == nil {
			return ps.merge(parts, prev)
		}
	}
	root, err := parseRoot(name, data)
	if err != nil {
		return nil, nil, err
	}
	return ps.compileRoot(name, root, []*document.Node{root.Get("$evaluators")}, prev)
}

// merge puts parts together, flag by flag; of two the later counts. A rule may refer to
// the evaluators of all parts, its own before those of later and those of earlier
// ones. A part that cannot be had, or not read, is as it last was, and leaves the set
// partial.
func (ps *parser) merge(parts []live.Part, prev *flagSet) (*flagSet, []error, error) {
	parts = slices.Clone(parts)
	faults := make([]error, len(parts))
	for i, part := range parts {
		if part.Err != "" {
			faults[i] = &Problem{File: part.Name, Err: errors.New(part.Err)}
		}
	}
	for {
		set, problems, bad, err := ps.mergeGood(parts, prev)
		if err != nil {
			if faults[bad] == nil {
				faults[bad] = err
			}
			text := ""
			if prev != nil && bad < len(prev.parts) && prev.parts[bad] != parts[bad].Text {
				text = prev.parts[bad]
			}
			parts[bad].Text = text
			continue
		}
		all := make([]error, 0, len(problems))
		for i, fault := range faults {
			if fault != nil {
				all = append(all, fault)
				set.partial = append(set.partial, parts[i].Name)
			}
			set.parts = append(set.parts, parts[i].Text)
		}
		if all = append(all, problems...); set.flags == nil {
			return nil, nil, errors.Join(all...)
		}
		return set, all, nil
	}
}

// mergeGood puts parts together, or says which of them is bad. The set has no flags, not
// even none, when no part has a text.
func (ps *parser) mergeGood(parts []live.Part, prev *flagSet) (set *flagSet, problems []error, bad int, err error) {
	roots := make([]*document.Node, len(parts))
	for i, part := range parts {
		if part.Text == "" {
			continue
		}
		if roots[i], err = parseRoot(part.Name, []byte(part.Text)); err != nil {
			return nil, nil, i, err
		}
	}
	set = new(flagSet)
	for i, root := range roots {
		if root == nil {
			continue
		}
		evaluators := []*document.Node{root.Get("$evaluators")}
		for j := len(roots) - 1; j >= 0; j-- {
			if j != i && roots[j] != nil {
				evaluators = append(evaluators, roots[j].Get("$evaluators"))
			}
		}
		part, faults, err := ps.compileRoot(parts[i].Name, root, evaluators, prev)
		if err != nil {
			return nil, nil, i, err
		}
		problems = append(problems, faults...)
		set.allowShrink = set.allowShrink || part.allowShrink
		if set.flags == nil {
			set.flags = map[string]*flag{}
		}
		maps.Copy(set.flags, part.flags)
	}
	return set, problems, -1, nil
}

func parseRoot(name string, data []byte) (*document.Node, error) {
	root, err := document.Parse(name, data)
	if err != nil {
		var syntax *document.SyntaxError
		if errors.As(err, &syntax) {
			return nil, &Problem{File: name, Line: syntax.Line, Column: syntax.Column, Err: syntax.Err}
		}
		return nil, err
	}
	if root.Kind != document.Map {
		return nil, &Problem{File: name, Line: root.Line, Column: root.Column, Err: fmt.Errorf("the document must be a map, got %v", root.Kind)}
	}
	return root, nil
}

// compileRoot compiles the flags of one document.
func (ps *parser) compileRoot(name string, root *document.Node, evaluators []*document.Node, prev *flagSet) (*flagSet, []error, error) {
	r := reader{name: name, operators: ps.operators, room: maxReferred}
	fault := func(at *document.Node, field, format string, args ...any) error {
		return r.problem(at, "", field, fmt.Errorf(format, args...))
	}
	flags := root.Get("flags")
	if flags == nil {
		return nil, nil, fault(root, "flags", "missing")
	}
	if flags.Kind != document.Map {
		return nil, nil, fault(flags, "flags", "must be a map of flags, got %v", flags.Kind)
	}
	if own := root.Get("$evaluators"); own != nil && own.Kind != document.Map {
		return nil, nil, fault(own, "$evaluators", "must be a map of rules, got %v", own.Kind)
	}
	r.evaluators = map[string]*document.Node{}
	for _, part := range evaluators {
		if part == nil || part.Kind != document.Map {
			continue
		}
		for i, key := range part.Keys {
			if r.evaluators[key.Text] == nil {
				r.evaluators[key.Text] = part.Items[i]
			}
		}
	}
	if meta := root.Get("metadata"); meta != nil {
		if meta.Kind != document.Map {
			return nil, nil, fault(meta, "metadata", "must be a map, got %v", meta.Kind)
		}
		r.metadata = meta
	}
	set := &flagSet{flags: make(map[string]*flag, len(flags.Keys))}
	if allow := root.Get("allowShrink"); allow != nil {
		if allow.Kind != document.Bool {
			return nil, nil, fault(allow, "allowShrink", "must be true or false, got %v", allow.Kind)
		}
		set.allowShrink = allow.Text == "true"
	}
	var problems []error
	for i, key := range flags.Keys {
		f, problem := r.flag(key, flags.Items[i])
		before := prev.flag(key.Text)
		if problem != nil {
			problems = append(problems, problem)
			if before != nil && before.fault == nil {
				set.flags[key.Text] = before // as it is: it is being evaluated
				continue
			}
			f = &flag{key: key.Text, keyValue: key.Text, fault: problem, fingerprint: sha256.Sum256([]byte(problem.Error()))}
		}
		f.usage = usageOf(f, before)
		set.flags[key.Text] = f
	}
	return set, problems, nil
}

// changed lists the keys whose result could differ between two sets.
func changed(old, set *flagSet) []string {
	var keys []string
	for key, f := range set.flags {
		if before := old.flags[key]; before == nil || before.fingerprint != f.fingerprint {
			keys = append(keys, key)
		}
	}
	for key := range old.flags {
		if set.flags[key] == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// A reader compiles the flags of one document.
type reader struct {
	name       string
	operators  map[string]jsonlogic.Operator
	evaluators map[string]*document.Node // where $ref looks
	metadata   *document.Node
	room       int // bytes that references may still add
}

const (
	// maxReferred is how many bytes references may add to the rules of a document, all in
	// all: each flag has its own copy of what it refers to, compiled to many times the size.
	maxReferred = 16 << 20

	// maxReferences is how many references may follow one another.
	maxReferences = 100
)

func (r *reader) problem(at *document.Node, flag, field string, err error) *Problem {
	return &Problem{File: r.name, Line: at.Line, Column: at.Column, Flag: flag, Field: field, Err: err}
}

func (r *reader) flag(key, node *document.Node) (*flag, *Problem) {
	fault := func(at *document.Node, field, format string, args ...any) (*flag, *Problem) {
		return nil, r.problem(at, key.Text, field, fmt.Errorf(format, args...))
	}
	if node.Kind != document.Map {
		return fault(node, "", "must be a map, got %v", node.Kind)
	}
	f := &flag{key: key.Text, keyValue: key.Text}
	if state := node.Get("state"); state != nil {
		switch {
		case state.Kind == document.String && state.Text == "ENABLED":
		case state.Kind == document.String && state.Text == "DISABLED":
			f.disabled = true
		default:
			return fault(state, "state", "must be ENABLED or DISABLED, got %s", state.AppendJSON(nil))
		}
	}
	variants := node.Get("variants")
	if variants == nil {
		return fault(key, "variants", "missing")
	}
	if variants.Kind != document.Map || len(variants.Keys) == 0 {
		return fault(variants, "variants", "must be a map of at least one variant")
	}
	f.variants = make(map[string]*variant, len(variants.Keys))
	for i, name := range variants.Keys {
		value := variants.Items[i]
		if value.Kind == document.Null {
			return fault(value, "variants", "variant %q: must have a value, got null", name.Text)
		}
		v := &variant{name: name.Text, value: value.Value()}
		f.variants[name.Text] = v
		if len(variants.Keys) <= fewVariants {
			f.few = append(f.few, v)
		}
	}
	if name := node.Get("defaultVariant"); name != nil && name.Kind != document.Null {
		// YAML reads on and off as texts, true and 1 as what they look like.
		if name.Kind == document.List || name.Kind == document.Map {
			return fault(name, "defaultVariant", "must be the name of a variant, got %v", name.Kind)
		}
		f.standard = f.variants[name.Text]
		if f.standard == nil && name.Text != "" {
			return fault(name, "defaultVariant", "%q is not a variant", name.Text)
		}
	}
	meta := node.Get("metadata")
	if meta != nil && meta.Kind != document.Map {
		return fault(meta, "metadata", "must be a map, got %v", meta.Kind)
	}
	f.metadata = overlay(r.metadata, meta)

	rule, err := r.rule(node.Get("targeting"))
	if err != nil {
		at := node.Get("targeting")
		var placed *placedError
		if errors.As(err, &placed) {
			at, err = placed.at, placed.err
		}
		return nil, r.problem(at, key.Text, "targeting", err)
	}
	if rule != nil {
		if f.rule, err = jsonlogic.Compile(rule, &jsonlogic.Options{Operators: r.operators, Predicates: predicates}); err != nil {
			return nil, r.problem(node.Get("targeting"), key.Text, "targeting", err)
		}
	}
	f.fingerprint = fingerprint(node, r.metadata, rule)
	return f, nil
}

// overlay merges the set's metadata with the flag's, which wins. Nil when both are
// empty.
func overlay(set, own *document.Node) openfeature.FlagMetadata {
	var m openfeature.FlagMetadata
	for _, node := range []*document.Node{set, own} {
		if node == nil {
			continue
		}
		for i, key := range node.Keys {
			if m == nil {
				m = openfeature.FlagMetadata{}
			}
			m[key.Text] = node.Items[i].Value()
		}
	}
	return m
}

func fingerprint(node, metadata *document.Node, rule []byte) [sha256.Size]byte {
	b := metadata.AppendJSON(nil)
	for _, field := range []string{"state", "variants", "defaultVariant", "metadata"} {
		b = node.Get(field).AppendJSON(append(b, ','))
	}
	return sha256.Sum256(append(append(b, ','), rule...))
}

// rule writes a targeting rule as JSON with its references resolved. It is nil where
// there is nothing to target: no rule, null or {}.
func (r *reader) rule(targeting *document.Node) ([]byte, error) {
	if targeting == nil || targeting.Kind == document.Null || targeting.Kind == document.Map && len(targeting.Keys) == 0 {
		return nil, nil
	}
	w := ruleWriter{evaluators: r.evaluators, room: &r.room}
	if err := w.write(targeting); err != nil {
		return nil, err
	}
	return w.b, nil
}

// A placedError is a fault that stands elsewhere than at the flag's targeting.
type placedError struct {
	at  *document.Node
	err error
}

func (e *placedError) Error() string { return e.err.Error() }
func (e *placedError) Unwrap() error { return e.err }

type ruleWriter struct {
	evaluators map[string]*document.Node
	room       *int     // of the reader
	following  []string // names of the references that are being resolved
	b          []byte
}

func (w *ruleWriter) write(n *document.Node) error {
	// References to references can double at each step.
	if len(w.b) > jsonlogic.DefaultMaxSize {
		return &placedError{n, fmt.Errorf("%w once its references are resolved", jsonlogic.ErrTooLarge)}
	}
	switch {
	case n.Kind == document.List:
		w.b = append(w.b, '[')
		for i, item := range n.Items {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			if err := w.write(item); err != nil {
				return err
			}
		}
		w.b = append(w.b, ']')
		return nil
	case n.Kind == document.Map && len(n.Keys) == 1 && n.Keys[0].Text == "$ref":
		return w.follow(n.Items[0])
	case n.Kind == document.Map && len(n.Keys) == 1:
		key := document.Node{Kind: document.String, Text: n.Keys[0].Text}
		w.b = append(key.AppendJSON(append(w.b, '{')), ':')
		if err := w.write(n.Items[0]); err != nil {
			return err
		}
		w.b = append(w.b, '}')
		return nil
	}
	w.b = n.AppendJSON(w.b)
	return nil
}

func (w *ruleWriter) follow(ref *document.Node) error {
	fault := func(format string, args ...any) error {
		return &placedError{ref, fmt.Errorf("$ref: "+format, args...)}
	}
	if ref.Kind != document.String {
		return fault("must be the name of an evaluator, got %v", ref.Kind)
	}
	if *w.room < 0 {
		return fault("all rules together are too large once their references are resolved: more than %d bytes", maxReferred)
	}
	*w.room -= len(ref.Text) // an error may quote it
	if len(w.following) >= maxReferences {
		return fault("more than %d references follow one another", maxReferences)
	}
	for _, name := range w.following {
		if name == ref.Text {
			return fault("%s refers to itself: %s → %s", ref.Text, strings.Join(w.following, " → "), ref.Text)
		}
	}
	rule := w.evaluators[ref.Text]
	if rule == nil {
		return fault("there is no evaluator %q", ref.Text)
	}
	w.following = append(w.following, ref.Text)
	before := len(w.b)
	err := w.write(rule)
	w.following = w.following[:len(w.following)-1]
	if len(w.following) == 0 {
		*w.room -= len(w.b) - before
	}
	return err
}
