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

// A User is someone, or something, that uses a registry.
type User struct {
	Name   string
	Secret string             // the password, or the token; an empty one admits nobody
	May    func(Action) error // what the user may do, as Options.Authorize says it; nil: everything
}

// ReadOnly is a User.May.
func ReadOnly(a Action) error {
	if a.Op != Read {
		return fmt.Errorf("%w: no permission to %s", ErrForbidden, a.Op)
	}
	return nil
}

// Basic gives an Options.Authorize for HTTP Basic authentication (RFC 7617): what the
// go command sends for a netrc entry, and clients for a URL with a name and a
// password. The time that it takes does not depend on how much of a secret is right,
// nor on whether there is a user of that name.
//
// The go command sends credentials over TLS only.
func Basic(users ...User) func(*http.Request, Action) error {
	users = slices.Clone(users)
	find := finder(users, func(u User) string { return u.Name })
	return func(r *http.Request, a Action) error {
		name, secret, ok := r.BasicAuth()
		if !ok {
			return ErrUnauthenticated
		}
		return admit(r, a, find(name, secret))
	}
}

// Bearer gives an Options.Authorize for tokens (RFC 6750): what the go command sends
// when a GOAUTH command gives it a line "Authorization: Bearer …". Constant time as in
// [Basic].
func Bearer(users ...User) func(*http.Request, Action) error {
	users = slices.Clone(users)
	find := finder(users, func(User) string { return "" })
	return func(r *http.Request, a Action) error {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return ErrUnauthenticated
		}
		return admit(r, a, find("", strings.TrimSpace(token)))
	}
}

// AnyOf gives an Options.Authorize that asks one after the other, until one says
// something else than [ErrUnauthenticated]: for people with passwords and machines with
// tokens.
func AnyOf(hooks ...func(*http.Request, Action) error) func(*http.Request, Action) error {
	hooks = slices.Clone(hooks)
	return func(r *http.Request, a Action) error {
		answer := ErrUnauthenticated
		for _, hook := range hooks {
			err := hook(r, a)
			if !errors.Is(err, ErrUnauthenticated) {
				return err
			}
			if answer == ErrUnauthenticated {
				answer = err // the first that says more
			}
		}
		return answer
	}
}

// finder gives a function that looks for the user with a name and a secret. Sums are
// compared, all of them, so that neither lengths nor places can be measured.
func finder(users []User, name func(User) string) func(name, secret string) *User {
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

func admit(r *http.Request, a Action, u *User) error {
	if u == nil {
		return fmt.Errorf("%w: these are not known", ErrUnauthenticated)
	}
	Identify(r, u.Name)
	if u.May == nil {
		return nil
	}
	return u.May(a)
}
