package flags

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

// Lint reports what is wrong with a document, and what is probably a mistake, in the order of
// the document. It can be required to find nothing before a document is shipped: a good document
// has no findings.
//
// A finding of [SeverityError] means that the document, a flag or a condition does not do what
// is written: a flag cannot be used; a field is misspelt or has no state; a rule gives what is
// not a variant; a condition can never hold, as one that compares a version with something that
// is no version; an operator has too few arguments; fractional has a bucketing value that is the
// same for everybody. Flags that the code declares are checked too: a missing one, or one of
// another type, is an error.
//
// A finding of [SeverityWarning] means that the document works and is probably not what was
// meant, or that other engines of flagd's format read it differently: branches that nothing
// reaches and weights that nothing falls on; variants and evaluators that nothing uses; unknown
// fields; numbers that lose digits; variants of different types; nested metadata; a flag without
// a default variant. A flag past metadata.expires, as of now, is a warning, so that it does not
// block a hotfix.
//
// The fields description, title, $schema, $id and $comment, and fields that begin with "x-", are
// for people and tools, and are no findings.
//
// Lint reads what is written. It does not judge what a rule computes, with cat for instance.
func Lint(name string, doc []byte, declared ...Declared) Faults {
	defs, err := readDefinitions(name, doc)
	if err != nil {
		return faultsIn(name, err)
	}
	ps := parser{}
	set, faults := ps.compile(defs, []*definitions{defs}, nil)
	l := linter{doc: defs, now: time.Now(), used: map[string]bool{}, evaluators: map[string]*meaning{}, faults: slices.Concat(defs.unknown, set.unknown, faults)}
	if defs.evaluators != nil {
		for i, key := range defs.evaluators.Keys {
			l.evaluators[key.Text] = &meaning{rule: defs.evaluators.Items[i], kinds: anyKind, outcome: outcome{falls: true}}
		}
	}
	l.document(set)
	for _, d := range declared {
		l.declared(d)
	}
	slices.SortStableFunc(l.faults, func(a, b *Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return l.faults
}

type linter struct {
	doc    *definitions
	now    time.Time
	flag   string          // that is being read
	field  string          // of the rule that is being read
	loops  int             // around what is being read
	used   map[string]bool // evaluators that a rule refers to
	faults Faults

	evaluators map[string]*meaning
	stateless  map[string]bool // flags that have a misspelt state
}

func (l *linter) at(n *document.Node, severity Severity, field, format string, args ...any) {
	l.faults = append(l.faults, &Fault{
		File: l.doc.name, Line: n.Line, Column: n.Column, Flag: l.flag, Field: field, Severity: severity, Err: fmt.Errorf(format, args...),
	})
}

// wrong and doubtful are findings in a rule.
func (l *linter) wrong(n *document.Node, format string, args ...any) {
	l.at(n, SeverityError, l.field, format, args...)
}

func (l *linter) doubtful(n *document.Node, format string, args ...any) {
	l.at(n, SeverityWarning, l.field, format, args...)
}

// declared finds what the code expects of a flag, be the flag faulty or not.
func (l *linter) declared(d Declared) {
	l.flag = d.Key()
	node := l.doc.flags.Get(d.Key())
	if node == nil {
		l.at(&document.Node{}, SeverityError, "", "missing, and the code declares it as %s", d.typeName())
		return
	}
	variants := node.Get("variants")
	if variants == nil || variants.Kind != document.Map {
		return // a fault
	}
	for i, item := range variants.Items {
		if item.Kind != document.Null && !d.accepts(item.Value()) {
			l.at(item, SeverityError, "", "variant %q is no %s, as which the code declares it", document.Clip(variants.Keys[i].Text), d.typeName())
			return
		}
	}
}

func (l *linter) document(set *flagSet) {
	l.stateless = map[string]bool{}
	for _, f := range l.faults {
		if is := (*document.UnknownError)(nil); f.Severity == SeverityError && errors.As(f.Err, &is) && is.Suggestion == "state" {
			l.stateless[f.Flag] = true
		}
	}
	for i, key := range l.doc.flags.Keys {
		l.flag = key.Text
		node := l.doc.flags.Items[i]
		l.definition(key, node)
		if f := set.flags[key.Text]; f.fault == nil {
			l.outcomes(key, node, f)
		}
	}
	l.flag = ""
	l.metadata(l.doc.metadata)
	for _, id := range []string{"flagSetId", "version"} {
		if n := l.doc.metadata.Get(id); n != nil && n.Kind != document.String {
			l.at(n, SeverityWarning, "metadata."+id, "must be a string, got %v", n.Kind)
		}
	}
	l.shared()
}

// shared reads the evaluators.
func (l *linter) shared() {
	if l.doc.evaluators == nil {
		return
	}
	for i, key := range l.doc.evaluators.Keys {
		rule := l.doc.evaluators.Items[i]
		l.field = "$evaluators." + document.Clip(key.Text)
		l.targeting(rule)
		if key.Text == "" {
			l.doubtful(key, "has an empty name")
		}
		l.refer(rule, key.Text)
	}
	for _, key := range l.doc.evaluators.Keys {
		if !l.used[key.Text] {
			l.at(key, SeverityWarning, "$evaluators", "no rule refers to %q", key.Text)
		}
	}
}

// refer notes the evaluators that a rule refers to. An evaluator that refers to itself is not
// used by that.
func (l *linter) refer(n *document.Node, from string) {
	if name, ok := reference(n); ok {
		if name != from || from == "" {
			l.used[name] = true
		}
		return
	}
	for _, item := range n.Items {
		l.refer(item, from)
	}
}

// reference is the name in {"$ref": name}.
func reference(n *document.Node) (name string, ok bool) {
	if n.Kind == document.Map && len(n.Keys) == 1 && n.Keys[0].Text == "$ref" && n.Items[0].Kind == document.String {
		return n.Items[0].Text, true
	}
	return "", false
}

// definition reads a flag that may be faulty.
func (l *linter) definition(key, node *document.Node) {
	if key.Text == "" {
		l.at(key, SeverityWarning, "", "has an empty key")
	}
	if node.Kind != document.Map {
		return
	}
	if node.Get("state") == nil && !l.stateless[key.Text] {
		l.at(key, SeverityError, "state", "is required, because flagd's engines differ without it")
	}
	l.variants(node.Get("variants"))
	switch standard := node.Get("defaultVariant"); {
	case standard == nil:
	case standard.Kind == document.Bool || standard.Kind == document.Number:
		l.at(standard, SeverityWarning, "defaultVariant", "flagd reads only a string: write it in quotes, %q", standard.Text)
	case standard.Kind == document.String && standard.Text == "":
		l.at(standard, SeverityWarning, "defaultVariant", "is empty: the code's default is used")
	}
	l.metadata(node.Get("metadata"))
	l.expiry(node)
	l.field = "targeting"
	if targeting := node.Get("targeting"); targeting != nil {
		l.targeting(targeting)
		l.refer(targeting, "")
	}
}

func (l *linter) variants(variants *document.Node) {
	if variants == nil || variants.Kind != document.Map || len(variants.Items) == 0 {
		return
	}
	mixed := false
	for i, item := range variants.Items {
		l.numbers(item, "variants."+document.Clip(variants.Keys[i].Text))
		if variants.Keys[i].Text == "" {
			l.at(variants.Keys[i], SeverityWarning, "variants", "has an empty name")
		}
		if strings.ContainsAny(variants.Keys[i].Text, "\"<>&\\") {
			l.at(variants.Keys[i], SeverityWarning, "variants", "flagd's Go core does not find a variant whose name has a character that JSON escapes")
		}
		if item.Kind == document.List {
			l.at(item, SeverityWarning, "variants", "flagd does not have flags that are lists: put the list into a map")
		}
		if !mixed && item.Kind != variants.Items[0].Kind && item.Kind != document.Null {
			mixed = true
			l.at(item, SeverityWarning, "variants", "are of different types: %v after %v", item.Kind, variants.Items[0].Kind)
		}
	}
}

func (l *linter) metadata(metadata *document.Node) {
	if metadata == nil || metadata.Kind != document.Map {
		return
	}
	for i, item := range metadata.Items {
		field := "metadata." + document.Clip(metadata.Keys[i].Text)
		l.numbers(item, field)
		switch item.Kind {
		case document.List, document.Map, document.Null:
			l.at(item, SeverityWarning, field, "must be a string, a number, true or false, got %v: other engines leave it out", item.Kind)
		}
	}
}

// numbers finds numbers that a float64 does not hold as they are written.
func (l *linter) numbers(n *document.Node, field string) {
	switch err := numberFault(n); {
	case n.Kind != document.Number || err != nil && strings.HasPrefix(field, "variants."):
	case err != nil && !losesDigits(n.Text):
		l.at(n, SeverityWarning, field, "%w", err)
	case losesDigits(n.Text):
		l.at(n, SeverityWarning, field, "%s loses digits: it is read as %s", document.Clip(n.Text), numberText(numberOf(n)))
	}
	for _, item := range n.Items {
		l.numbers(item, field)
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

// outcomes compares what the rule of a flag can give with the flag's variants.
func (l *linter) outcomes(key, node *document.Node, f *flag) {
	gives := outcome{falls: true, complete: true}
	if f.rule != nil {
		gives = l.results(node.Get("targeting"), 0)
		for _, name := range gives.names {
			if f.variants[name.text] == nil && !name.never {
				l.at(name.at, SeverityError, "targeting", "gives %q, which is not a variant", name.text)
			}
		}
	}
	if f.standard == nil && gives.falls && !f.disabled && node.Get("defaultVariant") == nil {
		l.at(key, SeverityWarning, "defaultVariant", "missing: the code's default is used")
	}
	if f.disabled || !gives.complete {
		return
	}
	for _, name := range node.Get("variants").Keys {
		named := f.standard != nil && f.standard.name == name.Text && gives.falls
		for _, n := range gives.names {
			named = named || n.text == name.Text
		}
		// Flags without a rule are switched by hand, so a variant that is left over is no finding.
		if !named && f.rule != nil {
			l.at(name, SeverityWarning, "variants", "nothing gives %q", name.Text)
		}
	}
}
