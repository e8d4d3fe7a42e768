package observe_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"
	sdklog "go.opentelemetry.io/otel/sdk/log"

	"github.com/upkeep-go/upkeep/observe"
)

// verbose shows more with %+v and as JSON than its message says.
type verbose struct{ inner error }

func (v verbose) Error() string                { return "call failed" }
func (v verbose) MarshalJSON() ([]byte, error) { return json.Marshal(v.inner.Error()) }
func (v verbose) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, v.inner.Error()) }
func (v verbose) LogValue() slog.Value         { return slog.StringValue(v.inner.Error()) }

func parseError(text string) error {
	_, err := url.Parse(text)
	return err
}

// No secret of a URL is recorded anywhere, however an error gets there.
func TestErrorsShowNoSecretsOfURLs(t *testing.T) {
	t.Parallel()
	parse := parseError("postgres://user:SECRET/@h/db?k=SECRET")
	get := &url.Error{Op: "Get", URL: "https://user:SECRET@h/p?k=SECRET#SECRET", Err: io.EOF}
	for name, err := range map[string]error{
		"a client's": get, "of url.Parse": parse, "wrapped": fmt.Errorf("prices: %w", get), "joined": errors.Join(io.EOF, get, parse),
		"nested": &url.Error{Op: "Post", URL: "https://g/?k=SECRET", Err: parse}, "as a text": errors.New("prices: " + get.Error()), "verbose": verbose{get},
	} {
		for how, do := range map[string]func(*rig) error{
			"Fail": func(k *rig) error {
				k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { observe.Fail(r.Context(), err) })), "GET", "/")
				return nil
			},
			"panic": func(k *rig) error {
				k.serve(k.obs.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(err) })), "GET", "/")
				return nil
			},
			"panic with a text": func(k *rig) error {
				k.serve(k.obs.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(fmt.Sprint(get, err)) })), "GET", "/")
				return nil
			},
			"Fail with a panic": func(k *rig) error {
				k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					observe.Fail(r.Context(), &observe.PanicError{Value: err, Stack: debug.Stack()})
				})), "GET", "/")
				return nil
			},
			"Outcome": func(k *rig) error {
				k.serve(k.obs.Handler(handler(299)), "GET", "/")
				return nil
			},
			"Do": func(k *rig) error {
				require.Equal(t, err, k.obs.Do(context.Background(), "job", func(context.Context) error { return err }), "the caller gets it as it is")
				return nil
			},
			"Do, panic": func(k *rig) error {
				return k.obs.Do(context.Background(), "job", func(context.Context) error { panic(err) })
			},
			"Transport": func(k *rig) error {
				k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					call, e := http.NewRequestWithContext(r.Context(), "GET", "http://h/p", nil)
					if e != nil {
						t.Error(e)
						return
					}
					client := &http.Client{Transport: k.obs.Transport(roundTripper(func(*http.Request) (*http.Response, error) { return nil, err }))}
					_, e = client.Do(call) //nolint:bodyclose // there is none
					if e == nil {
						t.Error("no error")
					}
					w.WriteHeader(500)
				})), "GET", "/")
				return nil
			},
			"Value": func(k *rig) error {
				k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = observe.Value(r.Context(), "v", func(context.Context) (int, error) { return 0, err })
					w.WriteHeader(500)
				})), "GET", "/")
				return nil
			},
			"a flag": func(k *rig) error {
				k.serve(k.obs.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					observe.RecordFlag(r.Context(), "p", openfeature.InterfaceEvaluationDetails{EvaluationDetails: openfeature.EvaluationDetails{
						FlagKey: "f", ResolutionDetail: openfeature.ResolutionDetail{ErrorCode: openfeature.GeneralCode, ErrorMessage: fmt.Sprint(get)},
					}})
					w.WriteHeader(500)
				})), "GET", "/")
				return nil
			},
		} {
			for form, log := range map[string]func(io.Writer) slog.Handler{
				"JSON": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) }, "text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
			} {
				t.Run(name+", "+how+", "+form, func(t *testing.T) {
					t.Parallel()
					store := &shelf{}
					var logged logBuffer
					k := newRig(t, func(o *observe.Options) {
						o.Captures, o.Log = store, log(&logged)
						o.Capture.Redact = openRules()
						o.Outcome = func(_ *http.Request, resp *http.Response) error {
							if resp.StatusCode == 299 {
								return err
							}
							return nil
						}
					})
					if e := do(k); e != nil {
						require.NotContains(t, e.Error(), "SECRET")
					}
					require.NoError(t, k.obs.Close())
					for _, data := range store.files {
						require.NotContains(t, string(data), "SECRET")
					}
					require.NotContains(t, logged.String(), "SECRET")
					require.NotEmpty(t, logged.String())
					for _, span := range k.spans.Ended() {
						require.NotContains(t, fmt.Sprint(span.Attributes(), span.Status(), span.Events()), "SECRET")
					}
					k.events.mu.Lock()
					defer k.events.mu.Unlock()
					for _, r := range k.events.records {
						require.NotContains(t, fmt.Sprintf("%+v", r), "SECRET")
					}
				})
			}
		}
	}
}

