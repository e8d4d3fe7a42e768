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
	// Name is the provider's name in OpenFeature. Empty: "upkeep".
	Name string

	// Static are attributes that every rule sees, whatever the evaluation context
	// says: what the process knows about itself, its environment, service and version.
	// With the version in it, {"sem_ver": [{"var": "version"}, ">=", "1.4.0"]} reaches
	// only the builds that contain the code. Nil: none. The map is copied.
	Static Attributes

	// Poll is the time between two looks at the source, varied by a tenth. A source
	// that can watch is read at once besides. 0: 15 seconds.
	Poll time.Duration

	// StaleAfter is how long the source may be silent or failing before the provider
	// says that it is stale; flags go on answering. Zero means a minute, or three failures in
	// a row if that is sooner.
	StaleAfter time.Duration

	// LostAfter is the same for saying that it is in error; flags go on answering all
	// the same. 0: never.
	LostAfter time.Duration

	// LastGood is a file that keeps what is in effect for the next start: for one without the
	// source, and so that flags which keep an earlier definition, because the document has lost
	// or broken them, still have it. It is replaced atomically and readable by its owner only.
	// A path that cannot be written is an error of [Open] and Init. Empty means none.
	LastGood string

	// Fallback is the document for a start with neither source nor last good copy, an
	// embedded one for instance. Empty: none.
	Fallback []byte

	// Bucketing is how the operator fractional spreads users. The zero value is BucketingV2.
	Bucketing Bucketing

	// Strict refuses a document with any fault, as flagd does: also one that lacks a declared
	// flag ([Provider.Require]), has it with another type, or has lost flags that are in use.
	// False means that a fault spoils one flag, and Problems reports it.
	Strict bool

	// AllowOverrides honours [WithOverride]. False: it has no effect.
	AllowOverrides bool

	// OnEvaluation is told each evaluation by a bound handle ([Flag.Bind]), which no
	// OpenFeature hook sees, under the provider's name. It is called where the
	// evaluation is, and must be quick. Nil: nobody is told, at no cost.
	OnEvaluation func(ctx context.Context, provider string, details openfeature.InterfaceEvaluationDetails)

	// WithoutUsage leaves out the counting for [Provider.Usage], which costs an
	// evaluation a few nanoseconds; Cleanup then knows of expiry only. False: counted.
	WithoutUsage bool

	// Logger is told when the document changes, fails and recovers. Nil:
	// slog.Default().
	Logger *slog.Logger
}

// Attributes are what a rule decides by: the evaluation context as one flat map.
// "targetingKey" names the subject.
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
