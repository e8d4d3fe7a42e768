package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/observe"
	"github.com/upkeep-go/upkeep/observe/capture"
	"github.com/upkeep-go/upkeep/observe/replay"
)

// Bundles in testdata/format1 were written by the first version that wrote schema 1.
// Every later version must read them and find the same in them. Do not write them anew.
const format1 = "testdata/format1"

var format1Key = []byte("0123456789abcdef")

func golden(t *testing.T, name string) (*capture.Bundle, []byte) {
	t.Helper()
	path := filepath.Join(format1, name+".har")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	b, err := capture.Parse(path, data)
	require.NoError(t, err)
	return b, data
}

// The file is read whole: what is encoded again is what was in it, member by member, and
// its seal still holds.
func TestFormat1IsReadWhole(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain", "redacted"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, data := golden(t, name)
			again, err := b.Encode()
			require.NoError(t, err)
			require.Equal(t, string(data), string(again))

			rules := b.Log.Details.Seal.Rules
			rules.Key = format1Key
			r, err := capture.NewRedactor(&rules)
			require.NoError(t, err)
			require.Equal(t, b.Log.Details.Seal.Key, r.KeyID())
			require.NoError(t, r.Redact(b))
			again, err = b.Encode()
			require.NoError(t, err)
			require.Equal(t, string(data), string(again), "a bundle with a good seal is redacted already")

			rules.Words = false
			other, err := capture.NewRedactor(&rules)
			require.NoError(t, err)
			require.NoError(t, other.Redact(b))
			again, err = b.Encode()
			require.NoError(t, err)
			require.NotEqual(t, string(data), string(again), "by other rules it is not")
		})
	}
}

// Each part of the file has the meaning that it had.
func TestFormat1Means(t *testing.T) {
	t.Parallel()
	b, _ := golden(t, "redacted")
	d := &b.Log.Details
	require.Equal(t, "1.2", b.Log.Version)
	require.Equal(t, 1, d.Schema)
	require.Equal(t, "golden-request-0001", d.RequestID)
	require.Equal(t, "/carts/{cart}", d.Route)
	require.EqualValues(t, "panicked", d.Reason)
	require.Equal(t, 500, d.Status)
	require.Equal(t, "shop v1", d.Build)
	require.Equal(t, "string", d.Panic.Type)
	require.Equal(t, `no price for "mgq"`, d.Panic.Text)
	require.Contains(t, d.Panic.Stack, "replay_test.payGolden\n\t/src/observe/shop.go:78\n")
	require.Nil(t, d.Error)
	require.Zero(t, d.Dropped)

	require.Len(t, d.Flags, 3)
	require.Equal(t, "new-checkout", d.Flags[0].Key)
	require.EqualValues(t, "bool", d.Flags[0].Type)
	require.JSONEq(t, `true`, string(d.Flags[0].Value))
	require.Equal(t, "on", d.Flags[0].Variant)
	require.Equal(t, "STATIC", d.Flags[0].Reason)
	require.Equal(t, "InMemoryProvider", d.Flags[0].Provider)
	require.Equal(t, "fbj@mjyw.example", d.Flags[0].Targeting)
	require.EqualValues(t, "object", d.Flags[1].Type)
	require.JSONEq(t, `{"items":2}`, string(d.Flags[1].Value))
	require.Equal(t, "FLAG_NOT_FOUND", d.Flags[2].ErrorCode)
	require.Equal(t, "flag for key missing not found", d.Flags[2].ErrorText)

	require.Len(t, d.Values, 3)
	require.Equal(t, "stock", d.Values[0].Name)
	require.Zero(t, d.Values[0].Ordinal)
	require.JSONEq(t, `{"tea":6493}`, string(d.Values[0].Result))
	require.Equal(t, []string{"of fbj: EOF", "EOF"}, d.Values[1].Error)
	require.Equal(t, "json: unsupported type: chan int", d.Values[2].Unrecordable)

	require.Len(t, d.Logs, 2)
	require.Equal(t, []string{"DEBUG", "INFO"}, []string{d.Logs[0].Level, d.Logs[1].Level})
	require.Equal(t, `no price for "mgq"`, d.Logs[1].Message)
	require.JSONEq(t, `{"user":"fbj","group":{"user":"fbj","stock":{"tea":6493}}}`, string(d.Logs[1].Attrs))
	require.True(t, strings.HasSuffix(d.Logs[1].Source, "shop.go:69"))
	require.True(t, d.Logs[0].Time.Before(d.Logs[1].Time))

	require.Len(t, b.Log.Entries, 3)
	in, out, refused := &b.Log.Entries[0], &b.Log.Entries[1], &b.Log.Entries[2]
	require.Equal(t, time.Date(2026, 11, 28, 19, 33, 33, 943221408, time.UTC), in.Started)
	require.Equal(t, "POST", in.Request.Method)
	require.Equal(t, "http://mjyw.example/carts/64?q=mgq&who=fbj%40mjyw.example", in.Request.URL)
	require.Len(t, in.Request.Cookies, 2)
	require.Len(t, in.Request.QueryString, 2)
	require.NotEmpty(t, in.Request.Headers)
	require.Contains(t, in.Request.PostData.Text, `"mail":"fbj@mjyw.example"`)
	require.EqualValues(t, "json", in.Exchange.RequestBody.Kind)
	require.EqualValues(t, 83, in.Exchange.RequestBody.Bytes)
	require.Equal(t, 500, in.Response.Status)
	require.Equal(t, "application/problem+json", in.Response.Content.MimeType)
	require.Equal(t, 200, out.Response.Status)
	require.NotEmpty(t, out.Response.Content.Text)
	require.Zero(t, refused.Response.Status)
	require.Equal(t, "connection refused", refused.Exchange.Error[2])

	plain, _ := golden(t, "plain")
	d = &plain.Log.Details
	require.EqualValues(t, "failed", d.Reason)
	require.Equal(t, &capture.Error{Type: "*errors.errorString", Texts: []string{"broke: twice", "twice"}}, d.Error)
	require.Nil(t, d.Panic)
	require.Equal(t, []string{"$"}, d.Seal.Rules.JSON)
	require.JSONEq(t, `{"tea":4711}`, string(d.Values[0].Result))
	in = &plain.Log.Entries[0]
	require.JSONEq(t, `{"cart":"half","left":7}`, in.Response.Content.Text)
	require.Contains(t, in.Request.PostData.Text, "4242424242424242")
}

