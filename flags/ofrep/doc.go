// Package ofrep serves the flags of a provider to browsers and other programs over the OpenFeature
// Remote Evaluation Protocol 0.3.0 (https://github.com/open-feature/protocol). OpenFeature's own
// OFREP providers can be its clients.
//
// It needs two names: [NewHandler], and Expose in its [Options]. Without Expose it serves nothing:
//
//	h, err := ofrep.NewHandler(provider, &ofrep.Options{
//		Expose: func(key string) bool { return strings.HasPrefix(key, "web-") },
//	})
//	mux.Handle("/ofrep/", h)
//
// The handler serves
//
//	POST /ofrep/v1/evaluate/flags/{key}  one flag
//	POST /ofrep/v1/evaluate/flags        all exposed flags, with an ETag
//	GET  /ofrep/v1/events                an event stream that asks clients to fetch again
//
// # What is sent
//
// A flag's value, variant and metadata are those of [flags.Provider.Evaluate]. If the code's default
// is used, because the flag is disabled or lacks a default variant, the value is left out, as
// the protocol requires. The protocol lacks the reason DEFAULT: it is sent as UNKNOWN. Only booleans,
// strings and numbers in the metadata are sent, except owner, kind and expires. Each flag in an
// answer counts as evaluated in the provider's usage.
//
// # Errors
//
//   - 400: A flag that cannot be evaluated is sent with an error code. The reason stays on the server,
//     in [flags.Provider.Problems]. In a bulk answer, which is 200, it is an error of that flag.
//   - 404: A flag that is not exposed is answered like a flag that does not exist.
//   - 400 with PARSE_ERROR: The request cannot be read.
//   - 400 with INVALID_CONTEXT: The context cannot be used.
//   - 400 with TARGETING_KEY_MISSING: The context lacks a targetingKey, and Options.Context does not
//     supply one. With [Options.AllowAnonymous] only flags that need the key answer so.
//   - 413: The body is too large.
//   - 415: The Content-Type is not plain JSON.
//   - 500: No document has been loaded. Clients with a cache keep their flags.
//
// # Changes
//
// The ETag of a bulk answer covers the document's revision, the client's context, and the answer
// itself. So "not modified" is right even if a rule depends on the time, or if a replica has other
// static attributes. The answer contains the address of the event stream. The stream sends
// refetchEvaluation when the flags change, and at once if they have changed since that answer. Over
// HTTP/1.1 browsers have six connections to an origin, and each open page uses one of them: serve
// HTTP/2.
//
// # Threat model
//
// Clients are untrusted. They see only the flags that Expose allows, and by default none. A client's
// context is a claim. Options.Context overwrites what the server knows better, and a rule that
// protects something must use only such attributes. Clients see a rule's result, never the
// rule. Bodies are bounded, must be JSON and declared as JSON; so pages of other sites cannot post
// without CORS. Duplicate keys are refused. Content of a request is never logged, sent as a header or
// used as an address. The number of event streams is bounded. They say only that something changed,
// and end with their request. The rate of requests is not bounded here: use Options.Authorize or a
// proxy.
package ofrep
