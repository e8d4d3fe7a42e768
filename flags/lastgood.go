package flags

import (
	"encoding/json"
	"slices"

	"github.com/upkeep-go/upkeep/internal/document"
	"github.com/upkeep-go/upkeep/internal/live"
)

// A lastGood is the path of [Options.LastGood]; Empty means none. The file holds what is in
// effect. If that is one document without kept definitions, it is a copy of the document.
// Otherwise it is a JSON list of documents that are merged in their order.
type lastGood string

// A savedPart is one document of the list.
type savedPart struct {
	Name string `json:"name"`
	Text string `json:"text"`
	Kept bool   `json:"kept,omitempty"` // it has the definitions that flags have kept, not a source's document
}

// parseParts reads a list of documents. Data that is not such a list is one document.
func parseParts(name string, data []byte) []savedPart {
	var parts []savedPart
	if json.Unmarshal(data, &parts) == nil && len(parts) > 0 {
		return parts
	}
	return []savedPart{{Name: name, Text: string(data)}}
}

// name is the copy's name as a document; Empty means none.
func (l lastGood) name() string {
	if l == "" {
		return ""
	}
	return live.CopyName(string(l))
}

// load reads the copy. It returns false if the copy is missing or equals doc.
func (l lastGood) load(doc []byte) ([]savedPart, bool) {
	if l == "" {
		return nil, false
	}
	data, err := live.ReadFile(string(l))
	if err != nil || string(data) == string(doc) {
		return nil, false
	}
	return parseParts(l.name(), data), true
}

// content makes the copy for docs: each document, and before it the definitions that its flags
// have kept. Those definitions come from the present copy. keys are the flags with kept
// definitions, by the number of their document, or by ^number where the present copy may have
// them in another document.
func (l lastGood) content(keys map[int]map[string]bool, docs []savedPart) ([]byte, error) {
	kept := l.definitionsOf(keys)
	var parts []savedPart
	for i, doc := range docs {
		for _, part := range kept[i] {
			parts = append(parts, savedPart{doc.Name, part.Text, true})
		}
		parts = append(parts, doc)
		delete(kept, i)
	}
	for _, more := range kept { // of sources that no longer exist
		parts = append(more, parts...)
	}
	return json.Marshal(parts)
}

// definitionsOf finds definitions in the copy, by the number of their document. Definitions that
// were kept before are found as such. It removes the keys that it finds.
func (l lastGood) definitionsOf(keys map[int]map[string]bool) map[int][]savedPart {
	for number, of := range keys {
		if len(of) == 0 {
			delete(keys, number)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	old, ok := l.load(nil)
	if !ok {
		return nil
	}
	found := map[int][]savedPart{}
	documents := 0
	docs := make([]*definitions, len(old)) // nil where a part cannot be read
	for i, part := range old {
		docs[i], _ = readDefinitions(part.Name, []byte(part.Text))
		if !part.Kept {
			documents++
		}
	}
	take := func(kept bool, i, number, as int) {
		if docs[i] == nil || old[i].Kept != kept {
			return
		}
		if text := only(docs[i], keys[number], evaluatorsFor(i, old, docs)); text != nil {
			found[as] = append(found[as], savedPart{old[i].Name, string(text), true})
		}
	}
	for _, kept := range []bool{true, false} {
		number := documents
		for i, part := range slices.Backward(old) { // the later counts
			if !part.Kept {
				number--
			}
			take(kept, i, number, number)
			for of := range keys {
				if of < 0 {
					take(kept, i, of, ^of)
				}
			}
		}
	}
	return found
}

// evaluatorsFor finds an evaluator as the rules of part i see it.
func evaluatorsFor(i int, parts []savedPart, docs []*definitions) func(name string) *document.Node {
	return func(name string) *document.Node {
		if n := docs[i].evaluators.Get(name); n != nil {
			return n
		}
		for j, doc := range slices.Backward(docs) {
			if doc != nil && !parts[j].Kept {
				if n := doc.evaluators.Get(name); n != nil {
					return n
				}
			}
		}
		return nil
	}
}

// only writes a document with only these keys, and with all evaluators that they refer to. It
// removes the keys that it finds, and returns nil when it finds nothing.
func only(doc *definitions, keys map[string]bool, evaluator func(name string) *document.Node) []byte {
	rest := &document.Node{Kind: document.Map}
	for i, key := range doc.flags.Keys {
		if keys[key.Text] {
			delete(keys, key.Text)
			rest.Keys, rest.Items = append(rest.Keys, key), append(rest.Items, doc.flags.Items[i])
		}
	}
	if len(rest.Keys) == 0 {
		return nil
	}
	root := &document.Node{Kind: document.Map}
	field := func(name string, node *document.Node) {
		if node != nil {
			root.Keys = append(root.Keys, &document.Node{Kind: document.String, Text: name})
			root.Items = append(root.Items, node)
		}
	}
	used := &document.Node{Kind: document.Map}
	addEvaluators(rest, evaluator, used, map[string]bool{}, 0)
	field("metadata", doc.metadata)
	if len(used.Keys) > 0 {
		field("$evaluators", used)
	}
	field("flags", rest)
	return root.AppendJSON(nil)
}

// addEvaluators collects the evaluators that rules refer to, directly or through others.
func addEvaluators(n *document.Node, evaluator func(name string) *document.Node, used *document.Node, seen map[string]bool, following int) {
	if name, ok := reference(n); ok && !seen[name] && following < maxReferences {
		seen[name] = true
		if rule := evaluator(name); rule != nil {
			used.Keys = append(used.Keys, &document.Node{Kind: document.String, Text: name})
			used.Items = append(used.Items, rule)
			addEvaluators(rule, evaluator, used, seen, following+1)
		}
	}
	for _, item := range n.Items {
		addEvaluators(item, evaluator, used, seen, following)
	}
}
