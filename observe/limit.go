package observe

import (
	"sync"
	"sync/atomic"
	"time"
)

// A reason says why a request or job is reported in full: with its log tail and, if captures
// are on, its bundle.
type reason uint8

const (
	notReported reason = iota
	asked              // by a debug token or the level flag
	slow               // took Options.Slow or longer
	failed             // status of 500 or more, an error of a job, or Fail
	panicked
)

func (why reason) String() string {
	return [...]string{"", "asked", "slow", "failed", "panicked"}[why]
}

// A fingerprint is the same for failures of the same place of the application that ended in the
// same way. It decides only how often matching failures
// are reported in full and logged.
type fingerprint struct {
	name   string // the route, or the job's name
	kind   string // error.type, or the reason
	status int32
	job    bool
	site   uintptr // the caller of Fail, or the frame that panicked; 0: not known
}

// A limiter decides which requests are reported in full: at most maxReported in any second, and
// maxReportedAlike in any minute of those with one fingerprint. It also decides which failures
// log an ERROR record: the first of a fingerprint, and then one in any second. The others are
// counted, and the next that is reported has the count.
type limiter struct {
	reported   atomic.Int64
	suppressed lossCount
	repeated   lossCount

	mu    sync.Mutex
	all   window
	known map[fingerprint]*alike
	rest  alike // of fingerprints beyond maxFingerprints
}

// alike are the requests of one fingerprint.
type alike struct {
	reported   window
	suppressed int64
	recorded   time.Time // when the last ERROR record was written
	repeated   int64
}

// allow decides about the outcome of a request or job: whether it is reported in full, and
// whether it has an ERROR record if it failed.
func (l *limiter) allow(fp fingerprint, now time.Time, out *outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.find(fp, now)
	if out.why >= failed {
		if out.record = now.Sub(a.recorded) >= time.Second; out.record {
			out.repeated, a.repeated, a.recorded = a.repeated, 0, now
		} else {
			a.repeated++
			l.repeated.Add(1)
		}
	}
	// Both are asked before either takes its place.
	if !l.all.free(now, maxReported, time.Second) || !a.reported.free(now, maxReportedAlike, time.Minute) {
		a.suppressed++
		l.suppressed.Add(1)
		return
	}
	l.all.take(now, maxReported)
	a.reported.take(now, maxReportedAlike)
	l.reported.Add(1)
	out.reported = true
	if out.why < failed || out.record { // else the next record counts them
		out.suppressed, a.suppressed = a.suppressed, 0
	}
}

func (l *limiter) find(fp fingerprint, now time.Time) *alike {
	if a := l.known[fp]; a != nil {
		return a
	}
	if len(l.known) >= maxFingerprints {
		// Fingerprints that would be reported now anyway can be forgotten, except their count.
		for fp, a := range l.known {
			if a.reported.free(now, 1, time.Minute) && now.Sub(a.recorded) >= time.Second {
				l.rest.suppressed += a.suppressed
				l.rest.repeated += a.repeated
				delete(l.known, fp)
			}
		}
		if len(l.known) >= maxFingerprints {
			return &l.rest
		}
	}
	if l.known == nil {
		l.known = make(map[fingerprint]*alike)
	}
	a := new(alike)
	l.known[fp] = a
	return a
}

// A window remembers when the last few of something were, so that there are never
// more than so many in any stretch of time: no edge lets twice as many through.
type window []time.Time

// free reports whether fewer than max were within d before now.
func (w window) free(now time.Time, max int, d time.Duration) bool {
	return len(w) < max || now.Sub(w[len(w)-max]) >= d
}

// take remembers one at now, and the max-1 before it.
func (w *window) take(now time.Time, max int) {
	*w = append((*w)[len(*w)-min(len(*w), max-1):], now)
}
