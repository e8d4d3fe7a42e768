package pkgmgmt

import "github.com/upkeep-go/upkeep/internal/cleantext"

// shown makes a text that comes from elsewhere fit for one line of a log or table.
func shown(text string) string { return cleantext.Flat(text, 1<<10) }
