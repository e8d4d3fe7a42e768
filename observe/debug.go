package observe

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
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

// What asks for a request to be debugged.
const (
	byToken = "token"
	byFlag  = "flag"
)

// A DebugToken lets whoever holds a signed token have the log of single requests at
// a lower level: the token comes with the request, in a header of its own. It is a JWT
// signed with Ed25519 (RFC 7519, RFC 8037), with the key's id as "kid" and the claims
//
//	purpose   "upkeep-debug"
//	aud       the service, or a list of them
//	sub       who holds it, at most 200 bytes; shown on the span and in the log
//	iat, exp  at most an hour apart; taken from 30 s before iat to 30 s after exp, for
//	          clocks that differ
//	route     the routes it is for, as in http.route, separated by spaces
//	subject   the subject it is for: the targeting key of openfeature.TransactionContext
//	level     the lowest level that is written, as slog.Level spells it; "DEBUG" if missing
//
// One of route and subject at least; with both, both must fit. They are looked at when
// [Route] is reached, so that authentication may have set the subject, and before each
// record that it would matter to.
//
// A token that is refused changes nothing for the request; its span says why, as
// upkeep.debug.refused. After a hundred refusals in a second those that were not seen
// before are not looked at, because checking a signature costs. The header is taken from
// the request before the application sees it, good token or not, and the token is
// recorded nowhere. It opens nothing else: a debug token is no bypass token.
type DebugToken struct {
	// Keys are the public keys by their ids. Required.
	Keys map[string]ed25519.PublicKey

	// Audience is what the token must be for: the service's name. Required.
	Audience string

	// Header is the name of the header. "" means "Upkeep-Debug".
	Header string

	// PerSecond is how many requests in a second one token may debug; more are served
	// without. Zero means 5; at most 1000.
	PerSecond int

	// Hosts names the hosts that [Observer.Transport] hands the token on to, as
	// Options.InternalHosts does for ids. It is a list of its own because who has the
	// token can use it. Nil: none. To all others the header is never sent.
	Hosts []string
}

// debugTokens verifies debug tokens and counts how often each is used.
type debugTokens struct {
	verifier  *token.Verifier
	header    string
	perSecond int
	hosts     hostSet

	mu       sync.Mutex
	start    time.Time // what the windows count from
	used     map[[sha256.Size]byte]*window
	refusals window
}

func newDebugTokens(opts *DebugToken) (*debugTokens, error) {
	if opts == nil {
		return nil, nil
	}
	d := &debugTokens{header: opts.Header, perSecond: opts.PerSecond, start: time.Now(), used: map[[sha256.Size]byte]*window{}}
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
	at := now.Sub(d.start)
	d.mu.Lock()
	_, known := d.used[sum]
	busy := !known && !d.refusals.free(at, maxRefusals, time.Second)
	d.mu.Unlock()
	if busy {
		return nil, "busy"
	}
	claim, refused = d.verify(text, now)
	d.mu.Lock()
	defer d.mu.Unlock()
	if refused != "" {
		d.refusals.take(at, maxRefusals)
		return nil, refused
	}
	used := d.used[sum]
	if used == nil {
		if len(d.used) >= maxTokens {
			for old, w := range d.used {
				if len(d.used) < maxTokens {
					break
				}
				if w.free(at, 1, time.Second) {
					delete(d.used, old)
				}
			}
			if len(d.used) >= maxTokens {
				return nil, "busy"
			}
		}
		used = new(window)
		d.used[sum] = used
	}
	if !used.free(at, d.perSecond, time.Second) {
		return nil, "rate"
	}
	used.take(at, d.perSecond)
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
	paused atomic.Int64 // until then, in nanoseconds since start, no request asks
	start  time.Time
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
	at := start.Sub(f.start)
	if int64(at) < f.paused.Load() {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, levelFlagTime)
	defer cancel()
	text, err := f.client.StringValue(ctx, f.key, "", openfeature.EvaluationContext{})
	if took := time.Since(start); took > levelFlagTime {
		f.paused.Store(int64(at + took + levelFlagPause))
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
