// Package token verifies the signed tokens that let an operator do what others may
// not. They are JWTs (RFC 7519) signed with Ed25519 (RFC 8037), so that any JWT tool
// mints them and services hold public keys only.
package token

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// MaxLength is the length in bytes from which on a token is not looked at.
	MaxLength = 4096

	// Leeway is how far the clocks of who mints and who verifies may be apart.
	Leeway = 30 * time.Second

	maxName    = 200  // of sub, jti and kid, in bytes
	maxCached  = 1000 // tokens remembered as good
	latestTime = 253402300799
)

// A Reason says why a token is refused. It is a word of this package, never one of the
// token, and so fit for logs and metrics.
type Reason string

// The reasons, in the order in which they are looked for. From Purpose on the
// signature is good, so that who holds the token may be told.
const (
	Malformed Reason = "malformed" // no JWT, too long, or a header that asks for what is not understood
	Algorithm Reason = "algorithm" // signed with anything else than EdDSA, or not at all
	Key       Reason = "key"       // no key of that id
	Signature Reason = "signature" // not signed by that key
	Purpose   Reason = "purpose"   // for something else
	Audience  Reason = "audience"  // for another service
	Subject   Reason = "subject"   // says not who holds it, or at too great length
	Lifetime  Reason = "lifetime"  // lacks iat or exp, or has too much time between them
	Expired   Reason = "expired"
	NotYet    Reason = "not yet valid" // issued, or to be used, in the future
)

// An Error is what [Verifier.Verify] returns. It holds nothing of the token.
type Error struct{ Reason Reason }

func (e *Error) Error() string { return "token: " + string(e.Reason) }

// Signed says whether the token is signed by a known key all the same.
func (e *Error) Signed() bool {
	switch e.Reason {
	case Malformed, Algorithm, Key, Signature:
		return false
	}
	return true
}

// Options of a [Verifier]. All are required.
type Options struct {
	Keys     map[string]ed25519.PublicKey // by key id, the header kid of the token
	Purpose  string                       // what the claim "purpose" must be
	Audience string                       // what the claim "aud" must be, or have among others
	MaxAge   time.Duration                // exp may be so long after iat
}

// A Verifier tells good tokens from others. What it has found good it remembers, up to
// a thousand tokens, so that a token that comes with each request is cheap. All
// methods may be called from any goroutine.
type Verifier struct {
	opts   Options
	parser *jwt.Parser

	mu   sync.RWMutex
	good map[[sha256.Size]byte]*Claims
}

// New makes a verifier. An error says which option makes no sense.
func New(opts Options) (*Verifier, error) {
	switch {
	case len(opts.Keys) == 0:
		return nil, errors.New("keys: must have at least one")
	case opts.Purpose == "":
		return nil, errors.New("purpose: is required")
	case opts.Audience == "":
		return nil, errors.New("audience: is required")
	case opts.MaxAge <= 0:
		return nil, fmt.Errorf("maximum age: must be positive, got %v", opts.MaxAge)
	}
	keys := make(map[string]ed25519.PublicKey, len(opts.Keys))
	for _, id := range slices.Sorted(maps.Keys(opts.Keys)) {
		switch key := opts.Keys[id]; {
		case id == "" || len(id) > maxName:
			return nil, fmt.Errorf("keys: a key id must have 1 to %d bytes, got %d", maxName, len(id))
		case len(key) != ed25519.PublicKeySize:
			return nil, fmt.Errorf("keys: key %q must have %d bytes, got %d", id, ed25519.PublicKeySize, len(key))
		default:
			keys[id] = slices.Clone(key)
		}
	}
	opts.Keys = keys
	return &Verifier{
		opts: opts,
		// The claims are looked at here: the parser would not say which of them is wrong
		// in words that can be told on.
		parser: jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()),
		good:   map[[sha256.Size]byte]*Claims{},
	}, nil
}

// Claims are what a good token says. They are read-only.
type Claims struct {
	Subject string            // who holds it: sub
	ID      string            // jti; empty: none
	KeyID   string            // kid
	Sum     [sha256.Size]byte // of the token, to know it again without keeping it

	IssuedAt  time.Time
	NotBefore time.Time // the zero time: none
	Expires   time.Time

	others jwt.MapClaims
}

// Text is a claim of the caller's own; empty when there is none that is a string.
func (c *Claims) Text(name string) string {
	text, _ := c.others[name].(string)
	return text
}

