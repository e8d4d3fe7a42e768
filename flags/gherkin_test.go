package flags_test

import (
	"bufio"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A scenario is one row of a feature file, ready to run.
type scenario struct {
	name  string
	tags  []string
	steps []step
}

type step struct {
	text  string
	table [][]string
}

// readFeature reads the part of Gherkin that flagd's test files use: background, scenarios,
// outlines with several tagged examples, and tables.
func readFeature(t *testing.T, path string) []scenario {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()

	type outline struct {
		scenario
		examples []example
	}
	var (
		tags, featureTags []string
		background        []step
		outlines          []*outline
		into              *[]step
		table             *[][]string
	)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		keyword, rest, _ := strings.Cut(line, ":")
		first, text, _ := strings.Cut(line, " ")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '@':
			tags = append(tags, strings.Fields(line)...)
		case keyword == "Feature":
			featureTags, tags = tags, nil
		case keyword == "Background":
			into = &background
		case keyword == "Scenario" || keyword == "Scenario Outline":
			o := &outline{scenario: scenario{name: strings.TrimSpace(rest), tags: slices.Concat(featureTags, tags)}}
			outlines = append(outlines, o)
			into, tags = &o.steps, nil
		case keyword == "Examples":
			o := outlines[len(outlines)-1]
			o.examples = append(o.examples, example{tags: tags})
			table, tags = &o.examples[len(o.examples)-1].rows, nil
		case line[0] == '|':
			var cells []string
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
				cells = append(cells, strings.ReplaceAll(strings.TrimSpace(cell), `\"`, `"`))
			}
			*table = append(*table, cells)
		case slices.Contains([]string{"Given", "When", "Then", "And", "But"}, first):
			*into = append(*into, step{text: text})
			table = &(*into)[len(*into)-1].table
		}
	}
	require.NoError(t, lines.Err())

	var all []scenario
	for _, o := range outlines {
		steps := slices.Concat(background, o.steps)
		if len(o.examples) == 0 {
			all = append(all, scenario{o.name, o.tags, steps})
		}
		for _, ex := range o.examples {
			for _, row := range ex.rows[1:] {
				all = append(all, scenario{o.name + " " + strings.Join(row, ","), slices.Concat(o.tags, ex.tags), fill(steps, ex.rows[0], row)})
			}
		}
	}
	return all
}

type example struct {
	tags []string
	rows [][]string
}

var placeholder = regexp.MustCompile(`<[^<>]+>`)

// fill replaces the placeholders of the steps with a row of examples.
func fill(steps []step, head, row []string) []step {
	filled := make([]step, len(steps))
	for i, s := range steps {
		filled[i] = step{table: s.table, text: placeholder.ReplaceAllStringFunc(s.text, func(name string) string {
			if at := slices.Index(head, strings.Trim(name, "<>")); at >= 0 {
				return row[at]
			}
			return name
		})}
	}
	return filled
}
