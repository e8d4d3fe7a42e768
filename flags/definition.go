package flags

import (
	"crypto/sha256"
	"errors"
	"maps"
	"strings"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/internal/document"
)

// A flagState is whether a flag is switched on at all.
type flagState string

const (
	stateEnabled  flagState = "ENABLED"
	stateDisabled flagState = "DISABLED"
)

// A definition is one flag as a document has it.
type definition struct {
	doc       *definitions
	rules     *rulebook
	key, node *document.Node
}

// compile makes the flag, or says all that is wrong with it, and which fields mean nothing.
func (d *definition) compile() (f *flag, faults, unknown Faults) {
	r := document.NewReader(d.doc.name)
	m := r.Value(d.node).About(d.key.Text).Map()
	f = &flag{key: d.key.Text, keyValue: d.key.Text}
	f.disabled = document.Enum(m.Field("state"), stateEnabled, stateDisabled) == stateDisabled
	f.variants, f.few = readVariants(m.Need("variants"))
	f.standard = readDefault(m.Field("defaultVariant"), f)
	f.metadata = overlay(d.doc.metadata, metadataNode(m.Field("metadata")))
	targeting := m.Field("targeting").Node()
	m.Ignore(isAnnotation)
	m.DoneWarn(isMeant)
	print := append(append(d.rules.print[:0], f.key...), byte(d.rules.bucketing))
	print = d.doc.metadata.AppendJSON(print)
	for _, field := range []string{"state", "variants", "defaultVariant", "metadata"} {
		print = d.node.Get(field).AppendJSON(append(print, ','))
	}
	rule, print, broken := d.rules.targeting(d.doc.name, targeting, append(print, ','))
	f.rule, f.fingerprint = rule, sha256.Sum256(print)
	d.rules.print = print

	faults, unknown = faultsOf(d.doc.name, r.Faults())
	if broken != nil {
		faults = append(faults, &Fault{File: broken.file, Line: broken.at.Line, Column: broken.at.Column, Flag: f.key, Field: "targeting", Err: broken.err})
	}
	return f, faults, unknown
}

func readVariants(v document.Value) (variants map[string]*variant, few []*variant) {
	if v.Is(document.Map) && len(v.Node().Keys) == 0 {
		v.Faultf("must have at least one variant")
	}
	variants = map[string]*variant{}
	for name, value := range v.Entries() {
		if value.Null() {
			value.Faultf("must have a value, got null")
		}
		eachNumber(value.Node(), func(number *document.Node, err error) { value.At(number).Fault(err) })
		one := &variant{name: name.Node().Text, value: value.Node().Value()}
		variants[one.name] = one
		few = append(few, one)
	}
	if len(few) > fewVariants {
		few = nil
	}
	return variants, few
}

// readDefault reads the name of the default variant; nil where there is none. YAML reads on
// and off as texts, true and 1 as what they look like.
func readDefault(v document.Value, f *flag) *variant {
	name := v.Node()
	if name == nil || name.Kind == document.Null {
		return nil
	}
	if name.Kind == document.List || name.Kind == document.Map {
		v.Faultf("must be the name of a variant, got %v", name.Kind)
		return nil
	}
	standard := f.variants[name.Text]
	if standard == nil && name.Text != "" && len(f.variants) > 0 {
		v.Faultf("%q is not a variant", document.Clip(name.Text))
	}
	return standard
}

// overlay merges the set's metadata with the flag's, which wins. Nil when both are
// empty.
func overlay(set, own *document.Node) openfeature.FlagMetadata {
	all, _ := set.Value().(map[string]any)
	ours, _ := own.Value().(map[string]any)
	if len(all)+len(ours) == 0 {
		return nil
	}
	m := openfeature.FlagMetadata{}
	maps.Copy(m, all)
	maps.Copy(m, ours)
	return m
}

