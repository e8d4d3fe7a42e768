// Package ofrep serves the flags of a provider to programs elsewhere, browsers above
// all, over the OpenFeature Remote Evaluation Protocol 0.3.0
// (https://github.com/open-feature/protocol), so that OpenFeature's own OFREP
// providers can be used as they are.
//
// Two names are needed: [NewHandler] and, in its [Options], Expose, without which
// nothing is served:
//
//	h, err := ofrep.NewHandler(provider, &ofrep.Options{
//		Expose: func(key string) bool { return strings.HasPrefix(key, "web-") },
//	})
//	mux.Handle("/ofrep/", h)
//
// It answers
//
//	POST /ofrep/v1/evaluate/flags/{key}  one flag
//	POST /ofrep/v1/evaluate/flags        all exposed flags, with an ETag
//	GET  /ofrep/v1/events                the event stream that asks clients to fetch again
//
// # What is sent
//
// A flag's value, variant and metadata are what [flags.Provider.Evaluate] gives. Where
// the code's default is used, because the flag is disabled or has no default
// variant, the value is left out, as the protocol has it. The protocol's reasons have
// no DEFAULT: it is sent as UNKNOWN. Of the metadata, what is no bool, text or number
// is not sent, nor are owner, kind and expires. Whatever is answered counts as evaluated
// in the provider's usage, in a bulk answer each of its flags.
//
// A flag that cannot be evaluated is an error with its code, 400 when it is asked for
// alone; why it cannot stays on the server, in [flags.Provider.Problems]. A flag that
// is not exposed is a flag that does not exist. A request that cannot be understood
// is 400 with PARSE_ERROR, a context that cannot be used is 400 with INVALID_CONTEXT,
// or with TARGETING_KEY_MISSING, unless Options.Context supplies the key. With
// [Options.AllowAnonymous] a context needs no key, and TARGETING_KEY_MISSING is the answer for
// those flags only that need one. A body that
// is too large is 413, one that is not said to be plain JSON is 415. As long as there
// is no document at all, the answer is 500, which clients with a cache survive.
//
// # Changes
//
// The ETag of a bulk answer covers the document's revision, the client's context, and
// the answer itself, so that a rule about time, or a replica with other static
// attributes, is never taken for "not modified". A client connects to the event
// stream that the answer names, which brings refetchEvaluation when the flags change
// and right away when they have changed since that answer. Over HTTP/1.1 browsers have
// six connections to an origin, of which each open page keeps one: serve HTTP/2.
//
// # Threat model
//
// Clients are untrusted. What they may see is what Expose says, and by default that is
// nothing. What they say of themselves is a claim: Options.Context overwrites what the
// server knows better, and a rule that guards something must decide by such attributes
// alone. Everything a client sees of a rule is its result. Bodies are bounded, must be
// JSON and say so, which also keeps pages of other sites from posting without CORS;
// a key that stands twice is refused. Nothing of a request becomes a log line, a
// header or an address. Event streams are bounded in number, say nothing but that
// something changed, and end with their request. The rate of requests is not bounded
// here: that is for Options.Authorize or the proxy in front.
package ofrep
