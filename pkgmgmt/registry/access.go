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

// Errors for Options.Authorize to return, also wrapped. The text of such an error is sent to
// the client; the text of any other error is only logged.
var (
	// ErrUnauthenticated means that credentials are missing or wrong. It is answered with 401.
	ErrUnauthenticated = errors.New("credentials are needed")

	// ErrForbidden means that an authenticated client has no permission. It is answered with
	// 403, as is every error other than ErrUnauthenticated.
	ErrForbidden = errors.New("forbidden")
)

// An Op is the operation of a request.
type Op string

// The operations. If Options.Authorize is nil, only OpRead is allowed.
const (
	OpRead       Op = "read"        // read a module, as the go command does
	OpInspect    Op = "inspect"     // read the record of a version or the history of channels
	OpPublish    Op = "publish"     // publish a version
	OpOverride   Op = "override"    // publish against the gate; requires OpPublish as well
	OpSetChannel Op = "set-channel" // set or remove a channel
	OpYank       Op = "yank"        // yank a version or undo that
	OpBlock      Op = "block"       // block a version or undo that
	OpAllow      Op = "allow"       // allow a young or vulnerable version or undo that
)

// An Action is what Options.Authorize decides about.
type Action struct {
	Op      Op
	Module  string // path of the module: "corp.example/lib/v2". Empty for files of a checksum database
	Version string // Empty for list, @latest, the list of channels, and the removal of a channel
	Channel string // Empty unless the request is about a channel
}

// A User is a person or a program with credentials.
type User struct {
	Name   string
	Secret string // the password or token; a user with an empty secret is always rejected

	// May returns an error unless the user may do the action. Nil means [ReadOnly].
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

// Basic returns an Options.Authorize for HTTP Basic authentication (RFC 7617). The go command
// sends it for a netrc entry, and only over TLS; a client sends it for a URL with a name and a
// password. Secrets are compared in constant time, also for unknown names.
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

// Bearer returns an Options.Authorize for tokens (RFC 6750). The go command sends a token if
// a GOAUTH command prints the line "Authorization: Bearer …". Tokens are compared in constant
// time.
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

// AnyOf returns an Options.Authorize that calls the hooks in order until one of them returns
// a result other than [ErrUnauthenticated], for example to accept passwords and tokens.
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
				answer = err // the first one with more detail
			}
		}
		return "", answer
	}
}

// finder returns a function that finds the user with a name and a secret. It compares the
// sums of all users, so its time does not depend on lengths or on the user's position.
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

// sumOf hashes name and secret separately, so that moving a byte from one to the other
// changes the sum.
func sumOf(name, secret string) [sha256.Size]byte {
	a, b := sha256.Sum256([]byte(name)), sha256.Sum256([]byte(secret))
	return sha256.Sum256(append(a[:], b[:]...))
}

// admit authorizes a user. A nil user was not found.
func (u *User) admit(a Action) (who string, err error) {
	if u == nil {
		return "", fmt.Errorf("%w: the name, password or token is wrong", ErrUnauthenticated)
	}
	may := u.May
	if may == nil {
		may = ReadOnly
	}
	return u.Name, may(a)
}
