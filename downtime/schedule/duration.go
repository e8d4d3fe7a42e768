package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxDuration bounds every duration of a document, because a maintenance window longer
// than a year is probably a mistake.
const MaxDuration = 366 * 24 * time.Hour

// parseDuration reads a duration as [time.ParseDuration] does, with a leading
// number of days allowed: "90m", "72h", "3d", "1d12h". A day is 24 hours. It must be
// positive and at most MaxDuration.
func parseDuration(text string) (time.Duration, error) {
	bad := func() error {
		return fmt.Errorf(`must be a duration such as "90m", "2h" or "3d", got %q`, clip(text))
	}
	rest := text
	var sign, total time.Duration = 1, 0
	if s, ok := strings.CutPrefix(rest, "-"); ok {
		sign, rest = -1, s
	}
	if days, after, ok := strings.Cut(rest, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil {
			return 0, bad()
		}
		if n > uint64(MaxDuration/(24*time.Hour)) {
			return 0, errTooLong(text)
		}
		total, rest = time.Duration(n)*24*time.Hour, after
		if rest == "" {
			return positive(text, sign*total)
		}
	}
	if strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") {
		return 0, bad()
	}
	d, err := time.ParseDuration(rest)
	if err != nil {
		return 0, bad()
	}
	if d > MaxDuration {
		return 0, errTooLong(text)
	}
	return positive(text, sign*(total+d))
}

func positive(text string, d time.Duration) (time.Duration, error) {
	switch {
	case d <= 0:
		return 0, fmt.Errorf("must be positive, got %q", clip(text))
	case d > MaxDuration:
		return 0, errTooLong(text)
	}
	return d, nil
}

func errTooLong(text string) error {
	return fmt.Errorf("must be at most %dd, got %q", MaxDuration/(24*time.Hour), clip(text))
}

var errNotText = errors.New("must be a string")

// clip keeps hostile text out of error messages at length.
func clip(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}
