// Package replay makes a test of a request that failed in production: it serves the
// request of a bundle, which package observe has captured, once more, with the flags, the
// answers of other services and the values of then.
//
// Most tests need one name, [Run]:
//
//	func TestCheckoutOfMarch14(t *testing.T) {
//		replay.Run(t, "testdata/march14.har", func(c *replay.Case) http.Handler {
//			return shop.New(c.FlagClient(), c.HTTPClient())
//		})
//	}
//
// [Save] copies a bundle to where such a test finds it, and writes the test.
//
// # Verdicts
//
// The verdict is [VerdictReproduced] when the failure comes again, [VerdictFixed] when it is gone,
// and [VerdictInconclusive] when the replay proves neither. Only fixed passes. Redaction hides
// data, and a failure that depends on hidden data may not come again, so a request that does
// not fail is no proof by itself. It counts when nothing that was involved was hidden or cut,
// or when this bundle was reproduced before. So:
//
//  1. Save the bundle and run its test before the fix. It fails, with the verdict reproduced, and Run
//     writes a note beside the bundle: testdata/march14.har.red. Keep it with the bundle.
//  2. Fix the bug. The test passes, with the verdict fixed.
//
// If step 1 is inconclusive, the message lists what is hidden or missing. Let capture.Redaction
// keep those data in the next bundle, or put them back by Options.Prepare. See [Run] for all rules.
//
// # What is replayed
//
// The request; evaluations of flags, by [Case.FlagClient]; outbound calls, by
// [Case.HTTPClient]; and the results of observe.Value, by the request's context. What a
// handler gets in any other way, from a database or the clock, the test must provide, or
// observe.Value must be around it. [Case.Time] is when the request came; in a bubble of
// testing/synctest, sleeping until then sets the clock.
//
// All data in a bundle are pseudonyms, except those that its redaction allowed. They are of
// the same kind, and equal where the data were, so most handlers treat them alike. A failure
// that depends on a value itself (this number, that text) is reproduced only when the
// redaction allows the value, such as by a JSON path.
//
// A gzip body is sent as it was, with its Content-Encoding. Of a multipart or binary body, and of
// what was not kept of a large one, reading is an error. Deadlines of the connection have no effect,
// and a connection that the handler takes over has a client that sends nothing more: both count as
// missing. Errors have the texts that they had, but not their types, except the standard library's
// sentinel errors.
//
// # Trust
//
// A bundle is input like any other: it is read within bounds, and names no file and no
// address that is opened. Nothing of a replay leaves the process.
package replay
