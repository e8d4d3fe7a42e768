// Package flags evaluates feature flags inside the process. It reads one flag
// document, in flagd's open format, keeps it up to date while the service runs, and
// answers from its own memory: no request waits for a network.
//
// Most programs need two names. [New] makes the OpenFeature provider of a document,
// and [Bool], or one of its siblings, declares a flag with its type and the value
// that the code falls back to:
//
//	var NewCheckout = flags.Bool("new-checkout", false)
//
//	p, err := flags.New(flags.File("flags.yaml"), nil)
//	err = openfeature.SetProviderWithContextAndWait(ctx, p)
//	client := openfeature.NewDefaultClient()
//	on := NewCheckout.Value(ctx, client, openfeature.NewEvaluationContext(userID, attributes))
//
// [Open] is for programs without an OpenFeature client: [Flag.Bind] asks its provider
// directly, in the time of a map look-up.
//
// [Provider.Explain] says why a user got a variant, [Provider.Cleanup] which flags may go,
// and [Lint] what is wrong with a document before it is shipped.
// [Provider.Require] checks at every load what the code has declared. For tests there is
// the package [github.com/upkeep-go/upkeep/flags/flagtest], for browsers and other
// programs [github.com/upkeep-go/upkeep/flags/ofrep].
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
// Rules are JsonLogic, see the package [github.com/upkeep-go/upkeep/flags/jsonlogic]
// for the operators, and besides starts_with, ends_with, sem_ver, fractional, and
// $ref to a rule of $evaluators. A document may have 64 MiB, a rule may be as large as the
// document, and at most 100 references may follow one another. All rules share an evaluator that
// they refer to, and "in" looks a value up in a list of constants: a list of 100,000 ids, in one
// rule or for many flags, answers in less than a microsecond. A rule sees the evaluation context, with
// [Options.Static] over it, and $flagd.flagKey and $flagd.timestamp.
//
// Flags may also be a list of flags, each with its key in the field key. A number that a
// float64 cannot hold (1e999) is a fault. So is an integer beyond 2^53 in a variant, where it
// would lose digits; elsewhere Lint warns of it.
//
// In an editor, a YAML document is completed and checked if its first line is this one. A JSON
// document has the same address in its field $schema.
//
//	# yaml-language-server: $schema=https://raw.githubusercontent.com/upkeep-go/upkeep/main/flags/flags.schema.json
//
// # The same meaning as flagd
//
// A document means what it means to flagd, so that it can move to a flagd fleet. A rule
// means, in this order: what flagd's Go core v0.16.1 and its JavaScript core
// (@openfeature/flagd-core 4.0.1, compiled) both make of it, be it a value or an error; else
// what the official JsonLogic suites say; else what json-logic-js makes of it. A test asks both
// engines about random rules and documents. What differs from JsonLogic is the dialect
// [github.com/upkeep-go/upkeep/flags/jsonlogic.DialectFlagd].
//
// Where both engines answer an error, so does flags, with the caller's default; its code may
// differ.
//
// # Where flags and flagd differ
//
// These differences remain where both engines agree. Lint warns of each place in a document
// where one of the first three can occur.
//
//   - a variant that is a list is an object, for which the Go core answers TYPE_MISMATCH
//   - the name of a variant may have a character that JSON escapes (" \ < > &), which the Go
//     core does not find
//   - a $ref inside of $evaluators is resolved, which the engines do or not, by the order of a
//     map
//   - a rule on which the engines come to one answer, or both to an error, by an operation in
//     it of which they make different values, has the result of JsonLogic
//
// # What a bad document does
//
// A flag that is wrong in a document that can be read spoils only itself: it keeps
// the definition that it had, or answers PARSE_ERROR if it never had one. flagd refuses such a
// document whole, and so does [Options.Strict].
//
// A field that is misspelt is a fault of its flag ("targetting"), because the rollout that it
// describes would silently not happen. A misspelt field of the document is a problem and spoils
// no flag. Any other unknown field is ignored. A flag without a state is enabled; Lint calls that
// an error, because flagd's JavaScript core refuses it and its Go core does not.
//
// A flag that the code has declared ([Provider.Require]) and that a new document does not have
// is kept as it was, and so are all lost flags when more than 30 % of ten or more are lost at
// once. The rest of the document takes effect. "allowShrink: true" in the document lets
// them go. With [Options.LastGood] a restarted process answers the same.
//
// A document that cannot be read changes nothing.
//
// Each of these, and a source that fails, shows up at once in [Provider.Problems] (with line
// and column), [Provider.Stats] and the log. OpenFeature is told that the provider is stale:
// at once when a document is refused or flags are held back, after [Options.StaleAfter] when
// the source fails.
//
// # Failing safe
//
// Without a document, and for whatever goes wrong with one flag, the answer is the
// default of the code. A document that cannot be read, is empty or is null never
// replaces one that could.
//
// Whoever writes the document steers the service: its place needs the protection of
// a deployment. Evaluation contexts may come from clients and are only ever
// compared; nothing in them can change a flag, and Options.Static is out of their
// reach. A document is bounded in size, a rule in depth, and an evaluation in steps.
package flags
