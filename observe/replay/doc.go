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
// # Trust
//
// A bundle is input like any other: it is read within bounds, and names no file and no
// address that is opened. Nothing of a replay leaves the process.
package replay
