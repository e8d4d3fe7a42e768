package observe

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Do runs fn as a job: the handling of a message, a scheduled task, a goroutine. The job gets a
// span, a child of the one in ctx, the metric upkeep.job.duration (seconds, by upkeep.job.name
// and error.type), and the id of the request or job in ctx, or else a new one. [RequestID],
// [Fail], the logger and the flag hook find it in fn's context. name becomes a metric label: it
// must be one of few, like "consume orders".
//
// Do waits for fn and returns its error as it is, or its panic as a [*PanicError]. A job fails
// if it returns an error, panics, or calls [Fail]: span and metric have the error, and one log
// record "job failed", limited as those of requests are. So the caller need not log it. What the
// job logged below the level is written before that: see [Observer.LogHandler]. A job that
// returns context.Canceled because the client of its request went away does not log.
func (o *Observer) Do(ctx context.Context, name string, fn func(context.Context) error) (err error) {
	st := &state{Context: ctx, obs: &o.core, start: time.Now(), job: true, route: name}
	if outer := stateFrom(ctx); outer != nil {
		st.id = outer.id
		if outer.obs == &o.core {
			st.outer, st.rec = outer, outer.rec
		}
	} else {
		st.id = newID(st.start)
	}
	o.counts.jobs.Add(1)
	o.counts.jobsActive.Add(1)
	st.ctx, st.span = st, trace.SpanFromContext(ctx)
	func() {
		defer o.counts.shield()
		st.ctx, st.span = o.tracer.Start(st, name, trace.WithAttributes(keyJobName.String(name), keyRequestID.String(st.id)))
	}()
	for _, s := range o.sinks {
		s.begin(st, nil)
	}
	defer func() {
		var panicked *PanicError
		if value := recover(); value != nil {
			panicked = newPanicError(value)
			err = panicked
		} else if !st.returned {
			err = errGoexit
		}
		o.counts.jobsActive.Add(-1)
		o.finish(st, outcome{}, err, panicked)
	}()
	err = fn(st.ctx)
	st.returned = true
	return err
}