// Stores list and erase it.
func TestFormat1InAStore(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	b, data := golden(t, "redacted")
	name := capture.NewName(time.Now())
	require.NoError(t, os.WriteFile(filepath.Join(folder, name), data, 0o600))
	store, err := capture.NewDir(folder, nil)
	require.NoError(t, err)
	list, err := capture.List(store)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, []any{name, "golden-request-0001", "/carts/{cart}", 500, "shop v1", int64(len(data))},
		[]any{list[0].Name, list[0].RequestID, list[0].Route, list[0].Status, list[0].Build, list[0].Bytes})
	require.EqualValues(t, "panicked", list[0].Reason)
	require.Equal(t, b.Log.Details.TraceID, list[0].TraceID)

	rules := b.Log.Details.Seal.Rules
	rules.Key = format1Key
	r, err := capture.NewRedactor(&rules)
	require.NoError(t, err)
	require.Equal(t, "fbj@mjyw.example", r.Pseudonym("ann@shop.example"), "keys make the pseudonyms that they made")
	n, err := capture.Erase(context.Background(), store, r.Pseudonym("ann@shop.example"))
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// payGolden is the handler that both bundles are of, without what only recording needs.
func payGolden(c *replay.Case, t *testing.T, end func(http.ResponseWriter, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		ann := openfeature.NewEvaluationContext("fbj@mjyw.example", nil)
		on, err := c.FlagClient().BooleanValue(ctx, "new-checkout", false, ann)
		require.NoError(t, err)
		require.True(t, on)
		_, err = c.FlagClient().StringValue(ctx, "missing", "none", ann)
		require.ErrorContains(t, err, "FLAG_NOT_FOUND")
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.True(t, json.Valid(body))
		for i, method := range []string{"POST", "GET"} {
			u := "http://prices.example" + []string{"/prices?q=tea", "/prices?q=coffee"}[i]
			req, err := http.NewRequestWithContext(ctx, method, u, nil)
			require.NoError(t, err)
			resp, err := c.HTTPClient().Do(req)
			if i == 1 {
				require.ErrorContains(t, err, "connection refused")
				continue
			}
			require.NoError(t, err)
			require.Equal(t, 200, resp.StatusCode)
			require.NoError(t, resp.Body.Close())
		}
		stock, err := observe.Value(ctx, "stock", func(context.Context) (map[string]int, error) { return nil, errors.New("not called") })
		require.NoError(t, err)
		require.NotZero(t, stock["tea"])
		_, err = observe.Value(ctx, "session", func(context.Context) (string, error) { return "", nil })
		require.ErrorIs(t, err, io.EOF)
		end(w, r)
	})
}

// Replays find in it the failure that was recorded.
func TestFormat1Replays(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(http.ResponseWriter, *http.Request){
		"redacted": func(http.ResponseWriter, *http.Request) { panic(fmt.Sprintf("no price for %q", "tea")) },
		"plain": func(w http.ResponseWriter, r *http.Request) {
			observe.Fail(r.Context(), fmt.Errorf("broke: %w", errors.New("twice")))
			w.WriteHeader(502)
		},
	} {
		_, data := golden(t, name)
		path := filepath.Join(t.TempDir(), name+".har")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		for _, key := range [][]byte{nil, format1Key} {
			first := play(t, replay.Options{Key: key}, path, func(c *replay.Case) http.Handler {
				return payGolden(c, t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
			})
			require.Len(t, first.errors, 1)
			require.Contains(t, first.errors[0], "the bundle does not note what redaction hid")
			failed := play(t, replay.Options{Key: key}, path, func(c *replay.Case) http.Handler { return payGolden(c, t, end) })
			require.Len(t, failed.errors, 1)
			if name == "plain" {
				require.Contains(t, failed.errors[0], "fails as it did then")
			} else {
				require.Contains(t, failed.errors[0], "panic: no price for")
			}
			fixed := play(t, replay.Options{Key: key}, path, func(c *replay.Case) http.Handler {
				return payGolden(c, t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
			})
			require.Empty(t, fixed.errors)
			require.NoError(t, os.Remove(path+".red"))
		}
	}
}
