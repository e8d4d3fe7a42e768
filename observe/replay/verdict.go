package replay

// A Verdict is what a replay proves.
type Verdict uint8

// The verdicts. See [Run] for the rules.
const (
	// VerdictInconclusive means that the replay proves nothing: something is missing that the
	// outcome may depend on, or the request ended in a third way. The test fails, and its
	// message says what is missing and what to do.
	VerdictInconclusive Verdict = iota

	// VerdictReproduced means that the recorded outcome came again. If that is a failure, the
	// test fails, unless Options.AsRecorded is set.
	VerdictReproduced

	// VerdictFixed means that the recorded failure is gone. The test passes.
	VerdictFixed
)

// String returns "inconclusive", "reproduced" or "fixed".
func (v Verdict) String() string {
	switch v {
	case VerdictReproduced:
		return "reproduced"
	case VerdictFixed:
		return "fixed"
	}
	return "inconclusive"
}
