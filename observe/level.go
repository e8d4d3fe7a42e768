package observe

import (
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// logName is the attribute that gives a logger its name.
const logName = "logger"

// SetLevel sets the lowest level that is written at once for loggers of that name,
// for the time d from now; then what was before holds again. It goes both ways: "sql"
// may tell all for ten minutes, or be quiet for a day. What it keeps from being written
// is still kept for requests that fail, from Options.TailLevel on.
//
// A logger's name is the attribute "logger" that it was given with With, before any
// WithGroup, so that libraries which are given a logger need to know nothing of this:
//
//	store := NewStore(db, obs.Logger().With("logger", "sql"))
//
// The name "" stands for all loggers that have no level of their own. A d of zero or less
// ends what was set before. Nothing runs until the time is over: the next record finds it
// to be. Stats shows how many levels are set, as levels_set.
//
// SetLevel returns an error for a name of more than 256 bytes, and when a hundred
// levels are set already. Observers that share a handler share its levels.
func (o *Observer) SetLevel(name string, level slog.Level, d time.Duration) error {
	return o.handler.root.levels.put(name, level, d)
}

// levels are the levels that were set while the service runs. Reading them takes no
// lock, and no time of day while there are none.
type levels struct {
	mu  sync.Mutex
	set atomic.Pointer[map[string]setLevel] // nil: none
}

type setLevel struct {
	level slog.Level
	until time.Time
}

func (l *levels) put(name string, level slog.Level, d time.Duration) error {
	if len(name) > maxText {
		return fmt.Errorf("observe: the name of a logger has at most %d bytes, got %d", maxText, len(name))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	next := l.current(now)
	delete(next, name)
	if d > 0 {
		if len(next) >= maxLevels {
			return fmt.Errorf("observe: %d levels are set already", maxLevels)
		}
		next[name] = setLevel{level, now.Add(d)}
	}
	l.store(next)
	return nil
}

// current returns a copy of those whose time is not over.
func (l *levels) current(now time.Time) map[string]setLevel {
	next := map[string]setLevel{}
	if set := l.set.Load(); set != nil {
		maps.Copy(next, *set)
		maps.DeleteFunc(next, func(_ string, s setLevel) bool { return !now.Before(s.until) })
	}
	return next
}

func (l *levels) store(next map[string]setLevel) {
	if len(next) == 0 {
		l.set.Store(nil)
	} else {
		l.set.Store(&next)
	}
}

// any reports whether some logger's level may be set. It is inlined.
func (l *levels) any() bool { return l.set.Load() != nil }

// of finds the level set for a logger.
func (l *levels) of(name string) (level slog.Level, ok bool) {
	set := l.set.Load()
	if set == nil {
		return 0, false
	}
	now := time.Now()
	over := false
	for _, name := range [2]string{name, ""} {
		if s, found := (*set)[name]; found {
			if now.Before(s.until) {
				level, ok = s.level, true
				break
			}
			over = true
		}
	}
	if over {
		l.prune(now)
	}
	return level, ok
}

// prune forgets those whose time is over, so that records are cheap again, and
// returns how many there are.
func (l *levels) prune(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.current(now)
	l.store(next)
	return len(next)
}
