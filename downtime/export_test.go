package downtime

import "net/http"

// What tests from outside see of the inside.
var (
	Instant       = instant
	ParseDuration = parseDuration
)

// Matcher is a scope made ready, as the guard uses it.
func Matcher(s Scope) func(*http.Request) bool {
	c := compileScope(s, s.key())
	return func(r *http.Request) bool { return c.has(&target{r: r}) }
}

// CheckPattern says whether a document may have the path.
func CheckPattern(text string) error {
	_, err := checkPattern(text)
	return err
}
