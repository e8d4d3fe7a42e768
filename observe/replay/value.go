package replay

import (
	"context"
	"strconv"

	"github.com/upkeep-go/upkeep/internal/rerun"
	"github.com/upkeep-go/upkeep/observe/capture"
)

// Context returns a context in which observe.Value answers from the bundle, and
// observe.RequestID is that of the recorded request. [Run] gives it to the request; it is
// for those who serve [Case.Request] themselves.
func (c *Case) Context(ctx context.Context) context.Context {
	return rerun.With(ctx, (*rerunning)(c))
}

// rerunning is a case as package observe sees it.
type rerunning Case

// Value implements rerun.Replay.
func (r *rerunning) Value(name string) ([]byte, error, bool) {
	c := (*Case)(r)
	values := c.Bundle.Log.Details.Values
	var found *capture.Value
	c.mu.Lock()
	ordinal := c.values[name]
	c.values[name]++
	for i := range values {
		if values[i].Name == name && values[i].Ordinal == ordinal {
			found = &values[i]
			c.valuesRead[i] = true
		}
	}
	c.mu.Unlock()
	say := c.remark
	if c.opts.Strict {
		say = c.problem
	}
	switch {
	case found == nil:
		say("observe.Value(%q) is called for the %s time, and was not then: it calls its function", name, nth(ordinal))
		return nil, nil, false
	case len(found.Error) > 0:
		return nil, c.newRecorded(found.Error), true
	case found.Unrecordable != "" || len(found.Result) == 0:
		say("observe.Value(%q), the %s, could not be recorded (%s): it calls its function", name, nth(ordinal), found.Unrecordable)
		return nil, nil, false
	}
	return found.Result, nil, true
}

// RequestID implements rerun.Replay.
func (r *rerunning) RequestID() string { return r.Bundle.Log.Details.RequestID }

func nth(ordinal int) string {
	if names := []string{"first", "second", "third"}; uint(ordinal) < uint(len(names)) {
		return names[ordinal]
	}
	return strconv.Itoa(ordinal+1) + "th"
}

// Failed implements rerun.Replay.
func (r *rerunning) Failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outcome.failure == nil {
		r.outcome.failure = err
	}
}

// Panicked implements rerun.Replay.
func (r *rerunning) Panicked(value any, stack []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.outcome.panicked {
		r.outcome.panicked, r.outcome.value, r.outcome.stack = true, value, string(stack)
	}
}
