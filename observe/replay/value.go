package replay

import (
	"context"
	"fmt"
	"slices"
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
func (r *rerunning) Value(name string) ([]byte, string, error, bool) {
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
	place := fmt.Sprintf("observe.Value(%q), the %s", name, nth(ordinal))
	switch {
	case found == nil:
		if c.Bundle.Log.Details.Dropped.Values > 0 {
			c.lack("%s: the bundle does not have all values", place)
		}
		say("observe.Value(%q) is called for the %s time, and was not then: it calls its function", name, nth(ordinal))
		return nil, "", nil, false
	case len(found.Error) > 0:
		return nil, "", c.newRecorded(place, found.Error), true
	case found.Unrecordable != "" || len(found.Result) == 0:
		c.lack("the result of %s, which could not be recorded", place)
		say("%s, could not be recorded (%s): it calls its function", place, found.Unrecordable)
		return nil, "", nil, false
	}
	return found.Result, found.Dynamic, nil, true
}

// Lost implements rerun.Replay.
func (r *rerunning) Lost(name, what string) {
	(*Case)(r).lack("the result of observe.Value(%q): %s", name, what)
}

// Broken implements rerun.Replay.
func (r *rerunning) Broken(name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := fmt.Sprintf("the result of observe.Value(%q): %v", name, err); !slices.Contains(r.broken, s) {
		r.broken = append(r.broken, s)
	}
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
