package flags

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
)

// Options configure a [Provider]. Nil options are the defaults.
type Options struct {
	// Name is the provider's name in OpenFeature. Empty means "upkeep".
	Name string

	// Static are attributes that every rule sees: what the process knows about itself, such as
	// its environment, service and version. They override the evaluation context. With the
	// version in it, {"sem_ver": [{"var": "version"}, ">=", "1.4.0"]} matches only builds that
	// contain the code. Nil means none. The map is copied.
	Static Attributes

	// Poll is the time between two loads, varied by a tenth. A source that can watch is also
	// loaded at once when it changes. Zero means 15s.
	Poll time.Duration

	// StaleAfter is how long the source may fail or not answer before the provider is stale.
	// Flags still answer. Zero means 1m, or three failures in a row if that is sooner.
	StaleAfter time.Duration

	// LostAfter is how long the source may fail or not answer before the provider is in error.
	// Flags still answer. Zero means never.
	LostAfter time.Duration

	// LastGood is a file that keeps what is in effect for the next start. A process that starts
	// without its source reads it, and a flag that the document has lost or broken keeps its
	// earlier definition. The file is replaced atomically and only its owner can read it. [Open]
	// and Init return an error if it cannot be written. Empty means none.
	LastGood string

	// Fallback is the document for a start without source and last good copy, for example
	// an embedded one. Empty means none.
	Fallback []byte

	// Bucketing is how the operator fractional distributes users. Zero means BucketingV2.
	Bucketing Bucketing

	// Strict refuses a document with any fault, as flagd does. A declared flag
	// ([Provider.Require]) that is missing or has another type is a fault here, and so is the
	// loss of flags that are in use. False means that a fault affects one flag, and Problems
	// reports it.
	Strict bool

	// AllowOverrides turns on [WithOverride]. False means that overrides are ignored.
	AllowOverrides bool

	// OnEvaluation is called with each evaluation by a bound handle ([Flag.Bind]), because no
	// OpenFeature hook sees those. provider is Name. It runs on the goroutine of the
	// evaluation and must be quick. Nil means no call, at no cost.
	OnEvaluation func(ctx context.Context, provider string, details openfeature.InterfaceEvaluationDetails)

	// WithoutUsage turns off the counting for [Provider.Usage], which costs a few nanoseconds
	// per evaluation. Cleanup then judges by expiry only. False means that evaluations are
	// counted.
	WithoutUsage bool

	// Logger logs when the document changes, fails and recovers. Nil means slog.Default().
	Logger *slog.Logger
}

// Attributes are the evaluation context as one flat map, which rules read. "targetingKey" is
// the id of the subject.
type Attributes map[string]any

func (o *Options) check() error {
	switch {
	case o.Poll < 0:
		return fmt.Errorf("flags: Options.Poll must not be negative, got %v", o.Poll)
	case o.StaleAfter < 0:
		return fmt.Errorf("flags: Options.StaleAfter must not be negative, got %v", o.StaleAfter)
	case o.LostAfter < 0:
		return fmt.Errorf("flags: Options.LostAfter must not be negative, got %v", o.LostAfter)
	case o.Bucketing != BucketingV2 && o.Bucketing != BucketingV3:
		return fmt.Errorf("flags: Options.Bucketing must be V2 or V3, got %v", o.Bucketing)
	}
	return nil
}
