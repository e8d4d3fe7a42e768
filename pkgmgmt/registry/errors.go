package registry

import "errors"

// Options.Authorize returns these, wrapped or not. The text of an error that wraps one
// of them is sent to the client; that of any other error is not.
var (
	// ErrUnauthenticated: the client has not said who it is, or not proved it. It is
	// answered with 401.
	ErrUnauthenticated = errors.New("credentials are needed")

	// ErrForbidden: the client is known, and may not. It is answered with 403, as is
	// every error besides ErrUnauthenticated.
	ErrForbidden = errors.New("forbidden")
)

var errTooLarge = errors.New("too large")
