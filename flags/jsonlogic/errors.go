package jsonlogic

import "errors"

// What [Compile] says, wrapped in an [*Error], of rules that it refuses.
var (
	ErrTooLarge        = errors.New("the rule is too large")
	ErrTooDeep         = errors.New("the rule is nested too deep")
	ErrUnknownOperator = errors.New("unknown operator")
)

// An Error says why a rule does not compile. [Compile] returns it.
type Error struct {
	// Path is where in the rule, as a JSON pointer (RFC 6901): "/if/0/in/1". Empty:
	// the whole rule.
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
