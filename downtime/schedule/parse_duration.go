package schedule

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-go/upkeep/internal/document"
)

// MaxDuration bounds every duration of a document, because a maintenance window longer than
// a year is probably a mistake.
const MaxDuration = 366 * 24 * time.Hour

// duration reads a duration as Go has it, with days, or as calendars do (RFC 5545 §3.3.6):
// "PT2H", "P1DT12H", "P1W".
func duration(v document.Value) time.Duration {
	if !v.Is(document.String) {
		return v.Duration(MaxDuration)
	}
	text := v.Node().Text
	m := calendarDuration.FindStringSubmatch(text)
	if m == nil || strings.HasSuffix(strings.ToUpper(text), "T") || strings.EqualFold(text, "P") {
		return v.Duration(MaxDuration)
	}
	var total time.Duration
	for i, unit := range [...]time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.Atoi(m[i+1]) // a few digits, or none
		total += time.Duration(n) * unit
	}
	switch {
	case total == 0:
		v.Faultf("must be positive, got %q", text)
	case total > MaxDuration:
		v.Faultf("must be at most %dd, got %q", MaxDuration/(24*time.Hour), text)
	}
	return total
}

var calendarDuration = regexp.MustCompile(`(?i)^P(?:(\d{1,3})W|(?:(\d{1,3})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?)$`)
