package downtime

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/upkeep-go/upkeep/internal/cleantext"
	"github.com/upkeep-go/upkeep/internal/token"
)

// A Bypass admits operators to closed windows, to try changes before users do: by a token that names the
// window, or by the network of the client. Requests that bypass a window count as busy, are marked in
// their context (see [Bypassed]) and audited. Until a document has been read, nothing is bypassed.
//
// # Tokens
//
// Tokens are JWTs (RFC 7519) signed with Ed25519 (alg EdDSA, RFC 8037), which any JWT tool can create.
// The service only has public keys. A token has
//
//	kid      in its header: the id of its key in Keys
//	purpose  "upkeep-bypass", which is [BypassPurpose]; tokens with any other purpose are rejected
//	aud      Audience, alone or among others
//	sub      the holder, for the audit
//	window   the id of the one window that it is for, in all of its occurrences
//	iat, exp when it was issued and when it expires, at most MaxAge later
//
// and may have nbf and jti, which the audit names. Clocks may differ by 30s. The token is in a header of
// its own, or in a cookie that [Guard.BypassHandler] sets, and never in a path or query, because those
// are logged. The guard removes it from the request before the handler runs.
//
// Verified tokens are cached. A forged token costs 60 µs more than a refusal.
type Bypass struct {
	// Keys are the public keys that tokens may be signed with, by key id (kid). Empty means that
	// all tokens are rejected.
	Keys map[string]ed25519.PublicKey

	// Audience is the name of this service, which a token's aud must contain. Required with Keys.
	Audience string

	// MaxAge is how long after iat a token may expire. Zero means 12h.
	MaxAge time.Duration

	// Header is the header for a token. Authorization is an error, because it is the application's.
	// Empty means "Upkeep-Bypass".
	Header string

	// Cookie is the name of the cookie. Browsers set one whose name begins with "__Host-" for
	// this host alone and over TLS only (RFC 6265bis §4.1.3.2). Empty means "__Host-Upkeep-Bypass".
	Cookie string

	// Networks are the networks of operators: a client with an address in one of them bypasses all
	// windows. Networks require TrustedProxies, because behind an ingress every peer has an address
	// of the cluster. Empty means none.
	Networks []netip.Prefix

	// TrustedProxies are the networks of the proxies in front of the service, which must set
	// X-Forwarded-For or add to it. A client's address is that of the peer. If the peer is a trusted
	// proxy, it is the last address in X-Forwarded-For that is not a trusted proxy. It is unknown if
	// all are trusted, or if an element before that is not an address. If clients reach the service
	// directly, use 127.0.0.1/32 or another network without clients. Forwarded (RFC 7239) is not read.
	TrustedProxies []netip.Prefix

	// Audit is called before the handler, with the handler's request, for the first request of a
	// token or of a client by its network in an occurrence of a window, and with EachRequest for all
	// requests. It is called by many goroutines at once, and the request waits for it. The guard's
	// Logger logs the first requests anyway. Nil means not called.
	Audit       func(*http.Request, BypassUse)
	EachRequest bool
}

// BypassPurpose is the claim "purpose" of the tokens of a [Bypass].
const BypassPurpose = "upkeep-bypass"

// A BypassUse is one use of a [Bypass], for the audit.
type BypassUse struct {
	Window string     // id of the window that refused, the most restrictive of several
	First  bool       // the first of this token, or of this client, in this occurrence
	Client netip.Addr // see Bypass.TrustedProxies; the zero Addr means unknown

	// Of a token.
	Subject string
	KeyID   string
	TokenID string // jti; empty means none
	Expires time.Time

	// The network of the client; the zero Prefix means that a token was used.
	Network netip.Prefix
}

// Bypassed reports whether a request or work in ctx bypasses a window, and who it is: the token's
// subject, or the client's address.
func Bypassed(ctx context.Context) (who string, ok bool) {
	m, ok := ctx.Value(bypassKey{}).(*bypassMark)
	if !ok {
		return "", false
	}
	return m.use.who(), true
}

func (u *BypassUse) who() string {
	if u.Network.IsValid() {
		return u.Client.String()
	}
	return u.Subject
}

type bypassKey struct{}

// A bypassMark is in the context of a bypassed request. The request's work may bypass the same windows.
type bypassMark struct {
	bypass *bypass
	use    BypassUse
	past   []*tally // of the windows that it bypasses
}

const (
	maxForwarded = 50   // addresses of X-Forwarded-For that are read
	maxAudited   = 1000 // uses that are remembered
)

