// Package token verifies the signed tokens that give an operator extra rights. They are
// JWTs (RFC 7519) signed with Ed25519 (RFC 8037), so any JWT tool can mint them, and
// services hold only public keys.
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
	// MaxLength is the length of the longest token that is read, in bytes.
	MaxLength = 4096

	// Leeway is the allowed difference between the clocks of the issuer and the verifier.
	Leeway = 30 * time.Second

	maxName    = 200  // of sub, jti and kid, in bytes
	maxCached  = 1000 // tokens remembered as good
	latestTime = 253402300799
)

// A Reason says why a token is refused. It never contains text of the token, so it is safe
// in logs and metrics.
type Reason string

// The reasons, in the order of the checks. From Purpose on the signature is valid, so the
// token's subject can be trusted.
const (
	Malformed Reason = "malformed" // not a JWT, too long, or with an unknown critical header
	Algorithm Reason = "algorithm" // not signed with EdDSA
	Key       Reason = "key"       // its key id is unknown
	Signature Reason = "signature" // not signed by that key
	Purpose   Reason = "purpose"   // for another purpose
	Audience  Reason = "audience"  // for another service
	Subject   Reason = "subject"   // sub is missing, or sub or jti is too long
	Lifetime  Reason = "lifetime"  // iat or exp is missing, or they are too far apart
	Expired   Reason = "expired"
	NotYet    Reason = "not yet valid" // iat or nbf lies in the future
)

// An Error is what [Verifier.Verify] returns. It contains no text of the token.
type Error struct{ Reason Reason }

func (e *Error) Error() string { return "token: " + string(e.Reason) }

// Signed reports whether the refused token was signed by a known key.
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
	Purpose  string                       // the required claim "purpose"
	Audience string                       // the claim "aud" must be this text, or a list that has it
	MaxAge   time.Duration                // the longest time from iat to exp
}

// A Verifier checks tokens. It caches up to a thousand good tokens, so a token that comes
// with each request is cheap. It is safe for concurrent use.
type Verifier struct {
	opts   Options
	parser *jwt.Parser

	mu   sync.RWMutex
	good map[[sha256.Size]byte]*Claims
}

// New returns a verifier. Its error names the invalid option.
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
		// We check the claims ourselves, because the parser's errors contain text of the token.
		parser: jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()),
		good:   map[[sha256.Size]byte]*Claims{},
	}, nil
}

// Claims are the claims of a good token. They are read-only.
type Claims struct {
	Subject string            // sub: the token's holder
	ID      string            // jti; Empty means none.
	KeyID   string            // kid
	Sum     [sha256.Size]byte // digest of the token

	IssuedAt  time.Time
	NotBefore time.Time // The zero time means none.
	Expires   time.Time

	others jwt.MapClaims
}

// Text returns a further claim. Empty means that it is missing or not a string.
func (c *Claims) Text(name string) string {
	text, _ := c.others[name].(string)
	return text
}

// Verify returns the claims of a token that is good at now. Its error is an [*Error].
//
// A good token is a JWT in compact form of at most MaxLength bytes. It has alg EdDSA, the id
// of a known key and that key's signature, and the purpose and audience of the options. Its
// sub is set, and exp is at most MaxAge after iat. Now is between iat (and nbf, if set) and
// exp, with Leeway on both sides. Without iat the token's age would be unknown, so iat is
// required.
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

// at checks the times.
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
	for sum := range v.good { // any one: a token that is dropped here is only read again
		if len(v.good) < maxCached {
			break
		}
		delete(v.good, sum)
	}
	v.good[c.Sum] = c
}

// read checks everything except the times.
func (v *Verifier) read(text string) (*Claims, error) {
	reason := Malformed
	parsed, err := v.parser.Parse(text, func(t *jwt.Token) (any, error) {
		// We understand no critical header, so we refuse all (RFC 7515 §4.1.11).
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
			reason = Algorithm // an unknown algorithm
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
