package pkgmgmt

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// WriteTable writes the report for people: a line for each row, columns aligned by
// spaces, and below it each finding once, with its fix and the services that it is
// about.
func (r *FleetReport) WriteTable(w io.Writer) error {
	lines := [][]string{{"MODULE", "VERSION", "SERVICE", "ENVIRONMENT", "VERDICT"}}
	for _, row := range r.Rows {
		name, version := row.Module, row.Version
		if row.Replacement != "" {
			version = strings.TrimSpace("=> " + row.Replacement + " " + version)
		}
		service := strings.TrimSpace(row.Service + " " + row.ServiceVersion)
		lines = append(lines, []string{cmp.Or(name, "-"), cmp.Or(version, "-"), service, cmp.Or(row.Environment, "-"), string(row.Verdict)})
	}
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	b := bufio.NewWriter(w)
	for _, line := range lines {
		for i, cell := range line {
			if i == len(line)-1 {
				fmt.Fprintln(b, cell)
				break
			}
			fmt.Fprintf(b, "%-*s", widths[i]+2, cell)
		}
	}
	type note struct{ subject, text string }
	var order []note
	services := map[note][]string{}
	for _, row := range r.Rows {
		for _, f := range row.Findings {
			n := note{strings.TrimSpace(row.Module + " " + row.Version), f.Reason}
			if f.Fix != "" {
				n.text += "; to fix: " + f.Fix
			}
			if services[n] == nil {
				order = append(order, n)
			}
			where := row.Service
			if row.Environment != "" {
				where += " in " + row.Environment
			}
			services[n] = append(services[n], where)
		}
	}
	for i, n := range order {
		if i == 0 {
			fmt.Fprintln(b)
		}
		where := strings.Join(services[n], ", ")
		if n.subject == "" {
			fmt.Fprintf(b, "%s: %s\n", where, n.text)
		} else {
			fmt.Fprintf(b, "%s: %s (%s)\n", n.subject, n.text, where)
		}
	}
	return b.Flush()
}