// definitions are a document, read but not compiled.
type definitions struct {
	name        string
	text        []byte
	flags       *document.Node // a map
	evaluators  *document.Node // a map or nil
	metadata    *document.Node // a map or nil
	allowShrink bool
	unknown     Faults // fields that mean nothing
	misspelt    Faults // fields that were to mean something
}

// readDefinitions reads a document. The error is [Faults] and refuses it.
func readDefinitions(name string, data []byte) (*definitions, error) {
	r := document.NewReader(name)
	m := r.Parse(data).Map()
	doc := &definitions{
		name:        name,
		text:        data,
		flags:       flagsNode(m.Need("flags")),
		evaluators:  mapNode(m.Field("$evaluators")),
		metadata:    metadataNode(m.Field("metadata")),
		allowShrink: m.Field("allowShrink").Bool(),
	}
	m.Ignore(isAnnotation)
	m.DoneWarn(isMeant)
	faults, unknown := faultsOf(name, r.Faults())
	doc.unknown = unknown
	for _, fault := range faults {
		if is := (*document.UnknownError)(nil); !errors.As(fault.Err, &is) {
			return nil, faults
		}
	}
	doc.misspelt = faults
	return doc, nil
}

// flagsNode is the node of a map of flags. A document may have a list instead, of flags that
// have their key in the field key.
func flagsNode(v document.Value) *document.Node {
	if !v.Is(document.List) {
		return mapNode(v)
	}
	all := &document.Node{Kind: document.Map, Line: v.Node().Line, Column: v.Node().Column}
	seen := map[string]bool{}
	for _, item := range v.List(len(v.Node().Items)) {
		named := item.Map().Need("key")
		if !named.Is(document.String) {
			if named.Present() {
				named.Faultf("must be the key of the flag, a string, got %v", named.Node().Kind)
			}
			continue
		}
		key := named.Node()
		if seen[key.Text] {
			named.Faultf("there is another flag %q before", document.Clip(key.Text))
		}
		seen[key.Text] = true
		whole := item.Node()
		flag := &document.Node{Kind: document.Map, Line: whole.Line, Column: whole.Column}
		for i, field := range whole.Keys {
			if field.Text != "key" {
				flag.Keys, flag.Items = append(flag.Keys, field), append(flag.Items, whole.Items[i])
			}
		}
		all.Keys, all.Items = append(all.Keys, key), append(all.Items, flag)
	}
	return all
}

// metadataNode is the node of metadata. A number that is beyond a float64 is a fault.
func metadataNode(v document.Value) *document.Node {
	n := mapNode(v)
	eachNumber(n, func(number *document.Node, err error) {
		if beyondFloat(err) {
			v.At(number).Fault(err)
		}
	})
	return n
}

// isAnnotation says that a field, of a document or a flag, is for people and tools.
func isAnnotation(name string) bool {
	switch name {
	case "$schema", "$id", "$comment", "title", "description":
		return true
	}
	return strings.HasPrefix(name, "x-")
}

// isMeant says whether the value of a misspelt field can be that of the known one. Any value
// can, but for a state: a field called stage may be somebody's own.
func isMeant(known string, value *document.Node) bool {
	return known != "state" || strings.EqualFold(value.Text, string(stateEnabled)) || strings.EqualFold(value.Text, string(stateDisabled))
}

// mapNode is the node of a map; anything else that is there is a fault.
func mapNode(v document.Value) *document.Node {
	if v.Map().Present() {
		return v.Node()
	}
	return nil
}

// A parser compiles documents as the options of its provider say.
// parse reads a document and compiles it. A flag that is wrong keeps its definition of
// prev, and so does one that is suddenly lost; such faults are returned as problems, or
// refuse the document where the parser is strict.
// accept says what is wrong with a set all in all, or why it must not replace prev.
// restore makes the set of the documents in a last good copy. It fails when none of them can be
// read.
// compile compiles the flags of a document. A rule may refer to the evaluators of all the
// documents that are given; of one name the first counts.
