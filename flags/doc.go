// Package flags evaluates feature flags inside the process. It reads one flag document, in
// flagd's open format, keeps it up to date while the service runs, and answers from memory: no
// request waits for a network.
//
// Most programs need two names. [New] makes the OpenFeature provider of a document. [Bool],
// [String], [Int], [Float] and [Object] declare a flag with its type and its default value:
//
//	var NewCheckout = flags.Bool("new-checkout", false)
//
//	p, err := flags.New(flags.File("flags.yaml"), nil)
//	err = openfeature.SetProviderWithContextAndWait(ctx, p)
//	client := openfeature.NewDefaultClient()
//	on := NewCheckout.Value(ctx, client, openfeature.NewEvaluationContext(userID, attributes))
//
// [Open] is for programs without an OpenFeature client. [Flag.Bind] evaluates a flag on the
// provider itself, about as fast as a map look-up.
//
// [WithExposures] collects the variants that a request was given, to compare them with its outcome.
// [Provider.Explain] explains why a user got a variant. [Provider.Cleanup] lists the flags that
// can be removed. [Lint] checks a document before it is shipped. [Provider.Require] checks at
// every load that the document has the flags that the code declares. The package
// [github.com/upkeep-go/upkeep/flags/flagtest] helps with tests, and
// [github.com/upkeep-go/upkeep/flags/ofrep] serves flags to browsers and other programs.
//
// # The document
//
// JSON or YAML (https://flagd.dev/reference/flag-definitions):
//
//	flags:
//	  new-checkout:
//	    state: ENABLED
//	    variants: {on: true, off: false}
//	    defaultVariant: off
//	    targeting:
//	      if: [{$ref: staff}, on, {fractional: [[on, 25], [off, 75]]}]
//	$evaluators:
//	  staff: {ends_with: [{var: email}, "@example.com"]}
//
// Rules are JsonLogic; the package [github.com/upkeep-go/upkeep/flags/jsonlogic] documents the
// operators. flagd adds starts_with, ends_with, sem_ver, fractional, and $ref to a rule of
// $evaluators. A rule sees the evaluation context, with [Options.Static] over it, and
// $flagd.flagKey and $flagd.timestamp.
//
// A document may have 64 MiB, and one rule may fill it. A chain of references may have at most
// 100 links. All rules that refer to an evaluator share it, and "in" looks a value up in a list
// of constants: a list of 100,000 ids, in one rule or for many flags, answers in less than a
// microsecond.
//
// Flags may also be a list, in which each flag has its key in the field key. A number that a
// float64 cannot hold (1e999) is a fault. An integer beyond 2^53 would lose digits: it is a fault
// in a variant, and Lint warns of it elsewhere.
//
// In an editor, a YAML document is completed and checked if its first line is this one. A JSON
// document has the same address in its field $schema.
//
//	# yaml-language-server: $schema=https://raw.githubusercontent.com/upkeep-go/upkeep/main/flags/flags.schema.json
//
// # Guards
//
// Metadata describe how the rollout of a flag is guarded. The keys are flat, so flagd reads the same
// document:
//
//	metadata:
//	  guard.treatment: "on"   # the variant that is being rolled out
//	  guard.control: "off"    # the variant to compare it with
//	  guard.harm: 0.01        # increase of the failure rate that matters; the default
//	  guard.alpha: 0.001      # probability of a false alarm over the whole rollout; the default
//	  guard.slow: "800ms"     # a slower request counts as a failure of a second test
//
// This package checks them ([Lint]) and collects the evidence ([WithExposures]). The rule must choose
// between the two variants by fractional.
//
// # The same meaning as flagd
//
// A document means what it means to flagd, so that it can move to a flagd fleet. Three rules
// decide what a rule means, in this order. First, where flagd's Go core v0.16.1 and its
// JavaScript core (@openfeature/flagd-core 4.0.1, compiled) agree on a value or an error, that
// counts. Otherwise the official JsonLogic suites count. Otherwise json-logic-js counts. A test
// compares both engines on random rules and documents. [github.com/upkeep-go/upkeep/flags/jsonlogic.DialectFlagd]
// lists what differs from JsonLogic.
//
// Where both engines answer an error, flags answers an error too, with the caller's default; its
// code may differ.
//
// # Where flags and flagd differ
//
// These differences remain where both engines agree. Lint warns of each place in a document
// where one of the first three can occur.
//
//   - A variant that is a list is an object. The Go core answers TYPE_MISMATCH.
//   - The name of a variant may contain a character that JSON escapes (" \ < > &). The Go core
//     does not find such a variant.
//   - A $ref inside $evaluators is resolved. The engines resolve it or not, depending on the
//     order of a map.
//   - If the engines agree on the result of a rule, but not on the value of an operation inside
//     it, the rule has the result of JsonLogic.
//
// # What a bad document does
//
// A faulty flag in a readable document affects only itself: it keeps its last good definition,
// or answers PARSE_ERROR if it never had one. flagd refuses such a document as a whole, and so
// does [Options.Strict].
//
// A misspelt field of a flag ("targetting") is a fault of that flag, because otherwise the
// rollout that it describes would silently not happen. A misspelt field of the document is a
// problem and affects no flag. Any other unknown field is ignored. A flag without a state is
// enabled. Lint calls that an error, because flagd's JavaScript core refuses it and its Go core
// accepts it.
//
// A flag that the code declares ([Provider.Require]) is kept when a new document no longer has
// it. If a document of ten or more flags loses more than 30 % of them at once, all lost flags are
// kept. The rest of the document takes effect. "allowShrink: true" in the document removes the
// kept flags. With [Options.LastGood] a restarted process answers the same.
//
// A document that cannot be read, is empty or is null changes nothing.
//
// Each of these, and a source that fails, is reported at once by [Provider.Problems] (with line
// and column), by [Provider.Stats] and in the log. OpenFeature gets the event STALE: at once when
// a document is refused or flags are kept, after [Options.StaleAfter] when the source fails.
//
// # Failing safe
//
// Without a document, and on any error with one flag, the answer is the default in the code.
//
// Anyone who can write the document controls the service, so protect its place like a
// deployment. Evaluation contexts may come from clients. Rules only compare them: a context can
// neither change a flag nor override Options.Static. The size of a document, the depth of a rule
// and the steps of an evaluation are bounded.
package flags
