package observe

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Do runs fn as a job: the handling of a message, a scheduled task, a goroutine.
// The job gets a span, a child of the one in ctx, the metric upkeep.job.duration
// (seconds, by upkeep.job.name and error.type), and an id, that of the request or
// job in ctx or else a new one. [RequestID], [Fail], the logger and the flag hook
// find it in the context that fn is given. name becomes a metric label: it must be
// one of few, like "consume orders".
//
// Do returns fn's error, which the span and the metric get too; logging it is the
// caller's business. A panic of fn is returned as a [*PanicError] and, since
// "go obs.Do(…)" loses what Do returns, also logged, as is an error told by [Fail].
// What the job logged below the level is written when it fails in any of these ways:
// see [Observer.LogHandler].
//
// Do waits for fn. To start a goroutine whose panic does not end the process,
// write go obs.Do(ctx, name, fn).
func (o *Observer) Do(ctx context.Context, name string, fn func(context.Context) error) (err error) {
	st := &state{Context: ctx, obs: o, start: time.Now(), job: true, route: name}
	if outer := stateFrom(ctx); outer != nil {
		st.id = outer.id
		if outer.obs == o {
			st.outer, st.rec = outer, outer.rec
		}
	} else {
		st.id = newID(st.start)
	}
	o.counts.jobs.Add(1)
	o.counts.jobsActive.Add(1)
	st.beginJob(name)
	defer func() {
		var panicked *PanicError
		if value := recover(); value != nil {
			o.counts.panics.Add(1)
			panicked = newPanicError(value)
			err = panicked
		} else if !st.returned {
			err = errGoexit
		}
		o.counts.jobsActive.Add(-1)
		st.reportJob(name, err, panicked)
	}()
	err = fn(st.ctx)
	st.returned = true
	return err
}

func (st *state) beginJob(name string) {
	st.ctx, st.span = st, trace.SpanFromContext(st.Context)
	defer st.obs.shield()
	st.ctx, st.span = st.obs.tracer.Start(st, name,
		trace.WithAttributes(keyJobName.String(name), keyRequestID.String(st.id)))
	st.spanID = st.span.SpanContext().SpanID()
}

func (st *state) reportJob(name string, err error, panicError *PanicError) {
	duration := time.Since(st.start)
	site, told := st.failed()
	cause := err
	if cause == nil {
		cause = told
	}
	var kind string
	why := notTold
	if cause != nil {
		st.obs.counts.jobsFailed.Add(1)
		kind = errorType(cause)
		if cause == errGoexit {
			kind = "runtime.Goexit"
		}
		why = failed
		if _, ok := cause.(*PanicError); ok {
			why = panicked
		}
	}
	if why == notTold && st.grant.Load() != nil {
		why = asked
	}
	st.decide(why, fingerprint{name: name, kind: kind, job: true}, cause, site)
	logged := told
	if panicError != nil {
		logged = panicError
	}
	st.measureJob(name, kind, duration, cause, logged)
	st.tellJob(name, duration, logged)
}

func (st *state) measureJob(name, kind string, duration time.Duration, cause, logged error) {
	o := st.obs
	defer o.shield()
	if cause != nil {
		failSpan(st.span, kind, cause)
	}
	if logged != nil {
		o.exception(st.ctx, eventJobException, logged)
	}
	st.span.End()
	o.metrics.job.Record(st.ctx, duration.Seconds(), o.metrics.jobSeries.options(jobKey{name: name, errorType: kind})...)
}

// tellJob writes what was kept of the job's log, and its own record if it has one.
func (st *state) tellJob(name string, duration time.Duration, logged error) {
	defer st.obs.shield()
	records, dropped := st.closeTail()
	untold := st.untold(dropped)
	if logged == nil {
		st.writeTail(records, untold...) // there is no other place to say it
		return
	}
	st.writeTail(records)
	if !st.writesOwn(slog.LevelError) {
		return
	}
	attrs := append([]slog.Attr{slog.String("job", name), slog.Duration("duration", duration)}, untold...)
	st.obs.logger.LogAttrs(st.ctx, slog.LevelError, "job failed", st.logFailure(attrs, logged)...)
}
