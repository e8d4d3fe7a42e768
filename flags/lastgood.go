package flags

import (
	"encoding/json"
	"slices"

	"github.com/upkeep-go/upkeep/internal/document"
	"github.com/upkeep-go/upkeep/internal/live"
)

// A lastGood is the file of [Options.LastGood]; Empty means that there is none. It holds what
// is in effect: the document of the source as it is or, where there are several or a flag has
// kept an earlier definition, a JSON list of documents to be merged in their order.
type lastGood string

// A savedPart is one document of the list.
type savedPart struct {
	Name string `json:"name"`
	Text string `json:"text"`
	Kept bool   `json:"kept,omitempty"` // not a source's: it has the definitions that flags have kept
}

// parseParts reads a list of documents. A document that is no list is the only one.
func parseParts(name string, data []byte) []savedPart {
	var parts []savedPart
	if json.Unmarshal(data, &parts) == nil && len(parts) > 0 {
		return parts
	}
	return []savedPart{{Name: name, Text: string(data)}}
}

// name is what the copy is called as a document; Empty when there is none.
func (l lastGood) name() string {
	if l == "" {
		return ""
	}
	return live.CopyName(string(l))
}

// load reads the copy, unless it has nothing that the document does not have.
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

// content is what the copy is to hold for documents: these, each after the definitions that its
// flags have kept, which the copy has as it is now. keys are those flags, by the number of the
// document, or by ^number where the copy may have had them in another document.
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
	for _, more := range kept { // of sources that there are no longer
		parts = append(more, parts...)
	}
	return json.Marshal(parts)
}

// definitionsOf finds definitions in the copy, by the number of the document that they belong
// to. What flags had kept before is there as such. It takes the keys that it finds.
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

// evaluatorsFor finds an evaluator as the rules of the part i see it.
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

// only writes a document with the flags of these keys alone, which it takes from them, and with
// all the evaluators that they refer to; nil when it has none of the flags.
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

// addEvaluators collects the evaluators that rules refer to, which other evaluators may do.
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
