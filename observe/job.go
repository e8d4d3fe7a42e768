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
// Do waits for fn and returns its error, which span and metric get too; the caller logs it. A
// panic of fn is returned as a [*PanicError] and, because "go obs.Do(…)" loses that, also
// logged, as is an error given to [Fail]. What the job logged below the level is written if it
// fails in any of these ways: see [Observer.LogHandler].
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
