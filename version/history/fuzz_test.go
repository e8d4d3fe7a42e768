package history_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/upkeep-go/upkeep/version/history"
)

// checkStore requires what must hold for every store.
func checkStore(t *testing.T, s history.Store) []history.Entry {
	t.Helper()
	ctx := context.Background()
	entries, err := s.Entries(ctx)
	require.NoError(t, err)
	ids := map[string]bool{}
	for n, e := range entries {
		require.False(t, ids[e.ID], "%q twice", e.ID)
		ids[e.ID] = true
		if n > 0 {
			require.Greater(t, e.Seq, entries[n-1].Seq)
		}
		require.False(t, e.At.IsZero())
	}
	l, err := history.Timeline(ctx, s, time.Time{}, time.Time{})
	require.NoError(t, err)
	again, err := history.Timeline(ctx, s, time.Time{}, time.Time{})
	require.NoError(t, err)
	require.Equal(t, l.String(), again.String())
	for _, text := range []string{l.String(), l.Markdown()} {
		require.True(t, utf8.ValidString(text))
		require.Negative(t, strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }), "%q", text)
	}
	for row := range strings.Lines(l.Markdown()) {
		require.Equal(t, byte('|'), row[0])
	}
	_, err = json.Marshal(l)
	require.NoError(t, err)
	running, err := history.Current(ctx, s)
	require.NoError(t, err)
	_, err = json.Marshal(running)
	require.NoError(t, err)
	return entries
}

func seeds(f *testing.F) []string {
	s, path := fileIn(f, nil)
	for _, r := range []string{"v1.0.0", "v2.0.0", "v1.0.0"} {
		require.NoError(f, history.Record(f.Context(), s, build(r), production("a")))
	}
	require.NoError(f, history.Note(f.Context(), s, history.Event{Kind: "flag", Subject: "a", From: "\n", To: "|"}))
	require.NoError(f, history.Note(f.Context(), s, fullEvent))
	require.NoError(f, s.Append(f.Context(), beat("run", 1)))
	return []string{
		read(f, path),
		noted("1", "a") + "\n" + noted("1", "b") + "\r\n{\n\x00\xff\n" + noted("2", "\u202e"),
		`{"id":"a","kind":"started","run":"a","time":"2026-01-01T00:00:00Z","received":"2026-01-01T00:00:00Z","at":"2199-01-01T00:00:00Z","late":-1,"every":9223372036854775807,"info":{"version":"v1\n"},"build":"00000000000000000000000000000000"}`,
		`{"id":"a","kind":"stopped","run":"r","time":"1970-01-01T00:00:00Z","late":9223372036854775807}` + "\n" + `{"id":"b","kind":"seen","run":"r","time":"2199-01-01T00:00:00+23:59"}`,
	}
}

// FuzzFile reads any bytes as a file and appends to it.
func FuzzFile(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add([]byte(s))
		f.Add([]byte(s[:len(s)*2/3]))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "history.jsonl")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		s := newFile(path, nil)
		before := checkStore(t, s)
		require.NoError(t, history.Record(t.Context(), s, build("v9.0.0"), production("z")))
		after := checkStore(t, s)
		require.GreaterOrEqual(t, len(after), len(before)+1, "what is there stays, and what was torn may be whole")
		require.True(t, strings.HasPrefix(read(t, path), string(data)))
		last := after[len(after)-1]
		require.Equal(t, "v9.0.0", last.Version)
		require.NoError(t, s.Close())
	})
}

// FuzzCollector sends any bytes to a collector.
func FuzzCollector(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add("shop", []byte(s))
	}
	f.Add("\x1b/../", []byte(noted("1", "a")))
	f.Fuzz(func(t *testing.T, client string, body []byte) {
		s := &memory{}
		c := newCollector(t, s, &history.CollectorOptions{Authorize: func(*http.Request) (string, error) { return client, nil }})
		first := send(c, "", string(body))
		require.Contains(t, []int{200, 400, 413}, first.Code)
		entries := checkStore(t, s)
		var receipt struct{ Accepted int }
		if first.Code == http.StatusOK {
			require.NoError(t, json.Unmarshal(first.Body.Bytes(), &receipt))
		}
		require.LessOrEqual(t, len(entries), receipt.Accepted)
		require.Equal(t, first.Code == http.StatusOK, len(entries) > 0)

		// A large body is decoded as it arrives. The result is the same.
		other := &memory{}
		c2 := newCollector(t, other, &history.CollectorOptions{Authorize: func(*http.Request) (string, error) { return client, nil }})
		large := send(c2, "", strings.Repeat(" ", 66<<10)+"\n"+string(body))
		if bytes.Count(body, []byte("\n")) < 900 {
			require.Equal(t, first.Code, large.Code)
			require.Len(t, checkStore(t, other), len(entries))
		}

		// Sending it again changes nothing.
		require.Equal(t, first.Code, send(c, "", string(body)).Code)
		require.Len(t, checkStore(t, s), len(entries))
	})
}

// FuzzView reads lines with view and with parseLine. If view can read a line, both agree.
func FuzzView(f *testing.F) {
	for _, s := range seeds(f) {
		for line := range strings.SplitSeq(s, "\n") {
			f.Add([]byte(line))
		}
	}
	f.Add([]byte(stamped("1", "2024-02-29T23:59:59.5Z", `,"epoch":3`)))
	f.Add([]byte(stamped("1", "2023-02-29T23:59:60Z", `,"at":"2199-12-31T00:00:00.000000001Z"`)))
	f.Add([]byte(`{"id":"1","kind":"noted","time":"2026-01-01T00:00:00Z","event":{"share":0.25,"url":"http://a","service":"b","environment":"c"}}`))
	f.Add([]byte(`{"id":"1","kind":"noted","time":"2026-01-01T00:00:00Z","event":{"kind":"a","url":"javascript:a","share":2}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		fast, plain, valid := history.ReadBoth(line)
		if fast == nil {
			require.False(t, valid, "what is valid has an entry")
			return
		}
		require.True(t, valid)
		if plain == nil {
			require.Contains(t, string(line), `,"info":{`, "only Info may be wrong")
			return
		}
		require.True(t, history.Equal(fast, plain), "%+v\n%+v", fast, plain)
	})
}