// An error without a URL is given to log handlers as it is.
func TestErrorsStayWhatTheyAre(t *testing.T) {
	t.Parallel()
	var got any
	k := newRig(t, func(o *observe.Options) {
		o.Log = slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == "error" {
				got = a.Value.Any()
			}
			return a
		}})
	})
	err := fmt.Errorf("reading: %w", declined{})
	k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { observe.Fail(r.Context(), err) })), "GET", "/")
	require.Equal(t, err, got)
}

func TestEventsHaveATimestamp(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	k.serve(k.obs.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		observe.RecordFlag(r.Context(), "p", openfeature.InterfaceEvaluationDetails{EvaluationDetails: openfeature.EvaluationDetails{FlagKey: "f"}})
		panic("boom")
	})), "GET", "/")
	_ = k.obs.Do(context.Background(), "job", func(context.Context) error { return io.EOF })
	require.Len(t, k.events.records, 3)
	for _, r := range k.events.records {
		require.False(t, r.Timestamp().IsZero(), r.EventName())
		require.False(t, r.ObservedTimestamp().IsZero())
		requireScope(t, r)
	}
	require.NotEmpty(t, k.spans.Ended()[0].InstrumentationScope().Version)
}

func requireScope(t *testing.T, r sdklog.Record) {
	t.Helper()
	require.NotEmpty(t, r.InstrumentationScope().Version)
	require.False(t, strings.HasPrefix(r.InstrumentationScope().Version, "v"))
}

func TestKnownMethods(t *testing.T) {
	t.Setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET, PURGE,,BREW")
	k := newRig(t, nil)
	for _, method := range []string{"PURGE", "POST", "get", "BREW", "GET"} {
		k.obs.Handler(handler(200)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, "/", nil))
	}
	var names []string
	for _, span := range k.spans.Ended() {
		names = append(names, span.Name()+" "+attr(span, "http.request.method")+" "+attr(span, "http.request.method_original"))
	}
	require.Equal(t, []string{"PURGE PURGE ", "HTTP _OTHER POST", "HTTP _OTHER get", "BREW BREW ", "GET GET "}, names)
	require.Len(t, k.points(serverActive), 4)
}

func TestResendCount(t *testing.T) {
	t.Parallel()
	k := newRig(t, nil)
	srv := k.server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path) < 4 {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusTemporaryRedirect)
		}
	}), false)
	client := &http.Client{Transport: k.obs.Transport(srv.Client().Transport)}
	resp, err := client.Get(srv.URL + "/x")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	var counts []string
	for _, span := range k.spans.Ended() {
		counts = append(counts, attr(span, "http.request.resend_count"))
	}
	require.Equal(t, []string{"", "1", "2"}, counts)
}
