package flags

import (
	"crypto/sha256"
	"errors"
	"maps"
	"strings"

	"github.com/open-feature/go-sdk/openfeature"

	"github.com/upkeep-go/upkeep/internal/document"
	"github.com/upkeep-go/upkeep/internal/guard"
)

type flagState string

const (
	stateEnabled  flagState = "ENABLED"
	stateDisabled flagState = "DISABLED"
)

// A definition is one flag in a document.
type definition struct {
	doc       *definitions
	rules     *rulebook
	key, node *document.Node
}

// compile compiles the flag. It returns all faults, and the fields that are unknown.
func (d *definition) compile() (f *flag, faults, unknown Faults) {
	r := document.NewReader(d.doc.name)
	m := r.Value(d.node).About(d.key.Text).Map()
	f = &flag{key: d.key.Text, keyValue: d.key.Text}
	f.disabled = document.Enum(m.Field("state"), stateEnabled, stateDisabled) == stateDisabled
	f.variants, f.few = readVariants(m.Need("variants"))
	f.defaultVariant = readDefault(m.Field("defaultVariant"), f)
	f.metadata = overlay(d.doc.metadata, metadataNode(m.Field("metadata")))
	targeting := m.Field("targeting").Node()
	m.Ignore(isAnnotation)
	m.DoneWarn(isMisspelling)
	print := append(append(d.rules.print[:0], f.key...), byte(d.rules.bucketing))
	print = d.doc.metadata.AppendJSON(print)
	for _, field := range []string{"state", "variants", "defaultVariant", "metadata"} {
		print = d.node.Get(field).AppendJSON(append(print, ','))
	}
	rule, print, broken := d.rules.targeting(d.doc.name, targeting, append(print, ','))
	f.rule, f.fingerprint = rule, sha256.Sum256(print)
	d.rules.print = print
	if rule != nil {
		f.split = d.rules.splitUse(targeting)
	}
	f.exposed = f.split == splitDecides || guard.Has(f.metadata)

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

// readDefault finds the default variant; nil means none. YAML reads on and off as strings, but
// true and 1 as a boolean and a number, so the name is compared as text.
func readDefault(v document.Value, f *flag) *variant {
	name := v.Node()
	if name == nil || name.Kind == document.Null {
		return nil
	}
	if name.Kind == document.List || name.Kind == document.Map {
		v.Faultf("must be the name of a variant, got %v", name.Kind)
		return nil
	}
	byDefault := f.variants[name.Text]
	if byDefault == nil && name.Text != "" && len(f.variants) > 0 {
		v.Faultf("%q is not a variant", document.Clip(name.Text))
	}
	return byDefault
}

// overlay merges the metadata of the document with that of the flag, which wins. It returns nil
// when both are empty.
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

// definitions are a document, parsed but not compiled.
type definitions struct {
	name        string
	text        []byte
	flags       *document.Node // a map
	evaluators  *document.Node // a map or nil
	metadata    *document.Node // a map or nil
	allowShrink bool
	unknown     Faults // fields without a meaning
	misspelt    Faults // fields that are one edit away from a known one
}

// readDefinitions parses a document. An error is of type [Faults] and refuses the document.
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
	m.DoneWarn(isMisspelling)
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

// flagsNode returns the map of flags. A document may have a list of flags instead, each with its
// key in the field key.
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

// metadataNode returns the metadata. A number that a float64 cannot hold is a fault.
func metadataNode(v document.Value) *document.Node {
	n := mapNode(v)
	eachNumber(n, func(number *document.Node, err error) {
		if beyondFloat(err) {
			v.At(number).Fault(err)
		}
	})
	return n
}

// isAnnotation reports whether a field of a document or a flag is for people and tools only.
func isAnnotation(name string) bool {
	switch name {
	case "$schema", "$id", "$comment", "title", "description":
		return true
	}
	return strings.HasPrefix(name, "x-")
}

// isMisspelling reports whether a misspelt field can be the known one, judged by its value. Only state
// is doubtful: a field called stage may be another tool's.
func isMisspelling(known string, value *document.Node) bool {
	return known != "state" || strings.EqualFold(value.Text, string(stateEnabled)) || strings.EqualFold(value.Text, string(stateDisabled))
}

// mapNode returns the node of a map. Anything else is a fault.
func mapNode(v document.Value) *document.Node {
	if v.Map().Present() {
		return v.Node()
	}
	return nil
}
