package jsonlogic

import "errors"

// What [Compile] says, wrapped in an [*Error], of rules that it refuses.
var (
	ErrTooLarge        = errors.New("the rule is too large")
	ErrTooDeep         = errors.New("the rule is nested too deep")
	ErrUnknownOperator = errors.New("unknown operator")
)

// What [Rule.Eval] and [Rule.Explain] say, wrapped in an [*Error], of evaluations
// that they end.
var (
	ErrTooManySteps  = errors.New("the evaluation takes too many steps")
	ErrTextTooLong   = errors.New("the evaluation builds too long a text")
	ErrResultTooDeep = errors.New("the evaluation builds too deep a list")
)

// An Error says why a rule does not compile, or why an evaluation was ended by a
// bound. [Compile], [Rule.Eval] and [Rule.Explain] return it.
type Error struct {
	// Path is where in the rule, as a JSON pointer (RFC 6901): "/if/0/in/1". Empty:
	// the whole rule, as always from Eval, whose bounds are the whole evaluation's.
	Path string
	Err  error
}

func (e *Error) Error() string {
	if e.Path == "" {
		return "jsonlogic: " + e.Err.Error()
	}
	return "jsonlogic: " + e.Path + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }
