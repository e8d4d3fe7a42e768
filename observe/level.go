package observe

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/observe/tail"
)

// logName is the attribute that gives a logger its name.
const logName = "logger"

// logRoot is what all handlers made from one have in common.
type logRoot struct {
	handler slog.Handler  // the one that was wrapped
	plain   *tail.Handler // around it, without what loggers were given
	levels  levels
	raises  atomic.Bool // some observer of it raises the level of single requests
	errors  lossCount   // of the handler
}

// writes reports whether a record of that level, of a logger of that name, is written at
// once by h.
func (r *logRoot) writes(ctx context.Context, h *tail.Handler, name string, level slog.Level) bool {
	if set, ok := r.levels.of(name); ok {
		return level >= set
	}
	return h.Writes(ctx, level)
}

// count counts the error of a handler, because package slog ignores it.
func (r *logRoot) count(err error) error {
	if err != nil {
		r.errors.Add(1)
	}
	return err
}

// levels are the levels that were set while the service runs. They are read without a lock.
type levels struct {
	mu  sync.Mutex // serializes changes
	set atomic.Pointer[map[string]setLevel]
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
	l.set.Store(&next)
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

// of finds the level set for a logger.
func (l *levels) of(name string) (level slog.Level, ok bool) {
	set := l.set.Load()
	if set == nil || len(*set) == 0 {
		return 0, false
	}
	now := time.Now()
	for _, name := range [2]string{name, ""} {
		if s, ok := (*set)[name]; ok && now.Before(s.until) {
			return s.level, true
		}
	}
	return 0, false
}
