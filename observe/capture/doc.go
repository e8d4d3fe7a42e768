// Package capture keeps what explains one failed request: a bundle. It is an HTTP
// Archive (HAR 1.2), so a browser's developer tools open it, with the flags, values, log
// records and the panic of the request in members "_upkeep".
//
// Most services need one name, [Dir], as a place for the bundles that package observe
// writes; then [Handler] on the operators' listener:
//
//	obs, err := observe.New(&observe.Options{Captures: capture.Dir("captures", nil)})
//	admin.Handle("/captures/", capture.Handler(store, isOperator))
//
// [Redaction] says what may be readable in them. Package observe/replay makes a test
// of a bundle.
//
// # Redaction
//
// A bundle is redacted before it becomes a file, and [Bundle.Encode] gives no file of one
// that is not. What was sent becomes pseudonyms: keyed (HMAC-SHA256), of the same kind (an
// e-mail address stays one, a UUID, a number of as many digits, a card number with its check
// digit), and the same for the same thing wherever it stands, in the path, a header, a body,
// a value or a log record. So validation still passes, ids still find each other, and the
// request can be replayed; the secrets are not there.
//
// A pseudonym is made for each word and number on its own. Whoever has very many bundles
// of one key may learn frequent words from how often their pseudonyms come; they go after
// days for that reason too. Single letters and digits have few pseudonyms, which may
// coincide, and punctuation stays. Names of fields stay when they look like names, so a map should not be
// keyed by first names. A digit string is hidden, its length is not; a file says at what time
// a request came, on which route, and what its status was.
//
// # Trust and bounds
//
// Nothing of a request becomes a file's name. [Dir] bounds the number, the bytes and the age
// of files, which only their owner may read. [Parse] takes hostile bytes; it reads at most
// 64 MiB. [Handler] denies everyone until it is told whom not to.
package capture