// Verify says what the token claims, at now. The error is an [*Error].
//
// A token is good when it is a JWT in compact form, at most MaxLength bytes long, with
// alg EdDSA and the id of a known key, signed by it; its purpose and audience are those
// of the options; sub says who holds it; exp lies after iat, by at most MaxAge; and now lies
// from iat (and nbf, if any) to exp, give or take Leeway. Both iat and exp are required: without
// iat a token of any age could be minted today.
func (v *Verifier) Verify(text string, now time.Time) (*Claims, error) {
	if len(text) > MaxLength {
		return nil, &Error{Malformed}
	}
	sum := sha256.Sum256([]byte(text))
	v.mu.RLock()
	c := v.good[sum]
	v.mu.RUnlock()
	if c == nil {
		var err error
		if c, err = v.read(text); err != nil {
			return nil, err
		}
		c.Sum = sum
	}
	if reason := c.at(now); reason != "" {
		return nil, &Error{reason}
	}
	v.remember(c, now)
	return c, nil
}

// at looks at the clock.
func (c *Claims) at(now time.Time) Reason {
	switch {
	case !now.Before(c.Expires.Add(Leeway)):
		return Expired
	case now.Add(Leeway).Before(c.IssuedAt), now.Add(Leeway).Before(c.NotBefore):
		return NotYet
	}
	return ""
}

func (v *Verifier) remember(c *Claims, now time.Time) {
	v.mu.RLock()
	known := v.good[c.Sum] != nil
	v.mu.RUnlock()
	if known {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.good) >= maxCached {
		maps.DeleteFunc(v.good, func(_ [sha256.Size]byte, old *Claims) bool { return old.at(now) == Expired })
	}
	for sum := range v.good { // any one: it is only read again
		if len(v.good) < maxCached {
			break
		}
		delete(v.good, sum)
	}
	v.good[c.Sum] = c
}

// read does all but look at the clock.
func (v *Verifier) read(text string) (*Claims, error) {
	reason := Malformed
	parsed, err := v.parser.Parse(text, func(t *jwt.Token) (any, error) {
		// What must be understood and is not must be refused (RFC 7515 §4.1.11).
		if _, critical := t.Header["crit"]; critical {
			return nil, &Error{Malformed}
		}
		if t.Method != jwt.SigningMethodEdDSA {
			reason = Algorithm
			return nil, &Error{Algorithm}
		}
		id, _ := t.Header["kid"].(string)
		key, known := v.opts.Keys[id]
		if !known {
			reason = Key
			return nil, &Error{Key}
		}
		reason = Signature
		return key, nil
	})
	if err != nil {
		if errors.Is(err, jwt.ErrTokenUnverifiable) && reason == Malformed && parsed != nil && parsed.Method == nil {
			reason = Algorithm // one that nobody knows
		}
		return nil, &Error{reason}
	}
	claims, _ := parsed.Claims.(jwt.MapClaims)
	c := &Claims{others: claims}
	c.Subject, c.ID = c.Text("sub"), c.Text("jti")
	c.KeyID, _ = parsed.Header["kid"].(string)
	switch {
	case c.Text("purpose") != v.opts.Purpose:
		return nil, &Error{Purpose}
	case !isFor(claims["aud"], v.opts.Audience):
		return nil, &Error{Audience}
	case c.Subject == "" || len(c.Subject) > maxName || len(c.ID) > maxName:
		return nil, &Error{Subject}
	}
	var hasIssued, hasExpires, hasBefore bool
	c.IssuedAt, hasIssued = date(claims["iat"])
	c.Expires, hasExpires = date(claims["exp"])
	c.NotBefore, hasBefore = date(claims["nbf"])
	if _, given := claims["nbf"]; given && !hasBefore {
		return nil, &Error{Lifetime}
	}
	if age := c.Expires.Sub(c.IssuedAt); !hasIssued || !hasExpires || age <= 0 || age > v.opts.MaxAge {
		return nil, &Error{Lifetime}
	}
	return c, nil
}

// isFor reads aud, which is a string or a list of them (RFC 7519 §4.1.3).
func isFor(aud any, audience string) bool {
	if one, ok := aud.(string); ok {
		return one == audience
	}
	list, _ := aud.([]any)
	return slices.Contains(list, any(audience))
}

// date reads a NumericDate (RFC 7519 §2), to the second.
func date(claim any) (time.Time, bool) {
	seconds, ok := claim.(float64)
	if !ok || !(seconds > 0 && seconds < latestTime) {
		return time.Time{}, false
	}
	return time.Unix(int64(math.Floor(seconds)), 0).UTC(), true
}
