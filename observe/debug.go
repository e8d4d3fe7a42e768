package observe

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/internal/token"
)

// logDebug marks a record that was written because its request is debugged, with
// what asked for that.
const logDebug = "debug"

// Why a request is debugged.
const (
	byToken = "token"
	byFlag  = "flag"
)

// debugTokens verifies debug tokens and counts how often each is used.
type debugTokens struct {
	verifier  *token.Verifier
	header    string
	perSecond int
	hosts     hostSet

	mu       sync.Mutex
	used     map[[sha256.Size]byte]*window
	refusals window
}

func newDebugTokens(opts *DebugToken) (*debugTokens, error) {
	if opts == nil {
		return nil, nil
	}
	d := &debugTokens{header: opts.Header, perSecond: opts.PerSecond, used: map[[sha256.Size]byte]*window{}}
	var errs []error
	var err error
	d.verifier, err = token.New(token.Options{Keys: opts.Keys, Purpose: debugPurpose, Audience: opts.Audience, MaxAge: time.Hour})
	if err != nil {
		errs = append(errs, fmt.Errorf("observe: Options.DebugToken: %w", err))
	}
	if d.hosts, err = newHostSet("DebugToken.Hosts", opts.Hosts); err != nil {
		errs = append(errs, err)
	}
	if d.header == "" {
		d.header = headerDebug
	}
	if !validID(d.header) || strings.ContainsAny(d.header, "._") {
		errs = append(errs, fmt.Errorf("observe: Options.DebugToken.Header: %q is not a header's name", d.header))
	}
	d.header = textproto.CanonicalMIMEHeaderKey(d.header)
	switch {
	case d.perSecond < 0, d.perSecond > maxPerSecond:
		errs = append(errs, fmt.Errorf("observe: Options.DebugToken.PerSecond must be 0 to %d, got %d", maxPerSecond, d.perSecond))
	case d.perSecond == 0:
		d.perSecond = 5
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return d, nil
}

// A debugClaim is what a good token asks for.
type debugClaim struct {
	text    string // to hand on
	holder  string
	routes  []string // nil: any
	subject string   // "": any
	level   slog.Level
}

// A grant says that a request is debugged.
type grant struct {
	level  slog.Level
	by     string
	holder string // of the token
}

// read returns the claim of the request's token. Without a good one claim is nil, and
// refused is the reason, a word of ours.
func (d *debugTokens) read(values []string, now time.Time) (claim *debugClaim, refused string) {
	if len(values) != 1 || len(values[0]) > token.MaxLength {
		return nil, string(token.Malformed)
	}
	text := values[0]
	sum := sha256.Sum256([]byte(text))
	d.mu.Lock()
	_, known := d.used[sum]
	busy := !known && !d.refusals.free(now, maxRefusals, time.Second)
	d.mu.Unlock()
	if busy {
		return nil, "busy"
	}
	claim, refused = d.verify(text, now)
	d.mu.Lock()
	defer d.mu.Unlock()
	if refused != "" {
		d.refusals.take(now, maxRefusals)
		return nil, refused
	}
	used := d.used[sum]
	if used == nil {
		if len(d.used) >= maxTokens {
			maps.DeleteFunc(d.used, func(_ [sha256.Size]byte, w *window) bool { return w.free(now, 1, time.Second) })
		}
		if len(d.used) >= maxTokens {
			return nil, "busy"
		}
		used = new(window)
		d.used[sum] = used
	}
	if !used.free(now, d.perSecond, time.Second) {
		return nil, "rate"
	}
	used.take(now, d.perSecond)
	return claim, ""
}

func (d *debugTokens) verify(text string, now time.Time) (*debugClaim, string) {
	claims, err := d.verifier.Verify(text, now)
	if err != nil {
		var why *token.Error
		if errors.As(err, &why) {
			return nil, string(why.Reason)
		}
		return nil, string(token.Malformed)
	}
	c := &debugClaim{
		text: text, holder: cleantext.Cut(claims.Subject, maxText), level: slog.LevelDebug,
		routes: strings.Fields(claims.Text("route")), subject: claims.Text("subject"),
	}
	if len(c.routes) == 0 && c.subject == "" {
		return nil, "scope"
	}
	if level := claims.Text("level"); level != "" && c.level.UnmarshalText([]byte(level)) != nil {
		return nil, "level"
	}
	return c, ""
}

func (c *debugClaim) covers(ctx context.Context, route string) bool {
	if len(c.routes) > 0 && !slices.Contains(c.routes, route) {
		return false
	}
	return c.subject == "" || openfeature.TransactionContext(ctx).TargetingKey() == c.subject
}

// A levelFlag is the flag that sets the level of single requests.
type levelFlag struct {
	key    string
	client openfeature.IClient
	paused atomic.Pointer[time.Time] // until then no request asks
	errors lossCount
}

// How far a request's level flag is evaluated.
const (
	flagUnasked uint32 = iota
	flagAsking
	flagAskedEarly // before it was known for whom
	flagAsked
)

// ask evaluates the flag for ctx; ok says that it names a level.
func (f *levelFlag) ask(ctx context.Context) (level slog.Level, ok bool) {
	defer func() {
		if recover() != nil {
			f.errors.Add(1)
			level, ok = 0, false
		}
	}()
	start := time.Now()
	if until := f.paused.Load(); until != nil && start.Before(*until) {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, levelFlagTime)
	defer cancel()
	text, err := f.client.StringValue(ctx, f.key, "", openfeature.EvaluationContext{})
	if took := time.Since(start); took > levelFlagTime {
		until := start.Add(took + levelFlagPause)
		f.paused.Store(&until)
	}
	if err == nil && text == "" {
		return 0, false
	}
	if err != nil || level.UnmarshalText([]byte(text)) != nil {
		f.errors.Add(1)
		return 0, false
	}
	return level, true
}

// hasTransaction reports whether the application has said for whom ctx is.
func hasTransaction(ctx context.Context) bool {
	tc := openfeature.TransactionContext(ctx)
	return tc.TargetingKey() != "" || len(tc.Attributes()) > 0
}
