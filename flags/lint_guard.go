package flags

import (
	"slices"

	"github.com/upkeep-go/upkeep/internal/document"
	"github.com/upkeep-go/upkeep/internal/guard"
)

// guard checks the guard of a flag, and that it can compare its two variants.
func (l *linter) guard(key, node *document.Node, f *flag) {
	if !guard.Has(f.metadata) {
		return
	}
	at := func(field string) *document.Node {
		for _, metadata := range []*document.Node{node.Get("metadata"), l.doc.metadata} {
			if n := metadata.Get(field); n != nil {
				return n
			}
		}
		return key
	}
	report := func(field, format string, args ...any) {
		l.at(at(field), SeverityError, "metadata."+document.Clip(field), format, args...)
	}
	g, faults := guard.Parse(f.metadata)
	for _, fault := range faults {
		report(fault.Key, "%w", fault.Err)
	}
	known := true
	for _, arm := range [][2]string{{guard.Treatment, g.Treatment}, {guard.Control, g.Control}} {
		if name := arm[1]; name != "" && f.variants[name] == nil {
			report(arm[0], "%q is not a variant", document.Clip(name))
			known = false
		}
	}
	if len(faults) > 0 || !known || f.disabled {
		return
	}
	const never = "the guard never acts, because "
	switch f.split {
	case splitNone:
		report(guard.Treatment, never+"the rule does not use fractional to choose between %q and %q", g.Treatment, g.Control)
	case splitInside:
		report(guard.Treatment, never+"the rule uses fractional in a condition or an argument")
	case splitDecides:
		for _, arms := range l.splits(node.Get("targeting"), f, 0) {
			if !slices.Equal(arms, slices.Sorted(slices.Values([]string{g.Control, g.Treatment}))) {
				report(guard.Treatment, "fractional must choose between exactly %q and %q, got %q", g.Treatment, g.Control, arms)
			}
		}
	}
}

// splits returns the variants of each fractional in a rule whose split decides, sorted. A fractional with
// variants or weights that are computed is left out.
func (l *linter) splits(n *document.Node, f *flag, depth int) (all [][]string) {
	n = l.resolve(n)
	if depth > document.MaxDepth || !isOperation(n) {
		return nil
	}
	operator, args := operation(n)
	if operator != "fractional" {
		for _, arg := range args {
			all = append(all, l.splits(arg, f, depth+1)...)
		}
		return all
	}
	if len(args) > 0 && args[0].Kind != document.List {
		args = args[1:]
	}
	var arms []string
	for _, entry := range args {
		if entry.Kind != document.List || len(entry.Items) == 0 || isOperation(entry.Items[0]) || len(entry.Items) > 1 && isOperation(entry.Items[1]) {
			return nil
		}
		if len(entry.Items) > 1 && entry.Items[1].Kind == document.Number && numberOf(entry.Items[1]) <= 0 {
			continue
		}
		arms = append(arms, f.nameOf(entry.Items[0].Value()))
	}
	slices.Sort(arms)
	return [][]string{slices.Compact(arms)}
}
