package document

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// FaultText writes a fault as every package does:
//
//	windows.yaml:14:15: window "db-upgrade": duration: must be positive, got "-2h"
//
// kind is what the subject is, "window". What is empty is left out.
func FaultText(name string, line, column int, kind, subject, field string, err error) string {
	var b strings.Builder
	part := func(text string) {
		if text != "" {
			b.WriteString(text)
			b.WriteString(": ")
		}
	}
	part(Place(name, line, column))
	if subject != "" {
		part(kind + " " + strconv.Quote(Clip(subject)))
	}
	var unknown *UnknownError
	if errors.As(err, &unknown) { // which names the last part of the field
		field = strings.TrimSuffix(strings.TrimSuffix(field, Clip(unknown.Name)), ".")
	}
	part(field)
	b.WriteString(err.Error())
	return b.String()
}

// maxFaults is how many faults an error text lists.
const maxFaults = 50

// FaultsText writes faults one a line, at most fifty of them.
func FaultsText[F error](faults []F) string {
	var b strings.Builder
	for i, f := range faults {
		if i == maxFaults {
			fmt.Fprintf(&b, "\nand %d more", len(faults)-maxFaults)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(f.Error())
	}
	return b.String()
}
