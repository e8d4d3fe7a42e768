package flags

import "github.com/upkeep-go/upkeep/internal/document"

// definitions are a document, read but not compiled.
type definitions struct {
	name        string
	text        []byte
	flags       *document.Node // a map
	evaluators  *document.Node // a map or nil
	metadata    *document.Node // a map or nil
	allowShrink bool
	unknown     Faults // fields that mean nothing
}

// readDefinitions reads a document. The error is [Faults] and refuses it.
func readDefinitions(name string, data []byte) (*definitions, error) {
	r := document.NewReader(name)
	m := r.Parse(data).Map()
	doc := &definitions{
		name:        name,
		text:        data,
		flags:       mapNode(m.Need("flags")),
		evaluators:  mapNode(m.Field("$evaluators")),
		metadata:    mapNode(m.Field("metadata")),
		allowShrink: m.Field("allowShrink").Bool(),
	}
	m.Field("$schema")
	if faults := faultsOf(name, r.Faults()); len(faults) > 0 {
		return nil, faults
	}
	m.Done()
	doc.unknown = faultsOf(name, r.Faults()).warnings()
	return doc, nil
}

// mapNode is the node of a map; anything else that is there is a fault.
func mapNode(v document.Value) *document.Node {
	if v.Map().Present() {
		return v.Node()
	}
	return nil
}
