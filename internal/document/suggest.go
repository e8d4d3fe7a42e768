package document

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Suggest returns the known name that is one edit away from name: another case, one character
// too many, too few or wrong, or two that are swapped. It returns "" when none is, or when name
// is too long to be compared.
func Suggest(name string, known []string) string {
	if len(name) > maxClip || !utf8.ValidString(name) {
		return ""
	}
	for _, k := range known {
		if k != name && strings.EqualFold(k, name) {
			return k
		}
	}
	for _, k := range known {
		// Of very short names everything is one edit away.
		if k != name && min(len(k), len(name)) > 1 && oneEdit([]rune(name), []rune(k)) {
			return k
		}
	}
	return ""
}

// didYouMean is the end of an error text about a name; empty when nothing is near.
func didYouMean(name string, known []string) string {
	if s := Suggest(name, known); s != "" {
		return fmt.Sprintf(" (did you mean %q?)", s)
	}
	return ""
}

// oneEdit reports whether two different texts are one insertion, deletion, substitution or
// swap of neighbours apart.
func oneEdit(a, b []rune) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	restA, restB := a[i:], b[i:]
	switch {
	case len(a) < len(b):
		return string(restA) == string(restB[1:])
	case string(restA[1:]) == string(restB[1:]):
		return true
	}
	return len(restA) > 1 && restA[0] == restB[1] && restA[1] == restB[0] && string(restA[2:]) == string(restB[2:])
}
