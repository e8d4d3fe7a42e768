package cleantext_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/internal/cleantext"
)

func TestURLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                "",
		"nothing to cut here?":            "nothing to cut here?",
		"what/how? a=b":                   "what/how? a=b",
		"bob@example.com":                 "bob@example.com",
		"app:v1@sha256:abc":               "app:v1@sha256:abc",
		"ann:s@db:5432/shop refused":      "db:5432/shop refused",
		"ann:s@s@db:5432":                 "db:5432",
		"dsn=ann:s@tcp(db:3306)/shop?k=s": "dsn=tcp(db:3306)/shop",
		"ann:s@h/p: EOF":                  "h/p: EOF",
		"git@github.com:org/repo":         "git@github.com:org/repo",
		"from:ann@example.com, to:bob@example.com": "from:ann@example.com, to:bob@example.com",
		"https://h/p":                                       "https://h/p",
		"https://h/p?k=s":                                   "https://h/p",
		"https://h/p#s":                                     "https://h/p",
		"https://u:s@h:8/p":                                 "https://h:8/p",
		"https://u@h":                                       "https://h",
		"https://u:s@[::1]:8/":                              "https://[::1]:8/",
		"https://h/@scope/pkg@v1":                           "https://h/@scope/pkg@v1",
		`Get "https://h/p?k=s": EOF`:                        `Get "https://h/p": EOF`,
		`Get "https://h/p?k=a b": EOF`:                      `Get "https://h/p": EOF`,
		`Get "https://h/p?k=\"s\"&l=s": EOF`:                `Get "https://h/p": EOF`,
		`msg="Get \"https://h/p?k=s\": EOF" next`:           `msg="Get \"https://h/p\": EOF" next`,
		"GET https://h/p?k=s: 500 (https://i/q?k=s)":        "GET https://h/p: 500 (https://i/q)",
		"<https://h/p?k=a b> failed":                        "<https://h/p> failed",
		"'https://h/p?k=a b' failed":                        "'https://h/p' failed",
		"url=https://h/p?k=s":                               "url=https://h/p",
		`{"url":"https://h/?k=s","n":1}`:                    `{"url":"https://h/","n":1}`,
		"postgres://u:s/s@h/db failed":                      "postgres://h/db failed",
		"postgres://u:s#s?s@h/db":                           "postgres://",
		"GET /p?k=s: 500":                                   "GET /p: 500",
		"h.example:80/p?k=s failed":                         "h.example:80/p failed",
		`parse "a": invalid port ":s\"s" after host`:        `parse "a": invalid port after host`,
		`x="invalid URL escape \"%s\"" y`:                   `x="invalid URL escape" y`,
		`invalid port ":s`:                                  `invalid port`,
		"//u:s@h/p?k=s":                                     "//h/p",
		"calling \"a service at https://h/p?k=s now\": EOF": "calling \"a service at https://h/p now\": EOF",
	} {
		require.Equal(t, want, cleantext.URLs(text), text)
	}
}

type joined struct{ errs []error }

func (j joined) Error() string   { return fmt.Sprint("all failed: ", j.errs) }
func (j joined) Unwrap() []error { return j.errs }

type broken struct{}

func (broken) Error() string { return "Get https://h/?k=SECRET" }
func (broken) Unwrap() error { panic("no") }

func parseError(text string) error {
	_, err := url.Parse(text)
	return err
}

