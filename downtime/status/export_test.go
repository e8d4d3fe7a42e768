package status

// FoldLine folds a content line of a calendar.
func FoldLine(line string) []byte { return appendFolded(nil, line) }

// EscapeText escapes a text for a calendar.
func EscapeText(text string) string { return escapeText(text) }