type bypass struct {
	opts     Bypass
	verifier *token.Verifier // nil: without keys
	logger   *slog.Logger

	let    atomic.Int64 // requests let in
	denied atomic.Int64 // tokens that were refused

	mu      sync.Mutex
	audited map[auditKey]struct{}
}

type auditKey struct {
	of     *tally
	token  [sha256.Size]byte
	client netip.Addr
}

func newBypass(o *Bypass, logger *slog.Logger) (*bypass, error) {
	b := &bypass{opts: *o, logger: logger, audited: map[auditKey]struct{}{}}
	opts := &b.opts
	opts.MaxAge = cmp.Or(opts.MaxAge, 12*time.Hour)
	opts.Header = http.CanonicalHeaderKey(cmp.Or(opts.Header, "Upkeep-Bypass"))
	opts.Cookie = cmp.Or(opts.Cookie, "__Host-Upkeep-Bypass")
	opts.Networks, opts.TrustedProxies = slices.Clone(opts.Networks), slices.Clone(opts.TrustedProxies)
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("downtime: Options.Bypass."+format, args...))
	}
	if len(opts.Keys) == 0 && len(opts.Networks) == 0 {
		fault("Keys: there are neither keys nor networks, so that nobody could bypass")
	}
	if len(opts.Networks) > 0 && len(opts.TrustedProxies) == 0 {
		fault("Networks: need TrustedProxies, for behind a proxy every client has its address")
	}
	if !isToken(opts.Header) || opts.Header == "Authorization" || opts.Header == "Cookie" {
		fault("Header: must be the name of a header of its own, got %q", cleantext.Clip(opts.Header, 80))
	}
	if !isToken(opts.Cookie) {
		fault("Cookie: must be the name of a cookie, got %q", cleantext.Clip(opts.Cookie, 80))
	}
	for name, list := range map[string][]netip.Prefix{"Networks": opts.Networks, "TrustedProxies": opts.TrustedProxies} {
		for i, p := range list {
			if !p.IsValid() || p.Bits() == 0 || p.Addr().Is4In6() {
				fault("%s[%d]: must be a network, such as 10.0.0.0/8, and not all there is, got %v", name, i, p)
			}
		}
	}
	if opts.MaxAge < 0 {
		fault("MaxAge: must not be negative, got %v", opts.MaxAge)
	}
	if len(opts.Keys) > 0 && opts.MaxAge > 0 {
		var err error
		b.verifier, err = token.New(token.Options{Keys: opts.Keys, Purpose: BypassPurpose, Audience: opts.Audience, MaxAge: opts.MaxAge})
		if err != nil {
			fault("%w", err)
		}
	}
	opts.Keys = nil
	return b, errors.Join(errs...)
}

// isToken reports whether text is a token of RFC 9110 §5.6.2.
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
}

// A visitor is a request that may bypass windows, or its work. The nil visitor may not.
type visitor struct {
	bypass  *bypass
	request *http.Request // without the token
	token   string        // empty: none
	mark    *bypassMark   // of the request whose work this is; nil: it is a request itself

	looked  bool // the rest is known
	window  string
	network netip.Prefix // of the client; may be zero
	use     BypassUse
	sum     [sha256.Size]byte
	reason  token.Reason // why the token was rejected
}

// visitor returns the request without its token. The visitor is nil if the request cannot bypass.
func (b *bypass) visitor(r *http.Request) (*visitor, *http.Request) {
	text := ""
	values, cookies := r.Header[b.opts.Header], r.Header["Cookie"]
	inCookie := slices.ContainsFunc(cookies, func(line string) bool { return strings.Contains(line, b.opts.Cookie) })
	if values != nil || inCookie {
		r = r.WithContext(r.Context()) // the given one stays as it is
		r.Header = r.Header.Clone()
		delete(r.Header, b.opts.Header)
		if inCookie {
			text = takeCookie(r.Header, b.opts.Cookie)
		}
		if len(values) > 0 {
			text = values[0]
		}
	}
	if text == "" && len(b.opts.Networks) == 0 {
		return nil, r
	}
	return &visitor{bypass: b, request: r, token: text}, r
}

// takeCookie removes all cookies of that name, and returns the value of the first.
func takeCookie(h http.Header, name string) string {
	first := ""
	var lines []string
	for _, line := range h["Cookie"] {
		var kept []string
		for pair := range strings.SplitSeq(line, ";") {
			key, value, _ := strings.Cut(pair, "=")
			if strings.TrimSpace(key) != name {
				kept = append(kept, strings.TrimSpace(pair))
				continue
			}
			first = cmp.Or(first, strings.Trim(strings.TrimSpace(value), `"`))
		}
		if len(kept) > 0 {
			lines = append(lines, strings.Join(kept, "; "))
		}
	}
	if lines == nil {
		delete(h, "Cookie")
	} else {
		h["Cookie"] = lines
	}
	return first
}

