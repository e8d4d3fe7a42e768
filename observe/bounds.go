package observe

import "time"

// What this package may hold. Everything that grows with what clients or
// applications do has its limit here.
const (
	maxText  = 256      // bytes of an error's text, a user agent, a flag's value, a route
	maxPath  = 1024     // bytes of a URL's path or of a whole URL, without its query
	maxStack = 16 << 10 // bytes of a panic's stack
	maxFlags = 64       // distinct flag evaluations remembered per request

	maxGuarded  = 8  // flags with a metric of their own
	maxVariants = 16 // of each

	maxTold         = 10   // requests told in full in any second
	maxToldAlike    = 3    // of them with one fingerprint in any minute
	maxFingerprints = 1000 // fingerprints known at a time
	maxPerSecond    = 1000 // requests that one debug token may debug in a second
	maxTokens       = 1000 // debug tokens in use in any second
	maxRefusals     = 100  // debug tokens refused in any second before new ones are not looked at
	maxLevels       = 100  // levels of loggers set at a time
	// maxSeries is the number of attribute sets kept per metric in a process;
	// beyond it routes, hosts, job names and error types are folded.
	maxSeries = 1000

	// What is kept of a request's log records until its end.
	tailChunk      = 4 << 10             // bytes in which memory is given out
	maxTail        = 20 << 10            // bytes per request
	maxTailChunks  = maxTail / tailChunk // per request
	maxTailTotal   = 16 << 20            // bytes in the process
	tailShards     = 16                  // parts of that
	maxShardChunks = maxTailTotal / tailShards / tailChunk
	maxTailRecord  = tailChunk - 2 // bytes of a record
	maxTailText    = 1 << 10       // bytes of a message or of an attribute's text
	maxTailLogger  = 2 << 10       // bytes of what a logger adds by With and WithGroup
	maxTailDepth   = 8             // groups inside groups
	tailLeftRoom   = 32            // bytes to say that attributes were left out
)

const (
	levelFlagTime  = 50 * time.Millisecond // that an evaluation of the level flag may take
	levelFlagPause = 10 * time.Second      // without one, after one that took longer
)
