package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"strings"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

var (
	// ErrDefaultHandler is in what [New] returns when Options.Log is slog's built-in handler,
	// which waits for itself forever when it is wrapped (https://go.dev/issue/62424).
	ErrDefaultHandler = errors.New("observe: Options.Log is slog's built-in default handler, which must not be wrapped")

	// ErrResponseEnded is returned by the http.ResponseWriter of [Observer.Handler] after the
	// handler has returned. Such a write could end the process (net/http panics on HTTP/2)
	// or reach another response.
	ErrResponseEnded = errors.New("observe: response used after its handler returned")
)

// A PanicError is a panic as an error. [Observer.Do] returns it, and the log record of a
// request that panicked has it. A middleware that recovers a panic inside [Observer.Handler]
// can report it by passing one to [Fail].
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // the stack below the panic, at most 16 KiB

	site uintptr // the frame that panicked, 0 if not known
}

// Error returns the text of the panic's value, at most 256 bytes. URLs in it are cut, see
// [Fail].
func (e *PanicError) Error() string {
	return "panic: " + cleantext.Cut(plainText(e.Value), maxText)
}

// Unwrap returns the panic's value when it is an error, else nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ErrorType names the type of the panic's value, for the attribute error.type.
func (e *PanicError) ErrorType() string {
	if err, ok := e.Value.(error); ok {
		return errorType(err)
	}
	return typeName(e.Value)
}

// is reports whether e is about that panic. Values that cannot be compared count as equal.
func (e *PanicError) is(value any) bool {
	return e != nil && (!reflect.ValueOf(value).Comparable() || !reflect.ValueOf(e.Value).Comparable() || e.Value == value)
}

// newPanicError must be called from the deferred function that recovered, while
// the panicking frames are still on the stack.
func newPanicError(value any) *PanicError {
	buf := make([]byte, maxStack)
	buf = buf[:runtime.Stack(buf, false)]
	// The frames above the call of panic are ours and the runtime's.
	stack := string(buf)
	if head, _, ok := strings.Cut(stack, "\n"); ok {
		if i := strings.Index(stack, "\npanic("); i >= 0 {
			stack = head + stack[i:]
		}
	}
	return &PanicError{Value: value, Stack: []byte(stack), site: panicSite()}
}

// panicSite finds the innermost frame outside of the runtime below the call of panic, or 0 if
// it is not among the first frames.
func panicSite() uintptr {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	below := false
	for {
		frame, more := frames.Next()
		ours := !strings.HasPrefix(frame.Function, "runtime.")
		switch {
		case below && ours:
			return frame.PC
		case frame.Function == "runtime.gopanic":
			below = true
		}
		if !more {
			return 0
		}
	}
}

// errorType returns a name of low cardinality for err: that of its ErrorType method, or else
// its Go type below the wrappers of package fmt. The two context errors have fixed names,
// because their types are not readable. Otherwise this is how semconv's own Go package derives
// error.type.
func errorType(err error) (name string) {
	// An error's own methods may panic, those of a typed nil most of all.
	defer func() {
		if recover() != nil {
			name = typeName(err)
		}
	}()
	var named interface{ ErrorType() string }
	if errors.As(err, &named) {
		if s := named.ErrorType(); s != "" {
			return cleantext.Cut(s, maxText)
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "context.Canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "context.DeadlineExceeded"
	}
	for reflect.TypeOf(err) == fmtWrapError {
		err = errors.Unwrap(err)
	}
	return typeName(err)
}

var fmtWrapError = reflect.TypeOf(fmt.Errorf("%w", errors.New("")))

// errorText is err's message, bounded and without the secret parts of URLs.
func errorText(err error) string { return cleantext.Cut(cleantext.Error(err), maxText) }

// plainText is the text of an error or of the value of a panic, without the secret parts of
// URLs.
func plainText(value any) string {
	if err, ok := value.(error); ok {
		return cleantext.Error(err)
	}
	return cleantext.URLs(fmt.Sprint(value))
}

// A plainErr replaces an error whose text has secret parts of URLs, for log handlers. It does
// not wrap the error, because they may print what it wraps.
type plainErr struct{ text, kind string }

func (e *plainErr) Error() string     { return e.text }
func (e *plainErr) ErrorType() string { return e.kind }

// plainError returns err itself if all its forms may be shown.
func plainError(err error) error {
	text := plainText(err)
	shown := text == fmt.Sprint(err)
	for _, form := range forms(err) {
		shown = shown && plainText(form) == form
	}
	if p, ok := err.(*PanicError); ok && p != nil {
		shown = plainText(p.Value) == fmt.Sprint(p.Value)
	}
	if shown {
		return err
	}
	return &plainErr{text: text, kind: errorType(err)}
}

// forms are the texts besides Error that log handlers make of an error.
func forms(err error) []string {
	texts := []string{fmt.Sprintf("%+v", err)}
	if _, ok := err.(json.Marshaler); ok {
		if data, err := marshal(err); err == nil {
			texts = append(texts, string(data))
		}
	}
	if _, ok := err.(slog.LogValuer); ok {
		texts = append(texts, fmt.Sprint(slog.AnyValue(err).Resolve()))
	}
	return texts
}

// marshal survives a MarshalJSON that panics, such as that of a typed nil.
func marshal(value any) (data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return json.Marshal(value)
}

// An incompleteError is a response that was shorter than announced.
type incompleteError struct{ wrote, announced int64 }

func (e *incompleteError) Error() string {
	return fmt.Sprintf("the handler wrote %d of the %d bytes that Content-Length announced", e.wrote, e.announced)
}

func (*incompleteError) ErrorType() string { return "incomplete_response" }

func typeName(v any) string {
	if v == nil {
		return "nil"
	}
	return cleantext.Cut(reflect.TypeOf(v).String(), maxText)
}

// errorTexts are those of err and of what it wraps.
func errorTexts(err error) []string {
	var texts []string
	var add func(error)
	add = func(err error) {
		if err == nil || len(texts) == maxErrorTexts {
			return
		}
		texts = append(texts, cleantext.Cut(cleantext.Error(err), maxPath))
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, inner := range many.Unwrap() {
				add(inner)
			}
		} else {
			add(errors.Unwrap(err))
		}
	}
	add(err)
	return texts
}

// Errors of handlers and jobs that ended without returning or panicking with an error.
var (
	errAborted = errors.New("handler aborted the connection")
	errGoexit  = errors.New("goroutine ended by runtime.Goexit")

	// errRecovered is used when the value of a panic is not known.
	errRecovered = errors.New("a middleware inside recovered it, see the stack")
)
