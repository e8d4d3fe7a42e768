package observe

import "time"

// What this package may hold. Everything that grows with what clients or
// applications do has its limit here.
const (
	maxText  = 256      // bytes of an error's text, a user agent, a flag's value, a route
	maxPath  = 1024     // bytes of a URL's path or of a whole URL, without its query
	maxStack = 16 << 10 // bytes of a panic's stack
	maxFlags = 64       // distinct flag evaluations remembered per request

	maxHops    = 32  // elements of a Forwarded or X-Forwarded-For that are looked at
	maxHost    = 255 // bytes of a host's name in them
	maxElement = 1 << 10
	maxMethod  = 32  // bytes of a known method
	maxMethods = 100 // methods known besides those of semconv

	maxGuarded  = 8  // flags with a metric of their own
	maxVariants = 16 // of each

	maxResends       = 100  // redirects counted of one request
	maxReported      = 10   // requests reported in full in any second
	maxReportedAlike = 3    // of them with one fingerprint in any minute
	maxFingerprints  = 1000 // fingerprints known at a time
	maxPerSecond     = 1000 // requests that one debug token may debug in a second
	maxTokens        = 1000 // debug tokens in use in any second
	maxRefusals      = 100  // debug tokens refused in any second before new ones are not looked at
	maxLevels        = 100  // levels of loggers set at a time
	maxGauges        = 500  // statistics exported for others
	// maxSeries is the number of attribute sets kept per metric in a process;
	// beyond it routes, hosts, job names and error types are folded.
	maxSeries = 1000

	maxTail      = 20 << 10 // bytes of log records kept of a request until its end
	maxTailTotal = 16 << 20 // bytes of them in the process

	// Bounds of the bundle of one request, and of all bundles that are recorded or wait.
	defaultMaxBody = 64 << 10 // bytes of a body or value
	maxMaxBody     = 1 << 20
	maxOutcomeBody = 1 << 20  // bytes of a response that Options.Outcome sees
	minBody        = 1 << 10  // bytes reserved for a short one
	maxBodies      = 16       // bodies of full length per request
	maxRecording   = 32 << 20 // bytes of all requests that run
	maxQueued      = 32 << 20 // bytes of bundles that wait to be written
	maxQueue       = 256      // bundles that wait
	maxExchanges   = 64       // outbound calls per request
	maxValues      = 256      // results of Value per request
	maxErrorTexts  = 8        // of an error and those that it wraps

	maxWrite     = 30 * time.Second // for a store to take a bundle
	maxLostNames = 10               // bundles that Close names

	maxDrain = 5 * time.Second // for Close to have the rest written
)

const (
	levelFlagTime  = 50 * time.Millisecond // that an evaluation of the level flag may take
	levelFlagPause = 10 * time.Second      // without one, after one that took longer
)
