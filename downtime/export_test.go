package downtime

import "time"

// Tick has the guard look at a clock that shows t.
func Tick(g *Guard, t time.Time) { g.tick(t) }

// Pause is for how long at most the guard does not look at the clock after now.
func Pause(g *Guard, now time.Time) time.Duration { return g.pause(now) }
