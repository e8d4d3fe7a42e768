package compat

import (
	"sync"
	"time"
)

// logged remembers what was logged.
type logged struct {
	mu    sync.Mutex
	since time.Time
	what  map[logKey]struct{}
}

type logKey struct {
	side          side
	peer, version string
	stage         Stage
}

// maxLogged bounds the versions that are logged in an hour.
const maxLogged = 256

// first is true for what is to be logged, and full when there is no more room.
func (l *logged) first(key logKey) (first, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.what[key]; known {
		return false, false
	}
	if len(l.what) >= maxLogged {
		if time.Since(l.since) < time.Hour {
			return false, true
		}
		l.what = nil // what is still in use is logged again
	}
	if l.what == nil {
		l.what, l.since = make(map[logKey]struct{}), time.Now()
	}
	l.what[key] = struct{}{}
	return true, false
}
