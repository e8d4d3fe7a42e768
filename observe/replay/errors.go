package replay

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// errUnexpected is wrapped by what a handler gets for a call that the bundle does not
// have.
var errUnexpected = errors.New("replay: unexpected call")

// sentinels are compared with == by much code.
var sentinels = []error{
	io.EOF, io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded, sql.ErrNoRows, sql.ErrTxDone, sql.ErrConnDone,
	fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrClosed, os.ErrDeadlineExceeded,
}

// A recorded error is one that was, as far as its texts tell.
type recorded struct {
	texts []string // its own, then those of what it wrapped
	c     *Case
}

// newRecorded returns a sentinel of the standard library for its text. Of other errors only the
// texts are known; of is where they come from.
func (c *Case) newRecorded(of string, texts []string) error {
	for _, err := range sentinels {
		if texts[0] == err.Error() {
			return err
		}
	}
	c.lack("the error of %s: the bundle has its text only, not its type (errors.As) or identity (==)", of)
	return &recorded{texts: texts, c: c}
}

func (e *recorded) Error() string { return e.texts[0] }

// Is makes errors.Is say yes for errors whose text is the recorded one, or that of one
// that was wrapped.
func (e *recorded) Is(target error) bool {
	text := target.Error()
	return slices.Contains(e.texts, text) || e.c.redactor != nil && slices.Contains(e.texts, e.c.prose(text))
}

// Timeout is for net.Error.
func (e *recorded) Timeout() bool {
	return slices.ContainsFunc(e.texts, func(s string) bool {
		return strings.HasSuffix(s, "timeout") || strings.HasSuffix(s, "deadline exceeded")
	})
}

// Temporary is for net.Error.
func (e *recorded) Temporary() bool { return e.Timeout() }