// A secret part of a URL is never in the text of an error, however the error is wrapped.
func TestErrorShowsNoSecretOfAURL(t *testing.T) {
	t.Parallel()
	relative := parseError("/p\x7f?k=SECRET%zz")
	escape := parseError("https://h/%zz?k=SECRET")
	port := parseError("postgres://user:SECRET:SECRET@h/db")
	slash := parseError("postgres://user:SECRET/@h/db")
	control := parseError("https://u:SEC\x01RET@h/p?k=SECRET")
	host := parseError("https://u:p@h h/?k=SECRET")
	_, query := url.ParseQuery("a=%SE")
	get := &url.Error{Op: "Get", URL: "https://u:***@h/p?k=SECRET", Err: &net.OpError{Op: "dial", Net: "tcp", Err: io.EOF}}
	bare := &url.Error{Op: "Get", URL: "u:SECRET@h:80/p", Err: io.EOF}
	for _, err := range []error{
		bare, get, relative, escape, port, slash, control, host, query,
		broken{},
		(*url.Error)(nil),
		&url.Error{Op: "Get", URL: "https://h/p?k=a SECRET", Err: io.EOF},
		&url.Error{Op: "Get", URL: `https://h/p?k="SECRET"`, Err: get},
		&url.Error{Op: "Get", URL: "relative?k=SECRET", Err: io.EOF},
	} {
		for name, wrapped := range map[string]error{
			"as it is": err, "wrapped": fmt.Errorf("prices: %w", err), "twice": fmt.Errorf("cart: %w", fmt.Errorf("prices: %w", err)),
			"joined": errors.Join(io.EOF, err, io.ErrNoProgress), "of several": fmt.Errorf("%w, %w", io.EOF, err), "own": joined{[]error{err, get}},
			"nested": &url.Error{Op: "Post", URL: "https://g/?k=SECRET", Err: fmt.Errorf("retry: %w", err)}, "as text": fmt.Errorf("prices: %v, %v", get, err), "quoted": fmt.Errorf("prices: %q, %q", get.Error(), fmt.Sprint(err)),
		} {
			if err == error(bare) && (name == "as text" || name == "quoted") {
				continue // the text does not look like a URL
			}
			text := cleantext.Error(wrapped)
			require.NotContains(t, text, "SE", "%s: %T", name, err)
			require.NotContains(t, text, "RET", "%s: %T", name, err)
			require.NotEmpty(t, text)
		}
	}
	require.Equal(t, `prices: Get "https://h/p": dial tcp: EOF`, cleantext.Error(fmt.Errorf("prices: %w", get)))
	require.Equal(t, `parse "postgres://h/db": invalid port after host`, cleantext.Error(slash))
	require.Equal(t, `parse "/p\x7f": net/url: invalid control character in URL`, cleantext.Error(relative))
	require.Equal(t, "no URL", cleantext.Error(errors.New("no URL")))
}

// FuzzURLs checks that URLs never lengthens a text, and that a second cut changes nothing.
func FuzzURLs(f *testing.F) {
	for _, text := range []string{`Get "https://u:s@h/p?k=s#f": EOF`, "a //b@c/d?e=f <g://h?i> 'j://k#l'", `\"x://y?z\"`, "://?#@", "a://b:c?@d", "/?=", "x://[::1]:a/b@c"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := cleantext.URLs(text)
		require.LessOrEqual(t, len(once), len(text))
		require.Equal(t, once, cleantext.URLs(once))
	})
}

// FuzzErrorOfAURL checks that a secret is never in the text of an error of package url.
func FuzzErrorOfAURL(f *testing.F) {
	f.Add("x", "p", "k=v", byte(0))
	f.Add("/", "%zz", `"a b"`, byte(1))
	f.Add("?#", "\x7f", "%", byte(2))
	f.Add("@:", "//", "@", byte(3))
	const secret = "S3CRET"
	f.Fuzz(func(t *testing.T, password, path, query string, shape byte) {
		if _, after, _ := strings.Cut(password, "@"); strings.Contains(path, "@") || strings.ContainsAny(after, "/?#") {
			t.Skip("the user may end before")
		}
		raw := "https://u:p" + password + secret + "@h/" + path + "?" + query + secret
		if shape&1 != 0 {
			raw = "/" + path + "?" + query + secret
		}
		err := error(&url.Error{Op: "Get", URL: raw, Err: io.EOF})
		if shape&2 != 0 {
			if _, err = url.Parse(raw); err == nil {
				return
			}
		}
		if shape&4 != 0 {
			err = fmt.Errorf("cart: %w", errors.Join(err, io.EOF))
		}
		require.NotContains(t, cleantext.Error(err), secret)
	})
}