func (v *visitor) lets(o *occurrence) bool {
	switch {
	case v == nil || o.Window.ID == "": // the latter is a standIn
		return false
	case v.mark != nil:
		return slices.Contains(v.mark.past, o.tally)
	case !v.looked:
		v.look()
	}
	return v.network.IsValid() || v.hasToken(o)
}

func (v *visitor) hasToken(o *occurrence) bool { return v.window != "" && v.window == o.Window.ID }

func (v *visitor) look() {
	v.looked = true
	b := v.bypass
	v.use.Client = b.client(v.request)
	switch {
	case v.token == "":
	case b.verifier == nil:
		v.reason = token.Key
	default:
		claims, err := b.verifier.Verify(v.token, time.Now())
		var refused *token.Error
		if errors.As(err, &refused) {
			v.reason = refused.Reason
			break
		}
		v.window, v.sum = claims.Text("window"), claims.Sum
		v.use.Subject, v.use.KeyID, v.use.TokenID, v.use.Expires = claims.Subject, claims.KeyID, claims.ID, claims.Expires
	}
	in := func(network netip.Prefix) bool { return network.Contains(v.use.Client) }
	if i := slices.IndexFunc(b.opts.Networks, in); i >= 0 {
		v.network = b.opts.Networks[i]
	}
}

// client returns the client's address, the zero Addr if it is unknown.
func (b *bypass) client(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := address(host)
	if !b.trusts(addr) {
		return addr
	}
	lines, left := r.Header["X-Forwarded-For"], maxForwarded
	for _, line := range slices.Backward(lines) {
		for line != "" && left > 0 {
			left--
			comma := strings.LastIndexByte(line, ',')
			addr = address(strings.TrimSpace(line[comma+1:]))
			if !b.trusts(addr) {
				return addr
			}
			line = line[:max(0, comma)]
		}
	}
	return netip.Addr{}
}

// address parses an address of X-Forwarded-For, which may have a port. The zero Addr means invalid.
func address(text string) netip.Addr {
	with, err := netip.ParseAddrPort(text)
	addr := with.Addr()
	if err != nil {
		if inner, ok := strings.CutPrefix(text, "["); ok {
			text = strings.TrimSuffix(inner, "]")
		}
		addr, _ = netip.ParseAddr(text)
	}
	return addr.Unmap().WithZone("")
}

func (b *bypass) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(b.opts.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func (v *visitor) refused(by *occurrence) {
	if v == nil || v.token == "" {
		return
	}
	v.bypass.denied.Add(1)
	v.bypass.logger.Debug("maintenance bypass refused", "window", by.Window.ID, "reason", string(cmp.Or(v.reason, "window")))
}

// audit counts and logs a request that bypasses windows, and returns it with the mark.
func (v *visitor) audit(r *http.Request, past []*occurrence) *http.Request {
	b := v.bypass
	b.let.Add(1)
	use := v.use
	key := auditKey{of: past[0].tally, token: v.sum}
	if !v.hasToken(past[0]) { // then the network was used
		use = BypassUse{Client: use.Client, Network: v.network}
		key = auditKey{of: past[0].tally, client: use.Client}
	}
	use.Window = past[0].Window.ID
	use.First = b.isFirst(key)
	mark := &bypassMark{bypass: b, use: use}
	for _, o := range past {
		mark.past = append(mark.past, o.tally)
		o.bypassed.Add(1)
	}
	r = r.WithContext(context.WithValue(r.Context(), bypassKey{}, mark))
	if use.First {
		attrs := []any{"window", use.Window, "who", use.who()}
		if use.Network.IsValid() {
			attrs = append(attrs, "network", use.Network.String())
		} else {
			attrs = append(attrs, "key", use.KeyID, "token", use.TokenID, "expires", use.Expires, "client", use.Client.String())
		}
		b.logger.Warn("maintenance window bypassed", attrs...)
	}
	if b.opts.Audit != nil && (use.First || b.opts.EachRequest) {
		b.opts.Audit(r, use)
	}
	return r
}

func (b *bypass) isFirst(key auditKey) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.audited[key]; known {
		return false
	}
	if len(b.audited) >= maxAudited {
		clear(b.audited) // some are logged twice
	}
	b.audited[key] = struct{}{}
	return true
}

func (b *bypass) marked(ctx context.Context) *visitor {
	if m, ok := ctx.Value(bypassKey{}).(*bypassMark); ok && m.bypass == b {
		return &visitor{mark: m}
	}
	return nil
}
