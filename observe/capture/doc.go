// Package capture keeps what explains one failed request: a bundle. It is an HTTP
// Archive (HAR 1.2), so a browser's developer tools open it, with the flags, values, log
// records and the panic of the request in members "_upkeep".
//
// [Dir] is a place for the bundles that package observe writes, and [Handler] serves them
// on the operators' listener:
//
//	store, err := capture.NewDir("captures", nil)
//	obs, err := observe.New(&observe.Options{Captures: store})
//	captures, err := capture.Handler(store, &capture.HandlerOptions{Authorize: operator})
//	admin.Handle("/captures/", captures)
//
// Package observe/replay makes a test of a bundle.
//
// # Redaction
//
// [Bundle.Encode] refuses a bundle that is not redacted. [Redaction] says what may be readable;
// the rest becomes pseudonyms: keyed (HMAC-SHA256), of the same kind (an e-mail address stays
// one, a UUID, a number of as many digits, a card number with its check digit), and the same
// for the same thing wherever it stands. So validation still passes, ids still match, and the
// request can be replayed.
//
// A bundle notes what was hidden (Exchange.Hidden, Value.Hidden, Flag.Hidden), so that a replay
// can say what its outcome may depend on. Bodies that were sent with gzip are read, at most 1 MiB
// of them, and are plain text in the bundle; their Content-Encoding stays.
//
// Each word and number has a pseudonym of its own. Whoever has very many bundles of one key
// may learn frequent words from how often their pseudonyms come; one more reason to delete
// bundles after days. Single letters and digits have few pseudonyms, which may coincide.
// Punctuation, the length of a number, and names of fields stay, so do not key a map by
// first names. The time, route and status of the request are readable.
//
// # Trust and bounds
//
// Nothing of a request becomes a file's name. [Dir] bounds the number, the bytes and the age
// of files, which only their owner may read. [Parse] takes hostile bytes, at most 64 MiB.
// [Handler] denies everyone by default.
package capture
