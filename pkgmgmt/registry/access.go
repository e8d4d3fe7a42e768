package registry

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Options.Authorize returns these, wrapped or not. The client gets the text of an error
// that wraps one of them, and of no other error.
var (
	// ErrUnauthenticated means that the client has sent no credentials, or wrong ones. It is
	// answered with 401.
	ErrUnauthenticated = errors.New("credentials are needed")

	// ErrForbidden means that the client is known and may not do this. It is answered with
	// 403, as is every error besides ErrUnauthenticated.
	ErrForbidden = errors.New("forbidden")
)

// An Op is what a request wants to do.
type Op string

// The operations. Where Options.Authorize is nil only OpRead is allowed.
const (
	OpRead       Op = "read"        // use a module: what the go command does
	OpInspect    Op = "inspect"     // see the record of a version, and the history of channels
	OpPublish    Op = "publish"     // add a version
	OpOverride   Op = "override"    // add it even if the gate refuses; OpPublish is asked for as well
	OpSetChannel Op = "set-channel" // set a channel, or remove it
	OpYank       Op = "yank"        // yank a version, or take that back
	OpBlock      Op = "block"       // block a version, or take that back
)

// An Action is what Options.Authorize decides about.
type Action struct {
	Op      Op
	Module  string // path of a private module: "corp.example/lib/v2"
	Version string // Empty for list, @latest, the channels, and the removal of one
	Channel string // when the request is about one
}

// A User is a person or a program with credentials.
type User struct {
	Name   string
	Secret string // the password, or the token; a user without one is never admitted

	// May returns an error for what the user may not do. Nil means [ReadOnly].
	May func(Action) error
}

// ReadOnly is a User.May that allows OpRead only.
func ReadOnly(a Action) error {
	if a.Op != OpRead {
		return fmt.Errorf("%w: no permission to %s", ErrForbidden, a.Op)
	}
	return nil
}

// Everything is a User.May that allows every operation.
func Everything(Action) error { return nil }

// Basic returns an Options.Authorize for HTTP Basic authentication (RFC 7617): what the
// go command sends for a netrc entry, and clients for a URL with a name and a password.
// The time it takes depends neither on how much of a secret is right nor on whether there
// is a user of that name.
//
// The go command sends credentials over TLS only.
func Basic(users ...User) func(*http.Request, Action) (who string, err error) {
	find := finder(users, func(u User) string { return u.Name })
	return func(r *http.Request, a Action) (string, error) {
		name, secret, ok := r.BasicAuth()
		if !ok {
			return "", ErrUnauthenticated
		}
		return find(name, secret).admit(a)
	}
}

// Bearer returns an Options.Authorize for tokens (RFC 6750): what the go command sends
// when a GOAUTH command gives it a line "Authorization: Bearer …". Constant time as in
// [Basic].
func Bearer(users ...User) func(*http.Request, Action) (who string, err error) {
	find := finder(users, func(User) string { return "" })
	return func(r *http.Request, a Action) (string, error) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return "", ErrUnauthenticated
		}
		return find("", strings.TrimSpace(token)).admit(a)
	}
}

// AnyOf returns an Options.Authorize that asks one hook after the other, until one returns
// something else than [ErrUnauthenticated]: for people with passwords and machines with
// tokens.
func AnyOf(hooks ...func(*http.Request, Action) (who string, err error)) func(*http.Request, Action) (who string, err error) {
	hooks = slices.Clone(hooks)
	return func(r *http.Request, a Action) (string, error) {
		answer := ErrUnauthenticated
		for _, hook := range hooks {
			who, err := hook(r, a)
			if !errors.Is(err, ErrUnauthenticated) {
				return who, err
			}
			if answer == ErrUnauthenticated {
				answer = err // the first that says more
			}
		}
		return "", answer
	}
}

// finder returns a function that looks for the user with a name and a secret. It compares
// all sums, so that neither lengths nor places can be measured.
func finder(users []User, name func(User) string) func(name, secret string) *User {
	users = slices.Clone(users)
	sums := make([][sha256.Size]byte, len(users))
	for i, u := range users {
		sums[i] = sumOf(name(u), u.Secret)
	}
	return func(name, secret string) *User {
		sum := sumOf(name, secret)
		found := -1
		for i := range sums {
			found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], sums[i][:]), i, found)
		}
		if found < 0 || secret == "" {
			return nil
		}
		return &users[found]
	}
}

// sumOf keeps name and secret apart: two sums in one.
func sumOf(name, secret string) [sha256.Size]byte {
	a, b := sha256.Sum256([]byte(name)), sha256.Sum256([]byte(secret))
	return sha256.Sum256(append(a[:], b[:]...))
}

// admit decides about a user that was found, or nil.
func (u *User) admit(a Action) (who string, err error) {
	if u == nil {
		return "", fmt.Errorf("%w: these are not known", ErrUnauthenticated)
	}
	may := u.May
	if may == nil {
		may = ReadOnly
	}
	return u.Name, may(a)
}
