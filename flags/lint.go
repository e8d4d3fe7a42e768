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

// Lint reports errors and probable mistakes in a document, in the order of the document. CI can
// require an empty result: a good document passes. declared are flags that the code declares: a
// missing one, or one of another type, is an error.
//
// [SeverityError] means that the document, a flag or a condition does not do what is written:
//
//   - a flag that cannot be used
//   - a misspelt field, or a flag without state
//   - a rule that gives something that is not a variant
//   - a condition that can never hold, such as sem_ver with something that is not a version
//   - an operator with too few arguments
//   - fractional with a bucketing value that is the same for everybody
//   - a guard (metadata that begin with "guard.") with a faulty or unknown key, or whose two variants
//     fractional does not choose between
//
// [SeverityWarning] means that the document works, but is probably a mistake, or that other
// engines of flagd's format read it differently:
//
//   - branches that are never reached, and entries of fractional that no user gets
//   - unused variants and evaluators, and unknown fields
//   - numbers that lose digits, variants of different types, nested metadata
//   - a flag without a default variant
//   - a flag past metadata.expires, as of now: a warning, so that it does not block a hotfix
//
// The fields description, title, $schema, $id and $comment, and fields that begin with "x-", are
// for people and tools, and are not reported. Lint does not evaluate operators: for example, it
// does not know what cat computes.
func Lint(name string, doc []byte, declared ...Declared) Faults {
	defs, err := readDefinitions(name, doc)
	if err != nil {
		return faultsIn(name, err)
	}
	ps := parser{}
	set, faults := ps.compile(defs, []*definitions{defs}, nil)
	l := linter{doc: defs, now: time.Now(), used: map[string]bool{}, evaluators: map[string]*evaluatorInfo{}, faults: slices.Concat(defs.unknown, set.unknown, faults)}
	if defs.evaluators != nil {
		for i, key := range defs.evaluators.Keys {
			l.evaluators[key.Text] = &evaluatorInfo{rule: defs.evaluators.Items[i], kinds: anyKind, outcome: outcome{canBeNull: true}}
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
	flag   string          // the flag being checked
	field  string          // the field of the rule being checked
	loops  int             // number of enclosing loops
	used   map[string]bool // evaluators that a rule refers to
	faults Faults

	evaluators map[string]*evaluatorInfo
	stateless  map[string]bool // flags with a misspelt state
}

func (l *linter) at(n *document.Node, severity Severity, field, format string, args ...any) {
	l.faults = append(l.faults, &Fault{
		File: l.doc.name, Line: n.Line, Column: n.Column, Flag: l.flag, Field: field, Severity: severity, Err: fmt.Errorf(format, args...),
	})
}

func (l *linter) errorf(n *document.Node, format string, args ...any) {
	l.at(n, SeverityError, l.field, format, args...)
}

func (l *linter) warnf(n *document.Node, format string, args ...any) {
	l.at(n, SeverityWarning, l.field, format, args...)
}

// declared checks a flag against its declaration in the code, even if the flag is faulty.
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
			l.at(item, SeverityError, "", "variant %q is not of type %s, which the code declares", document.Clip(variants.Keys[i].Text), d.typeName())
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
			l.guard(key, node, f)
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

// shared checks the evaluators.
func (l *linter) shared() {
	if l.doc.evaluators == nil {
		return
	}
	for i, key := range l.doc.evaluators.Keys {
		rule := l.doc.evaluators.Items[i]
		l.field = "$evaluators." + document.Clip(key.Text)
		l.targeting(rule)
		if key.Text == "" {
			l.warnf(key, "has an empty name")
		}
		l.markUsed(rule, key.Text)
	}
	for _, key := range l.doc.evaluators.Keys {
		if !l.used[key.Text] {
			l.at(key, SeverityWarning, "$evaluators", "no rule refers to %q", key.Text)
		}
	}
}

// markUsed marks the evaluators that a rule refers to as used. A reference from an evaluator to itself
// does not count.
func (l *linter) markUsed(n *document.Node, from string) {
	if name, ok := reference(n); ok {
		if name != from || from == "" {
			l.used[name] = true
		}
		return
	}
	for _, item := range n.Items {
		l.markUsed(item, from)
	}
}

// reference returns the name in {"$ref": name}.
func reference(n *document.Node) (name string, ok bool) {
	if n.Kind == document.Map && len(n.Keys) == 1 && n.Keys[0].Text == "$ref" && n.Items[0].Kind == document.String {
		return n.Items[0].Text, true
	}
	return "", false
}

// definition checks a flag, which may be faulty.
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
	switch byDefault := node.Get("defaultVariant"); {
	case byDefault == nil:
	case byDefault.Kind == document.Bool || byDefault.Kind == document.Number:
		l.at(byDefault, SeverityWarning, "defaultVariant", "flagd reads only a string: write it in quotes, %q", byDefault.Text)
	case byDefault.Kind == document.String && byDefault.Text == "":
		l.at(byDefault, SeverityWarning, "defaultVariant", "is empty: the code's default is used")
	}
	l.metadata(node.Get("metadata"))
	l.expiry(node)
	l.field = "targeting"
	if targeting := node.Get("targeting"); targeting != nil {
		l.targeting(targeting)
		l.markUsed(targeting, "")
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

// numbers finds numbers that lose digits in a float64, or do not fit.
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

// outcomes compares the possible results of a flag's rule with its variants.
func (l *linter) outcomes(key, node *document.Node, f *flag) {
	gives := outcome{canBeNull: true, complete: true}
	if f.rule != nil {
		gives = l.results(node.Get("targeting"), 0)
		for _, name := range gives.names {
			if f.variants[name.text] == nil && !name.never {
				l.at(name.at, SeverityError, "targeting", "gives %q, which is not a variant", name.text)
			}
		}
	}
	if f.defaultVariant == nil && gives.canBeNull && !f.disabled && node.Get("defaultVariant") == nil {
		l.at(key, SeverityWarning, "defaultVariant", "missing: the code's default is used")
	}
	if f.disabled || !gives.complete {
		return
	}
	for _, name := range node.Get("variants").Keys {
		named := f.defaultVariant != nil && f.defaultVariant.name == name.Text && gives.canBeNull
		for _, n := range gives.names {
			named = named || n.text == name.Text
		}
		// Flags without a rule are switched by hand, so an unused variant is fine.
		if !named && f.rule != nil {
			l.at(name, SeverityWarning, "variants", "nothing gives %q", name.Text)
		}
	}
}
